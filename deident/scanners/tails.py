"""Tags that are put before or behind a recording of any format: ID3, APE and Lyrics3."""

from __future__ import annotations

from deident.scanners.finding import Bytes, Notes
from deident.scanners.id3 import HEADER, id3_size, scan_id3
from deident.scanners.reader import number

ID3V1, ID3V1_MORE, APE = 128, 227, 32  # bytes
LYRICS_V1 = 5_100  # bytes, at most
_LYRICS_BEGIN = b"LYRICSBEGIN"

APE_ITEMS = {
    "title", "subtitle", "artist", "album", "debut album", "publisher", "conductor", "track", "composer",
    "comment", "copyright", "publicationright", "file", "ean/upc", "isbn", "catalog", "lc", "year",
    "record date", "record location", "genre", "media", "index", "related", "isrc", "abstract", "language",
    "bibliography", "introplay", "dummy", "cover art (front)", "cover art (back)", "encoder", "album artist",
    "lyrics",
}  # fmt: skip
_LYRICS_FIELDS = {
    b"IND": "indications", b"LYR": "lyrics", b"INF": "information", b"AUT": "author", b"EAL": "album",
    b"EAR": "artist", b"ETT": "title", b"IMG": "link to a picture", b"CRC": "checksum", b"GRE": "genre",
}  # fmt: skip


def scan_front(source: Bytes, start: int, stop: int, notes: Notes) -> int:
    """Note the tags in front; where they end."""
    while start < stop:
        source.step()
        head = source.read(start, APE)
        if size := id3_size(head):
            end = min(stop, start + size)
            scan_id3(source, start, end, notes)
        elif head[:8] == b"APETAGEX" and number(head, 20, 4, "little") & 1 << 29:
            end = min(stop, start + APE + number(head, 12, 4, "little"))
            _ape(source, start, end, notes)
        else:
            break
        start = end
    return start


def scan_end(source: Bytes, start: int, stop: int, notes: Notes) -> int:
    """Note the tags at the end; where they begin."""
    while start < stop:
        source.step()
        begin = _last_tag(source, start, stop, notes)
        if begin >= stop:
            break
        stop = begin
    return stop


def _last_tag(source: Bytes, start: int, stop: int, notes: Notes) -> int:
    """Note the tag that ends at `stop`, if one does; where it begins."""
    for size, mark, kind, what in (
        (ID3V1, b"TAG", "id3v1", "an ID3v1 tag: title, artist, album, year, comment, genre"),
        (ID3V1_MORE, b"TAG+", "id3v1.more", "a longer ID3v1 tag: title, artist, album, times"),
    ):
        place = stop - size
        if place >= start and source.read(place, len(mark)) == mark:
            notes.add(kind, source, place, stop, what)
            return place
    if stop - start >= APE and source.read(stop - APE, 8) == b"APETAGEX":
        return _ape_at_end(source, start, stop, notes)
    if source.read(stop - 9, 9) == b"LYRICS200" and source.read(stop - 15, 6).isdigit():
        place = stop - 15 - int(source.read(stop - 15, 6))
        if place >= start and source.read(place, 11) == _LYRICS_BEGIN:
            _lyrics(source, place, stop, notes)
            return place
    if source.read(stop - 9, 9) == b"LYRICSEND":
        first = max(start, stop - LYRICS_V1 - 20)
        found = source.read(first, stop - first).rfind(_LYRICS_BEGIN)
        if found >= 0:
            notes.add("lyrics3", source, first + found, stop, "lyrics, in a Lyrics3 tag of version 1")
            return first + found
    if source.read(stop - HEADER, 3) == b"3DI":
        size = id3_size(b"ID3" + source.read(stop - HEADER + 3, 7))
        if size and stop - size >= start and source.read(stop - size, 3) == b"ID3":
            scan_id3(source, stop - size, stop, notes)
            return stop - size
    return stop


def _ape_at_end(source: Bytes, start: int, stop: int, notes: Notes) -> int:
    footer = source.read(stop - APE, APE)
    size = number(footer, 12, 4, "little")
    place = stop - size
    if size < APE or place < start:
        notes.add("ape.broken", source, stop - APE, stop, "an APE tag of impossible size")
        return stop - APE
    if place - APE >= start and source.read(place - APE, 8) == b"APETAGEX":
        place -= APE
    _ape(source, place, stop, notes)
    return place


def _ape(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """The items of an APE tag of version 1 or 2, with or without its header and footer."""
    first, last = start, stop
    if source.read(first, 8) == b"APETAGEX":
        first += APE
    if last - first >= APE and source.read(last - APE, 8) == b"APETAGEX":
        last -= APE
    notes.add("ape", source, start, first, "an APE tag")
    notes.add("ape", source, last, stop, "an APE tag")
    while last - first >= 9:
        source.step()
        head = source.read(first, 8 + 256)
        name = head[8 : head.find(b"\0", 8)] if b"\0" in head[8:] else b""
        end = first + 8 + len(name) + 1 + number(head, 0, 4, "little")
        if not name or end > last:
            break
        known = name.decode("latin-1").lower()
        what = f"item: {known}" if known in APE_ITEMS else "item of another name"
        notes.add("ape.item", source, first, end, what)
        first = end
    notes.add("ape.gap", source, first, last, "bytes in an APE tag that are no item")


def _lyrics(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """The fields of a Lyrics3 tag of version 2."""
    notes.add("lyrics3v2", source, start, start + len(_LYRICS_BEGIN), "a Lyrics3 tag of version 2")
    place, last = start + len(_LYRICS_BEGIN), stop - 15
    while last - place >= 8:
        source.step()
        head = source.read(place, 8)
        if not head[3:].isdigit():
            break
        end = place + 8 + int(head[3:])
        if end > last:
            break
        notes.add(
            "lyrics3v2.field", source, place, end, _LYRICS_FIELDS.get(head[:3], "a field of unknown kind")
        )
        place = end
    notes.add("lyrics3v2.gap", source, place, last, "bytes in a Lyrics3 tag that are no field")
