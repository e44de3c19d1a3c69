"""MPEG audio: what encoders write of themselves, and what lies between frames. ISO 11172-3, 13818-3."""

from __future__ import annotations

from deident.containers.finding import Bytes, Notes
from deident.containers.mpeg import first_frame, frames
from deident.scanners.reader import is_zero

_ENCODERS = (b"LAME", b"Lavc", b"Lavf", b"GOGO", b"Xing", b"Info", b"VBRI")


def scan_mp3(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what MPEG audio holds besides frames, and the names encoders put into them."""
    first = first_frame(source, start, stop)
    named = set[bytes]()
    for at, header, _ in frames(source, stop if first is None else first, stop):
        _gap(source, start, at, notes)
        start = at + header.bytes
        if start > stop:
            notes.add("mp3.truncated", source, at, stop, "a frame that is cut short")
            return
        frame = source.at(at, header.bytes)
        if at == first:
            _header_frame(source, at, frame, notes, named)
        for name in _ENCODERS[:4]:
            if name in frame and name not in named:
                named.add(name)
                what = "an encoder's name and version"
                notes.add("mp3.encoder", source, at + frame.find(name), start, what)
    _gap(source, start, stop, notes)


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
