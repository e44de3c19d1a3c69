"""What a FLAC stream says about its own end (RFC 9639), since libsndfile stops at the first trouble."""

from __future__ import annotations

import functools
from typing import NamedTuple

from deident.codec.containers import id3_bytes
from deident.codec.files import Bytes

_MARK = b"fLaC"
_STREAM_STARTS = tuple(_MARK + bytes([last, 0, 0, 34]) for last in (0x00, 0x80))
_SCAN = 1 << 20
_TAIL = 1 << 18
_CANDIDATES = 3


class Frame(NamedTuple):
    """A frame near the end of a stream, as its header has it."""

    end: int  # samples of the stream up to here, this frame included
    rest: bytes  # from its first byte to the end of the file

    def is_whole(self) -> bool:
        """Whether it ends where the file ends, and its checksum holds."""
        return _crc(self.rest, 16, 0x8005) == 0


def links(source: Bytes) -> list[Bytes]:
    """The FLAC streams in a file, normally one: files glued together hold more,
    and a decoder stops after the first."""
    at, starts = id3_bytes(source), []
    overlap = len(_STREAM_STARTS[0]) - 1
    while piece := source.at(at, _SCAN + overlap):
        for mark in _STREAM_STARTS:
            found = piece.find(mark)
            while found >= 0:
                starts.append(at + found)
                found = piece.find(mark, found + 1)
        at += _SCAN
    starts = sorted(set(starts)) or [id3_bytes(source)]
    return [source.window(a, b) for a, b in zip(starts, [*starts[1:], source.size], strict=True)]


def total_samples(stream: Bytes) -> int:
    """What STREAMINFO announces; 0 is unknown."""
    return int.from_bytes(stream.at(21, 5), "big") & (2**36 - 1)


def last_frame(stream: Bytes) -> Frame | None:
    """The last frame in the stream's final quarter megabyte, None when there is none.

    Bytes within a frame may look like a header; one whose checksum reaches to the end is preferred."""
    tail = stream.at(max(0, stream.size - _TAIL), _TAIL)
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    block = int.from_bytes(stream.at(10, 2), "big")  # largest block size: the only one where blocks are fixed
    at = len(tail)
    candidates: list[Frame] = []
    while len(candidates) < _CANDIDATES and (at := tail.rfind(b"\xff", 0, at)) >= 0:
        if end := _frame_end(tail[at : at + 16], block):
            candidates.append(Frame(end, tail[at:]))
    return next((frame for frame in candidates if frame.is_whole()), candidates[0] if candidates else None)


def _frame_end(head: bytes, fixed_block: int) -> int:
    """The position after a frame, from its header; 0 when these bytes are no frame header (section 9.1)."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] & 0x0F == 0x0F or head[2] >> 4 == 0:
        return 0
    number, used = _coded_number(head[4:])
    if not used:
        return 0
    at, size_code = 4 + used, head[2] >> 4
    if size_code == 1:
        size = 192
    elif size_code <= 5:
        size = 576 << (size_code - 2)
    elif size_code <= 7:
        extra = size_code - 5
        size = int.from_bytes(head[at : at + extra], "big") + 1
        at += extra
    else:
        size = 256 << (size_code - 8)
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 0x0F, 0)
    if at >= len(head) or _crc(head[: at + 1], 8, 0x07):
        return 0
    return number + size if head[1] & 1 else number * fixed_block + size


def _coded_number(raw: bytes) -> tuple[int, int]:
    """(value, bytes used) of a number coded like UTF-8; (0, 0) when malformed."""
    if not raw:
        return 0, 0
    if raw[0] < 0x80:
        return raw[0], 1
    length = 8 - (raw[0] ^ 0xFF).bit_length()
    tail = raw[1:length]
    if not 2 <= length <= 7 or len(tail) != length - 1 or any(byte >> 6 != 2 for byte in tail):
        return 0, 0
    value = raw[0] & (0x7F >> length)
    for byte in tail:
        value = value << 6 | byte & 0x3F
    return value, length


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """Zero when the last bytes are the checksum of those before them."""
    table, mask, value = _table(bits, polynomial), (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 ^ table[value >> (bits - 8) ^ byte]) & mask
    return value


@functools.cache
def _table(bits: int, polynomial: int) -> list[int]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for byte in range(256):
        entry = byte << (bits - 8)
        for _ in range(8):
            entry = (entry << 1 ^ polynomial if entry & top else entry << 1) & mask
        table.append(entry)
    return table
