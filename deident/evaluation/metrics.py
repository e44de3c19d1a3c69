"""Measures of how well scores tell the same speaker from another.

Conventions
-----------
Every function takes `target` scores (trial and model are one speaker) and `nontarget` scores (two
speakers), one-dimensional, higher meaning more alike. A score that a function reads as a likelihood ratio
is its natural logarithm. Scores need not have the same scale from one function to the next: all measures
but `cllr` depend on their order alone.

Metrics
-------
`eer`, `cllr`, `min_cllr`, `disclosure`, `accept_rate`, `top`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deident.audio import Doubles
from deident.errors import SettingError

LN2 = float(np.log(2.0))
PERFECT_DISCLOSURE = 0.5 / LN2  # bits: the area under the binary entropy, what scores can disclose at most


def _scores(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    """Flatten scores, and refuse missing ones and NaN."""
    same, other = np.asarray(target, np.float64).ravel(), np.asarray(nontarget, np.float64).ravel()
    if not same.size or not other.size:
        raise SettingError(f"expected scores of both kinds; got {same.size} target, {other.size} nontarget")
    if np.isnan(same).any() or np.isnan(other).any():
        raise SettingError("scores hold NaN: the attacker failed on some trials")
    return same, other


def roc(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    """Miss and false-accept rates at every threshold.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Scores; higher means more alike.

    Returns
    -------
    miss, false : (thresholds,) float64
        The threshold rises along the arrays: the first entry accepts every trial (0, 1), the last none (1, 0). Equal
        scores are one threshold, so no trial is favoured.

    Raises
    ------
    SettingError
        When scores of one kind are missing, or some are NaN. So do all measures below.
    """
    same, other = _scores(target, nontarget)
    thresholds = np.unique(np.concatenate((same, other)))
    miss = np.searchsorted(np.sort(same), thresholds, side="right") / same.size
    # Counted before it is divided: 1 - 2/3 is more than 1/3.
    false = (other.size - np.searchsorted(np.sort(other), thresholds, side="right")) / other.size
    return np.concatenate(([0.0], miss)), np.concatenate(([1.0], false))


def hull(miss: Doubles, false: Doubles) -> tuple[Doubles, Doubles]:
    """The lower convex hull of a ROC: rates that any threshold, or a coin between two, reaches.

    Parameters
    ----------
    miss, false : (thresholds,) float64
        From `roc`.

    Returns
    -------
    miss, false : (corners,) float64

    References
    ----------
    Fawcett & Niculescu-Mizil, "PAV and the ROC convex hull", Machine Learning 68 (2007).
    """
    keep: list[int] = []
    # A corner comes after a nontarget and before a target; only those, and the ends, are looked at.
    corner = np.ones(miss.size, np.bool_)
    corner[1:-1] = (np.diff(false) < 0.0)[:-1] & (np.diff(miss) > 0.0)[1:]
    for k in np.flatnonzero(corner).tolist():
        while len(keep) > 1:
            a, b = keep[-2], keep[-1]
            turn = (miss[b] - miss[a]) * (false[k] - false[a]) - (false[b] - false[a]) * (miss[k] - miss[a])
            if turn > 0.0:
                break
            keep.pop()
        keep.append(k)
    return miss[keep], false[keep]


def eer(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> float:
    """Equal error rate: where miss and false-accept rates meet on the ROC convex hull.

    On the hull EER = max over p of min over thresholds of p·miss + (1 - p)·false accept, so it is never
    above one half and never rewards a score for being unusable at one threshold.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Scores; higher means more alike.

    Returns
    -------
    float
        0 (everybody recognised) to 0.5 (nothing learned).

    References
    ----------
    Brümmer & de Villiers, "The BOSARIS Toolkit", 2011, section 2.6.

    Examples
    --------
    >>> eer([2.0, 3.0], [0.0, 1.0])
    0.0
    >>> eer([0.0, 1.0], [0.0, 1.0])
    0.5
    """
    miss, false = hull(*roc(target, nontarget))
    after = int(np.argmax(miss >= false))
    a, b = after - 1, after
    gap_a, gap_b = false[a] - miss[a], miss[b] - false[b]
    if gap_a + gap_b == 0.0:
        return float(miss[b])
    return float((miss[a] * gap_b + miss[b] * gap_a) / (gap_a + gap_b))


def cllr(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> float:
    """Cost of log-likelihood ratios.

    Cllr = ½ mean log2(1 + e^-s) over targets + ½ mean log2(1 + e^s) over nontargets.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Natural logarithms of likelihood ratios.

    Returns
    -------
    float
        In bits: 0 tells all, 1 is as good as no score, more is misleading.

    References
    ----------
    Brümmer & du Preez, "Application-independent evaluation", Computer Speech & Language 20 (2006).
    """
    same, other = _scores(target, nontarget)
    return float(0.5 * (np.logaddexp(0.0, -same).mean() + np.logaddexp(0.0, other).mean()) / LN2)


def calibrate(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    """The log-likelihood ratios that pool-adjacent-violators gives the scores: the slopes of the ROC convex hull.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Scores; higher means more alike.

    Returns
    -------
    target, nontarget : (trials,) float64
        Infinite where a score is seen with one kind of trial only.

    References
    ----------
    Brümmer & du Preez (2006), section 6; the equivalence: Fawcett & Niculescu-Mizil (2007).
    """
    same, other = _scores(target, nontarget)
    thresholds = np.unique(np.concatenate((same, other)))
    corner_miss, corner_false = hull(*roc(same, other))
    with np.errstate(divide="ignore"):
        ratios = np.log(np.diff(corner_miss)) - np.log(-np.diff(corner_false))
    # A threshold belongs to the hull edge that passes over its step of the curve.
    miss = np.searchsorted(np.sort(same), thresholds, side="right") / same.size
    false = 1.0 - np.searchsorted(np.sort(other), thresholds, side="right") / other.size
    edge = np.searchsorted(corner_miss - corner_false, miss - false - 1e-12, side="left") - 1
    of_threshold = ratios[np.clip(edge, 0, ratios.size - 1)]
    return of_threshold[np.searchsorted(thresholds, same)], of_threshold[np.searchsorted(thresholds, other)]


def min_cllr(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> float:
    """`cllr` after the best monotone calibration.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Scores; higher means more alike.

    Returns
    -------
    float
        In bits: 0 tells all, 1 tells nothing.

    References
    ----------
    Brümmer & du Preez (2006).
    """
    return cllr(*calibrate(target, nontarget))


def disclosure(target: npt.ArrayLike, nontarget: npt.ArrayLike) -> float:
    """ZEBRA's expected disclosure D_ECE.

    The area between the entropy of the prior and the empirical cross-entropy of the calibrated scores,
    over all priors p of a target trial:
    ECE(p) = p mean log2(1 + (1 - p)/(p·LR)) over targets + (1 - p) mean log2(1 + p·LR/(1 - p)) over others.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Scores; higher means more alike.

    Returns
    -------
    float
        In bits: 0 (perfect secrecy) to 0.721 (`PERFECT_DISCLOSURE`).

    References
    ----------
    Nautsch et al., "The privacy ZEBRA", Interspeech 2020, equations 6 to 8 (integrated in closed form).
    """
    same, other = calibrate(target, nontarget)
    left = (_prior_integral(-same).mean() + _prior_integral(other).mean()) / LN2
    return float(max(0.0, PERFECT_DISCLOSURE - left))


def _prior_integral(log_ratio: Doubles) -> Doubles:
    """∫ p·ln(1 + r(1 - p)/p) dp from 0 to 1, r = e^log_ratio: ¼ - (½ - 2r + 3r²/2 - r² ln r)/(2(1 - r)²)."""
    r = np.exp(np.minimum(log_ratio, 300.0))
    near = np.abs(log_ratio) < 1e-2
    safe = np.where(near, 0.5, r)
    log_safe = np.log(np.maximum(safe, 1e-300))
    exact = 0.25 - (0.5 - 2.0 * safe + 1.5 * safe**2 - safe**2 * log_safe) / (2.0 * (1.0 - safe) ** 2)
    # Taylor about r = 1, where the closed form is 0/0, in h = r - 1.
    h = np.where(near, r - 1.0, 0.0)
    series = 0.25 + h / 6.0 - h**2 / 24.0 + h**3 / 60.0
    return np.where(near, series, exact)


def accept_rate(target: npt.ArrayLike, nontarget: npt.ArrayLike, false_accept: float) -> float:
    """Share of target trials accepted at a low false-accept rate: the gain of an attacker who must not err.

    Parameters
    ----------
    target, nontarget : (trials,) float64
        Scores; higher means more alike.
    false_accept : float
        Rate that may not be passed, 0 to 1.

    Returns
    -------
    float
        0 to 1.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", IEEE S&P 2022.
    """
    miss, false = roc(target, nontarget)
    return float(1.0 - miss[false <= false_accept].min())


def top(scores: npt.ArrayLike, true: npt.ArrayLike, k: int = 1) -> float:
    """Share of trials whose true speaker is among the k best of all models: the closed-set identification rate.

    Parameters
    ----------
    scores : (trials, models) float64
    true : (trials,) int
        Column of the true speaker.
    k : int, optional

    Returns
    -------
    float
        0 to 1. Ties count in expectation, as if they were broken by a coin.

    References
    ----------
    ISO/IEC 19795-1:2021.
    """
    matrix, column = np.asarray(scores, np.float64), np.asarray(true, np.intp)
    if matrix.ndim != 2 or matrix.shape[0] != column.size or not 1 <= k <= matrix.shape[1]:
        raise SettingError("expected scores of shape (trials, models), one column a trial, 1 <= k <= models")
    own = matrix[np.arange(column.size), column][:, None]
    better, tied = (matrix > own).sum(1), (matrix == own).sum(1)
    return float(np.clip((k - better) / tied, 0.0, 1.0).mean())
