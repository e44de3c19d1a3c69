"""MP4, WebM, AMR, AAC, WMA and others through FFmpeg's libraries (the extra `deident[av]`).

Each container is opened with its own demuxer and no other: FFmpeg's guessing, playlists and protocols
stay out of reach.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from typing import Any

import av
import numpy as np
from av.audio.plane import AudioPlane
from av.codec.context import Flags2

from deident.codec import ogg
from deident.codec.files import Bytes, File
from deident.codec.layout import TAIL_TOLERANCE, Layout
from deident.codec.pcm import Block
from deident.codec.problems import RefusedError
from deident.codec.readers import Reader, block_frames
from deident.containers import Container, recognise
from deident.containers.chunks import RIFF, UNKNOWN_SIZE, chunks
from deident.containers.mp4 import boxes
from deident.containers.mpeg import first_adts
from deident.containers.source import number
from deident.containers.tags import end_tags_start, front_tags

av.logging.set_level(None)

_SLACK_SECONDS = 0.25  # an announced end may lie behind the last sample by a coder's delay
_OTHERS_SLACK_SECONDS = 1.0  # and by this where it is that of other streams too, or by one in a hundred
_CLOCK_SECONDS = 0.1  # by which time stamps may differ from the samples so far
_LATEST_SECONDS = 600.0  # a recording that begins later by its clock was cut from a stream
_MAX_BAD_PACKETS = 1000
_BLOCK_FRAMES = 4096
_KINDS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_FULL = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}


class AvReader(Reader):
    """FFmpeg's demuxer and decoder. Gaps in the time stamps, and a late start, are filled with silence."""

    def __init__(self, source: Bytes, container: Container) -> None:
        if not container.demuxer:
            raise RefusedError("undecodable")
        if container.name == "aac":  # FFmpeg would begin at what looks like a frame within a cut one
            source = source.window(first_adts(source, 0, source.size) or 0)
        self.ending = _ending(source, container)
        self._is_timed, self._is_sized = container.is_timed, bool(container.layout)
        self._in_header = _asf_seconds(source) if container.name == "asf" else None
        # Where a header has none, FFmpeg makes one up from the bit rate, and so counts the container's own bytes
        self._has_duration = container.is_timed and (
            container.name != "matroska" or _matroska_has_duration(source)
        )
        self._seconds, self._start, self._begin, self._others_end = 0.0, 0.0, 0.0, 0.0
        try:
            self._container: Any = av.open(
                io.BufferedReader(File(source)), format=container.demuxer, metadata_errors="ignore"
            )
            self._stream: Any = self._container.streams.audio[0]
            context = self._stream.codec_context
            context.thread_count = 1
            # Channels in no order. PyAV frees some orders twice, and its context's must not even be looked at.
            context.layout = f"{context.channels}C"
            # ALAC's last packet is short by itself: what a CAF's table counts as filler is not to be cut from it
            if (container.name, context.name) == ("caf", "alac"):
                context.flags2 |= Flags2.skip_manual
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
            try:
                packet = next(packets)
                if packet.stream is not self._stream:
                    self._others_end = max(self._others_end, _end_of(packet))
                    continue
                is_cut, rest = is_cut or packet.is_corrupt, packet.size or rest
                frames = packet.decode()
            except StopIteration:
                break
            except (av.error.FFmpegError, ValueError):
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

    def _silence(self, time: float, rate: int, like: Block) -> Iterator[tuple[int, Block]]:
        """Fill up to where a frame stands by the container's clock."""
        if not self._seconds and time > _LATEST_SECONDS:
            self._start, self.is_out_of_step = time, True
        missing = time - self._start - self._seconds
        self.is_out_of_step = self.is_out_of_step or missing < -_CLOCK_SECONDS
        left = round(missing * rate) if missing > _CLOCK_SECONDS else 0
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
        if self._in_header is not None:
            announced = self._in_header
        elif self._stream.duration:
            announced = self._begin + float(self._stream.duration * self._stream.time_base)
            return bool(announced - self._seconds > slack)
        if len(self._container.streams) > 1:
            slack = max(_OTHERS_SLACK_SECONDS, 0.01 * announced)
            announced -= max(0.0, self._others_end - self._start - self._seconds)
        return bool(announced - self._seconds > slack)


def _end_of(packet: Any) -> float:
    """Return the seconds at the end of a packet by the container's clock."""
    return 0.0 if packet.pts is None else float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _ending(source: Bytes, container: Container) -> str | None:
    """Judge the end by our own look at the container, where we have one."""
    if container.name == "ogg":
        chain = ogg.chain(source)
        return chain.ending or ("extra-data" if len(chain.links) > 1 else None)
    layout: Layout | None = resolve_name(container.layout)(source) if container.layout else None
    if container.name == "mp4":
        has_more = [box.name for box in boxes(source, 0, source.size)].count(b"moov") > 1
    elif container.name == "avi":
        parts = list(chunks(source, 0, source.size, RIFF))
        is_known = all(0 < part.claimed < UNKNOWN_SIZE for part in parts)
        if is_known and not all(part.is_whole for part in parts if part.name in _AVI):
            return "truncated"
        has_more = False
    else:
        has_more = container.head_bytes > 0 and source.has_again(container.head_bytes)
    if container.name in _ENDS and not has_more:
        end = _ENDS[container.name](source)
        end = max((tag.stop for tag in front_tags(source, end, source.size)), default=end)
        stop = end_tags_start(source, end, source.size)
        has_more = stop - end > TAIL_TOLERANCE or recognise(source, end, stop) is not None
    return layout.ending if layout else "extra-data" if has_more else None


