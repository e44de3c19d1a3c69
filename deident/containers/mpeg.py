"""MPEG audio frames (ISO/IEC 11172-3, 13818-3, 13818-7), and what encoders write into the first one."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from deident.containers.source import Source

SEARCHED = 1 << 16  # bytes in which frames must begin
HEAD_BYTES = 192  # of a frame, enough for an encoder's tag
CHAIN = 4  # frames in a row that are no coincidence
_LAYER_1 = 384  # samples a frame
_LONGEST_ADTS = 1 << 13  # bytes of a frame

# kbit/s by layer, for MPEG 1 and for MPEG 2 and 2.5
_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class MpegFrame(NamedTuple):
    """Header of a frame. side_info : bytes between it and a Xing tag. kind : version and layer, and the rate."""

    bytes: int
    samples: int
    rate: int
    channels: int
    side_info: int
    kind: tuple[int, int]


def mpeg_frame(head: bytes) -> MpegFrame | None:
    """Read the MPEG audio frame header that starts so, or None (free format is not supported)."""
    return _frame(head[1:4]) if head[:1] == b"\xff" and len(head) >= 4 else None


@functools.lru_cache(maxsize=1 << 12)
def _frame(head: bytes) -> MpegFrame | None:
    """Parse an MPEG audio frame header from its second byte on."""
    version, layer = head[0] >> 3 & 3, 4 - (head[0] >> 1 & 3)
    bitrate, rate_index, padding = head[1] >> 4, head[1] >> 2 & 3, head[1] >> 1 & 1
    if head[0] & 0xE0 != 0xE0 or version == 1 or layer == 4 or bitrate in (0, 15) or rate_index == 3:
        return None
    low = version != 3
    kbits, rate = _KBITS[2 if low else 1, layer][bitrate], _RATES[version][rate_index]
    channels, kind = 1 if head[2] >> 6 == 3 else 2, (head[0] & 0xFE, rate)
    if layer == 1:
        return MpegFrame((12_000 * kbits // rate + padding) * 4, _LAYER_1, rate, channels, 0, kind)
    samples = 576 if low and layer == 3 else 1152
    side_info = 9 if low and channels == 1 else 32 if not low and channels == 2 else 17
    size = samples // 8 * 1000 * kbits // rate + padding
    return MpegFrame(size, samples, rate, channels, side_info, kind)


def first_frame(source: Source, start: int, stop: int) -> int | None:
    """Find the first MPEG audio frame: behind zeros, if two follow each other or there is but one, or else behind
    other bytes, such as part of a frame in what was cut from a stream, if more do.
    """
    head = source.at(start, min(SEARCHED, stop - start))
    at = start + len(head) - len(head.lstrip(b"\x00"))
    if is_chain(source, at, stop, 2, may_end=True):
        return at
    return _search(source, at + 1, min(stop, start + SEARCHED), stop, strict=True)


def frames(source: Source, start: int, stop: int) -> Iterator[tuple[int, MpegFrame, bytes]]:
    """Walk over the frames as (position, header, first bytes); bytes between frames are passed over. The last frame
    may be cut.

    A frame of another kind than the one before it counts if another one follows it.
    """
    kind, at = None, start
    while at < stop:
        head = source.at(at, min(HEAD_BYTES, stop - at))
        frame = mpeg_frame(head)
        if frame is None or (
            kind not in (None, frame.kind) and not is_chain(source, at, stop, 2, may_end=True)
        ):
            at = _next_frame(source, at + 1, stop)
            continue
        yield at, frame, head
        kind = frame.kind
        at += frame.bytes


def _next_frame(source: Source, start: int, stop: int) -> int:
    """Find where frames go on after bytes that are none, or `stop`."""
    while start < stop:
        found = _search(source, start, min(stop, start + SEARCHED), stop, strict=False)
        if found is not None:
            return found
        start += SEARCHED
    return stop


def _search(source: Source, start: int, last: int, stop: int, strict: bool) -> int | None:
    """Find the first frame between two positions that others follow."""
    data = source.at(start, last - start + 3)
    at = data.find(b"\xff", 0, last - start)
    wanted = CHAIN if strict else CHAIN - 1
    while at >= 0:
        frame = mpeg_frame(data[at : at + 4])
        is_short = strict and frame and frame.samples == _LAYER_1  # any 0xFF would do for its short frames
        if frame and not is_short and is_chain(source, start + at, stop, wanted, may_end=not strict):
            return start + at
        at = data.find(b"\xff", at + 1, last - start)
    return None


def is_chain(source: Source, at: int, stop: int, wanted: int, may_end: bool) -> bool:
    """Tell `wanted` frames of one kind that follow each other, the first of them whole.

    may_end : fewer will do where the bytes end.
    """
    kind = None
    for count in range(wanted):
        if count and at + 4 > stop:
            return may_end
        frame = mpeg_frame(source.at(at, 4))
        if frame is None or kind not in (None, frame.kind) or (not count and at + frame.bytes > stop):
            return False
        kind = frame.kind
        at += frame.bytes
    return True


class EncoderTag(NamedTuple):
    """Xing tag with LAME's extension, which fills a frame without sound; 0 where it claims nothing."""

    frames: int
    bytes: int
    delay: int
    padding: int


