"""Matroska and WebM: tags, names, times and attachments. RFC 9559."""

from __future__ import annotations

from deident.containers.finding import MOST_OPEN, Bytes, Notes, ScanStop
from deident.scanners.reader import is_zero

_INSIDE = {
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0xAE,
    0x1F43B675,
    0xA0,
}  # segment, info, tracks, track, cluster
_WHAT = {
    0x7BA9: ("title", "title"), 0x4D80: ("muxer", "the muxer's name and version"),
    0x5741: ("writer", "the writing program's name and version"), 0x4461: ("date", "the time of recording"),
    0x73A4: ("uid", "identifier"), 0x7384: ("filename", "file name"), 0x3CB923: ("uid", "identifier"),
    0x3C83AB: ("filename", "file name"), 0x3EB923: ("uid", "identifier"), 0x3E83BB: ("filename", "file name"),
    0x4444: ("uid", "identifier"), 0x1254C367: ("tags", "tags"),
    0x1941A469: ("attachments", "attached files"), 0x1043A770: ("chapters", "chapters"),
    0x536E: ("name", "a track's name"), 0x73C5: ("uid", "identifier"), 0x22B59C: ("language", "language"),
    0x22B59D: ("language", "language"), 0x258688: ("codec", "a codec's name"), 0xEC: ("void", "unused space"),
    0x75A1: ("additions", "data beside a block"),
}  # fmt: skip
# What a player needs, by the element's identifier: anything else is noted.
_NEEDED = {
    0x1A45DFA3, 0x114D9B74, 0x1C53BB6B, 0xBF, 0x2AD7B1, 0x4489, 0xD7, 0x83, 0x86, 0x63A2, 0xE1, 0x56AA,
    0x56BB, 0x23E383, 0xB9, 0x88, 0x55AA, 0x9C, 0x6DE7, 0xE7, 0xA7, 0xAB, 0xA3, 0xA1, 0x9B, 0xFB, 0x6D80,
    0x23314F, 0x75A2, 0x55EE, 0xAA,
}  # fmt: skip
_MOST_VOID = 1 << 20


def scan_matroska(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note every element that is not needed to decode the sound, and bytes that are no element."""
    work = [(start, stop)]
    while work:
        place, end = work.pop()
        while place < end:
            if len(work) > MOST_OPEN:
                raise ScanStop(f"more than {MOST_OPEN} pieces inside pieces")
            name, header = _number(source, place, keep=True)
            size, length = _number(source, place + header, keep=False)
            body = place + header + length
            if not header or not length or body > end:
                notes.add("matroska.gap", source, place, end, "bytes that are no element, or after the last")
                break
            unknown = size == (1 << 7 * length) - 1
            after = end if unknown else min(end, body + size)
            if name in _INSIDE:
                work.append((body, after))
            elif name not in _NEEDED:
                _element(source, name, place, body, after, notes)
            place = after


def _element(source: Bytes, name: int, start: int, body: int, stop: int, notes: Notes) -> None:
    kind, what = _WHAT.get(name, ("unknown", "an element of another kind"))
    if kind == "void":
        empty = stop - body < _MOST_VOID and is_zero(source, body, stop)
        what += ", all zero" if empty else " that is not zero"
    notes.add(f"matroska.{kind}", source, start, stop, what)


def _number(source: Bytes, place: int, keep: bool) -> tuple[int, int]:
    """Read a number of variable length and its bytes, or (0, 0).   keep : with the marker of its length."""
    data = source.at(place, 8)
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length or (keep and length > 4):
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    return (value if keep else value & ((1 << 7 * length) - 1)), length
