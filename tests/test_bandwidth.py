"""The background that is subtracted, and bands that are predicted from the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deident.audio import RATE
from deident.disguise.vocoder import bandwidth
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, Analysis, analyse
from deident.disguise.vocoder.background import find_background, percentile
from deident.disguise.vocoder.bandwidth import find_missing, predict_missing
from deident.dsp.ragged import Ragged
from tests.voices import CHILD, MAN, WOMAN, Speaker, speech

SPEAKERS = pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD], ids=["man", "woman", "child"])
HZ = CEPSTRUM.bands_hz
Filter = Callable[[np.ndarray], np.ndarray]


def analysed(samples: np.ndarray, noise: float = 0.5, seed: int = 0) -> Analysis:
    rng = np.random.default_rng(seed)
    tracked = TRACKER.track_all([samples])
    return analyse([samples], tracked, [rng], floor_db=25.0, noise=noise, gate_db=50.0)


def powers_of(samples: np.ndarray) -> tuple[np.ndarray, Ragged]:
    ragged = STFT.ragged([samples.size])
    return CEPSTRUM.powers_of_padded(STFT.concatenate([samples], ragged), ragged.frames), ragged


def filtered(samples: np.ndarray, gain: Filter) -> np.ndarray:
    spectrum = np.fft.rfft(samples) * gain(np.fft.rfftfreq(samples.size, 1.0 / RATE))
    return np.fft.irfft(spectrum, samples.size).astype(np.float32)


def noisy(samples: np.ndarray, slope: float, snr_db: float = 15.0) -> np.ndarray:
    white = np.random.default_rng(3).standard_normal(samples.size)
    noise = filtered(white, lambda hz: np.maximum(hz, 50.0) ** (-slope / 2))
    return samples + noise * np.float32(samples.std() / noise.std() * 10 ** (-snr_db / 20))


def with_pauses(speaker: Speaker) -> np.ndarray:
    """Three times a second of speech, and 0.4 s in which a room hums at -60 dB."""
    quiet = 1e-4 * np.random.default_rng(1).standard_normal(6_400)
    parts = [part for seed in (1, 2, 3) for part in (speech(speaker, 1.0, seed=seed), quiet)]
    return np.concatenate(parts).astype(np.float32)


def steadiness(samples: np.ndarray) -> float:
    powers, ragged = powers_of(samples)
    total = powers.mean(axis=1)
    return float(find_background(powers, total, percentile(total, 95)[None], ragged)[1][0])


@SPEAKERS
@pytest.mark.parametrize("slope", [0.0, 1.0, 1.5], ids=["white", "pink", "room"])
def test_steady_noise_is_told_from_soft_speech(speaker: Speaker, slope: float) -> None:
    clean = with_pauses(speaker)
    assert steadiness(noisy(clean, slope)) > 0.4
    assert steadiness(clean) < 0.01
    assert steadiness(speech(speaker, 2.0, seed=4)) < 0.2  # without a pause, the quietest frames are speech
    swell = np.linspace(0.05, 2.0, clean.size, dtype=np.float32)
    assert steadiness(clean + swell * (noisy(clean, slope) - clean)) < 0.2


@SPEAKERS
@pytest.mark.parametrize("slope", [0.0, 1.0, 1.5], ids=["white", "pink", "room"])
def test_pauses_in_steady_noise_are_gated_unless_the_background_is_kept(
    speaker: Speaker, slope: float
) -> None:
    samples = noisy(with_pauses(speaker), slope)
    pauses = np.zeros(len(analysed(samples).presence), dtype=bool)
    for start in (1.1, 2.5, 3.9):
        pauses[int(start * RATE / STFT.hop) : int((start + 0.2) * RATE / STFT.hop)] = True
    assert analysed(samples).presence[pauses].mean() < 0.35
    assert analysed(samples, noise=0.0).presence[pauses].mean() > 0.6


@SPEAKERS
def test_noise_that_follows_the_level_is_a_missing_band(speaker: Speaker) -> None:
    """As a companded line leaves it above the speech; what is no more than soft is not missing."""
    samples = speech(speaker, 3.0, seed=5)
    narrow = filtered(samples, lambda hz: (hz > 300.0) & (hz < 3_400.0))
    line = companded(narrow / np.abs(narrow).max())
    assert missing(line)[HZ > 4_000.0].mean() > 0.8
    assert missing(line)[HZ < 150.0].all()
    assert not missing(samples)[HZ > 150.0].any()
    short = line[RATE : RATE + 1_600]  # so few frames follow anything
    assert not missing(short)[(HZ > 4_000.0) & (HZ < 6_000.0)].any()
    soft = filtered(samples, lambda hz: np.where(hz < 3_400.0, 1.0, 0.2))
    assert not missing(soft)[(HZ > 4_000.0) & (HZ < 7_000.0)].any()


def companded(samples: np.ndarray) -> np.ndarray:
    """As 8 bits of the µ-law keep it."""
    levels = np.round(127.0 * np.sign(samples) * np.log1p(255.0 * np.abs(samples)) / np.log(256.0)) / 127.0
    return (np.sign(levels) * np.expm1(np.abs(levels) * np.log(256.0)) / 255.0).astype(np.float32)


def missing(samples: np.ndarray) -> np.ndarray:
    powers, ragged = powers_of(samples)
    total = powers.mean(axis=1)
    total /= percentile(total, 95)
    weight = (total > 0.016).astype(np.float32)
    relative = weight @ powers / weight.sum() / percentile(powers.mean(axis=1), 95)
    return find_missing(np.log(powers + 1e-9), relative[None], total, weight, HZ, ragged)[0]


def test_little_is_left_of_a_cut_band_and_least_of_a_high_one() -> None:
    logs, total = np.zeros((50, HZ.size), np.float32), np.ones(50, np.float32)
    for db, low, high in ((-20.0, False, False), (-26.0, True, False), (-34.0, True, True)):
        relative = bandwidth.BANDS[None] * np.float32(10 ** (0.1 * db))
        found = find_missing(logs, relative, total, total, HZ, Ragged((50,)))[0]
        np.testing.assert_array_equal(found, np.where(HZ < 500.0, low, high))


@pytest.mark.parametrize("gone", [HZ > 4_000.0, (HZ < 300.0) | (HZ > 3_400.0), HZ > 5_500.0])
def test_predicted_bands_have_the_statistics_of_average_speech(gone: np.ndarray) -> None:
    """Means and covariances, with the bands that are left and with each other, are those of the table."""
    for kind, voiced in enumerate((1.0, 0.0)):
        mean, *rows = bandwidth._statistics()[kind].astype(np.float64)
        covariance, rng = np.array(rows), np.random.default_rng(7)
        offsets = np.log(bandwidth.BANDS)
        logs = (rng.multivariate_normal(mean, covariance, 40_000) + offsets).astype(np.float32)
        logs[:, gone] = 0.0
        share = np.full(len(logs), voiced, np.float32)
        predict_missing(logs, gone[None], share, [rng], Ragged((len(logs),)))
        found = np.cov(logs.T)
        scale = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
        assert np.abs(logs.mean(axis=0) - offsets - mean).max() < 0.1
        assert np.abs((found - covariance) / scale).max() < 0.12


def test_the_slopes_of_a_filter_are_predicted_too_and_a_tone_is_left_alone() -> None:
    gone = (HZ < 300.0) | (HZ > 4_000.0)
    rows = np.tile(np.log(bandwidth.BANDS), (50, 1)).astype(np.float32)
    slope = rows.copy()
    inside = np.flatnonzero(~gone)
    slope[:, inside[[0, -1]]] -= 9.0
    predicted = []
    for logs in (rows, slope):
        predict_missing(logs, gone[None], np.ones(50, np.float32), [np.random.default_rng(1)], Ragged((50,)))
        predicted.append(logs)
    np.testing.assert_allclose(*predicted, atol=1e-4)
    tone = np.zeros((50, HZ.size), np.float32)
    predict_missing(
        tone, HZ[None] > 500.0, np.ones(50, np.float32), [np.random.default_rng(1)], Ragged((50,))
    )
    assert not tone.any()


@SPEAKERS
def test_hiss_comes_back_where_a_line_has_cut_it(speaker: Speaker) -> None:
    """Above the cut, frames of hiss are louder than vowels, as they were; a neighbour's movement would not do."""
    wide = speech(speaker, 4.0, seed=6)
    narrow = filtered(wide, lambda hz: hz < 3_900.0)
    high = HZ > 4_500.0
    was, now = (
        (own.cepstra @ CEPSTRUM.basis(HZ))[:, high].mean(axis=1) for own in (analysed(wide), analysed(narrow))
    )
    present = analysed(wide).presence > 0.5
    assert np.corrcoef(was[present], now[present])[0, 1] > 0.5


def test_what_is_left_open_is_drawn() -> None:
    narrow = filtered(speech(MAN, 2.0, seed=8), lambda hz: hz < 3_900.0)
    first, again, other = (analysed(narrow, seed=seed).cepstra for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    wide = with_pauses(MAN)
    hidden = noisy(wide, 0.0, snr_db=5.0)
    assert np.abs(analysed(hidden, seed=1).cepstra - analysed(hidden, seed=2).cepstra).max() > 0.1
    np.testing.assert_array_equal(analysed(wide, seed=1).cepstra, analysed(wide, seed=2).cepstra)
