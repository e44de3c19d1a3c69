"""MP4, WebM, AMR, AAC, WMA and others through FFmpeg's libraries (the extra `deident[av]`).

Each container is opened with its own demuxer and no other: FFmpeg's guessing, playlists and protocols
stay out of reach.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import av
import numpy as np
from av.audio.plane import AudioPlane
from av.codec.context import Flags2

from deident.codec import ends
from deident.codec.files import Bytes, File
from deident.codec.layout import Layout
from deident.codec.pcm import Block
from deident.codec.problems import RefusedError
from deident.codec.readers import Reader, block_frames
from deident.containers import Container
from deident.containers.mpeg import first_adts
from deident.containers.tags import end_tags_start

av.logging.set_level(None)

_SLACK_SECONDS = 0.25  # an announced end may lie behind the last sample by a coder's delay
_OTHERS_SLACK_SECONDS = 1.0  # and by this where it is that of other streams too, or by one in a hundred
_CLOCK_SECONDS = 0.1  # by which time stamps may differ from the samples so far
_LATEST_SECONDS = 600.0  # a recording that begins later by its clock was cut from a stream
_LONGEST_GAP_SECONDS = 3600.0  # a longer one is a wrong time stamp, or a pause that nobody counts from
_LOST_SHARE = 0.5  # of the bytes that sound takes on average; a pause takes next to none
_MAX_BAD_PACKETS = 1000
_BLOCK_FRAMES = 4096
_KINDS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_AMR = {"amrnb": (8, 15), "amrwb": (9, 14, 15)}  # types of frames without speech (3GPP TS 26.101 and 26.201)
_AMR_FRAMES = 50  # a second
_FULL = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}


class AvReader(Reader):
    """FFmpeg's demuxer and decoder. Gaps in the time stamps, and a late start, are filled with silence."""

    def __init__(self, source: Bytes, container: Container) -> None:
        if not container.demuxer:
            raise RefusedError("undecodable")
        if container.name == "aac":  # FFmpeg would begin at what looks like a frame within a cut one
            source = source.window(first_adts(source, 0, source.size) or 0)
        layout: Layout | None = resolve_name(container.layout)(source) if container.layout else None
        if layout is None:  # some demuxers take a tag for packets
            source = source.window(0, end_tags_start(source, 0, source.size))
        self.ending = layout.ending if layout else ends.ending(source, container)
        if container.head_bytes:  # FFmpeg would read the header of what is glued on as sound
            source = source.window(0, source.again(container.head_bytes))
        self._is_timed, self._is_sized = container.is_timed, bool(container.layout)
        self._in_header = ends.asf_seconds(source) if container.name == "asf" else None
        # Where a header has none, FFmpeg makes one up from the bit rate, and so counts the container's own bytes
        self._has_duration = container.is_timed and (
            container.name != "matroska" or ends.has_duration(source)
        )
        self._seconds, self._start, self._begin, self._others_end = 0.0, 0.0, 0.0, 0.0
        self._unfilled = 0.0  # seconds of gaps
        # FFmpeg passes over what is no element of Matroska: where time is missing, so may be bytes
        self._unread = _Unread() if container.name == "matroska" else None
        try:
            self._container: Any = av.open(
                io.BufferedReader(File(source, layout.patches if layout else None)),
                format=container.demuxer,
                metadata_errors="ignore",
            )
            self._stream: Any = self._container.streams.audio[0]
            context = self._stream.codec_context
            context.thread_count = 1
            # Channels in no order. PyAV frees some orders twice, and its context's must not even be looked at.
            context.layout = f"{context.channels}C"
            # ALAC's last packet is short by itself: what a CAF's table counts as filler is not to be cut from it
            if (container.name, context.name) == ("caf", "alac"):
                context.flags2 |= Flags2.skip_manual
            # The parser that FLAC needs there holds ten frames back, and stamps those behind the first with later times
            if (container.name, context.name) == ("asf", "flac"):
                self._is_timed = False
            if len(self._container.streams.audio) > 1:  # a second language, or another microphone
                self.ending = self.ending or "extra-data"
        except (av.error.FFmpegError, IndexError, ValueError, AttributeError, OverflowError):
            raise RefusedError("undecodable") from None

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        """Join frames to blocks: in some containers each is a single sample."""
        waiting: list[Any] = []  # of blocks
        rate = frames = 0
        for own, block in self._frames():
            last = waiting[-1] if waiting else block
            is_like = own == rate and (block.dtype, block.shape[1]) == (last.dtype, last.shape[1])
            if waiting and (frames >= _BLOCK_FRAMES or not is_like):
                yield rate, np.concatenate(waiting)
                waiting, frames = [], 0
            waiting.append(block)
            rate, frames = own, frames + len(block)
        if waiting:
            yield rate, np.concatenate(waiting)

    def _frames(self) -> Iterator[tuple[int, Block]]:
        """Decode packets to frames; pass over bad packets up to a limit, and judge the end."""
        bad, is_cut, rate, rest, least = 0, False, 0, 0, 0
        packets = self._container.demux()
        while bad < _MAX_BAD_PACKETS:
            packet: Any = None
            try:
                packet = next(packets)
                if self._unread:
                    self._unread.add(packet)
                if packet.stream is not self._stream:
                    self._others_end = max(self._others_end, _end_of(packet))
                    continue
                is_cut, rest = is_cut or packet.is_corrupt, packet.size or rest
                frames = packet.decode()
            except StopIteration:
                break
            except (av.error.FFmpegError, ValueError):
                frames = self._left_out(packet)
                if not frames:
                    bad += 1
                    continue
            least = min(least or rest, rest) if packet.size else least
            for place, frame in enumerate(frames):
                block = _samples(frame)
                rate = rate or frame.sample_rate
                is_clocked = (
                    self._is_timed and frame.sample_rate == rate
                )  # after a change, some count on at the first
                if is_clocked and place == 0 and frame.time is not None:  # others may repeat their packet's
                    yield from self._silence(frame.time, frame.sample_rate, block)
                self._seconds += len(block) / frame.sample_rate
                yield int(frame.sample_rate), block
        is_padding = (
            self._is_sized and bad == 1 and rest < least
        )  # at the end, of a size that is known to be right
        self.ending = self.ending or self._judge(0 if is_padding else bad, is_cut)
        self._container.close()

    def _left_out(self, packet: Any) -> list[Any]:
        """Make silence of a frame of AMR in which nobody speaks, for which FFmpeg's decoder makes no noise."""
        context = self._stream.codec_context
        head = bytes(packet)[0] if packet is not None and packet.size and context.name in _AMR else 0xFF
        if head & 0x83 or head >> 3 not in _AMR[context.name]:
            return []
        silence = np.zeros((1, context.sample_rate // _AMR_FRAMES), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = context.sample_rate, packet.pts, packet.time_base
        return [frame]

    def _silence(self, time: float, rate: int, like: Block) -> Iterator[tuple[int, Block]]:
        """Fill up to where a frame stands by the container's clock."""
        if not self._seconds and time > _LATEST_SECONDS:
            self._start, self.is_out_of_step = time, True
        missing = time - self._start - self._seconds
        if missing > _LONGEST_GAP_SECONDS:
            self._start += missing
            self._unfilled += missing
            self.is_out_of_step, missing = True, 0.0
        self.is_out_of_step = self.is_out_of_step or missing < -_CLOCK_SECONDS
        left = round(missing * rate) if missing > _CLOCK_SECONDS else 0
        if left and self._unread and self._unread.is_lost(missing, self._seconds):
            self.ending = self.ending or "damaged"
        self._begin = self._begin if self._seconds else left / rate
        self._seconds += left / rate
        while left > 0:
            block = np.zeros((min(left, block_frames(rate, like.shape[1])), like.shape[1]), like.dtype)
            left -= len(block)
            yield rate, block

    def _judge(self, bad: int, is_cut: bool) -> str | None:
        """Return the code of an ending that is not clean, else None."""
        if not self._seconds:
            raise RefusedError("undecodable")
        if is_cut or (self._has_duration and self._is_short()):
            return "truncated"
        return "damaged" if bad else None

    def _is_short(self) -> bool:
        """Tell whether the container announces much more than was decoded, and than its other streams have."""
        announced, slack = (self._container.duration or 0) / av.time_base, _SLACK_SECONDS
        read = self._seconds + self._unfilled
        if self._in_header is not None:
            announced = self._in_header
        elif self._stream.duration:
            announced = self._begin + float(self._stream.duration * self._stream.time_base)
            return bool(announced - read > slack)
        if len(self._container.streams) > 1:
            slack = max(_OTHERS_SLACK_SECONDS, 0.01 * announced)
            announced -= max(0.0, self._others_end - self._start - self._seconds)
        return bool(announced - read > slack)


class _Unread:
    """Bytes that lie between the packets of a file and belong to none."""

    def __init__(self) -> None:
        self._at, self._end, self._size, self._between = -1, 0, 0, 0

    def add(self, packet: Any) -> None:
        """Count a packet; those of one block share its position."""
        if packet.pos is None:
            return
        if packet.pos != self._at:
            self._between = packet.pos - self._end if self._end else 0
            self._at = self._end = packet.pos
        self._end += packet.size
        self._size += packet.size

    def is_lost(self, missing: float, seconds: float) -> bool:
        """Tell about as many bytes before the last packet as the missing seconds would take."""
        return seconds > 0 and self._between > _LOST_SHARE * missing * self._size / seconds


def _end_of(packet: Any) -> float:
    """Return the seconds at the end of a packet by the container's clock."""
    return 0.0 if packet.pts is None else float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _samples(frame: Any) -> Block:
    """Convert one decoded frame to (n, channels) int16 or float32."""
    kind, channels = _KINDS[frame.format.name.removesuffix("p")], frame.layout.nb_channels
    planes, width = (channels, 1) if frame.format.is_planar else (1, channels)
    # Not by `to_ndarray`, which looks for one plane more than there are and reads outside of memory at eight
    buffers: list[Any] = [AudioPlane(frame, number) for number in range(planes)]
    rows = [np.frombuffer(buffer, kind, frame.samples * width) for buffer in buffers]
    values = np.stack(rows, axis=1) if planes > 1 else rows[0].reshape(-1, channels)
    if kind == "i2":
        return np.ascontiguousarray(values)
    block = values.astype(np.float32)
    if kind == "u1":
        block -= np.float32(128.0)
    return np.ascontiguousarray(block * np.float32(1.0 / _FULL.get(kind, 1.0)))
