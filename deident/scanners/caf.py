"""Apple's Core Audio Format (2006)."""

from __future__ import annotations

from deident.containers.chunks import CAF
from deident.containers.source import number
from deident.scanners.chunks import add_chunk, add_claim, add_filler, add_rest, add_second, walk
from deident.scanners.finding import Bytes, Notes

CHUNKS = {
    b"info": "names and values: title, artist, dates, notes", b"mark": "markers", b"regn": "regions",
    b"inst": "instrument settings", b"midi": "MIDI data", b"ovvw": "waveform overview", b"peak": "peaks",
    b"strg": "names of markers and regions", b"umid": "material identifier", b"uuid": "data of a program",
    b"edct": "count of edits",
}  # fmt: skip
_NEEDED = (b"desc", b"pakt", b"kuki", b"chan", b"ldsc")  # a decoder needs these
_TO_THE_END = (1 << 64) - 1
_DESCRIPTION = 32


def scan_caf(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a CAF file holds besides sound."""
    seen = set[bytes]()
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
            if number(source.at(chunk.body, 4), 0, 4):
                notes.add("caf.edits", source, chunk.body, chunk.body + 4, "count of edits")
        elif chunk.name == b"desc":
            add_rest(notes, source, chunk, "caf.desc", _DESCRIPTION)
        elif chunk.name == b"kuki":
            notes.add("caf.kuki", source, chunk.body, chunk.stop, "data that the codec needs")
