"""Echo between channels: the same speech on two channels that are cut on their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from deident.audio import RATE, Bools, Floats, Samples, Segment, segments_of
from deident.dsp import fft
from deident.segmentation.mute import Mute
from deident.segmentation.vad import join

STEP = 4  # samples averaged into one: at 4 kHz a copy is recognised as well, at a fraction of the cost
HOP = RATE // STEP // 4  # 250 ms; a decision each
WINDOW = 3 * HOP
LAG = RATE // STEP * 11 // 100  # 110 ms; delays of copies reach 100 ms
SIZE = 1 << (WINDOW + 2 * LAG - 1).bit_length()
MIN_COHERENCE = 0.6  # share of a copy's power; of two people at a time under 0.3
EQUAL = 10.0**0.1  # 1 dB; channels closer than that are equally loud, and the first is kept
MOST = 4  # earlier channels that are compared, and later ones: those whose level moves most like that of the copy
FRAME = HOP // 10  # of the level
SHORTEST = RATE // 2  # of what is kept between echoes
_SUM = np.ones(STEP, dtype=np.float32)


class EchoDetector:
    """Finds speech that another channel of the recording holds too, and louder.

    A copy has a delay of up to 100 ms and one gain. Memory is bounded by `forget`.

    Parameters
    ----------
    channels : int
    mute : Mute
        Muted ranges, whose content must not matter.
    """

    def __init__(self, channels: int, mute: Mute) -> None:
        self._mute = mute
        self._rest: Samples = np.zeros((channels, 0), dtype=np.float32)  # less than a step
        self._received = 0  # samples
        self._start = 0  # of the history, in steps
        self._history: deque[Floats] = deque()  # (channels, steps) a block

    def push(self, block: Samples) -> None:
        """Add (channels, samples) at 16 kHz."""
        rest = self._rest.shape[1]
        count = (rest + block.shape[1]) // STEP
        slow = np.empty((len(block), count), dtype=np.float32)
        left = np.empty((len(block), rest + block.shape[1] - count * STEP), dtype=np.float32)
        for row, samples in enumerate(block):  # one at a time: copies of 64 would be large
            own = np.concatenate((self._rest[row], self._mute.silence(samples, self._received)))
            np.matmul(own[: count * STEP].reshape(count, STEP), _SUM, out=slow[row])
            left[row] = own[count * STEP :]
        self._received += block.shape[1]
        self._rest = left
        self._history.append(slow)

    def forget(self, before: int) -> None:
        """Drop the history that no segment from `before`, in samples, on depends on."""
        start = before // STEP - WINDOW - LAG
        while self._history and self._start + self._history[0].shape[1] <= start:
            self._start += self._history.popleft().shape[1]

    def echoes(self, channel: int, segments: Sequence[Segment]) -> list[Segment]:
        """Select the parts of a channel's segments that are echoes, in samples of the recording."""
        found: list[Segment] = []
        for segment in segments:
            first, last = segment.start // (STEP * HOP), -(-segment.stop // (STEP * HOP))
            cells = segments_of(self._copies(channel, first, last), STEP * HOP)
            own = [cell.shift(first * STEP * HOP) for cell in cells]
            echoes = [cell.within(segment) for cell in join(own, SHORTEST) if cell.overlap(segment)]
            if echoes and echoes[0].start - segment.start < SHORTEST:
                echoes[0] = Segment(segment.start, echoes[0].stop)
            if echoes and segment.stop - echoes[-1].stop < SHORTEST:
                echoes[-1] = Segment(echoes[-1].start, segment.stop)
            found += echoes
        return found

    def _copies(self, channel: int, first: int, last: int) -> Bools:
        """Decide for windows around the hops `first` to `last` whether another channel holds a louder copy."""
        lead = WINDOW // 2 - HOP // 2 + LAG
        start, stop = first * HOP - lead, (last - 1) * HOP - lead + WINDOW + 2 * LAG
        sound = self._between(start - 2, stop)
        sound = (
            sound[:, 2:] - sound[:, :-2]
        )  # around 1 kHz: hum is common to all, and above delays count in steps
        frames = sound[:, : sound.shape[1] // FRAME * FRAME].reshape(len(sound), -1, FRAME)
        levels = np.sqrt(np.einsum("ijk,ijk->ij", frames, frames)) if len(sound) > MOST + 1 else None
        out = np.zeros(last - first, dtype=np.bool_)
        for number in range(last - first):
            wide = sound[:, number * HOP :][:, : WINDOW + 2 * LAG]
            energy = np.einsum("ij,ij->i", wide, wide)
            copy = wide[channel, LAG:-LAG]
            least = np.where(np.arange(len(energy)) < channel, 1.0 / EQUAL, EQUAL) * np.dot(copy, copy)
            others = np.flatnonzero((energy >= least) & (np.arange(len(energy)) != channel))
            if others.size and least.any():
                if levels is not None and others.size > MOST:
                    own = levels[:, number * (HOP // FRAME) :][:, : wide.shape[1] // FRAME]
                    others = others[np.argsort(-_likeness(own[channel], own[others]), kind="stable")]
                    # In an array, all are alike, and only the earlier ones need not be louder.
                    others = np.concatenate(
                        (others[others < channel][:MOST], others[others > channel][:MOST])
                    )
                shares, loudness = _best_delays(copy, wide[others])
                out[number] = bool(((shares >= MIN_COHERENCE) & (loudness >= least[others])).any())
        return out

    def _between(self, start: int, stop: int) -> Floats:
        """Copy the history from `start` to `stop`, in steps, with zeros where there is none."""
        out = np.zeros((len(self._rest), stop - start), dtype=np.float32)
        at = self._start
        for block in self._history:
            first, last = max(at, start), min(at + block.shape[1], stop)
            if first < last:
                out[:, first - start : last - start] = block[:, first - at : last - at]
            at += block.shape[1]
        return out


def _likeness(copy: Floats, originals: Floats) -> Floats:
    """Correlate the levels of a copy with those of each original, at the delay where they are most alike.

    copy : (frames,).   originals : (originals, frames).
    """
    reach = LAG // FRAME
    views = np.lib.stride_tricks.sliding_window_view(originals, copy.size - 2 * reach, axis=1)
    count = views.shape[2]
    own = copy[reach:-reach] - copy[reach:-reach].mean()
    sums, squares = (
        np.cumsum(np.pad(x, ((0, 0), (1, 0))), axis=1) for x in (originals, originals * originals)
    )
    power = (squares[:, count:] - squares[:, :-count]) - (sums[:, count:] - sums[:, :-count]) ** 2 / count
    likeness: Floats = (views @ own / np.sqrt(np.maximum(power, 1e-12))).max(axis=1)
    return likeness


def _best_delays(copy: Floats, originals: Floats) -> tuple[Floats, Floats]:
    """Find the share of a copy's power that each original explains at its best delay, and its energy there.

    copy : (window,).   originals : (originals, window + 2 · lags).
    """
    spectrum = np.conj(fft.rfft(copy[None], SIZE)) * fft.rfft(originals, SIZE)
    products = fft.irfft(spectrum, SIZE)[:, : 2 * LAG + 1]
    sums = np.cumsum(np.square(originals, dtype=np.float64), axis=1)
    energy = sums[:, WINDOW - 1 :].copy()
    energy[:, 1:] -= sums[:, :-WINDOW]
    ratio = np.abs(products) / np.sqrt(np.maximum(energy * float(np.dot(copy, copy)), 1e-20))
    rows, best = np.arange(len(ratio)), ratio[:, 1:-1].argmax(axis=1) + 1
    below, peak, above = ratio[rows, best - 1], ratio[rows, best], ratio[rows, best + 1]
    bend = np.maximum(2.0 * peak - below - above, 1e-9)  # a parabola: delays are no whole steps
    peak += 0.125 * np.square(above - below) / bend
    return np.square(peak), energy[rows, best]
