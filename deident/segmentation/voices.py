"""Detection of a second voice in a piece: two pitches at once, a change of its spectrum, or one that an encoder sees.

`python -m benchmarks voices` measures them, and prints the thresholds: hardly any piece of one voice is above.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Doubles, Samples
from deident.dsp.mel import MelCepstrum
from deident.dsp.periods import power_left
from deident.dsp.stft import Stft
from deident.errors import SettingError

Encoder = Callable[[Samples], npt.ArrayLike]

HOP = 256
CEPSTRUM = MelCepstrum(Stft(512, HOP), bands=40, order=16)  # what the thresholds below were chosen with
SHORTEST = 25  # loud frames, 0.4 s, on either side of a change
STEP = 5  # frames between two places where the voice may change
LOUD_DB = 30.0  # frames this far below the loudest count as a pause
LEAST_POWER = 1e-5  # of the highest in a band of the frame
VARIANCES = np.array(
    (3.1, 0.97, 0.71, 0.39, 0.31, 0.21, 0.16, 0.13, 0.11, 0.093, 0.08, 0.069, 0.061, 0.052, 0.047)
)  # of the cepstra within pieces of many speakers
EVIDENCE_POWER = 1.25  # of the frames: more than 1 trusts a change between long parts more
MOST_CHANGE = 552.0  # of the spectrum, in a piece of one voice
LEFT_BY_ONE, LEFT_BY_TWO = 0.3, 0.1  # of a frame's power: one period leaves more, two leave less
BESIDE_FRAMES = 25  # a second more of one pitch, so that single frames of a short piece do not count
MOST_OVERLAP = 0.0284  # of the loud frames have two pitches, in a piece of one voice
WINDOW_SECONDS, WINDOW_STEP_SECONDS = 1.5, 0.5
LEAST_LIKENESS = 0.485  # cosine of what CAM++ makes of two parts of one voice


def has_one_voice(samples: Samples, encoder: Encoder | None = None) -> bool:
    """Tell whether a piece is of one voice, as far as can be told.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.
    encoder : callable, optional
        From samples to an embedding of the speaker. Without one, the spectrum before and after is compared. Two
        pitches at once are looked for in any case.

    Returns
    -------
    bool
        True for a piece with one pitch at a time that is too short to be compared with itself: under a second, or
        two with an encoder.

    Raises
    ------
    SettingError
        When the encoder gives anything but one vector.
    """
    if overlap(samples) > MOST_OVERLAP:
        return False
    if encoder is None:
        return change_of_spectrum(samples) <= MOST_CHANGE
    return likeness(samples, encoder) >= LEAST_LIKENESS


def overlap(samples: Samples) -> float:
    """Measure the share of loud frames with two pitches: two periods explain their power, and one does not."""
    left = power_left(samples)
    both = (left[:, 0] > LEFT_BY_ONE) & (left[:, 1] < LEFT_BY_TWO)
    return float(both.sum() / (len(left) + BESIDE_FRAMES))


def change_of_spectrum(samples: Samples) -> float:
    """Measure the largest change of the mean mel cepstrum between all that is before a place and all behind it.

    It is a Mahalanobis distance, weighted by how much speech there is on both sides, as in Hotelling's test; the
    covariance is half the piece's own and half the variances of speech at large, as a short piece hardly tells its
    own. 0 for a piece that is too short.

    References
    ----------
    Chen & Gopalakrishnan (1998), "Speaker, environment and channel change detection and clustering via the BIC".
    """
    cepstra = _loud_cepstra(samples)
    frames = len(cepstra)
    if frames < 2 * SHORTEST:
        return 0.0
    before = np.arange(SHORTEST, frames - SHORTEST + 1, STEP)
    sums = np.cumsum(cepstra, axis=0)
    apart = sums[before - 1] / before[:, None] - (sums[-1] - sums[before - 1]) / (frames - before)[:, None]
    weight = before * (frames - before) / frames
    covariance = 0.5 * (np.cov(cepstra.T, bias=True) + np.diag(VARIANCES))
    distance = (apart * np.linalg.solve(covariance, apart.T).T).sum(axis=1)
    return float((distance * weight**EVIDENCE_POWER).max())


def _loud_cepstra(samples: Samples) -> Doubles:
    """Return the mel cepstra of a piece's loud frames without their level, (frames, order - 1)."""
    powers = CEPSTRUM.band_powers(samples)
    level_db = 10.0 * np.log10(powers.sum(axis=1) + 1e-12)
    loud = level_db > level_db.max(initial=-120.0) - LOUD_DB
    floors = LEAST_POWER * powers[loud].max(
        axis=1, keepdims=True
    )  # of each frame, so that level changes nothing
    floored = np.maximum(powers[loud], np.maximum(floors, np.finfo(np.float32).tiny))
    return np.asarray((np.log(floored) @ CEPSTRUM.analysis)[:, 1:], np.float64)


def likeness(samples: Samples, encoder: Encoder) -> float:
    """Return the least cosine of the embeddings before any place of a piece and behind it; 1 if it is too short."""
    size, step = (round(seconds * RATE) for seconds in (WINDOW_SECONDS, WINDOW_STEP_SECONDS))
    starts = range(0, samples.size - size + 1, step)
    embedded = [np.asarray(encoder(np.array(samples[start : start + size])), np.float64) for start in starts]
    if any(vector.ndim != 1 or not np.isfinite(vector).all() for vector in embedded):
        raise SettingError("expected of an encoder of voices one vector of numbers for (samples,) at 16 kHz")
    if len(embedded) < 2:
        return 1.0
    unit = np.stack([vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in embedded])
    sums = np.cumsum(unit, axis=0)
    before, behind = sums[:-1], sums[-1] - sums[:-1]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(behind, axis=1)
    return float(((before * behind).sum(axis=1) / np.maximum(norms, 1e-12)).min())
