"""Detection of a second voice in a piece: two pitches at once, a change of its spectrum, or one that an encoder sees.

`python -m benchmarks voices` measures them, and prints the thresholds: hardly any piece of one voice is above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio, Doubles, Ints, Samples, Segment
from deident.dsp.mel import MelCepstrum
from deident.dsp.periods import power_left
from deident.dsp.stft import Stft
from deident.errors import SettingError
from deident.segmentation.cutting import Cut, CuttingSettings

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
RATE_FRAMES = 2  # between two frames whose difference tells how fast the sound changes
MOST_CHANGE = 241.0  # of the spectrum, in a piece of one voice
LEFT_BY_ONE, LEFT_BY_TWO = 0.3, 0.1  # of a frame's power: one period leaves more, two leave less
BESIDE_FRAMES = 25  # a second more of one pitch, so that single frames of a short piece do not count
MOST_OVERLAP = 0.0261  # of the loud frames have two pitches, in a piece of one voice
WINDOW_SECONDS, WINDOW_STEP_SECONDS = 1.0, 0.5  # a short turn fills hardly any longer window
WINDOWS_BETWEEN = 2  # of a part that is neither at the beginning nor at the end
WINDOWS_POWER = 0.25  # of the windows, as above
MOST_APART = 0.716  # weighted cosine distance of what CAM++ makes of two parts of one voice
MARGIN_SECONDS = 0.5  # on both sides of a change that is cut
SHORTEST_SECONDS = 1.0  # of what is kept beside a change
SURER = 0.6  # of the change that is too large is too large there: where a voice has changed, another change is likely


class Change(NamedTuple):
    """The part of a piece that differs most from the rest of it, in samples, and how much; 0 where it is too short."""

    size: float
    start: int = 0
    stop: int = 0


def cut_at_voices(
    audio: Audio, piece: Segment, cutting: CuttingSettings, encoder: Encoder | None = None
) -> list[Cut]:
    """Cut a piece where the voice changes: parts of one voice to keep, and all else to drop, in order.

    A piece is dropped whole where a part would be too short, or turns are to be whole.
    """
    parts = [part.shift(piece.start) for part in parts_of_one_voice(audio[piece].mono, encoder)]
    if len(parts) > 1 and (cutting.whole_turns or min(map(len, parts)) < cutting.min_samples):
        parts = []
    cuts: list[Cut] = []
    at = piece.start
    for part in parts:
        if at < part.start:
            cuts.append(Cut(Segment(at, part.start), "two_voices"))
        cuts.append(Cut(part))
        at = part.stop
    if at < piece.stop:
        cuts.append(Cut(Segment(at, piece.stop), "two_voices"))
    return cuts


def parts_of_one_voice(samples: Samples, encoder: Encoder | None = None) -> list[Segment]:
    """Find the parts of a piece that are of one voice each, as far as can be told.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.
    encoder : callable, optional
        From samples to an embedding of the speaker. Without one, the spectrum before and after is compared. Two
        pitches at once are looked for in any case.

    Returns
    -------
    list of Segment
        The whole piece; the sides of a change of voice, without what is near it; or nothing, where voices overlap, or
        a side is short or of two voices too. A piece with one pitch at a time that is too short to be compared with
        itself is whole: under a second, or one and a half with an encoder.

    Raises
    ------
    SettingError
        When the encoder gives anything but one vector.
    """
    if overlap(samples) > MOST_OVERLAP:
        return []
    change = change_of_voice(samples, encoder)
    if change.size <= _most(encoder):
        return [Segment(0, samples.size)]
    margin, shortest = round(MARGIN_SECONDS * RATE), round(SHORTEST_SECONDS * RATE)
    edges = sorted({change.start, change.stop} - {0, samples.size})
    starts = [0, *(edge + margin for edge in edges)]
    stops = [*(edge - margin for edge in edges), samples.size]
    between = list(zip(starts, stops, strict=True))
    if any(stop - start < shortest for start, stop in between):
        return []
    sides = [samples[start:stop] for start, stop in between]
    if any(change_of_voice(side, encoder).size > SURER * _most(encoder) for side in sides):
        return []
    if any(overlap(side) > MOST_OVERLAP for side in sides):
        return []
    return [Segment(start, stop) for start, stop in between]


def _most(encoder: Encoder | None) -> float:
    return MOST_CHANGE if encoder is None else MOST_APART


def change_of_voice(samples: Samples, encoder: Encoder | None = None) -> Change:
    """Measure the largest change of embeddings, or without an encoder of the spectrum."""
    return change_of_spectrum(samples) if encoder is None else change_of_embedding(samples, encoder)


def overlap(samples: Samples) -> float:
    """Measure the share of loud frames with two pitches: two periods explain their power, and one does not."""
    left = power_left(samples)
    both = (left[:, 0] > LEFT_BY_ONE) & (left[:, 1] < LEFT_BY_TWO)
    return float(both.sum() / (len(left) + BESIDE_FRAMES))


def change_of_spectrum(samples: Samples) -> Change:
    """Measure the largest change of the mean mel cepstrum between any part of a piece and the rest of it.

    It is a Mahalanobis distance, weighted by how much speech there is on both sides, as in Hotelling's test; the
    covariance is half the piece's own and half the variances of speech at large, as a short piece hardly tells its
    own. Of slow speech many frames are one sound, so that they count for less: as much as frames differ from those
    shortly before them.

    References
    ----------
    Chen & Gopalakrishnan (1998), "Speaker, environment and channel change detection and clustering via the BIC".
    """
    cepstra, centres = _loud_cepstra(samples)
    frames = len(cepstra)
    if frames < 2 * SHORTEST:
        return Change(0.0)
    covariance = 0.5 * (np.cov(cepstra.T, bias=True) + np.diag(VARIANCES))
    white = np.linalg.solve(np.linalg.cholesky(covariance), cepstra.T).T
    rate = np.square(white[RATE_FRAMES:] - white[:-RATE_FRAMES]).mean() / 2.0
    edges = np.array([0, *range(SHORTEST, frames - SHORTEST + 1, STEP), frames])
    start, stop = _parts(edges, SHORTEST, SHORTEST)
    inside, total = _sums(white, start, stop)
    within = (stop - start)[:, None]
    apart = inside / within - (total - inside) / (frames - within)
    sizes = rate * np.square(apart).sum(axis=1) * _weight(start, stop, frames) ** EVIDENCE_POWER
    places = [0, *((centres[1:] + centres[:-1]) // 2), samples.size]
    at = sizes.argmax()
    return Change(float(sizes[at]), int(places[start[at]]), int(places[stop[at]]))


def _parts(edges: Ints, shortest: int, shortest_between: int) -> tuple[Ints, Ints]:
    """Return start and stop of every part between two of the edges that is long enough, (parts,), but the whole.

    shortest_between : of a part that is neither at the beginning nor at the end.
    """
    first, last = np.triu_indices(len(edges), 1)
    start, stop = edges[first], edges[last]
    is_between = (start > 0) & (stop < edges[-1])
    least = np.where(is_between, shortest_between, shortest)
    kept = (stop - start >= least) & (stop - start < edges[-1])
    return start[kept], stop[kept]


def _weight(start: Ints, stop: Ints, rows: int) -> Doubles:
    """Weigh how much is in each part and in the rest, (parts,): half their harmonic mean."""
    return np.asarray((stop - start) * (rows - stop + start) / rows)


def _sums(rows: Doubles, start: Ints, stop: Ints) -> tuple[Doubles, Doubles]:
    """Sum the rows of each part, (parts, columns), and all rows, (columns,)."""
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    return sums[stop] - sums[start], sums[-1]


def _loud_cepstra(samples: Samples) -> tuple[Doubles, Ints]:
    """Return the mel cepstra of a piece's loud frames without their level, (frames, order - 1), and their centres."""
    powers = CEPSTRUM.band_powers(samples)
    level_db = 10.0 * np.log10(powers.sum(axis=1) + 1e-12)
    loud = level_db > level_db.max(initial=-120.0) - LOUD_DB
    floors = LEAST_POWER * powers[loud].max(
        axis=1, keepdims=True
    )  # of each frame, so that level changes nothing
    floored = np.maximum(powers[loud], np.maximum(floors, np.finfo(np.float32).tiny))
    cepstra = np.asarray((np.log(floored) @ CEPSTRUM.analysis)[:, 1:], np.float64)
    return cepstra, CEPSTRUM.stft.centres(samples.size)[loud]


