"""AIFF and AIFF-C. Apple (1989, 1991)."""

from __future__ import annotations

from deident.containers.chunks import RIFX, Chunk
from deident.containers.finding import Bytes, Notes
from deident.containers.headers import aiff_format
from deident.containers.source import number
from deident.scanners.chunks import add_chunk, add_claim, add_filler, add_rest, add_second, walk
from deident.scanners.id3 import scan_id3

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
_PLAIN = (b"NONE", b"none", b"twos", b"sowt", b"in24", b"in32", b"42n1")
_WIDTHS = {
    b"fl32": 4,
    b"FL32": 4,
    b"fl64": 8,
    b"FL64": 8,
    b"ulaw": 1,
    b"ULAW": 1,
    b"alaw": 1,
    b"ALAW": 1,
    b"raw ": 1,
}
_PACKETS = {b"ima4": (1, 34), b"GSM ": (160, 33)}  # what COMM counts in a packet, and its bytes for a channel
_FILLERS = (b"FLLR", b"PAD ", b"JUNK", b"FREE")
_VERSION = bytes.fromhex("a2805140")  # the only one there has been


def scan_aiff(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what an AIFF or AIFF-C file holds besides sound."""
    head = source.at(start, 12)
    end = start + 8 + number(head, 4, 4)
    end = stop if end < start + 12 or number(head, 4, 4) == 0 else min(end, stop)
    seen = set[bytes]()
    sound = common = None
    for chunk in walk(source, start + 12, end, RIFX, "aiff", notes):
        first = chunk.name not in seen
        seen.add(chunk.name)
        if chunk.name == b"COMM" and first:
            common = chunk
            _common(source, chunk, notes, compressed=head[8:12] == b"AIFC")
        elif chunk.name == b"SSND" and first:
            sound = chunk
            add_claim(notes, source, chunk, "aiff")
        elif chunk.name == b"FVER" and first and source.at(chunk.body, chunk.stop - chunk.body) == _VERSION:
            continue
        elif chunk.name in (b"ID3 ", b"id3 "):
            scan_id3(source, chunk.body, chunk.stop, notes)
        elif chunk.name in _FILLERS:
            add_filler(notes, source, chunk, "aiff")
        elif chunk.name in (b"COMM", b"SSND"):
            add_second(notes, source, chunk, "aiff")
        else:
            add_chunk(notes, source, chunk, "aiff", CHUNKS)
    if sound:
        _sound(source, sound, source.at(common.body, min(22, common.claimed)) if common else b"", notes)
    notes.add("aiff.trailing", source, end, stop, "bytes after the end")


def _common(source: Bytes, chunk: Chunk, notes: Notes, compressed: bool) -> None:
    """Note the name of the compression, and bytes after the fields of COMM."""
    fields = chunk.body + 18
    if compressed:
        fields += 4
        length = number(source.at(fields, 1), 0, 1)
        stop = min(chunk.stop, fields + 1 + length)
        notes.add("aiff.compression", source, fields + 1, stop, "name of the compression")
        fields = stop + (1 + length) % 2
    add_rest(notes, source, chunk, "aiff.comm", fields - chunk.body)


def _sound(source: Bytes, chunk: Chunk, common: bytes, notes: Notes) -> None:
    """Note what lies before the sound, and behind as much of it as is announced."""
    start = chunk.body + 8 + number(source.at(chunk.body, 4), 0, 4)
    notes.add("aiff.offset", source, chunk.body + 8, min(chunk.stop, start), "bytes before the sound")
    if len(common) < 18:
        return
    found = aiff_format(common)
    width = _WIDTHS.get(found.compression, (found.bits + 7) // 8 if found.compression in _PLAIN else 0)
    counted, size = _PACKETS.get(found.compression, (1, width))
    if not size:
        what = "compressed sound of another kind: its end cannot be told"
        notes.add("aiff.compressed", source, start, chunk.stop, what)
    elif chunk.is_whole:
        end = start + -(-found.frames // counted) * found.channels * size
        notes.add("aiff.behind", source, end, chunk.stop, "bytes after the samples that are announced")
