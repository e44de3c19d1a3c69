"""Mix, split or pick channels, and resample them to 16 kHz."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Samples
from deident.codec.problems import RefusedError

Channels = int | Literal["mix", "split"]

# Float files may be scaled like integers of up to 32 bits; a larger value is damage.
LOUDEST = np.float32(2.0**31)


class Shaper:
    """Mixes or picks channels, then resamples, block by block: call `push` for each block, then `finish`.

    Resampling is soxr's HQ: linear phase, with its delay compensated."""

    def __init__(
        self, rate: int, channels: int, how: Channels, *, zero_nonfinite: bool = False, out_rate: int = RATE
    ) -> None:
        if isinstance(how, int) and not 0 <= how < channels:
            raise RefusedError("missing-channel", how, channels)
        self.out_channels = channels if how == "split" else 1
        self._how = how
        self._zero = zero_nonfinite
        self._weights = np.full(channels, 1.0 / channels, dtype=np.float32)
        self._stream = None
        if rate != out_rate:
            import soxr

            self._stream = soxr.ResampleStream(
                rate, out_rate, self.out_channels, dtype="float32", quality="HQ"
            )

    def push(self, block: npt.NDArray[np.int16] | Samples) -> Samples:
        """Turn (n, channels) int16 or float32 into (out_channels, m) float32; m may be 0."""
        return self._resample(self._mix(block), last=False)

    def finish(self) -> Samples:
        """Return the resampler's remaining samples, (out_channels, m)."""
        return self._resample(np.zeros((0, self.out_channels), dtype=np.float32), last=True)

    def _mix(self, block: npt.NDArray[np.int16] | Samples) -> Samples:
        """Turn (n, channels) into (n, out_channels)."""
        if isinstance(self._how, int):
            block = block[:, self._how : self._how + 1]
        if block.dtype == np.int16:
            samples = block.astype(np.float32)
            scale = np.float32(1.0 / 32768.0)
        else:
            samples, scale = self._finite(block.astype(np.float32, copy=False)), np.float32(1.0)
        if self._how == "mix" and samples.shape[1] > 1:
            return (samples @ (self._weights * scale))[:, np.newaxis]
        if scale != 1.0:
            samples *= scale
        return samples

    def _finite(self, block: Samples) -> Samples:
        if np.abs(block).max(initial=0.0) <= LOUDEST:  # False for NaN too
            return block
        if not self._zero:
            raise RefusedError("not-finite")
        with np.errstate(invalid="ignore"):
            return np.where(np.abs(block) <= LOUDEST, block, np.float32(0.0))

    def _resample(self, samples: Samples, last: bool) -> Samples:
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last=last)
        return np.ascontiguousarray(samples.T)
