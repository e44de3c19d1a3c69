"""Measures of scores, against closed forms for normal scores and against brute force on small sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from deident.errors import SettingError
from deident.evaluation import metrics
from deident.evaluation.intervals import draw_weights, eer_samples, interval

SMALL = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=8)
THREE_DIGITS = 5e-4


def normal_ratios(distance: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood ratios of two normals this many deviations apart: N(±d²/2, d²), at even quantiles."""
    grid = norm.ppf((np.arange(count) + 0.5) / count) * distance
    return grid + distance**2 / 2.0, grid - distance**2 / 2.0


def expected(function, distance: float, sign: float = 1.0) -> float:
    """The mean of a function over normal log ratios, by the trapezoidal rule (exponentially exact here)."""
    x = sign * distance**2 / 2.0 + np.linspace(-12.0, 12.0, 4_001) * distance
    return float(np.sum(norm.pdf(x, sign * distance**2 / 2.0, distance) * function(x)) * (x[1] - x[0]))


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0, 3.0])
class TestNormalScores:
    def test_eer(self, distance: float) -> None:
        assert metrics.eer(*normal_ratios(distance)) == pytest.approx(
            norm.cdf(-distance / 2), abs=THREE_DIGITS
        )

    def test_cllr_and_its_minimum(self, distance: float) -> None:
        closed = expected(lambda x: np.logaddexp(0.0, -x), distance) / np.log(2.0)
        assert metrics.cllr(*normal_ratios(distance)) == pytest.approx(closed, abs=THREE_DIGITS)
        assert metrics.min_cllr(*normal_ratios(distance)) == pytest.approx(closed, abs=THREE_DIGITS)

    def test_calibration_finds_the_ratios_again(self, distance: float) -> None:
        same, other = normal_ratios(distance)
        stretched = metrics.min_cllr(3.0 * same + 7.0, 3.0 * other + 7.0)
        assert stretched == pytest.approx(metrics.min_cllr(same, other), abs=1e-12)
        assert metrics.cllr(3.0 * same + 7.0, 3.0 * other + 7.0) > stretched + 0.1

    def test_disclosure(self, distance: float) -> None:
        def cross_entropy(p: float) -> float:
            odds = np.log(p) - np.log1p(-p)
            miss = expected(lambda x: np.logaddexp(0.0, -x - odds), distance)
            false = expected(lambda x: np.logaddexp(0.0, x + odds), distance, -1.0)
            return (p * miss + (1.0 - p) * false) / np.log(2.0)

        nodes, weights = np.polynomial.legendre.leggauss(40)
        left = sum(w * cross_entropy((x + 1.0) / 2.0) / 2.0 for x, w in zip(nodes, weights, strict=True))
        closed = metrics.PERFECT_DISCLOSURE - left
        assert metrics.disclosure(*normal_ratios(distance)) == pytest.approx(closed, abs=THREE_DIGITS)

    def test_accepted_at_one_per_cent(self, distance: float) -> None:
        closed = norm.cdf(distance - norm.ppf(0.99))
        assert metrics.accept_rate(*normal_ratios(distance), 0.01) == pytest.approx(closed, abs=THREE_DIGITS)


def diagonal_crossings(same: list[float], other: list[float]) -> list[float]:
    """Point where the segment between any two operating points meets miss = false accept."""
    thresholds = sorted({*same, *other})
    points = [(0.0, 1.0)] + [
        (np.mean([s <= t for s in same]), np.mean([o > t for o in other])) for t in thresholds
    ]
    found = [a for a, b in points if a == b]
    for a in points:
        for b in points:
            gap_a, gap_b = a[1] - a[0], b[0] - b[1]
            if gap_a > 0.0 and gap_b > 0.0:
                found.append((a[0] * gap_b + b[0] * gap_a) / (gap_a + gap_b))
    return found