def change_of_embedding(samples: Samples, encoder: Encoder) -> Change:
    """Measure the largest cosine distance between the embeddings of any part of a piece and of the rest of it.

    It is weighted by how much there is of both, so that single windows count less.
    """
    size, step = (round(seconds * RATE) for seconds in (WINDOW_SECONDS, WINDOW_STEP_SECONDS))
    starts = range(0, samples.size - size + 1, step)
    embedded = [np.asarray(encoder(np.array(samples[start : start + size])), np.float64) for start in starts]
    if any(vector.ndim != 1 or not np.isfinite(vector).all() for vector in embedded):
        raise SettingError("expected of an encoder of voices one vector of numbers for (samples,) at 16 kHz")
    if len(embedded) < 2:
        return Change(0.0)
    unit = np.stack([vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in embedded])
    start, stop = _parts(np.arange(len(unit) + 1), 1, WINDOWS_BETWEEN)
    inside, total = _sums(unit, start, stop)
    rest = total - inside
    norms = np.linalg.norm(inside, axis=1) * np.linalg.norm(rest, axis=1)
    apart = 1.0 - (inside * rest).sum(axis=1) / np.maximum(norms, 1e-12)
    sizes = apart * _weight(start, stop, len(unit)) ** WINDOWS_POWER
    edges = [0, *(begin + (size + step) // 2 for begin in starts[:-1]), samples.size]
    at = sizes.argmax()
    return Change(float(sizes[at]), edges[start[at]], edges[stop[at]])
