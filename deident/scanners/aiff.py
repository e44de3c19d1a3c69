"""AIFF and AIFF-C. Apple (1989, 1991)."""

from __future__ import annotations

from deident.scanners.chunks import Chunk, Layout, add_claim, add_filler, walk
from deident.scanners.finding import Bytes, Notes
from deident.scanners.id3 import scan_id3
from deident.scanners.reader import number

CHUNKS = {
    b"NAME": "name", b"AUTH": "author", b"(c) ": "copyright", b"ANNO": "annotation",
    b"COMT": "comments, with their times", b"MARK": "markers", b"INST": "instrument settings",
    b"MIDI": "MIDI data", b"AESD": "channel status of the AES interface", b"APPL": "data of a program",
    b"SAXL": "accelerators of a codec", b"PEAK": "peaks, with the time of writing",
    b"FVER": "version of the format", b"basc": "loop settings", b"trns": "loop settings",
    b"cate": "loop categories",
    b"bext": "Broadcast Wave: description, originator, date, time, coding history",
    b"iXML": "iXML: project, scene, take, notes, tracks", b"XMP ": "XMP: creator, tool, dates, history",
    b"CHAN": "channel layout", b"DSDL": "data of a program", b"TIME": "time", b"LGWV": "Logic's settings",
}  # fmt: skip
_LAYOUT = Layout("aiff", order="big")
_FILLERS = (b"FLLR", b"PAD ", b"JUNK", b"FREE")
_VERSION = bytes.fromhex("a2805140")  # the only one there has been


def scan_aiff(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what an AIFF or AIFF-C file holds besides sound."""
    head = source.read(start, 12)
    if head[8:12] not in (b"AIFF", b"AIFC"):
        notes.add("container", source, start, stop, "an IFF file of another form than AIFF: not looked into")
        return
    end = start + 8 + number(head, 4, 4)
    end = stop if end < start + 12 or number(head, 4, 4) == 0 else min(end, stop)
    seen = set[bytes]()
    for chunk in walk(source, start + 12, end, _LAYOUT, notes):
        first = chunk.name not in seen
        seen.add(chunk.name)
        if chunk.name == b"COMM" and first:
            _common(source, chunk, notes, compressed=head[8:12] == b"AIFC")
        elif chunk.name == b"SSND" and first:
            _sound(source, chunk, notes)
        elif chunk.name == b"FVER" and first and source.read(chunk.body, chunk.stop - chunk.body) == _VERSION:
            continue
        elif chunk.name in (b"ID3 ", b"id3 "):
            scan_id3(source, chunk.body, chunk.stop, notes)
        elif chunk.name in _FILLERS:
            add_filler(notes, source, chunk, "aiff")
        elif chunk.name in (b"COMM", b"SSND"):
            notes.add(
                "aiff.second", source, chunk.start, chunk.stop, "a second chunk where one is meant to be"
            )
        else:
            what = CHUNKS.get(chunk.name)
            kind = f"aiff.{chunk.name.decode('latin-1').strip().lower()}" if what else "aiff.unknown"
            notes.add(kind, source, chunk.start, chunk.stop, what or "a chunk of unknown kind")
    notes.add("aiff.trailing", source, end, stop, "bytes after the end")


def _common(source: Bytes, chunk: Chunk, notes: Notes, compressed: bool) -> None:
    fields = chunk.body + 18
    if compressed:
        fields += 4
        length = number(source.read(fields, 1), 0, 1)
        stop = min(chunk.stop, fields + 1 + length)
        notes.add("aiff.compression", source, fields + 1, stop, "name of the compression")
        fields = stop + (1 + length) % 2
    notes.add("aiff.comm", source, fields, chunk.stop, "bytes after the fields of a chunk")


def _sound(source: Bytes, chunk: Chunk, notes: Notes) -> None:
    add_claim(notes, source, chunk, "aiff")
    offset = number(source.read(chunk.body, 4), 0, 4)
    stop = min(chunk.stop, chunk.body + 8 + offset)
    notes.add("aiff.offset", source, chunk.body + 8, stop, "bytes before the sound")
