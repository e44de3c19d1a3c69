"""The erasing half of the vocoder: from sound to what was said, as every speaker would have said it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from deident.disguise.vocoder_tables import BANDS, CENTRES, COVARIANCE, MEANS, SHARES, SPREADS, WIDTHS
from deident.dsp.mel import MelCepstrum
from deident.dsp.pitch import PitchTracker
from deident.dsp.stft import Floats
from deident.dsp.timing import smooth

FEW = 4.0  # frames of evidence at which a snippet's own statistics count as much as the common ones
LOUD = 95  # percentile of the frames' powers that stands for the level of the speech
QUIET = 10  # percentile of a band's powers that stands for its noise
STRIDE = 2  # every second voiced frame tells the vocal tract
SHAPES = slice(1, 13)  # the cepstra that tell it: without loudness and without detail
_LOG_RATIOS = 0.06 * np.arange(-4, 5)
RATIOS = np.exp(_LOG_RATIOS)  # of vocal tracts, that are tried
TRACT_SPREAD = 0.12  # standard deviation of a speaker's vocal tract, in nepers


@dataclass(frozen=True)
class Speech:
    """What the analysis found, frame by frame of the transform.

    cepstra : (frames, order) of the log envelope.   loud : (frames,) 0 to 1, what statistics are taken of.
    spoken : (frames,) 0 to 1, what is heard.   voiced : (frames,) 0 to 1.   octaves : (frames,) the pitch
    over its median, 0 where unvoiced.   level : mean square of the loud frames, full scale 1."""

    cepstra: Floats
    loud: Floats
    spoken: Floats
    voiced: Floats
    octaves: Floats
    level: float

    @cached_property
    def evidence(self) -> float:
        """How many loud frames there are."""
        return float(self.loud.sum())


def analyse(
    samples: Floats,
    cepstrum: MelCepstrum,
    tracker: PitchTracker,
    *,
    floor_db: float,
    noise: float,
    gate_db: float,
) -> Speech:
    """Envelope, voicing and presence of speech in each frame, of a common long-term spectrum.

    floor_db : what is further below a band's average is not told apart.   noise : how many times the noise of
    a band is taken off it.   gate_db : a frame further below the loud ones is no speech."""
    powers = cepstrum.band_powers(samples)
    total = powers @ np.full(powers.shape[1], 1.0 / powers.shape[1], dtype=np.float32)
    level = float(_ranked(total, LOUD)) + 1e-12
    level_db = 10.0 * np.log10(total / np.float32(level) + np.float32(1e-6))
    loud, spoken, audible = _above(level_db, (-18.0, -gate_db, -24.0), (1.5, 2.2, 1.7))
    if noise:
        powers -= np.float32(noise) * _ranked(powers.T, QUIET)
        np.maximum(powers, np.float32(0.0), out=powers)
    average = loud @ powers / (loud.sum() + np.float32(1e-3))
    powers *= BANDS / (average + np.float32(1e-6 * level))
    powers += BANDS * np.float32(10.0 ** (-0.1 * floor_db))
    np.log(powers, out=powers)
    strength, octaves = _pitch(samples, cepstrum, tracker, len(total))
    (voiced,) = _above(strength, (0.5,), (0.07,))
    voiced *= audible
    # Power per mean square: size / 2 by Parseval, three times that as mel bands dwell where speech is strong.
    energy = 1.5 * cepstrum.stft.size
    return Speech(powers @ cepstrum.analysis, loud, spoken, voiced, octaves, level / energy)


def _pitch(
    samples: Floats, cepstrum: MelCepstrum, tracker: PitchTracker, frames: int
) -> tuple[Floats, Floats]:
    """How periodic each frame is, and its pitch over the median, in octaves."""
    stft = cepstrum.stft
    pitch = tracker.track(samples)
    centres = (np.arange(frames) + 1) * stft.hop - stft.size // 2
    at = np.clip((centres + tracker.hop // 2) // tracker.hop, 0, len(pitch.f0_hz) - 1)
    octaves = np.zeros(frames, dtype=np.float32)
    if (middle := pitch.median_hz) > 0.0:
        f0_hz = pitch.f0_hz[at]
        np.log2(f0_hz / np.float32(middle), out=octaves, where=f0_hz > 0.0)
    return smooth(pitch.strength[at], 0.5), octaves.clip(-0.6, 0.6, out=octaves)


def tract_ratio(speech: Speech, cepstrum: MelCepstrum) -> float:
    """How far the formants lie above those of the average speaker: the likeliest ratio under the sounds of
    average speech, each tried on some voiced frames (Lee & Rose, 1998)."""
    heard = np.flatnonzero(speech.voiced * speech.loud > 0.25)[::STRIDE]
    if len(heard) < 3:
        return 1.0
    shapes = slice(SHAPES.start, min(SHAPES.stop, cepstrum.order))
    moved = speech.cepstra[heard] @ _rewarps(cepstrum, shapes)
    moved -= moved.mean(axis=0)
    moved = moved.reshape(len(heard), len(RATIOS), -1)
    target = SPREADS[0, shapes] ** 2
    found = np.einsum("frs,frs->rs", moved, moved)
    found += np.float32(FEW) * target
    moved *= np.sqrt(np.float32(len(heard) + FEW) / found)
    worth = _log_sounds(moved.reshape(-1, moved.shape[2]), shapes.start)
    peak = worth.max(axis=0)
    worth -= peak
    np.exp(worth, out=worth)
    peak += np.log(worth.sum(axis=0))
    evidence = peak.reshape(len(heard), -1).sum(axis=0) / 1.5  # frames are not independent
    evidence -= _LOG_RATIOS**2 / (2.0 * TRACT_SPREAD**2)
    best = min(max(int(evidence.argmax()), 1), len(RATIOS) - 2)
    below, middle, above = evidence[best - 1 : best + 2].tolist()
    bend = 2.0 * middle - below - above
    shift = min(max(0.5 * (above - below) / bend, -1.0), 1.0) if bend > 0.0 else 0.0
    return float(1.0 / np.exp(_LOG_RATIOS[best] + 0.06 * shift))


def rewarp(cepstrum: MelCepstrum, ratio: float) -> Floats:
    """(order, order) float32: cepstra @ it = cepstra of the envelope with every formant at `ratio` times."""
    back: Floats = cepstrum.basis(cepstrum.bands_hz / ratio) @ cepstrum.analysis
    return back


def normalise_means(cepstra: Floats, speech: Speech, amount: float, classes: bool) -> tuple[Floats, Floats]:
    """(frames, order) the common curve that each frame now moves about, and how it moves, in common spreads.

    amount : 0 to 1, how far the snippet's mean goes to the common one.   classes : voiced and unvoiced frames
    have means of their own. A snippet's statistics count with a few frames of the common ones, as it may be
    short."""
    order = cepstra.shape[1]
    common = MEANS[::-1, :order].copy()
    common[1] -= common[0]
    kinds = np.ones((len(cepstra), 2), dtype=np.float32)  # a mean for all frames, and what voicing adds
    kinds[:, 1] = speech.voiced
    weights = kinds.T * speech.loud
    weights[0] -= weights[1]  # of others, and of voiced ones
    away = weights @ cepstra - (weights @ kinds) @ common
    share = weights @ kinds[:, 0]
    own = np.zeros_like(common)
    own[0] = away.sum(axis=0) / np.float32(speech.evidence + 1e-3)
    if classes:
        away -= share[:, None] * own[0]
        away /= share[:, None] + np.float32(FEW)
        away[1] -= away[0]
        own += away
    moved = cepstra - kinds @ (common + own)
    moved /= SPREADS[0, :order]
    return kinds @ (common + np.float32(1.0 - amount) * own), moved


def normalise_spread(moves: Floats, speech: Speech, amount: float) -> Floats:
    """`moves` with the variance of each cepstrum brought to the common one, by `amount` of 0 to 1."""
    order = moves.shape[1]
    total = speech.evidence
    share = float(speech.loud @ speech.voiced) / (total + 1e-3)
    target = np.float32(share) + np.float32(1.0 - share) * (SPREADS[1, :order] / SPREADS[0, :order]) ** 2
    found = speech.loud @ np.square(moves)
    found += np.float32(FEW) * target
    return moves * (target * np.float32(total + FEW) / found) ** np.float32(0.5 * amount)


def normalise_sounds(moves: Floats, speech: Speech, amount: float, settle: float) -> Floats:
    """`moves` with each kind of sound moved to where average speech has it.

    amount : 0 to 1, of the way.   settle : 0 to 1, how far each frame then goes to the middle of its sounds.
    Every frame belongs to the sounds of average speech by its likelihood under a Gaussian mixture, and moves
    with them: the means of the mixture adapted as by Gauvain & Lee (1994), backwards."""
    share = _log_sounds(moves, 0)
    share -= share.max(axis=0)
    np.exp(share, out=share)
    share /= share.sum(axis=0)
    weight = share * speech.loud
    count = weight.sum(axis=1)[:, None]
    centres = CENTRES[:, : moves.shape[1]]
    away = (weight @ moves - count * centres) / (count + np.float32(3.0))
    onward = np.float32(settle) * centres - np.float32((1.0 - settle) * amount) * away
    moved: Floats = share.T @ onward
    moved += np.float32(1.0 - settle) * moves
    return moved


def covariance_map(moves: Floats, speech: Speech, evidence: float, amount: float) -> Floats:
    """(order, order) float32: moves @ it have the common covariance, with as little change as can be.

    evidence : frames at which the snippet's own covariance counts as much as the common one.   amount : 0 to
    1, of the way.
    The optimal transport between two Gaussians (Takatsu, 2011): which cepstra rise and fall together is as
    much the speaker's as the sound's."""
    order = moves.shape[1]
    common = COVARIANCE[:order, :order]
    found = (moves * speech.loud[:, None]).T @ moves
    found = (found + evidence * common) / (speech.evidence + evidence)
    root = _common_root(order)
    carried = amount * (root @ _symmetric(root @ found @ root, -0.5) @ root)
    carried.flat[:: order + 1] += 1.0 - amount
    return carried.astype(np.float32)


def contour(speech: Speech, octaves: float) -> Floats:
    """(frames,) the pitch's way about its median, in octaves, of a common range and without its details."""
    weight = speech.voiced
    slow = smooth(weight * speech.octaves, 3.0) / (smooth(weight, 3.0) + np.float32(0.05))
    spread = float(np.sqrt((weight @ np.square(slow)) / (weight.sum() + 1e-3)))
    slow *= np.float32(octaves / (spread + 0.03))
    return slow


