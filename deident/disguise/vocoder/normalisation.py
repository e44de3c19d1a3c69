"""The erasing half of the vocoder: from sound to what was said, as every speaker would have said it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from deident.audio import Doubles, Floats
from deident.disguise.vocoder.tables import BANDS, CENTRES, COVARIANCE, MEANS, SHARES, SPREADS, WIDTHS
from deident.dsp.mel import MelCepstrum
from deident.dsp.pitch import PitchTracker
from deident.dsp.ragged import Ragged
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
class Analysis:
    """What the analysis found, frame by frame of the transform, in snippets that are done together.

    joined : whose the frames are.   cepstra : (frames, order) of the log envelope.   loud : (frames,) 0 to 1,
    what statistics are taken of.   spoken : (frames,) 0 to 1, what is heard.   voiced : (frames,) 0 to 1.
    octaves : (frames,) the pitch over its median, 0 where unvoiced.   level : (snippets,) mean square of the
    loud frames, full scale 1."""

    joined: Ragged
    cepstra: Floats
    loud: Floats
    spoken: Floats
    voiced: Floats
    octaves: Floats
    level: Floats

    @cached_property
    def evidence(self) -> Floats:
        """(snippets,) how many loud frames there are."""
        return self.joined.segment_sum(self.loud)


def analyse(
    snippets: Sequence[Floats],
    cepstrum: MelCepstrum,
    tracker: PitchTracker,
    *,
    floor_db: float,
    noise: float,
    gate_db: float,
) -> Analysis:
    """Envelope, voicing and presence of speech in each frame of (samples,) snippets, of a common long-term
    spectrum.

    floor_db : what is further below a band's average is not told apart.   noise : how many times the noise of
    a band is taken off it.   gate_db : a frame further below the loud ones is no speech."""
    stft = cepstrum.stft
    joined = stft.ragged([len(samples) for samples in snippets])
    powers = cepstrum.powers_of_padded(stft.concatenate(snippets, joined), joined.frames)
    total = powers @ np.full(powers.shape[1], 1.0 / powers.shape[1], dtype=np.float32)
    level: Floats = np.array([_ranked(total[own], LOUD) for own in joined.slices]) + np.float32(1e-12)
    level_db = np.float32(10.0) * np.log10(total / joined.spread(level) + np.float32(1e-6))
    loud, spoken, audible = _above(level_db, (-18.0, -gate_db, -24.0), (1.5, 2.2, 1.7))
    if noise:
        quiet = np.array([_ranked(powers[own].T, QUIET) for own in joined.slices])
        powers -= joined.spread(np.float32(noise) * quiet)
        np.maximum(powers, np.float32(0.0), out=powers)
    average = joined.segment_product(loud[None], powers)[:, 0] / (
        joined.segment_sum(loud)[:, None] + np.float32(1e-3)
    )
    powers *= joined.spread(BANDS / (average + np.float32(1e-6) * level[:, None]))
    powers += BANDS * np.float32(10.0 ** (-0.1 * floor_db))
    np.log(powers, out=powers)
    strength, octaves = _pitch(snippets, cepstrum, tracker, joined)
    (voiced,) = _above(strength, (0.5,), (0.07,))
    voiced *= audible
    # Power per mean square: size / 2 by Parseval, three times that as mel bands dwell where speech is strong.
    energy = np.float32(1.5 * stft.size)
    return Analysis(joined, powers @ cepstrum.analysis, loud, spoken, voiced, octaves, level / energy)


def _pitch(
    snippets: Sequence[Floats], cepstrum: MelCepstrum, tracker: PitchTracker, joined: Ragged
) -> tuple[Floats, Floats]:
    """How periodic each frame is, and its pitch over the median of its snippet, in octaves."""
    stft = cepstrum.stft
    pitches = tracker.track_all(snippets)
    tracked = Ragged(tuple(len(pitch.f0_hz) for pitch in pitches))
    centres = (joined.local_index + 1) * stft.hop - stft.size // 2
    at = np.maximum((centres + tracker.hop // 2) // tracker.hop, 0) + joined.spread(tracked.starts)
    np.minimum(at, joined.spread(tracked.stops - 1), out=at)
    middle = np.array([pitch.median_hz or 1.0 for pitch in pitches], dtype=np.float32)
    octaves = np.zeros(joined.frames, dtype=np.float32)
    f0_hz = np.concatenate([pitch.f0_hz for pitch in pitches])[at]
    np.log2(f0_hz / joined.spread(middle), out=octaves, where=f0_hz > 0.0)
    strength = np.concatenate([pitch.strength for pitch in pitches])[at]
    return smooth(strength, 0.5, joined), octaves.clip(-0.6, 0.6, out=octaves)


def tract_ratio(speech: Analysis, cepstrum: MelCepstrum) -> Doubles:
    """(snippets,) how far the formants lie above those of the average speaker: the likeliest ratio under the
    sounds of average speech, each tried on some voiced frames (Lee & Rose, 1998)."""
    strong = speech.voiced * speech.loud > 0.25
    heard = [np.flatnonzero(strong[own])[::STRIDE] + own.start for own in speech.joined.slices]
    told = [index for index, frames in enumerate(heard) if len(frames) >= 3]
    ratios = np.ones(len(heard))
    if told:
        joined = Ragged(tuple(len(heard[index]) for index in told))
        frames = np.concatenate([heard[index] for index in told])
        ratios[told] = _likeliest(_evidence(speech.cepstra[frames], joined, cepstrum))
    return ratios


def _evidence(cepstra: Floats, joined: Ragged, cepstrum: MelCepstrum) -> Doubles:
    """(snippets, ratios) the log likelihood of each ratio, of voiced frames."""
    shapes = slice(SHAPES.start, min(SHAPES.stop, cepstrum.order))
    moved = cepstra @ _rewarps(cepstrum, shapes)
    count = np.array(joined.counts, dtype=np.float32)[:, None]
    ones = np.ones((1, len(moved)), dtype=np.float32)
    moved -= joined.spread(joined.segment_product(ones, moved)[:, 0] / count)
    found = joined.segment_product(ones, np.square(moved))[:, 0]
    found += np.float32(FEW) * np.tile(SPREADS[0, shapes] ** 2, len(RATIOS))
    moved *= joined.spread(np.sqrt((count + np.float32(FEW)) / found))
    worth = _log_sounds(moved.reshape(len(moved) * len(RATIOS), -1), shapes.start)
    peak = worth.max(axis=0)
    worth -= peak
    np.exp(worth, out=worth)
    peak += np.log(worth.sum(axis=0))
    evidence = (
        joined.segment_product(ones, peak.reshape(len(moved), -1))[:, 0] / 1.5
    )  # frames are not independent
    return evidence - _LOG_RATIOS**2 / (2.0 * TRACT_SPREAD**2)


def _likeliest(evidence: Doubles) -> Doubles:
    """(snippets,) the inverse of the ratio at which (snippets, ratios) are largest, by a parabola."""
    best = np.minimum(np.maximum(evidence.argmax(axis=1), 1), len(RATIOS) - 2)
    at = best + np.arange(0, evidence.size, len(RATIOS))
    below, middle, above = (evidence.take(at + step) for step in (-1, 0, 1))
    bend = 2.0 * middle - below - above
    shift = np.divide(0.5 * (above - below), bend, out=np.zeros_like(bend), where=bend > 0.0)
    ratios: Doubles = np.exp(-_LOG_RATIOS[best] - 0.06 * np.minimum(np.maximum(shift, -1.0), 1.0))
    return ratios


def rewarp(cepstrum: MelCepstrum, ratio: Doubles | float) -> Floats:
    """(..., order, order) float32 for (...,) ratios: cepstra @ it = cepstra of the envelope with every formant
    at `ratio` times."""
    back: Floats = cepstrum.basis(cepstrum.bands_hz / np.asarray(ratio)[..., None]) @ cepstrum.analysis
    return back


def normalise_means(cepstra: Floats, speech: Analysis, amount: float, classes: bool) -> tuple[Floats, Floats]:
    """(frames, order) the common curve that each frame now moves about, and how it moves, in common spreads.

    amount : 0 to 1, how far the snippet's mean goes to the common one.   classes : voiced and unvoiced frames
    have means of their own. A snippet's statistics count with a few frames of the common ones, as it may be
    short."""
    joined, order = speech.joined, cepstra.shape[1]
    common = MEANS[::-1, :order].copy()
    common[1] -= common[0]
    kinds = np.ones((len(cepstra), 2), dtype=np.float32)  # a mean for all frames, and what voicing adds
    kinds[:, 1] = speech.voiced
    weights = kinds.T * speech.loud
    weights[0] -= weights[1]  # of others, and of voiced ones
    counts = joined.segment_product(weights, kinds)
    away = joined.segment_product(weights, cepstra) - counts @ common
    share = counts[:, :, :1]
    own = np.zeros_like(away)
    own[:, 0] = away.sum(axis=1) / (speech.evidence[:, None] + np.float32(1e-3))
    if classes:
        away -= share * own[:, :1]
        away /= share + np.float32(FEW)
        away[:, 1] -= away[:, 0]
        own += away
    moved = cepstra - joined.transform(kinds, common + own)
    moved /= SPREADS[0, :order]
    own *= np.float32(1.0 - amount)
    return joined.transform(kinds, common + own), moved


def normalise_spread(moves: Floats, speech: Analysis, amount: float) -> Floats:
    """`moves` with the variance of each cepstrum brought to the common one, by `amount` of 0 to 1."""
    joined, order = speech.joined, moves.shape[1]
    total = speech.evidence[:, None]
    share = joined.segment_sum(speech.loud * speech.voiced)[:, None] / (total + np.float32(1e-3))
    target = share + (np.float32(1.0) - share) * (SPREADS[1, :order] / SPREADS[0, :order]) ** 2
    found = joined.segment_product(speech.loud[None], np.square(moves))[:, 0]
    found += np.float32(FEW) * target
    gain = (target * (total + np.float32(FEW)) / found) ** np.float32(0.5 * amount)
    scaled: Floats = moves * joined.spread(gain)
    return scaled


def normalise_sounds(moves: Floats, speech: Analysis, amount: float, settle: float) -> Floats:
    """`moves` with each kind of sound moved to where average speech has it.

    amount : 0 to 1, of the way.   settle : 0 to 1, how far each frame then goes to the middle of its sounds.
    Every frame belongs to the sounds of average speech by its likelihood under a Gaussian mixture, and moves
    with them: the means of the mixture adapted as by Gauvain & Lee (1994), backwards."""
    joined = speech.joined
    share = _log_sounds(moves, 0)
    share -= share.max(axis=0)
    np.exp(share, out=share)
    share /= share.sum(axis=0)
    weight = share * speech.loud
    count: Floats = np.add.reduceat(weight, joined.starts, axis=1).T[:, :, None]
    centres: Floats = CENTRES[:, : moves.shape[1]]
    away: Floats = (joined.segment_product(weight, moves) - count * centres) / (count + np.float32(3.0))
    away *= np.float32((1.0 - settle) * amount)
    moved = joined.transform(share.T, np.float32(settle) * centres - away)
    moved += np.float32(1.0 - settle) * moves
    return moved


def covariance_map(moves: Floats, speech: Analysis, evidence: float, amount: float) -> Floats:
    """(snippets, order, order) float32: moves through it have the common covariance, with as little change as
    can be.

    evidence : frames at which the snippet's own covariance counts as much as the common one.   amount : 0 to
    1, of the way.
    The optimal transport between two Gaussians (Takatsu, 2011): which cepstra rise and fall together is as
    much the speaker's as the sound's."""
    order = moves.shape[1]
    common = COVARIANCE[:order, :order]
    found = speech.joined.segment_product((moves * speech.loud[:, None]).T, moves)
    frames = speech.evidence[:, None, None]
    found = (found + np.float32(evidence) * common) / (frames + np.float32(evidence))
    root = _common_root(order)
    carried = amount * (root @ _symmetric(root @ found @ root, -0.5) @ root)
    carried += (1.0 - amount) * np.eye(order)
    return carried.astype(np.float32)


def contour(speech: Analysis, octaves: Floats) -> Floats:
    """(frames,) the pitch's way about its median, in octaves, of a common range and without its details.

    octaves : (snippets,) of that range."""
    joined, weight = speech.joined, speech.voiced
    slow = smooth(weight * speech.octaves, 3.0, joined) / (smooth(weight, 3.0, joined) + np.float32(0.05))
    spread = np.sqrt(
        joined.segment_sum(weight * np.square(slow)) / (joined.segment_sum(weight) + np.float32(1e-3))
    )
    slow *= joined.spread(octaves / (spread + np.float32(0.03)))
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
def _common_root(order: int) -> Doubles:
    return _symmetric(COVARIANCE[:order, :order], 0.5)


def _symmetric(matrices: npt.NDArray[np.floating], power: float) -> Doubles:
    """A power of symmetric positive matrices, (..., n, n)."""
    values, vectors = np.linalg.eigh(matrices.astype(np.float64))
    powered = np.maximum(values, 1e-4)[..., None, :] ** power
    back: Doubles = (vectors * powered) @ vectors.swapaxes(-1, -2)
    return back


_REWARPS: dict[tuple[MelCepstrum, int], Floats] = {}


def _rewarps(cepstrum: MelCepstrum, shapes: slice) -> Floats:
    """(order, ratios·shapes) float32: the cepstra at every ratio at once."""
    key = (cepstrum, shapes.stop)
    if key not in _REWARPS:
        _REWARPS[key] = np.hstack([rewarp(cepstrum, ratio)[:, shapes] for ratio in RATIOS])
    return _REWARPS[key]