def encoder_tag(frame: MpegFrame, data: bytes) -> EncoderTag | None:
    """Read the Xing tag in the bytes of a frame, if there is one."""
    tag = data[4 + frame.side_info :]
    if tag[:4] not in (b"Xing", b"Info") or len(tag) < 8:
        return None
    flags, at, values = int.from_bytes(tag[4:8], "big"), 8, [0, 0]
    for index in (0, 1):
        if flags >> index & 1 and len(tag) >= at + 4:
            values[index] = struct.unpack(">I", tag[at : at + 4])[0]
            at += 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = tag[at + 21 : at + 24]
    packed = int.from_bytes(lame, "big") if len(lame) == 3 and tag[at : at + 1].isalpha() else 0
    return EncoderTag(values[0], values[1], packed >> 12, packed & 0xFFF)


def silent_frame(head: bytes) -> bytes:
    """Make the layer III frame without any sound that may follow the one with this header."""
    flags = bytes([0xFF, head[1] | 1, head[2], head[3]])  # no checksum
    frame = mpeg_frame(flags)
    return flags.ljust(frame.bytes if frame else 4, b"\0")


def first_adts(source: Source, start: int, stop: int) -> int | None:
    """Find the first frame of AAC in ADTS (ISO/IEC 13818-7, section 6.2): behind zeros or, if many follow, behind part
    of a frame in what was cut from a stream.
    """
    head = source.at(start, min(SEARCHED, stop - start))
    at = len(head) - len(head.lstrip(b"\x00"))
    if _is_adts_chain(head, at, 1):
        return start + at
    at = head.find(b"\xff")
    while 0 <= at < _LONGEST_ADTS:
        if _is_adts_chain(head, at, CHAIN):
            return start + at
        at = head.find(b"\xff", at + 1)
    return None


def is_adts(source: Source, start: int, stop: int) -> bool:
    """Tell AAC in ADTS frames, which has no magic bytes."""
    return first_adts(source, start, stop) is not None


def _is_adts_chain(data: bytes, at: int, wanted: int) -> bool:
    """Tell ADTS frames with the same fixed header that follow each other, and another one or the end behind them."""
    first = data[at : at + 3]
    for _ in range(wanted):
        head = data[at : at + 7]
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) == 7 else 0
        if length <= 7 or head[:3] != first or not _is_adts_sync(head):
            return False
        at += length
    return len(data) < at + 2 or _is_adts_sync(data[at : at + 2])


def _is_adts_sync(head: bytes) -> bool:
    return head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def is_mpeg(source: Source, start: int, stop: int) -> bool:
    """Tell MPEG audio, layer I to III, which has no magic bytes."""
    return first_frame(source, start, stop) is not None
