"""MP4, M4A, QuickTime: boxes. ISO 14496-12; Apple's QuickTime File Format. Samples of sound are not looked into."""

from __future__ import annotations

from deident.containers.finding import MOST_OPEN, Bytes, Notes, ScanStop
from deident.containers.mp4 import boxes
from deident.containers.source import number
from deident.scanners.mp4_sizes import add_decoder_tail, add_tail
from deident.scanners.mp4_sound import add_unplayed
from deident.scanners.reader import is_zero, zero_or_not

_INSIDE = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"mfra"}
_TAGS = {b"udta", b"meta", b"ilst"}
# What a player needs to find and decode the sound. Anything else is noted.
_NEEDED = {
    b"ftyp", b"styp", b"mdat", b"smhd", b"stsd", b"stts", b"stsc", b"stsz", b"stz2", b"stco", b"co64",
    b"ctts", b"stss", b"sgpd", b"sbgp", b"elst", b"trex", b"mehd", b"mfhd", b"tfhd", b"tfdt", b"trun",
    b"sidx", b"tfra", b"mfro", b"iods", b"wide",
}  # fmt: skip
# By version, the bytes of a sample description before its boxes; and the boxes that a decoder needs.
_FIELDS = {0: 36, 1: 52, 2: 72}
_DECODER = {
    b"esds", b"alac", b"dOps", b"dfLa", b"dac3", b"dec3", b"damr", b"chan", b"chnl", b"btrt", b"frma", b"enda",
    b"mp4a", b"samr", b"sawb", b"pcmC", b"srat", b"SA3D", b"\0\0\0\0",
}  # fmt: skip
_TIMES = {b"mvhd": "the whole", b"tkhd": "a track", b"mdhd": "a track's sound"}
_NO_LANGUAGE = (0, 0x7FFF, 0x55C4)  # as QuickTime has it, and as "und"
_WHAT = {
    b"uuid": "data of a program, such as XMP", b"hdlr": "a handler with a name", b"chpl": "chapters",
    b"data": "a tag's value", b"mean": "a tag's owner", b"name": "a name", b"keys": "names of tags",
    b"chap": "chapters", b"tref": "links between tracks", b"dref": "where the sound is",
    b"ID32": "an ID3v2 tag", b"loci": "a place", b"\xa9xyz": "a place", b"cprt": "copyright",
    b"titl": "title", b"auth": "author", b"perf": "performer", b"gnre": "genre", b"dscp": "description",
    b"albm": "album", b"yrrc": "year", b"emsg": "an event", b"prft": "the time of recording",
    b"gmhd": "a track that is no sound", b"nmhd": "a track that is no sound", b"vmhd": "a picture track",
    b"XMP_": "XMP",
}  # fmt: skip


