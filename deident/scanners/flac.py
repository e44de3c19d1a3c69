"""FLAC: metadata blocks, and what follows the last frame. RFC 9639."""

from __future__ import annotations

from deident.containers import flac
from deident.containers.finding import Bytes, Notes
from deident.scanners.comments import scan_comments
from deident.scanners.reader import zero_or_not

_BLOCKS = {
    flac.APPLICATION: ("application", "data of a program"),
    flac.SEEKTABLE: ("seektable", "seek points"),
    flac.CUESHEET: ("cuesheet", "cue sheet: catalogue number, recording codes, tracks"),
    flac.PICTURE: ("picture", "picture, with its description"),
}
_WINDOW = 1 << 18


def scan_flac(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note every metadata block but the one that a decoder needs, and what is behind the frames."""
    _frames(source, scan_blocks(source, start + len(flac.MARK), stop, notes), stop, notes)


def scan_blocks(source: Bytes, start: int, stop: int, notes: Notes, family: str = "flac") -> int:
    """Note the metadata blocks of a FLAC, of which the first may be its STREAMINFO. Returns where they end."""
    first = True
    for block in flac.metadata_blocks(source, start, stop):
        scan_block(source, block, notes, first=first, family=family)
        first, start = False, block.stop
    return start


def scan_block(source: Bytes, block: flac.MetadataBlock, notes: Notes, *, first: bool, family: str) -> None:
    """Note one metadata block, header and all. first : it may be the STREAMINFO."""
    start, body, stop = block.start, block.body, block.stop
    if block.kind == flac.STREAMINFO and first:
        what = "bytes after the fields of a block"
        notes.add(f"{family}.streaminfo", source, body + flac.INFO_BYTES, stop, what)
    elif block.kind == flac.PADDING:
        notes.add(f"{family}.padding", source, start, stop, zero_or_not("padding", source, body, stop))
    elif block.kind == flac.COMMENT:
        end = scan_comments(source, body, stop, notes, family)
        notes.add(f"{family}.comment", source, end, stop, "bytes after the comments")
    else:
        name, what = _BLOCKS.get(block.kind, ("unknown", "a block of unknown or repeated kind"))
        notes.add(f"{family}.{name}", source, start, stop, what)


def _frames(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note what lies before, behind and among the frames that is not theirs."""
    if start >= stop:
        return
    if not flac.frame_header(source.at(start, 16)):
        notes.add("flac.gap", source, start, stop, "bytes that are no frames")
        return
    last = flac.last_frame(source, start, stop)
    notes.add("flac.trailing", source, last.stop if last else start, stop, "bytes after the last frame")
    for begin in range(start, stop, _WINDOW):
        data = source.at(begin, _WINDOW + 7)
        found = [at for mark in flac.STREAM_STARTS if (at := data.find(mark)) >= 0]
        if found:
            notes.add("flac.second", source, begin + min(found), stop, "a second FLAC behind the first")
            return
