"""Matroska and WebM: tags, names, times and attachments. RFC 9559."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deident.containers.finding import MOST_OPEN, Bytes, Notes, ScanStop
from deident.containers.flac import MARK
from deident.containers.source import number
from deident.scanners.flac import scan_blocks
from deident.scanners.reader import is_zero

_INSIDE = {
    0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x1F43B675, 0xA0,  # segment, info, tracks, track, cluster, blocks
    0x1A45DFA3, 0x114D9B74, 0x4DBB, 0x1C53BB6B, 0xBB, 0xB7, 0xE1,  # head, places, places in time, audio
}  # fmt: skip
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
# What a player needs: numbers of 8 bytes at most, and three that are longer. Anything else is noted.
_NUMBERS = {
    0x4286, 0x42F7, 0x42F2, 0x42F3, 0x4287, 0x4285, 0x53AB, 0x53AC, 0xB3, 0xF7, 0xF1, 0xF0, 0xB2, 0x5378, 0xEA,
    0xB5, 0x78B5, 0x9F, 0x6264, 0x52F1, 0xBF, 0x2AD7B1, 0x4489, 0xD7, 0x83, 0x56AA, 0x56BB, 0x23E383, 0xB9, 0x88,
    0x55AA, 0x9C, 0x6DE7, 0xE7, 0xA7, 0xAB, 0x9B, 0xFB, 0x23314F, 0x75A2, 0x55EE, 0xAA,
}  # fmt: skip
_NAMES = {0x4282: re.compile(rb"(webm|matroska)\0*"), 0x86: re.compile(rb"[AVS]_[A-Z0-9/_.]{1,24}\0*")}
_ENTRY, _NUMBER, _TYPE, _CODEC, _SETUP, _BLOCKS = 0xAE, 0xD7, 0x83, 0x86, 0x63A2, (0xA3, 0xA1)
_SOUND = 2  # the type of a track
_FOREIGN_BLOCKS = 100  # of a track that is no sound are noted
_LONGEST_NUMBER, _LONGEST_NAME = 8, 64
_LONGEST_SETUP = 64  # bytes that set up an AAC decoder; it takes two to twenty
_MOST_VOID = 1 << 20


class _Tracks:
    """The tracks, and where some of the blocks of each lie."""

    def __init__(self) -> None:
        self.sound = set[int]()
        self.blocks = dict[int, list[tuple[int, int]]]()

    def block(self, track: int, start: int, stop: int) -> None:
        found = self.blocks.setdefault(track, [])
        if len(found) < _FOREIGN_BLOCKS and len(self.blocks) < _FOREIGN_BLOCKS:
            found.append((start, stop))

    def finish(self, source: Bytes, notes: Notes) -> None:
        for track, ranges in self.blocks.items():
            for start, stop in ranges if track not in self.sound else ():
                notes.add("matroska.block", source, start, stop, "a block of a track that is no sound")


def scan_matroska(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note every element that is not needed to decode the sound, and bytes that are no element."""
    work, tracks = [(start, stop)], _Tracks()
    while work:
        place, end = work.pop()
        for name, start, body, after in _elements(source, place, end):
            if len(work) > MOST_OPEN:
                raise ScanStop(f"more than {MOST_OPEN} pieces inside pieces")
            if name == _ENTRY:
                _track(source, start, body, after, tracks, notes)
            if name in _INSIDE:
                work.append((body, after))
            elif name in _BLOCKS:
                tracks.block(_number(source, body, keep=False)[0], start, after)
            elif name in _NUMBERS:
                notes.add("matroska.rest", source, body + _LONGEST_NUMBER, after, "bytes after a number")
            elif name in _NAMES:
                if not _NAMES[name].fullmatch(source.at(body, min(_LONGEST_NAME, after - body))):
                    notes.add("matroska.name", source, start, after, "a name of a format that is not known")
            elif name != _SETUP:
                _element(source, name, start, body, after, notes)
            place = after
        notes.add("matroska.gap", source, place, end, "bytes that are no element, or after the last")
    tracks.finish(source, notes)


def _elements(source: Bytes, place: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk over the elements in a range, up to bytes that are none: identifier, start, content, end."""
    while place < end:
        name, header = _number(source, place, keep=True)
        size, length = _number(source, place + header, keep=False)
        body = place + header + length
        if not header or not length or body > end:
            return
        unknown = size == (1 << 7 * length) - 1
        after = end if unknown else min(end, body + size)
        yield name, place, body, after
        place = after


def _track(source: Bytes, start: int, body: int, stop: int, tracks: _Tracks, notes: Notes) -> None:
    """Note a track that is no sound, and what a decoder does not need of the setup of one that is."""
    found = {name: (at, after) for name, _, at, after in _elements(source, body, stop)}

    def value(name: int) -> bytes:
        at, after = found.get(name, (0, 0))
        return source.at(at, min(_LONGEST_NAME, after - at))

    if int.from_bytes(value(_TYPE), "big") != _SOUND:
        notes.add("matroska.track", source, start, stop, "a track that is no sound")
    else:
        tracks.sound.add(int.from_bytes(value(_NUMBER), "big"))
    if _SETUP in found:
        _setup(source, value(_CODEC).rstrip(b"\0"), *found[_SETUP], notes)


def _setup(source: Bytes, codec: bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a setup holds besides: FLAC and Vorbis have their comments there."""
    head = source.at(start, 32)
    if codec == b"A_FLAC":
        start = scan_blocks(source, start + 4 * head.startswith(MARK), stop, notes, "matroska.flac")
    elif codec == b"A_OPUS":
        start += 19 if not number(head, 18, 1) else 21 + number(head, 9, 1)
    elif codec == b"A_VORBIS":
        notes.add("matroska.setup", source, start, stop, "headers of Vorbis, with its comments")
        return
    elif codec == b"A_MS/ACM":
        start += 18 + number(head, 16, 2, "little")
    else:
        start += _LONGEST_SETUP
    notes.add("matroska.setup", source, start, stop, "bytes after what sets up a decoder")


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
