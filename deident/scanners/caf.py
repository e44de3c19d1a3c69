"""Apple's Core Audio Format (2006)."""

from __future__ import annotations

from deident.scanners.chunks import Layout, add_claim, add_filler, walk
from deident.scanners.finding import Bytes, Notes
from deident.scanners.reader import number

CHUNKS = {
    b"info": "names and values: title, artist, dates, notes", b"mark": "markers", b"regn": "regions",
    b"inst": "instrument settings", b"midi": "MIDI data", b"ovvw": "waveform overview", b"peak": "peaks",
    b"strg": "names of markers and regions", b"umid": "material identifier", b"uuid": "data of a program",
    b"edct": "count of edits",
}  # fmt: skip
_NEEDED = (b"desc", b"pakt", b"kuki", b"chan", b"ldsc")  # a decoder needs these
_LAYOUT = Layout("caf", size_bytes=8, order="big", align=1)
_TO_THE_END = (1 << 64) - 1
_DESCRIPTION = 32


def scan_caf(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what a CAF file holds besides sound."""
    seen = set[bytes]()
    for chunk in walk(source, start + 8, stop, _LAYOUT, notes):
        first = chunk.name not in seen
        seen.add(chunk.name)
        if chunk.name == b"data" and first:
            if chunk.claimed != _TO_THE_END:
                add_claim(notes, source, chunk, "caf")
            if number(source.read(chunk.body, 4), 0, 4):
                notes.add("caf.edits", source, chunk.body, chunk.body + 4, "count of edits")
        elif chunk.name == b"desc" and first:
            notes.add(
                "caf.desc", source, chunk.body + _DESCRIPTION, chunk.stop, "bytes after the fields of a chunk"
            )
        elif chunk.name in _NEEDED and first:
            if chunk.name == b"kuki":
                notes.add("caf.kuki", source, chunk.body, chunk.stop, "data that the codec needs")
        elif chunk.name == b"free":
            add_filler(notes, source, chunk, "caf")
        else:
            what = CHUNKS.get(chunk.name)
            kind = f"caf.{chunk.name.decode('latin-1')}" if what else "caf.unknown"
            if chunk.name == b"data" or chunk.name in _NEEDED:
                kind, what = "caf.second", "a second chunk where one is meant to be"
            notes.add(kind, source, chunk.start, chunk.stop, what or "a chunk of unknown kind")
