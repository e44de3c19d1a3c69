"""Samples in memory as recordings: a whole array, or blocks as they come from a live source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from deident.audio import Audio, Samples, as_array
from deident.codec.mixing import LOUDEST, Channels, Shaper
from deident.codec.problems import RefusedError
from deident.codec.worker import Ended, Opened
from deident.errors import RecordingError, SettingError, kind_of

_BLOCK_SECONDS = 2


@dataclass(frozen=True, repr=False)
class Blocks:
    """A live source: its blocks, each read when the one before is done with, and their sample rate.

    blocks : (samples,) or (channels, samples) each, floats with full scale ±1 or int16.   rate : Hz.
    """

    blocks: Iterable[npt.ArrayLike]
    rate: int

    def audios(self, zero_nonfinite: bool) -> Iterator[Audio]:
        """Yield the blocks, checked."""
        channels = None
        for block in self.blocks:
            array = as_array(block)
            if array.dtype.kind != "f" and array.dtype != np.int16:
                raise RecordingError(
                    f"expected blocks of floats within ±1, or of int16; got {array.dtype}", "bad-samples"
                )
            audio = audio_of(array, self.rate, zero_nonfinite)
            if not channels and max(len(audio), 2) < audio.channels:  # JACK gives (64, 1)
                raise RecordingError(
                    f"expected a first block of (samples,) or (channels, samples); got the shape {array.shape}: "
                    "transpose blocks of (samples, channels)",
                    "bad-samples",
                )
            channels = channels or audio.channels
            if audio.channels != channels:
                raise RecordingError(
                    f"expected {channels} channels in every block, as in the first; got {audio.channels}",
                    "channels",
                )
            yield audio


def audio_of(samples: npt.ArrayLike, rate: int, zero_nonfinite: bool) -> Audio:
    """Check samples, (samples,) or (channels, samples)."""
    array = as_array(samples)
    if zero_nonfinite and array.dtype.kind == "f":
        array = np.where(np.abs(array) <= LOUDEST, array, 0.0)  # also what is too large for float32
    return Audio(array, rate)


def from_array(
    audio: Audio, channels: Channels, zero_nonfinite: bool, out_rate: int
) -> Iterator[Opened | Samples | Ended]:
    """Decode a whole array, a few seconds at a time."""
    step = _BLOCK_SECONDS * audio.rate
    parts = (Audio.trusted(audio.samples[:, at : at + step], audio.rate) for at in range(0, len(audio), step))
    return _decoded(audio, parts, channels, zero_nonfinite, out_rate or audio.rate)


def from_blocks(
    live: Blocks, channels: Channels, zero_nonfinite: bool, out_rate: int
) -> Iterator[Opened | Samples | Ended]:
    """Decode blocks as they come; the first is waited for."""
    if isinstance(live.blocks, str | bytes) or not isinstance(live.blocks, Iterable):
        raise SettingError(f"expected an iterable of blocks of samples; got {kind_of(live.blocks)}")
    audios = live.audios(zero_nonfinite)
    first = next(audios, None)
    if first is None:
        raise RefusedError("empty")
    yield from _decoded(first, chain([first], audios), channels, zero_nonfinite, out_rate)


def _decoded(
    like: Audio, parts: Iterable[Audio], channels: Channels, zero_nonfinite: bool, out_rate: int
) -> Iterator[Opened | Samples | Ended]:
    """Mix and resample parts. like : with their rate and channels."""
    shaper = Shaper(like.rate, like.channels, channels, zero_nonfinite=zero_nonfinite, out_rate=out_rate)
    yield Opened(like.rate, like.channels, shaper.out_channels)
    samples = 0
    for part in parts:
        samples += len(part)
        block = shaper.push(np.array(part.samples.T))
        if block.shape[1]:
            yield block
    if not samples:
        raise RefusedError("empty")
    last = shaper.finish()
    if last.shape[1]:
        yield last
    seconds = samples / like.rate
    yield Ended(round(seconds * 1e6), None, round(shaper.cancelled_seconds * 1e3), shaper.separate)