def _ranked(values: Floats, percent: int) -> Floats:
    """(...,) the value that this part of (..., n) values stays below, one of them."""
    rank = percent * (values.shape[-1] - 1) // 100
    ranked: Floats = np.partition(values, rank, axis=-1)[..., rank]
    return ranked


def _above(values: Floats, thresholds: tuple[float, ...], softness: tuple[float, ...]) -> Floats:
    """(thresholds, n) of (n,) values: 0 to 1, a half at the threshold."""
    slope = np.array(softness, dtype=np.float32)[:, None] * np.float32(2.0)
    scaled: Floats = (values - np.array(thresholds, dtype=np.float32)[:, None]) / slope
    np.tanh(scaled, out=scaled)
    scaled += np.float32(1.0)
    scaled *= np.float32(0.5)
    return scaled


def _log_sounds(moves: Floats, first: int) -> Floats:
    """(sounds, frames) the log likelihood of each sound and frame, but for a constant.

    moves : (frames, cepstra) from the `first` on."""
    of_squares, of_moves, constant = log_weights(first, first + moves.shape[1])
    worth: Floats = of_squares @ np.square(moves).T
    worth += of_moves @ moves.T
    worth += constant
    return worth


@lru_cache
def log_weights(first: int, stop: int) -> tuple[Floats, Floats, Floats]:
    """(sounds, cepstra) of squared moves and of moves, and (sounds, 1) of nothing, in a sound's likelihood."""
    precision = WIDTHS[:, first:stop] ** -2
    centre = CENTRES[:, first:stop]
    constant = np.log(SHARES) - np.log(WIDTHS[:, first:stop]).sum(axis=1)
    constant -= 0.5 * (centre**2 * precision).sum(axis=1)
    return np.float32(-0.5) * precision, centre * precision, constant[:, None].astype(np.float32)


@lru_cache
def _common_root(order: int) -> npt.NDArray[np.float64]:
    return _symmetric(COVARIANCE[:order, :order], 0.5)


def _symmetric(matrix: npt.NDArray[np.floating], power: float) -> npt.NDArray[np.float64]:
    """A power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    powered: npt.NDArray[np.float64] = (vectors * np.maximum(values, 1e-4) ** power) @ vectors.T
    return powered


_REWARPS: dict[tuple[MelCepstrum, int], Floats] = {}


def _rewarps(cepstrum: MelCepstrum, shapes: slice) -> Floats:
    """(order, ratios·shapes) float32: the cepstra at every ratio at once."""
    key = (cepstrum, shapes.stop)
    if key not in _REWARPS:
        _REWARPS[key] = np.hstack([rewarp(cepstrum, ratio)[:, shapes] for ratio in RATIOS])
    return _REWARPS[key]
