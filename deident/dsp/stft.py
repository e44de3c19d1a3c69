"""Framing, the short-time Fourier transform and its inverse, in blocks that fit the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deident.audio import Complexes, Floats
from deident.dsp import fft
from deident.dsp.ragged import Ragged

BLOCK = 128  # frames; 512-sample float32 frames, their spectra and what is made of them fit a 1 MB cache

# Work arrays of some 100 kB come and go with every block. Unless glibc has once seen a large array freed, it
# gives each back to the system, which then has to find and clear the same pages again: a quarter of the time.
_large = np.empty(31 << 20, dtype=np.uint8)
del _large


def frame_view(samples: Floats, size: int, hop: int) -> Floats:
    """View contiguous samples as overlapping frames.

    Parameters
    ----------
    samples : (samples,) float32
    size, hop : int
        Samples of a frame, and from one frame to the next.

    Returns
    -------
    (frames, size) float32
        A read-only view of whole frames; frame k starts at sample k·hop.

    Examples
    --------
    >>> import numpy as np
    >>> frame_view(np.arange(6, dtype=np.float32), 4, 2)
    array([[0., 1., 2., 3.],
           [2., 3., 4., 5.]], dtype=float32)
    """
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
    """Short-time Fourier transform with a periodic square-root Hann window for analysis and synthesis.

    Analysis followed by synthesis gives the input back.

    Parameters
    ----------
    size : int
        Samples of a frame.
    hop : int
        Samples from one frame to the next: size / 4 or size / 2.

    References
    ----------
    Griffin & Lim (1984).
    """

    size: int = 512
    hop: int = 128

    @property
    def bins(self) -> int:
        """Frequencies of a spectrum, from 0 to the Nyquist frequency."""
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
        """Count the frames that hold any of `samples` samples; every sample is in size / hop of them."""
        return -(-(samples + self.size - self.hop) // self.hop)

    def centres(self, samples: int) -> npt.NDArray[np.int64]:
        """Locate the centre of each frame, (frames,) in samples; the first lie before sample 0."""
        return (np.arange(self.frames(samples)) + 1) * self.hop - self.size // 2

    def pad(self, samples: Floats) -> Floats:
        """Pad samples with size - hop zeros in front and enough behind for whole frames."""
        return self.concatenate([samples], self.ragged([samples.shape[-1]]))

    def ragged(self, lengths: Sequence[int]) -> Ragged:
        """Lay out the frames of segments of these lengths, in samples."""
        return Ragged(tuple(self.frames(length) for length in lengths))

    def concatenate(self, pieces: Sequence[Floats], ragged: Ragged) -> Floats:
        """Concatenate segments, (samples,) each, with enough zeros between them that no frame spans two.

        The frames of the result, (padded,), are those of `ragged`.
        """
        padded = np.zeros((ragged.frames - 1) * self.hop + self.size, dtype=np.float32)
        for piece, first in zip(pieces, self.offsets(ragged), strict=True):
            padded[first : first + piece.shape[-1]] = piece
        return padded

    def offsets(self, ragged: Ragged) -> list[int]:
        """Locate the first sample of each segment among the padded samples."""
        front = self.size - self.hop
        return [front + self.hop * own.start for own in ragged.slices]

    def blocks(self, padded: Floats, block: int = BLOCK) -> Iterator[tuple[slice, Complexes]]:
        """Yield the spectra of padded samples block by block: a slice of frames, (frames, bins) complex64."""
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
        """Change the spectra of (samples,) block by block and synthesise, at the same length.

        change : takes a slice of frames and their (frames, bins) spectra, returns spectra.
        """
        front = self.size - self.hop
        return self.process_padded(self.pad(samples), change, block)[front : front + samples.shape[-1]]

    def process_padded(
        self,
        padded: Floats,
        change: Callable[[slice, Complexes], Complexes],
        block: int = BLOCK,
    ) -> Floats:
        """Process padded samples; the result is valid within the segments only."""
        out = np.zeros_like(padded)
        for frames, spectra in self.blocks(padded, block):
            self.add(change(frames, spectra), out[frames.start * self.hop :])
        return out

    def add(self, spectra: Complexes, out: Floats) -> None:
        """Synthesise (frames, bins) spectra and add the sound to `out`, (samples,)."""
        pieces = fft.irfft(spectra, self.size)
        pieces *= self.synthesis_window
        overlap_add(pieces, self.hop, out)
