"""Tags that are put before or behind a recording of any format: ID3, APE and Lyrics3."""

from __future__ import annotations

from deident.containers.finding import Bytes, Notes
from deident.containers.source import number
from deident.containers.tags import APE, LYRICS_BEGIN, Tag, end_tags, front_tags
from deident.scanners.id3 import scan_id3

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


_PLAIN = {
    "id3v1": "an ID3v1 tag: title, artist, album, year, comment, genre",
    "id3v1.more": "a longer ID3v1 tag: title, artist, album, times",
    "lyrics3": "lyrics, in a Lyrics3 tag of version 1", "ape.broken": "an APE tag of impossible size",
}  # fmt: skip


def scan_front(source: Bytes, start: int, stop: int, notes: Notes) -> int:
    """Note the tags in front. Returns where they end."""
    for tag in front_tags(source, start, stop):
        _tag(source, tag, notes)
        start = tag.stop
    return start


def scan_end(source: Bytes, start: int, stop: int, notes: Notes) -> int:
    """Note the tags at the end. Returns where they begin."""
    for tag in end_tags(source, start, stop):
        _tag(source, tag, notes)
        stop = tag.start
    return stop


def _tag(source: Bytes, tag: Tag, notes: Notes) -> None:
    if tag.kind in _PLAIN:
        notes.add(tag.kind, source, tag.start, tag.stop, _PLAIN[tag.kind])
    else:
        _SCANNERS[tag.kind](source, tag.start, tag.stop, notes)


def _ape(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note the items of an APE tag of version 1 or 2, with or without its header and footer."""
    first, last = start, stop
    if source.at(first, 8) == b"APETAGEX":
        first += APE
    if last - first >= APE and source.at(last - APE, 8) == b"APETAGEX":
        last -= APE
    notes.add("ape", source, start, first, "an APE tag")
    notes.add("ape", source, last, stop, "an APE tag")
    while last - first >= 9:
        head = source.at(first, 8 + 256)
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
    """Note the fields of a Lyrics3 tag of version 2."""
    notes.add("lyrics3v2", source, start, start + len(LYRICS_BEGIN), "a Lyrics3 tag of version 2")
    place, last = start + len(LYRICS_BEGIN), stop - 15
    while last - place >= 8:
        head = source.at(place, 8)
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


_SCANNERS = {"id3v2": scan_id3, "ape": _ape, "lyrics3v2": _lyrics}
