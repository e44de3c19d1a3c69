"""FLAC: metadata blocks, and what follows the last frame. RFC 9639."""

from __future__ import annotations

from deident.scanners.comments import scan_comments
from deident.scanners.finding import Bytes, Notes
from deident.scanners.reader import is_zero, number

STREAMINFO, PADDING, APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(7)
_BLOCKS = {
    APPLICATION: ("flac.application", "data of a program"),
    SEEKTABLE: ("flac.seektable", "seek points"),
    CUESHEET: ("flac.cuesheet", "cue sheet: catalogue number, recording codes, tracks"),
    PICTURE: ("flac.picture", "picture, with its description"),
}
_INFO_BYTES = 34
WINDOW = 1 << 18  # bytes in which a frame is looked for at once


def scan_flac(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note every metadata block but the one that a decoder needs, and what is behind the frames."""
    place, last, first = start + 4, False, True
    while not last and stop - place >= 4:
        source.step()
        head = source.read(place, 4)
        last = bool(head[0] & 0x80)
        end = min(stop, place + 4 + number(head, 1, 3))
        scan_block(source, place, end, notes, first=first)
        place, first = end, False
    _frames(source, place, stop, notes)


def scan_block(
    source: Bytes, start: int, stop: int, notes: Notes, *, first: bool, family: str = "flac"
) -> None:
    """Note one metadata block, header and all. first : it may be the STREAMINFO."""
    body, kind = start + 4, source.read(start, 1)[0] & 0x7F
    if kind == STREAMINFO and first:
        notes.add(
            f"{family}.streaminfo", source, body + _INFO_BYTES, stop, "bytes after the fields of a block"
        )
    elif kind == PADDING:
        empty = is_zero(source, body, stop)
        what = "padding, all zero" if empty else "padding that is not zero"
        notes.add(f"{family}.padding", source, start, stop, what)
    elif kind == COMMENT:
        end = scan_comments(source, body, stop, notes, family)
        notes.add(f"{family}.comment", source, end, stop, "bytes after the comments")
    else:
        name, what = _BLOCKS.get(kind, ("flac.unknown", "a block of unknown or repeated kind"))
        notes.add(name.replace("flac", family, 1), source, start, stop, what)


def _frames(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what lies before, behind and among the frames that is not theirs."""
    if start >= stop:
        return
    if not header_size(source.read(start, 16)):
        notes.add("flac.gap", source, start, stop, "bytes that are no frames")
        return
    notes.add("flac.trailing", source, _sound_end(source, start, stop), stop, "bytes after the last frame")
    begin = start
    while begin < stop:
        source.step()
        data = source.read(begin, WINDOW + 8)
        found = data.find(b"fLaC")
        if found >= 0 and data[found + 4 : found + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):
            notes.add("flac.second", source, begin + found, stop, "a second FLAC behind the first")
            return
        begin += WINDOW if found < 0 else found + 4


def _sound_end(source: Bytes, start: int, stop: int) -> int:
    """Where the last frame ends, as near as its checksum tells; earlier rather than later."""
    last = stop
    while last > start:
        source.step()
        first = max(start, last - WINDOW)
        data = source.read(first, min(stop, last + 16) - first)
        found = data.rfind(b"\xff", 0, last - first)
        while found >= 0:
            source.step()
            if header_size(data[found : found + 16]):
                return _frame_end(source, first + found, stop)
            found = data.rfind(b"\xff", 0, found)
        last = first
    return start


def _frame_end(source: Bytes, start: int, stop: int) -> int:
    """Where the frame that starts here ends. If it ends nowhere, it is none, or is cut short: `start`."""
    crc, place, ends = 0, start, 0
    while place < stop and place - start < 4 * WINDOW:
        source.step()
        data = source.read(place, WINDOW)
        for index, byte in enumerate(data):
            crc = (crc & 0xFF) << 8 ^ _CRC16[crc >> 8 ^ byte]
            if not crc and not ends and place + index > start + 8:
                ends = place + index + 1
        place += max(1, len(data))
    if place >= stop and not crc:
        return stop
    return ends or start


def header_size(head: bytes) -> int:
    """The bytes of the frame header that starts so, by its checksum, or 0. RFC 9639, section 9.1."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] & 0xF == 0xF:
        return 0
    coded = head[4]
    more = 0 if coded < 0x80 else 8 - (coded ^ 0xFF).bit_length() - 1
    if 0x80 <= coded < 0xC0 or coded == 0xFF:
        return 0
    size = 5 + more + {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 0xF, 0)
    crc = 0
    for byte in head[:size]:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return size + 1 if len(head) > size and head[size] == crc else 0


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x18005 if crc & 0x8000 else 0)
        table.append(crc)
    return tuple(table)


_CRC16 = _table()