def isotonic(same: list[float], other: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated log ratios by the minimax formula for monotone regression, over distinct scores."""
    values = sorted({*same, *other})
    hits = np.array([same.count(v) for v in values])
    total = hits + np.array([other.count(v) for v in values])
    fitted = [
        max(
            min(hits[j : k + 1].sum() / total[j : k + 1].sum() for k in range(i, len(values)))
            for j in range(i + 1)
        )
        for i in range(len(values))
    ]
    with np.errstate(divide="ignore"):
        odds = np.log(fitted) - np.log1p(-np.array(fitted)) - np.log(len(same) / len(other))
    return np.array([odds[values.index(s)] for s in same]), np.array([odds[values.index(o)] for o in other])


class TestBruteForce:
    @given(SMALL, SMALL)
    def test_eer(self, same: list[float], other: list[float]) -> None:
        assert metrics.eer(same, other) == pytest.approx(min(diagonal_crossings(same, other)), abs=1e-12)

    @given(SMALL, SMALL)
    def test_calibration(self, same: list[float], other: list[float]) -> None:
        for found, wanted in zip(metrics.calibrate(same, other), isotonic(same, other), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-9)

    @given(SMALL, SMALL)
    def test_cllr(self, same: list[float], other: list[float]) -> None:
        cost = np.mean([np.log2(1.0 + np.exp(-s)) for s in same]) + np.mean(
            [np.log2(1.0 + np.exp(o)) for o in other]
        )
        assert metrics.cllr(same, other) == pytest.approx(cost / 2.0)

    @settings(max_examples=40)
    @given(SMALL, SMALL)
    def test_disclosure(self, same: list[float], other: list[float]) -> None:
        ratios_same, ratios_other = isotonic(same, other)
        p = (np.arange(4_000) + 0.5) / 4_000
        odds = np.log(p / (1.0 - p))
        with np.errstate(over="ignore"):
            miss = np.mean([np.logaddexp(0.0, -r - odds) for r in ratios_same], axis=0)
            false = np.mean([np.logaddexp(0.0, r + odds) for r in ratios_other], axis=0)
        entropy = -(p * np.log(p) + (1.0 - p) * np.log1p(-p))
        area = np.mean(entropy - p * miss - (1.0 - p) * false) / np.log(2.0)
        assert metrics.disclosure(same, other) == pytest.approx(area, abs=1e-4)

    @given(SMALL, SMALL, st.floats(0.0, 1.0))
    @example([0.0], [0.0, -1.0, -1.0], 1 / 3)
    def test_accept_rate(self, same: list[float], other: list[float], allowed: float) -> None:
        best = max(
            np.mean([s > t for s in same])
            for t in (-99.0, *same, *other)
            if np.mean([o > t for o in other]) <= allowed
        )
        assert metrics.accept_rate(same, other, allowed) == pytest.approx(best)

    @given(
        st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=5),
        st.integers(1, 4),
    )
    def test_top(self, rows: list[list[int]], k: int) -> None:
        true = [n % 4 for n in range(len(rows))]
        rng = np.random.default_rng(0)
        hits = []
        for row, own in zip(rows, true, strict=True):
            shaken = np.array(row) + rng.uniform(0.0, 0.5, (4_000, 4))
            hits.append(((shaken > shaken[:, [own]]).sum(1) < k).mean())
        assert metrics.top(rows, true, k) == pytest.approx(np.mean(hits), abs=0.03)


@given(SMALL, SMALL)
def test_measures_stay_in_their_ranges(same: list[float], other: list[float]) -> None:
    assert 0.0 <= metrics.eer(same, other) <= 0.5
    assert 0.0 <= metrics.min_cllr(same, other) <= min(1.0, metrics.cllr(same, other)) + 1e-9
    assert 0.0 <= metrics.disclosure(same, other) <= metrics.PERFECT_DISCLOSURE + 1e-9


def test_perfect_and_useless_scores() -> None:
    apart, alike = ([2.0, 3.0], [0.0, 1.0]), ([1.0, 1.0], [1.0, 1.0])
    assert [f(*apart) for f in (metrics.eer, metrics.min_cllr)] == [0.0, 0.0]
    assert metrics.disclosure(*apart) == pytest.approx(metrics.PERFECT_DISCLOSURE)
    assert [f(*alike) for f in (metrics.eer, metrics.min_cllr)] == [0.5, 1.0]
    assert metrics.disclosure(*alike) == 0.0


def test_scores_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(SettingError, match="both kinds"):
        metrics.eer([], [1.0])
    with pytest.raises(SettingError, match="NaN"):
        metrics.cllr([float("nan")], [1.0])
    with pytest.raises(SettingError, match="one column a trial"):
        metrics.top([[1.0, 2.0]], [0, 1])


class TestBootstrap:
    rows = np.repeat(np.arange(6), 3)
    own = rows[:, None] == np.arange(6)[None]

    def scores(self) -> np.ndarray:
        return np.random.default_rng(1).normal(size=(2, 18, 6)) + 1.5 * self.own

    def rates(self, weights: np.ndarray) -> np.ndarray:
        return eer_samples(self.scores(), self.own, ~self.own, self.rows, np.arange(6), weights)

    def test_every_speaker_once_is_the_plain_rate(self) -> None:
        scores = self.scores()
        plain = metrics.eer(scores[:, self.own], scores[:, ~self.own])
        assert self.rates(np.ones((1, 6)))[0] == pytest.approx(plain, abs=1e-6)

    def test_a_speaker_drawn_twice_counts_as_two(self) -> None:
        weights = np.array([[2.0, 0.0, 1.0, 1.0, 1.0, 1.0]])
        same: list[float] = []
        other: list[float] = []
        for run in self.scores():
            for u, s in np.ndindex(18, 6):
                speaker = self.rows[u]
                times = weights[0, speaker] * (1.0 if s == speaker else weights[0, s])
                (same if s == speaker else other).extend([run[u, s]] * int(times))
        assert self.rates(weights)[0] == pytest.approx(metrics.eer(same, other), abs=1e-6)

    def test_intervals_narrow_as_speakers_come(self) -> None:
        def width(speakers: int) -> float:
            rows = np.repeat(np.arange(speakers), 3)
            own = rows[:, None] == np.arange(speakers)[None]
            scores = np.random.default_rng(2).normal(size=(1, rows.size, speakers)) + own
            weights = draw_weights(speakers, 200, 0)
            found = interval(0.0, eer_samples(scores, own, ~own, rows, np.arange(speakers), weights))
            return found.high - found.low

        assert 0.0 < width(60) < 0.7 * width(10)