def scan_mp4(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note every box that is not needed to decode the sound, times in headers, and bytes that are no box."""
    work = [(start, stop, b"")]
    while work:
        place, end, inside = work.pop()
        for box in boxes(source, place, end):
            if len(work) > MOST_OPEN:
                raise ScanStop(f"more than {MOST_OPEN} pieces inside pieces")
            work += _box(source, box.name, box.start, box.body, box.stop, inside, notes)
            place = box.stop
        notes.add("mp4.gap", source, place, end, "bytes that are no box, or after the last")
    add_unplayed(source, start, stop, notes)


def _box(
    source: Bytes, name: bytes, start: int, body: int, stop: int, inside: bytes, notes: Notes
) -> list[tuple[int, int, bytes]]:
    """Note one box. Returns the ranges of boxes in it that are yet to be looked at."""
    if inside == b"ilst":
        notes.add("mp4.ilst", source, start, stop, "a tag")
    elif name in _INSIDE:
        return [(body, stop, name)]
    elif name in _TAGS:
        notes.add(f"mp4.{name.decode()}", source, start, body, "a box of tags")
        full = name == b"meta" and number(source.at(body, 4), 0, 4) == 0
        return [(min(stop, body + 4) if full else body, stop, name)]
    elif name in _TIMES:
        _times(source, name, body, stop, notes)
    elif name in (b"free", b"skip"):
        notes.add("mp4.free", source, start, stop, zero_or_not("unused space", source, body, stop))
    elif name == b"hdlr":
        _handler(source, body, stop, inside, notes)
    elif name == b"dref":
        if number(source.at(body, 8), 4, 4) != 1 or stop - body > 20:
            notes.add("mp4.dref", source, start, stop, "where the sound is: another file")
    elif name == b"stsd":
        _descriptions(source, body, stop, notes)
    elif name not in _NEEDED or inside in _TAGS:
        plain = name.decode("latin-1").strip().lower() if name in _WHAT and name.isalnum() else "unknown"
        notes.add(f"mp4.{plain}", source, start, stop, _WHAT.get(name, "a box of another kind"))
    else:
        add_tail(source, name, body, stop, notes)
    return []


def _times(source: Bytes, name: bytes, body: int, stop: int, notes: Notes) -> None:
    """Note times of creation and modification."""
    wide = 16 if source.at(body, 1) == b"\1" else 8
    if not is_zero(source, body + 4, min(stop, body + 4 + wide)):
        what = f"when {_TIMES[name]} was made and changed"
        notes.add(f"mp4.{name.decode()}", source, body + 4, min(stop, body + 4 + wide), what)
    if name == b"mdhd":
        at = body + wide + (16 if wide == 16 else 12)
        if number(source.at(at, 2), 0, 2) not in _NO_LANGUAGE:
            notes.add("mp4.language", source, at, min(stop, at + 2), "language")
    add_tail(source, name, body, stop, notes)


def _handler(source: Bytes, body: int, stop: int, inside: bytes, notes: Notes) -> None:
    """Note names and makers of handlers, and tracks that are no sound."""
    head = source.at(body, 24)
    if inside == b"mdia" and head[8:12] not in (b"soun", b""):
        notes.add("mp4.track", source, body, stop, "a track that is no sound")
    elif not is_zero(source, body + 24, stop):
        notes.add("mp4.hdlr", source, body + 24, stop, "the name of a handler")
    if not is_zero(source, body + 12, min(stop, body + 24)):
        notes.add("mp4.hdlr", source, body + 12, min(stop, body + 24), "the maker of a handler")


def _descriptions(source: Bytes, body: int, stop: int, notes: Notes) -> None:
    """Note what a decoder does not read in the sample descriptions, and all of them but the first."""
    if stop - body <= 8:
        return
    head = source.at(body + 8, 36)
    end = min(stop, body + 8 + max(8, number(head, 0, 4)))
    notes.add("mp4.stsd", source, end, stop, "more than one description of sound")
    version = number(head, 16, 2)
    fields = _FIELDS.get(version, 0) if head[8:14] == bytes(6) else 0
    if not fields or body + 8 + fields > end:
        notes.add("mp4.stsd", source, body + 16, end, "a description that is none of sound")
        return
    if not is_zero(source, body + 26, body + 32):
        notes.add("mp4.stsd", source, body + 26, body + 32, "the maker of the sound's coder")
    _decoder_boxes(source, body + 8 + fields, end, notes)


def _decoder_boxes(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note boxes beside those that set up a decoder: players' shops write a buyer's name there."""
    while start < stop:
        head = source.at(start, 8)
        name, size = head[4:8], number(head, 0, 4)
        if size < 8 or start + size > stop:
            if not is_zero(source, start, stop):
                notes.add("mp4.stsd", source, start, stop, "bytes after a description")
            return
        if name == b"wave":
            _decoder_boxes(source, start + 8, start + size, notes)
        elif name not in _DECODER:
            known = name.decode("latin-1").lower() if name == b"pinf" else "stsd"
            notes.add(f"mp4.{known}", source, start, start + size, "data beside what a decoder needs")
        else:
            add_decoder_tail(source, name, start + 8, start + size, notes)
        start += size
