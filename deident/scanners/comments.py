"""Vorbis comments, which FLAC, Vorbis, Opus, Speex and Theora share. xiph.org (2005)."""

from __future__ import annotations

from deident.containers.finding import Bytes, Notes
from deident.containers.source import number

KEYS = {
    "title", "version", "album", "tracknumber", "artist", "performer", "copyright", "license", "organization",
    "description", "genre", "date", "location", "contact", "isrc", "comment", "encoder", "encoded-by",
    "language", "creation_time", "composer", "lyrics", "albumartist", "vendor", "software", "encoder_options",
}  # fmt: skip
_PICTURES = {"metadata_block_picture", "coverart"}


def scan_comments(source: Bytes, start: int, stop: int, notes: Notes, family: str) -> int:
    """Note the vendor and every comment of the block that starts here. Returns where it ends."""
    vendor = min(stop, start + 4 + number(source.at(start, 4), 0, 4, "little"))
    notes.add(f"{family}.vendor", source, start + 4, vendor, "the encoder's name and version")
    count, place = number(source.at(vendor, 4), 0, 4, "little"), vendor + 4
    while count and stop - place >= 4:
        end = place + 4 + number(source.at(place, 4), 0, 4, "little")
        if end > stop:
            break
        key = source.at(place + 4, min(64, end - place - 4)).split(b"=")[0].decode("latin-1").lower()
        what = f"comment: {key}" if key in KEYS else "comment of another name"
        if key in _PICTURES:
            what = "a picture, in a comment"
        notes.add(f"{family}.comment", source, place, end, what)
        place, count = end, count - 1
    if count:  # the count or a length is wrong: what is left can't be told apart
        notes.add(f"{family}.comment", source, place, stop, "comments that cannot be taken apart")
        return stop
    return min(stop, place)
