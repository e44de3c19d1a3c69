"""FLAC's metadata blocks and frame headers (RFC 9639)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from deident.containers.source import Source, number

MARK = b"fLaC"
STREAM_STARTS = tuple(MARK + bytes([last, 0, 0, 34]) for last in (0x00, 0x80))
STREAMINFO, PADDING, APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(7)
INFO_BYTES = 34
_WINDOW = 1 << 18  # bytes in which a frame is looked for at once
_CANDIDATES = 3
_LARGEST = 65_536 * 8 * 4 + _WINDOW  # bytes of a frame


class MetadataBlock(NamedTuple):
    kind: int
    start: int
    body: int
    stop: int


def metadata_blocks(source: Source, start: int, stop: int) -> Iterator[MetadataBlock]:
    """Walk over the metadata blocks that begin at `start`; the last one may be cut (section 8.1)."""
    is_last = False
    while not is_last and stop - start >= 4:
        head = source.at(start, 4)
        is_last = bool(head[0] & 0x80)
        end = min(stop, start + 4 + number(head, 1, 3))
        yield MetadataBlock(head[0] & 0x7F, start, start + 4, end)
        start = end


class StreamInfo(NamedTuple):
    """STREAMINFO. least, most : samples of a frame. total : samples of the stream, 0 if unknown."""

    least: int
    most: int
    rate: int
    channels: int
    bits: int
    total: int


def stream_info(body: bytes) -> StreamInfo:
    """Read the 34 bytes of a STREAMINFO block (section 8.2)."""
    packed = number(body, 10, 8)
    sound = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    return StreamInfo(number(body, 0, 2), number(body, 2, 2), *sound, packed & (1 << 36) - 1)


class FrameHeader(NamedTuple):
    """Header of a frame. bytes : its size. number : of the frame, or of its first sample where `is_variable`.
    samples : of the frame. rate, bits : 0 where STREAMINFO says them.
    """

    bytes: int
    number: int
    samples: int
    is_variable: bool
    rate: int
    channels: int
    bits: int

    def end(self, info: StreamInfo) -> int:
        """Count the samples of the stream up to the end of this frame."""
        is_variable = self.is_variable or info.least != info.most  # as files of before 2007 have it
        most = max(info.most, self.samples)  # 65,536 is more than STREAMINFO can say
        return (self.number if is_variable else self.number * most) + self.samples

    def is_like(self, info: StreamInfo) -> bool:
        """Tell whether its sound is what STREAMINFO announces."""
        is_same = self.rate in (0, info.rate) and self.bits in (0, info.bits)
        return is_same and self.channels == info.channels


_RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_RATE_FIELDS = {12: (1, 1_000), 13: (2, 1), 14: (2, 10)}  # by code: bytes, Hz
_BITS = (0, 8, 12, 0, 16, 20, 24, 32)


def frame_header(head: bytes) -> FrameHeader | None:
    """Read the frame header that starts so, by its checksum, or None (section 9.1)."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[3] >> 4 > 10:
        return None
    size_code, rate_code, channels = head[2] >> 4, head[2] & 0x0F, head[3] >> 4
    value, used = _coded_number(head[4:11])
    if not used or rate_code == 0x0F or not size_code:
        return None
    at = 4 + used
    extra = {6: 1, 7: 2}.get(size_code, 0)
    if extra:
        samples = number(head, at, extra) + 1
    elif size_code < 6:
        samples = 192 if size_code == 1 else 576 << (size_code - 2)
    else:
        samples = 256 << (size_code - 8)
    at += extra
    field, unit = _RATE_FIELDS.get(rate_code, (0, 1))
    rate = number(head, at, field) * unit if field else _RATES[rate_code]
    at += field
    if at >= len(head) or crc8(head[: at + 1]):
        return None
    sound = rate, channels + 1 if channels < 8 else 2, _BITS[head[3] >> 1 & 7]
    return FrameHeader(at + 1, value, samples, bool(head[1] & 1), *sound)


def _coded_number(raw: bytes) -> tuple[int, int]:
    """Read (value, bytes used) of a number coded like UTF-8; (0, 0) when malformed."""
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


class LastFrame(NamedTuple):
    """A frame near the end. start, stop : positions, equal where it is cut short."""

    start: int
    stop: int
    header: FrameHeader


def last_frame(source: Source, start: int, stop: int) -> LastFrame | None:
    """Find the last frame before `stop`. Bytes within a frame may look like a header: of the last few, one is
    preferred whose checksum reaches to `stop`.
    """
    headers = itertools.islice(headers_from_end(source, start, stop), _CANDIDATES)
    frames = [LastFrame(at, _frame_end(source, at, stop), header) for at, header in headers]
    return next((frame for frame in frames if frame.stop == stop), frames[0] if frames else None)


def frames_end(source: Source, start: int, stop: int, info: StreamInfo) -> int:
    """Find where the frame ends that holds the last of the announced samples; `stop` where there is none."""
    for at, header in headers_from_end(source, start, stop):
        if (
            header.end(info) == info.total
            and header.is_like(info)
            and (end := _frame_end(source, at, stop)) > at
        ):
            return end
    return stop


def headers_from_end(source: Source, start: int, stop: int) -> Iterator[tuple[int, FrameHeader]]:
    """Find what looks like frame headers, from the last to the first, as (position, header)."""
    last = stop
    while last > start:
        first = max(start, last - _WINDOW)
        data = source.at(first, min(stop, last + 16) - first)
        found = data.rfind(b"\xff", 0, last - first)
        while found >= 0:
            if header := frame_header(data[found : found + 16]):
                yield first + found, header
            found = data.rfind(b"\xff", 0, found)
        last = first


def _frame_end(source: Source, start: int, stop: int) -> int:
    """Find where the frame that starts here ends, by its checksum: at `stop`, or else where it first holds. If
    it ends nowhere, it is none, or is cut short: `start`.
    """
    crc, at, ends = 0, start, 0
    table = _table(16, 0x8005)
    while at < stop and at - start < _LARGEST:
        data = source.at(at, min(_WINDOW, stop - at))
        for index, byte in enumerate(data):
            crc = (crc & 0xFF) << 8 ^ table[crc >> 8 ^ byte]
            if not crc and not ends and at + index > start + 8:
                ends = at + index + 1
        at += max(1, len(data))
    return stop if at >= stop and not crc else ends or start


def crc8(data: bytes) -> int:
    """Compute a checksum, which is zero when the last byte is that of those before it."""
    table, crc = _table(8, 0x07), 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def crc16(data: bytes) -> int:
    """Compute the checksum of a frame, which is zero when the last two bytes are that of those before them."""
    table, crc = _table(16, 0x8005), 0
    for byte in data:
        crc = (crc & 0xFF) << 8 ^ table[crc >> 8 ^ byte]
    return crc


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
