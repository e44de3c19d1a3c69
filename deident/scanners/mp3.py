"""MPEG audio: frames, what encoders write of themselves, and what lies between. ISO 11172-3, 13818-3."""

from __future__ import annotations

from deident.scanners.finding import Bytes, Notes
from deident.scanners.reader import BLOCK, is_zero

SEARCH = 1 << 16  # bytes in which the first frame must start
_CHAIN = 3  # frames in a row that make a beginning
_RATES = ((11025, 12000, 8000), (0, 0, 0), (22050, 24000, 16000), (44100, 48000, 32000))  # by version
_KBITS = {  # by (version is 1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_ENCODERS = (b"LAME", b"Lavc", b"Lavf", b"GOGO", b"Xing", b"Info", b"VBRI")


def frame_size(head: bytes) -> int:
    """All bytes of the frame whose four first bytes these are, or 0 if none starts so."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, bits = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate == 3 or bits in (0, 15):
        return 0
    hertz, padding = _RATES[version][rate], head[2] >> 1 & 1
    kbits = _KBITS[version == 3, layer][bits]
    if layer == 1:
        return (12_000 * kbits // hertz + padding) * 4
    return (72_000 if layer == 3 and version != 3 else 144_000) * kbits // hertz + padding


def first_frame(source: Bytes, start: int, stop: int) -> int | None:
    """Where frames begin, if they do near `start`."""
    last = min(stop, start + SEARCH)
    data = source.read(start, last - start)
    place = data.find(b"\xff")
    while place >= 0:
        source.step()
        if frame_size(data[place : place + 4]) and _chain(source, start + place, stop):
            return start + place
        place = data.find(b"\xff", place + 1)
    return None


def _chain(source: Bytes, place: int, stop: int) -> bool:
    """Whether frames follow each other from here, as far as there are bytes."""
    for count in range(_CHAIN):
        if place == stop and count:
            return True
        size = frame_size(source.read(place, 4))
        if not size or (place + size > stop and not count):
            return False
        place += size
        if place > stop:
            return True
    return True


def scan_mp3(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what MPEG audio holds besides frames, and the names encoders put into them."""
    place = first_frame(source, start, stop)
    if place is None:
        notes.add("mp3.gap", source, start, stop, "bytes that are no MPEG frames")
        return
    _gap(source, start, place, notes)
    first, named = True, set[bytes]()
    while place < stop:
        source.step()
        size = frame_size(source.read(place, 4))
        if not size:
            begin, place = place, _next_frame(source, place, stop)
            _gap(source, begin, place, notes)
            continue
        end = min(stop, place + size)
        if place + size > stop:
            notes.add("mp3.truncated", source, place, end, "a frame that is cut short")
            return
        frame = source.read(place, size)
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
    """The first frame may hold no sound but the counts and the settings of the encoder."""
    for name in _ENCODERS[4:]:
        found = frame.find(name, 0, 64)
        if found >= 0:
            what = "an encoder's header: counts, name, version, settings"
            notes.add(f"mp3.{name.decode().lower()}", source, place + found, place + len(frame), what)
            named.update(_ENCODERS[:4])
            return


def _next_frame(source: Bytes, place: int, stop: int) -> int:
    """Where frames go on after bytes that are none, or `stop`."""
    start = place + 1
    while start < stop:
        source.step()
        data = source.read(start, BLOCK)
        found = data.find(b"\xff")
        while found >= 0:
            source.step()
            if frame_size(source.read(start + found, 4)) and _chain(source, start + found, stop):
                return start + found
            found = data.find(b"\xff", found + 1)
        start += max(1, len(data))
    return stop


def _gap(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    empty = start < stop and is_zero(source, start, stop)
    notes.add("mp3.gap", source, start, stop, f"bytes between frames{', all zero' if empty else ''}")
