"""Decode any recording to talkers at 16 kHz, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio, Samples
from deident.codec.limits import Limits
from deident.codec.mixing import Channels, Shaper
from deident.errors import RecordingError

Source = str | os.PathLike[str] | BinaryIO | Audio | tuple[npt.ArrayLike, int]
_BLOCK_SECONDS = 2


class Decoding:
    """A recording being decoded: a context manager, and an iterator of (talkers, n) float32 blocks at 16 kHz."""

    def __init__(
        self, blocks: Iterator[Any], shaper: Shaper, rate: int, channels: int, container: str
    ) -> None:
        self.talkers = shaper.talkers
        self.source_rate = rate
        self.source_channels = channels
        self.container = container
        self.partial: str | None = None
        self.source_seconds = 0.0
        self._shaper = shaper
        self._blocks = blocks

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            self.source_seconds += len(block) / self.source_rate
            out = self._shaper.push(block)
            if out.shape[1]:
                yield out
        if not self.source_seconds:
            raise RecordingError("the recording holds no samples", "empty")
        out = self._shaper.finish()
        if out.shape[1]:
            yield out

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def decode(
    source: Source,
    *,
    channels: Channels = "mix",
    limits: Limits = Limits(),  # noqa: B008  frozen
    follow_links: bool = False,
    nonfinite: Literal["refuse", "zero"] = "refuse",
    strict: bool = False,
) -> Decoding:
    import soundfile

    if isinstance(source, tuple):
        source = Audio(*source)
    if isinstance(source, Audio):
        shaper = Shaper(source.rate, source.channels, channels, zero_nonfinite=nonfinite == "zero")
        step = _BLOCK_SECONDS * source.rate
        samples = source.samples
        blocks = (samples[:, at : at + step].T for at in range(0, len(source), step))
        return Decoding(blocks, shaper, source.rate, source.channels, "samples")
    try:
        file = soundfile.SoundFile(source)
    except soundfile.LibsndfileError:
        raise RecordingError("the recording cannot be decoded", "undecodable") from None
    shaper = Shaper(file.samplerate, file.channels, channels, zero_nonfinite=nonfinite == "zero")

    def read_blocks() -> Iterator[Any]:
        kind = "int16" if file.subtype == "PCM_16" else "float32"
        while len(block := file.read(_BLOCK_SECONDS * file.samplerate, dtype=kind, always_2d=True)):
            yield block

    return Decoding(read_blocks(), shaper, file.samplerate, file.channels, file.format.lower())


def read(source: Source, *, channels: Channels = "mix", rate: int | None = RATE) -> Audio:
    """A whole recording as one value."""
    if rate != RATE:
        raise NotImplementedError
    with decode(source, channels=channels) as decoding:
        return Audio(np.concatenate(list(decoding), axis=1), RATE)