_AVI = (b"RIFF", b"JUNK")
_MP4 = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"moof",
    b"mfra",
    b"free",
    b"skip",
    b"wide",
    b"uuid",
    b"udta",
    b"meta",
    b"sidx",
)
_MATROSKA = (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67")  # header and segment
_CLUSTER, _INFO, _DURATION = b"\x1f\x43\xb6\x75", b"\x15\x49\xa9\x66", b"\x44\x89"


def _mp4_end(source: Bytes) -> int:
    """Find the first bytes that are no box: no known one, and none that ends in the file."""
    end = 0
    for box in boxes(source, 0, source.size):
        is_cut = number(source.at(box.start, 4), 0, 4) > source.size - box.start
        if is_cut and box.name not in _MP4:
            break
        end = box.stop
    return end


def _avi_end(source: Bytes) -> int:
    """Find the first chunk that is no part of an AVI; the end of the file where a size was never filled in."""
    for part in chunks(source, 0, source.size, RIFF):
        is_avi = part.name == b"RIFF" and source.at(part.body, 4) in (b"AVI ", b"AVIX")
        if is_avi and not part.claimed:
            break
        if not is_avi and part.name != b"JUNK":
            return part.start
    return source.size


def _element(source: Bytes, at: int) -> tuple[bytes, int, int]:
    """Read (name, start of the body, end) of an element of Matroska; one without a size reaches to the file's end."""
    head = source.at(at, 12)
    name = head[: 9 - head[0].bit_length()] if head else b""
    size = head[len(name) :]
    width = 9 - size[0].bit_length() if size else 9
    if len(name) > 4:
        return b"", at, at
    if width > 8:
        return name, source.size, source.size
    body, count, unknown = at + len(name) + width, number(size, 0, width), (1 << 7 * width) - 1
    return name, body, source.size if count & unknown == unknown else body + (count & unknown)


def _matroska_end(source: Bytes) -> int:
    """Find the end of the last segment; that of the file where one has no size."""
    end = 0
    while end < source.size:
        name, _, stop = _element(source, end)
        if name not in _MATROSKA:
            break
        end = stop
    return end


def _tta_end(source: Bytes) -> int:
    """Add up the header, the seek table and the frames in it."""
    head = source.at(0, 22)
    frame = 256 * number(head, 10, 4, "little") // 245
    count = -(-number(head, 14, 4, "little") // frame) if frame else 0
    if 26 + 4 * count > source.size:  # the header is wrong, and its table not to be made room for
        return source.size
    table = np.frombuffer(source.at(22, 4 * count), "<u4")
    return 26 + 4 * count + int(table.sum(dtype=np.int64))


def _asf_end(source: Bytes) -> int:
    """Add up the objects of an ASF: header, data and indexes; the end of the file where a stream has no size."""
    end = 0
    while end < source.size:
        name, size = source.at(end, 16), number(source.at(end + 16, 8), 0, 8, "little")
        is_cut = size > source.size - end
        if name == _ASF_DATA and (is_cut or size <= _ASF_EMPTY_BYTES):
            return source.size
        if is_cut or size < 24 or (end and name == _ASF_HEADER):
            break
        end += size
    return end


_ENDS: dict[str, Callable[[Bytes], int]] = {
    "mp4": _mp4_end, "avi": _avi_end, "matroska": _matroska_end, "tta": _tta_end, "asf": _asf_end,
}  # fmt: skip


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_EMPTY_BYTES = 50  # of its own header: what a stream begins with
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEADER_BYTES = 1 << 16
_MOST_ELEMENTS = 10_000


def _matroska_has_duration(source: Bytes) -> bool:
    """Tell a duration in front of the first cluster, where a live stream has none."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        name, body, end = _element(source, at)
        if name in (b"", _CLUSTER, _DURATION):
            return name == _DURATION
        at = body if name in (_MATROSKA[1], _INFO) else end
    return True


def _asf_seconds(source: Bytes) -> float:
    """Read the duration in the header, from zero on; 0 in a broadcast's. FFmpeg gives none for a file that was cut."""
    head = source.at(0, _HEADER_BYTES)
    at = head.find(_FILE_PROPERTIES)
    if at < 0 or number(head, at + 88, 4, "little") & 1:
        return 0.0
    return number(head, at + 64, 8, "little") / 1e7 - number(head, at + 80, 8, "little") / 1e3


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
