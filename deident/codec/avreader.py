"""MP4, WebM, AMR, AAC, WMA and others through FFmpeg's libraries (the extra `deident[av]`).

Each container is opened with its own demuxer and no other: FFmpeg's guessing, playlists and protocols
stay out of reach."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from deident.codec import ogg
from deident.codec.files import Bytes, File
from deident.codec.layout import Layout
from deident.codec.pcm import Block
from deident.codec.problems import RefusedError
from deident.containers import Container, load

av.logging.set_level(None)

_SLACK_SECONDS = 1.0
_MAX_BAD_PACKETS = 1000
_FULL = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31}


class AvReader:
    def __init__(self, source: Bytes, container: Container) -> None:
        if not container.demuxer:
            raise RefusedError("undecodable")
        self.ending = _ending(source, container)
        self._is_timed = container.is_timed
        try:
            self._container: Any = av.open(
                io.BufferedReader(File(source)), format=container.demuxer, metadata_errors="ignore"
            )
            self._stream = self._container.streams.audio[0]
            self._stream.codec_context.thread_count = 1
            if len(self._container.streams.audio) > 1:  # a second language, or another microphone
                self.ending = self.ending or "extra-data"
        except (av.error.FFmpegError, IndexError, ValueError, AttributeError, OverflowError):
            raise RefusedError("undecodable") from None

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        seconds, bad, is_cut = 0.0, 0, False
        packets = self._container.demux(self._stream)
        while bad < _MAX_BAD_PACKETS:
            try:
                packet = next(packets)
                is_cut = is_cut or packet.is_corrupt
                frames = packet.decode()
            except StopIteration:
                break
            except (av.error.FFmpegError, ValueError):
                bad += 1
                continue
            for frame in frames:
                block = _samples(frame)
                seconds += len(block) / frame.sample_rate
                yield int(frame.sample_rate), block
        self.ending = self.ending or self._judge(seconds, bad, is_cut)
        self._container.close()

    def _judge(self, seconds: float, bad: int, is_cut: bool) -> str | None:
        if not seconds:
            raise RefusedError("undecodable")
        announced = (self._container.duration or 0) / av.time_base
        if is_cut or (self._is_timed and announced - seconds > _SLACK_SECONDS + 0.01 * announced):
            return "truncated"
        return "damaged" if bad else None


def _ending(source: Bytes, container: Container) -> str | None:
    """Judge the end by our own look at the container, where we have one."""
    if container.name == "ogg":
        chain = ogg.chain(source)
        return chain.ending or ("extra-data" if len(chain.links) > 1 else None)
    layout: Layout | None = load(container.layout)(source) if container.layout else None
    return layout.ending if layout else None


def _samples(frame: Any) -> Block:
    """Convert one decoded frame to (n, channels) int16 or float32."""
    values = frame.to_ndarray()
    channels = len(frame.layout.channels)
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype == np.int16:
        return np.ascontiguousarray(values)
    kind = values.dtype.str[1:]
    block = values.astype(np.float32)
    if kind == "u1":
        block -= np.float32(128.0)
    return np.ascontiguousarray(block * np.float32(1.0 / _FULL.get(kind, 1.0)))
