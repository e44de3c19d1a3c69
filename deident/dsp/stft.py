"""Frames, the short-time Fourier transform and its inverse, in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deident.dsp import fft
from deident.dsp.ragged import Ragged

Floats = npt.NDArray[np.float32]
Complexes = npt.NDArray[np.complex64]

BLOCK = 128  # frames; 512-sample float32 frames, their spectra and what is made of them fit a 1 MB cache

# Work arrays of some 100 kB come and go with every block. Unless glibc has once seen a large array freed, it
# gives each back to the system, which then has to find and clear the same pages again: a quarter of the time.
_large = np.empty(31 << 20, dtype=np.uint8)
del _large


def frame_view(samples: Floats, size: int, hop: int) -> Floats:
    """(frames, size) view of contiguous (samples,), frame k starting at sample k·hop. Whole frames only."""
    count = max(0, (samples.shape[-1] - size) // hop + 1)
    width = samples.itemsize  # `as_strided` does the same in ten times the time
    view: Floats = np.ndarray((count, size), samples.dtype, samples, strides=(hop * width, width))
    view.setflags(write=False)
    return view


def overlap_add(frames: Floats, hop: int, out: Floats) -> None:
    """Add (frames, size) frames into (samples,) `out`, frame k from sample k·hop. size divides by hop."""
    count, size = frames.shape
    rows = out[: (count + size // hop - 1) * hop].reshape(-1, hop)
    for part in range(size // hop):
        rows[part : part + count] += frames[:, part * hop : (part + 1) * hop]


@dataclass(frozen=True)
class Stft:
    """Settings of a short-time Fourier transform with a periodic square-root Hann window on both sides.

    size : samples a frame.   hop : samples from one frame to the next, size / 4 or size / 2.
    Analysis followed by synthesis gives the input back (Griffin & Lim, 1984)."""

    size: int = 512
    hop: int = 128

    @property
    def bins(self) -> int:
        return self.size // 2 + 1

    @cached_property
    def window(self) -> Floats:
        """(size,) float32: sqrt of Hann, the same for analysis and synthesis."""
        phase = 2.0 * np.pi * np.arange(self.size) / self.size
        return np.sqrt(0.5 - 0.5 * np.cos(phase)).astype(np.float32)

    @cached_property
    def synthesis_window(self) -> Floats:
        """(size,) float32: the window over the sum of squared windows, so that overlap-add is exact."""
        gain = np.zeros(self.hop)
        for part in range(self.size // self.hop):
            gain += self.window[part * self.hop : (part + 1) * self.hop].astype(np.float64) ** 2
        return (self.window / np.tile(gain, self.size // self.hop)).astype(np.float32)

    def frames(self, samples: int) -> int:
        """How many frames hold any of `samples` samples; every sample is in size / hop of them."""
        return -(-(samples + self.size - self.hop) // self.hop)

    def centres(self, samples: int) -> npt.NDArray[np.int64]:
        """(frames,) the sample at the middle of each frame; the first lie before sample 0."""
        return (np.arange(self.frames(samples)) + 1) * self.hop - self.size // 2

    def pad(self, samples: Floats) -> Floats:
        """(padded,) with size - hop zeros in front and enough behind for whole frames."""
        return self.lay([samples], self.joined([samples.shape[-1]]))

    def joined(self, lengths: Sequence[int]) -> Ragged:
        """The frames of pieces of so many samples."""
        return Ragged(tuple(self.frames(length) for length in lengths))

    def lay(self, pieces: Sequence[Floats], joined: Ragged) -> Floats:
        """(padded,) pieces, (samples,) each, end to end, with so many zeros around that no frame is of two:
        its frames are those of each, one piece after another."""
        padded = np.zeros((joined.frames - 1) * self.hop + self.size, dtype=np.float32)
        for piece, first in zip(pieces, self.firsts(joined), strict=True):
            padded[first : first + piece.shape[-1]] = piece
        return padded

    def firsts(self, joined: Ragged) -> list[int]:
        """Where among padded samples each piece begins."""
        front = self.size - self.hop
        return [front + self.hop * own.start for own in joined.slices]

    def blocks(self, padded: Floats, block: int = BLOCK) -> Iterator[tuple[slice, Complexes]]:
        """Spectra of (padded,), block by block: (which frames, (frames, bins) complex64)."""
        view = frame_view(padded, self.size, self.hop)
        work = np.empty((min(block, len(view)), self.size), dtype=np.float32)
        for start in range(0, len(view), block):
            stop = min(start + block, len(view))
            windowed = np.multiply(view[start:stop], self.window, out=work[: stop - start])
            yield slice(start, stop), fft.rfft(windowed)

    def process(
        self,
        samples: Floats,
        change: Callable[[slice, Complexes], Complexes],
        block: int = BLOCK,
    ) -> Floats:
        """(samples,) after `change(frames, spectra) -> spectra` on every block, of the same length."""
        front = self.size - self.hop
        return self.process_padded(self.pad(samples), change, block)[front : front + samples.shape[-1]]

    def process_padded(
        self,
        padded: Floats,
        change: Callable[[slice, Complexes], Complexes],
        block: int = BLOCK,
    ) -> Floats:
        """`process` for (padded,): what lies around the pieces is not to be used."""
        out = np.zeros_like(padded)
        for frames, spectra in self.blocks(padded, block):
            self.add(change(frames, spectra), out[frames.start * self.hop :])
        return out

    def add(self, spectra: Complexes, out: Floats) -> None:
        """Turn (frames, bins) spectra back into sound and add it to `out`, (samples,)."""
        pieces = fft.irfft(spectra, self.size)
        pieces *= self.synthesis_window
        overlap_add(pieces, self.hop, out)
