"""MPEG audio: what encoders write of themselves, and what lies between frames. ISO 11172-3, 13818-3."""

from __future__ import annotations

from deident.containers.mpeg import first_frame, mpeg_frame, next_frame
from deident.scanners.finding import Bytes, Notes
from deident.scanners.reader import is_zero

_ENCODERS = (b"LAME", b"Lavc", b"Lavf", b"GOGO", b"Xing", b"Info", b"VBRI")


def scan_mp3(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what MPEG audio holds besides frames, and the names encoders put into them."""
    place = first_frame(source, start, stop)
    if place is None:
        notes.add("mp3.gap", source, start, stop, "bytes that are no MPEG frames")
        return
    _gap(source, start, place, notes)
    first, named = True, set[bytes]()
    while place < stop:
        header = mpeg_frame(source.at(place, 4))
        if header is None:
            begin, place = place, next_frame(source, place + 1, stop)
            _gap(source, begin, place, notes)
            continue
        end = place + header.bytes
        if end > stop:
            notes.add("mp3.truncated", source, place, stop, "a frame that is cut short")
            return
        frame = source.at(place, header.bytes)
        if first:
            _header_frame(source, place, frame, notes, named)
            first = False
        for name in _ENCODERS[:4]:
            if name in frame and name not in named:
                named.add(name)
                what = "an encoder's name and version"
                notes.add("mp3.encoder", source, place + frame.find(name), end, what)
        place = end


def _header_frame(source: Bytes, place: int, frame: bytes, notes: Notes, named: set[bytes]) -> None:
    """Note the first frame where it holds no sound but the counts and the settings of the encoder."""
    for name in _ENCODERS[4:]:
        found = frame.find(name, 0, 64)
        if found >= 0:
            what = "an encoder's header: counts, name, version, settings"
            notes.add(f"mp3.{name.decode().lower()}", source, place + found, place + len(frame), what)
            named.update(_ENCODERS[:4])
            return


def _gap(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    empty = start < stop and is_zero(source, start, stop)
    notes.add("mp3.gap", source, start, stop, f"bytes between frames{', all zero' if empty else ''}")
