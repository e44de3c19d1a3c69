"""The erasing half of the vocoder: from sound to what was said, as every speaker would have said it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deident.disguise.vocoder_tables import BANDS, CENTRES, COVARIANCE, MEANS, SHARES, SPREADS, WIDTHS
from deident.dsp.mel import MelCepstrum
from deident.dsp.pitch import PitchTracker
from deident.dsp.stft import Floats
from deident.dsp.timing import smooth

FEW = 8.0  # frames of evidence at which a snippet's own statistics count as much as the common ones
LOUD = 95  # percentile of the frames' powers that stands for the level of the speech
QUIET = 10  # percentile of a band's powers that stands for its noise
STRIDE = 3  # every third voiced frame tells the vocal tract
SHAPES = slice(1, 13)  # the cepstra that tell it: without loudness and without detail
RATIOS = np.exp(0.06 * np.arange(-4, 5))  # of vocal tracts, that are tried
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
    total = powers.mean(axis=1)
    level = float(np.percentile(total, LOUD)) + 1e-12
    level_db = 10.0 * np.log10(total / np.float32(level) + np.float32(1e-6))
    loud = _above(level_db, -18.0, 1.5)
    if noise:
        powers -= np.float32(noise) * np.percentile(powers[::2], QUIET, axis=0).astype(np.float32)
        np.maximum(powers, np.float32(0.0), out=powers)
    average = loud @ powers / (loud.sum() + np.float32(1e-3))
    powers *= BANDS / (average + np.float32(1e-6 * level))
    powers += BANDS * np.float32(10.0 ** (-0.1 * floor_db))
    np.log(powers, out=powers)
    strength, octaves = _pitch(samples, cepstrum, tracker, len(total))
    voiced = _above(strength, 0.5, 0.07) * _above(level_db, -24.0, 1.7)
    spoken = _above(level_db, -gate_db, 2.2)
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
    if pitch.median_hz > 0.0:
        f0_hz = pitch.f0_hz[at]
        np.log2(f0_hz / np.float32(pitch.median_hz), out=octaves, where=f0_hz > 0.0)
    return smooth(pitch.strength[at], 1.0), np.clip(octaves, -0.6, 0.6)


def tract_ratio(speech: Speech, cepstrum: MelCepstrum) -> float:
    """How far the formants lie above those of the average speaker: the likeliest ratio under the sounds of
    average speech, each tried on some voiced frames (Lee & Rose, 1998)."""
    heard = np.flatnonzero(speech.voiced * speech.loud > 0.25)[::STRIDE]
    if len(heard) < 3:
        return 1.0
    shapes = slice(SHAPES.start, min(SHAPES.stop, cepstrum.order))
    count = shapes.stop - shapes.start
    moved = speech.cepstra[heard] @ _rewarps(cepstrum, shapes)
    moved -= moved.mean(axis=0)
    target = np.tile(SPREADS[0, shapes] ** 2, len(RATIOS))
    found = (np.square(moved).sum(axis=0) + FEW * target) / (len(heard) + FEW)
    moved *= (np.tile(SPREADS[0, shapes], len(RATIOS)) ** -1) * np.sqrt(target / found)
    worth = _log_sounds(moved.reshape(-1, count), shapes)
    peak = worth.max(axis=1)
    worth = peak + np.log(np.exp(worth - peak[:, None]).sum(axis=1))
    evidence = worth.reshape(len(heard), len(RATIOS)).sum(axis=0) / 2.0  # frames are not independent
    evidence -= np.log(RATIOS) ** 2 / (2.0 * TRACT_SPREAD**2)
    best = int(np.clip(evidence.argmax(), 1, len(RATIOS) - 2))
    below, middle, above = evidence[best - 1 : best + 2]
    bend = 2.0 * middle - below - above
    shift = float(np.clip(0.5 * (above - below) / bend, -1.0, 1.0)) if bend > 0.0 else 0.0
    return float(1.0 / np.exp(np.log(RATIOS[best]) + 0.06 * shift))


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
    loud, voiced = speech.loud[:, None], speech.voiced[:, None]
    total = loud.sum() + np.float32(1e-3)
    common = MEANS[1, :order] + voiced * (MEANS[0, :order] - MEANS[1, :order])
    moved = cepstra - common
    offset = (speech.loud @ moved / total)[None]
    if classes:
        moved -= offset
        of_voiced, of_others = loud * voiced, loud * (1.0 - voiced)
        first = (of_voiced.T @ moved) / (of_voiced.sum() + np.float32(FEW))
        second = (of_others.T @ moved) / (of_others.sum() + np.float32(FEW))
        own = second + voiced * (first - second)
        moved -= own
        offset = offset + own
    else:
        moved -= offset
    if amount < 1.0:
        common = common + np.float32(1.0 - amount) * offset
    moved /= SPREADS[0, :order]
    return common, moved


def normalise_spread(moves: Floats, speech: Speech, amount: float) -> Floats:
    """`moves` with the variance of each cepstrum brought to the common one, by `amount` of 0 to 1."""
    order = moves.shape[1]
    total = float(speech.loud.sum())
    share = float(speech.loud @ speech.voiced) / (total + 1e-3)
    target = share + (1.0 - share) * (SPREADS[1, :order] / SPREADS[0, :order]) ** 2
    found = (speech.loud @ np.square(moves) + FEW * target) / (total + FEW)
    gain: Floats = ((target / found) ** (0.5 * amount)).astype(np.float32)
    return moves * gain


def normalise_sounds(moves: Floats, speech: Speech, amount: float, settle: float) -> Floats:
    """`moves` with each kind of sound moved to where average speech has it.

    amount : 0 to 1, of the way.   settle : 0 to 1, how far each frame then goes to the middle of its sounds.
    Every frame belongs to the sounds of average speech by its likelihood under a Gaussian mixture, and moves
    with them: the means of the mixture adapted as by Gauvain & Lee (1994), backwards."""
    dims = slice(0, moves.shape[1])
    share = _log_sounds(moves, dims)
    share -= share.max(axis=1, keepdims=True)
    np.exp(share, out=share)
    share /= share.sum(axis=1, keepdims=True)
    weight = share * speech.loud[:, None]
    count = weight.sum(axis=0)[:, None]
    away = (weight.T @ moves - count * CENTRES[:, dims]) / (count + np.float32(6.0))
    moves = moves - share @ (np.float32(amount) * away)
    if settle:
        moves += np.float32(settle) * (share @ CENTRES[:, dims] - moves)
    return moves


def covariance_map(moves: Floats, speech: Speech, evidence: float, amount: float) -> Floats:
    """(order, order) float32: moves @ it have the common covariance, with as little change as can be.

    evidence : frames at which the snippet's own covariance counts as much as the common one.   amount : 0 to
    1, of the way.
    The optimal transport between two Gaussians (Takatsu, 2011): which cepstra rise and fall together is as
    much the speaker's as the sound's."""
    order = moves.shape[1]
    common = COVARIANCE[:order, :order]
    found = (moves * speech.loud[:, None]).T @ moves
    found = (found + evidence * common) / (float(speech.loud.sum()) + evidence)
    root = _symmetric(common, 0.5)
    carried = root @ _symmetric(root @ found @ root, -0.5) @ root
    eye = np.eye(order)
    carried = eye + amount * (carried - eye)
    return carried.astype(np.float32)


def contour(speech: Speech, octaves: float) -> Floats:
    """(frames,) the pitch's way about its median, in octaves, of a common range and without its details."""
    weight = speech.voiced
    slow = smooth(weight * speech.octaves, 6.0) / (smooth(weight, 6.0) + np.float32(0.05))
    spread = float(np.sqrt((weight @ np.square(slow)) / (weight.sum() + 1e-3)))
    slow *= np.float32(octaves / (spread + 0.03))
    return slow


def _above(values: Floats, threshold: float, softness: float) -> Floats:
    """0 to 1, a half at the threshold."""
    scaled = (values - np.float32(threshold)) * np.float32(0.5 / softness)
    np.tanh(scaled, out=scaled)
    scaled *= np.float32(0.5)
    scaled += np.float32(0.5)
    return scaled


def _log_sounds(moves: Floats, dims: slice) -> Floats:
    """(frames, sounds) the log likelihood of each frame and sound, but for a constant."""
    precision = WIDTHS[:, dims] ** -2
    centre = CENTRES[:, dims]
    constant = np.log(SHARES) - np.log(WIDTHS[:, dims]).sum(axis=1)
    constant = constant - 0.5 * (centre**2 * precision).sum(axis=1)
    worth: Floats = np.square(moves) @ (-0.5 * precision.T) + moves @ (centre * precision).T
    worth += constant.astype(np.float32)
    return worth


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
