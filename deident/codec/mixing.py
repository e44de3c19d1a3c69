"""Mix, split or pick channels, and resample them to 16 kHz."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Samples
from deident.codec.problems import RefusedError

Channels = int | Literal["mix", "split"]

# Float files may be scaled like integers of up to 32 bits; a larger value is damage.
LOUDEST = np.float32(2.0**31)

ACTIVITY_SECONDS = 0.1
ACTIVITY_STEP = 8  # every eighth sample measures power as well
ACTIVITY_FRAMES = 64  # that are worked on at a time
ACTIVE_POWER = 1e-5  # full scale = 1
ALONE_RATIO = 16.0  # 12 dB; crosstalk between the channels of a call lies below that


class ChannelActivity:
    """Compares the activity of two channels, to tell those of two people from a stereo recording.

    rate : Hz.
    """

    def __init__(self, rate: int) -> None:
        self._frame = max(1, round(rate * ACTIVITY_SECONDS / ACTIVITY_STEP))
        self._means: Samples = np.tile(
            np.eye(2, dtype=np.float32) / np.float32(self._frame), (self._frame, 1)
        )
        self._waiting: list[Samples] = [np.zeros((0, 2), dtype=np.float32)]
        self._alone = np.zeros(2, dtype=np.int64)  # frames
        self._active = 0

    def add(self, samples: npt.NDArray[np.int16] | Samples, scale: np.float32) -> None:
        """Add (n, 2) samples, to be scaled."""
        pairs = np.ascontiguousarray(samples).view(
            f"u{2 * samples.itemsize}"
        )  # one number each: faster to gather
        self._waiting.append(pairs[::ACTIVITY_STEP].copy().view(samples.dtype) * scale)
        if sum(map(len, self._waiting)) >= ACTIVITY_FRAMES * self._frame:
            self._compare()

    def _compare(self) -> None:
        """Compare the channels in the frames that are whole."""
        waiting = np.concatenate(self._waiting)
        count = len(waiting) // self._frame
        frames = waiting[: count * self._frame].reshape(count, 2 * self._frame)
        self._waiting = [waiting[count * self._frame :].copy()]
        power = np.square(frames) @ self._means
        self._active += int((power.max(axis=1) > ACTIVE_POWER).sum())
        self._alone += (power > np.maximum(ACTIVE_POWER, ALONE_RATIO * power[:, ::-1])).sum(axis=0)

    @property
    def separate(self) -> bool:
        """True where each channel is active alone for a while, and mostly one of them is."""
        self._compare()
        first, second = sorted(self._alone.tolist())
        return (
            first * ACTIVITY_SECONDS >= 1.0 and first >= 0.1 * second and first + second > 0.5 * self._active
        )


_CANCELLED = np.float32(10.0**-1.5)  # power of the mix over that of its channels: 15 dB below
_ROUNDING = 1e-10  # of the power: no more than float32 has
_OFFSET = 1e-3  # of the power: the least that is taken out
_WINDOW_SECONDS = 1.0
_WINDOW_VALUES = 1 << 22  # bounds the memory of a window where rates and channels are many
_FADE_SECONDS = 0.01


def _scale(dtype: np.dtype[Any] | None) -> np.float32:
    """Return the factor from samples of a type to a full scale of 1."""
    return np.float32(1.0 / 32768.0 if dtype == np.int16 else 1.0)


def _centred(window: Samples) -> Samples:
    """Take the offset of each channel out of (frames, channels) where it matters; one alone leaves no sound."""
    power = np.vdot(window, window)
    sums = np.ones(len(window), dtype=np.float32) @ window
    if np.vdot(sums, sums) <= _OFFSET * power * len(window):
        return window
    sound: Samples = window - window.mean(axis=0, dtype=np.float64).astype(np.float32)
    return sound if np.vdot(sound, sound) > _ROUNDING * power else np.zeros_like(sound)


class Mixer:
    """Averages channels, window by window; where they cancel each other, takes the louder one instead.

    A window is a second that begins at a whole second of the recording, whatever the sizes of blocks. Its channels
    cancel when their average is more than 15 dB below their mean power, as when the wires of one are crossed. The
    louder channel is the one with more power in all such windows so far; among channels within a decibel the first, and
    it is changed only for one of twice its power. Windows are joined by a short cross-fade.

    cancelled_seconds : duration of the windows in which one channel was taken.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.cancelled_seconds = 0.0
        self._rate = rate
        self._window = max(1, min(round(_WINDOW_SECONDS * rate), _WINDOW_VALUES // channels))
        self._average = np.full(channels, 1.0 / channels, dtype=np.float32)
        self._weights: Samples | None = None  # of the last window
        self._dtype: np.dtype[Any] | None = None  # of all blocks
        self._power = np.zeros(channels)
        self._louder = 0
        self._buffer = np.empty((self._window, channels), dtype=np.float32)
        self._size = 0

    def push(self, block: npt.NDArray[np.int16] | Samples) -> Samples:
        """Turn (n, channels) into (m, 1) for the windows that are complete."""
        done, at = [], 0
        if self._dtype is None:
            self._dtype = block.dtype
            self._average *= _scale(block.dtype)
        while at < len(block):
            part = block[at : at + self._window - self._size]
            into = self._buffer[self._size : self._size + len(part)]
            into[:] = part
            if part.dtype != self._dtype:  # never, but for a reader that changes its mind
                into *= _scale(part.dtype) / _scale(self._dtype)
            at += len(part)
            self._size += len(part)
            if self._size == self._window:
                done.append(self._mix(self._buffer))
                self._size = 0
        joined = done[0] if len(done) == 1 else np.concatenate([np.zeros(0, dtype=np.float32), *done])
        return joined[:, np.newaxis]

    def finish(self) -> Samples:
        """Return the rest, (m, 1)."""
        rest = self._mix(self._buffer[: self._size])
        self._size = 0
        return rest[:, np.newaxis]

    def _mix(self, window: Samples) -> Samples:
        """Average the channels of a window, (frames, channels), or keep the louder where they cancel each other."""
        mixed: Samples = window @ self._average
        weights = self._average
        sound = _centred(window)
        left = mixed if sound is window else sound @ self._average
        flat, scale = sound.reshape(-1), _scale(self._dtype)
        if np.vdot(left, left) < _CANCELLED * np.vdot(flat, flat) * scale**2 / window.shape[1]:
            self._power += np.einsum("nc,nc->c", sound, sound, dtype=np.float64)
            weights = np.zeros_like(self._average)
            if self._power.max() > 2.0 * self._power[self._louder]:
                self._louder = int(np.argmax(self._power > 0.8 * self._power.max()))
            weights[self._louder] = _scale(self._dtype)
            mixed = window @ weights
            self.cancelled_seconds += len(window) / self._rate
        if self._weights is not None and not np.array_equal(weights, self._weights):
            size = min(len(window), round(_FADE_SECONDS * self._rate))
            ramp = np.linspace(0.0, 1.0, size, dtype=np.float32)
            before = window[:size] @ self._weights
            mixed[:size] = before + ramp * (mixed[:size] - before)
        self._weights = weights
        return mixed


class Shaper:
    """Mixes or picks channels, then resamples, block by block: call `push` for each block, then `finish`.

    Resampling is soxr's HQ: linear phase, with its delay compensated.
    """

    def __init__(
        self, rate: int, channels: int, how: Channels, *, zero_nonfinite: bool = False, out_rate: int = RATE
    ) -> None:
        if isinstance(how, int) and not 0 <= how < channels:
            raise RefusedError("missing-channel", how, channels)
        self.out_channels = channels if how == "split" else 1
        self._how = how
        self._zero = zero_nonfinite
        self._mixer = Mixer(rate, channels) if how == "mix" and channels > 1 else None
        self._activity = ChannelActivity(rate) if how == "mix" and channels == 2 else None
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
        """Return the remaining samples, (out_channels, m)."""
        rest = self._mixer.finish() if self._mixer else np.zeros((0, self.out_channels), dtype=np.float32)
        return self._resample(rest, last=True)

    @property
    def cancelled_seconds(self) -> float:
        """Seconds in which the channels cancelled each other, and one was taken."""
        return self._mixer.cancelled_seconds if self._mixer else 0.0

    @property
    def separate(self) -> bool:
        """True where two channels with a person each were mixed."""
        return self._activity is not None and self._activity.separate

    def _mix(self, block: npt.NDArray[np.int16] | Samples) -> Samples:
        """Turn (n, channels) into (n, out_channels)."""
        if isinstance(self._how, int):
            block = block[:, self._how : self._how + 1]
        if block.dtype != np.int16:
            block = self._finite(block.astype(np.float32, copy=False))
        if self._activity is not None:
            self._activity.add(block, _scale(block.dtype))
        if self._mixer:
            return self._mixer.push(block)
        samples = block.astype(np.float32, copy=False)
        if block.dtype == np.int16:
            samples *= _scale(block.dtype)
        return samples

    def _finite(self, block: Samples) -> Samples:
        """Refuse or zero samples that are not finite, or far beyond full scale."""
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
