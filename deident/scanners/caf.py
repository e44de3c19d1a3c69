"""Apple's Core Audio Format (2006)."""

from __future__ import annotations

from deident.containers.chunks import CAF, Chunk
from deident.containers.finding import Bytes, Notes
from deident.containers.headers import CafFormat, caf_format
from deident.containers.source import number
from deident.scanners.chunks import add_chunk, add_claim, add_filler, add_rest, add_second, walk

CHUNKS = {
    b"info": "names and values: title, artist, dates, notes", b"mark": "markers", b"regn": "regions",
    b"inst": "instrument settings", b"midi": "MIDI data", b"ovvw": "waveform overview", b"peak": "peaks",
    b"strg": "names of markers and regions", b"umid": "material identifier", b"uuid": "data of a program",
    b"edct": "count of edits", b"ldsc": "layout of layers",
}  # fmt: skip
_NEEDED = (b"desc", b"pakt", b"kuki", b"chan")  # a decoder needs these
_TO_THE_END = (1 << 64) - 1
_DESCRIPTION = 32
_TABLE = 1 << 14


def scan_caf(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a CAF file holds besides sound."""
    seen = set[bytes]()
    found = sound = size = None
    for chunk in walk(source, start + 8, stop, CAF, "caf", notes):
        first = chunk.name not in seen
        seen.add(chunk.name)
        if chunk.name == b"free":
            add_filler(notes, source, chunk, "caf")
        elif chunk.name != b"data" and chunk.name not in _NEEDED:
            add_chunk(notes, source, chunk, "caf", CHUNKS)
        elif not first:
            add_second(notes, source, chunk, "caf")
        elif chunk.name == b"data":
            if chunk.claimed != _TO_THE_END:
                add_claim(notes, source, chunk, "caf")
            sound = chunk
            if number(source.at(chunk.body, 4), 0, 4):
                notes.add("caf.edits", source, chunk.body, chunk.body + 4, "count of edits")
        elif chunk.name == b"desc":
            found = caf_format(source.at(chunk.body, _DESCRIPTION).ljust(_DESCRIPTION, b"\0"))
            add_rest(notes, source, chunk, "caf.desc", _DESCRIPTION)
        elif chunk.name == b"kuki":
            notes.add("caf.kuki", source, chunk.body, chunk.stop, "data that the codec needs")
        elif chunk.name == b"chan":
            count = number(source.at(chunk.body, 12), 8, 4)
            add_rest(notes, source, chunk, "caf.chan", 12 + 20 * count)
        else:
            size = _packets(source, chunk, found, notes)
    if sound and size is not None and sound.is_whole:
        end = sound.body + 4 + size
        notes.add("caf.behind", source, end, sound.stop, "bytes after the packets that are announced")


def _packets(source: Bytes, chunk: Chunk, found: CafFormat | None, notes: Notes) -> int | None:
    """Note a packet table where packets are all alike, and what follows the entries of one. Returns the bytes of all
    packets, None where it does not tell them.
    """
    if found and found.packet_bytes and found.packet_frames:
        notes.add("caf.pakt", source, chunk.start, chunk.stop, "a table of packets that are all alike")
        return None
    count = number(source.at(chunk.body, 8), 0, 8)
    has_frames = bool(found and not found.packet_bytes and not found.packet_frames)
    at, size, read, value = chunk.body + 24, 0, 0, 0
    while read < count << has_frames and at < chunk.stop:
        for byte in source.at(at, min(_TABLE, chunk.stop - at)):
            at += 1
            value = value << 7 & 0xFFFFFFFF | byte & 0x7F
            if byte < 0x80:
                size += 0 if has_frames and read % 2 else value
                read, value = read + 1, 0
                if read == count << has_frames:
                    break
    notes.add("caf.pakt", source, at, chunk.stop, "bytes after the table of packets")
    if read < count << has_frames or not found:
        return None
    return count * found.packet_bytes if found.packet_bytes else size
