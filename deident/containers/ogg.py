"""Ogg pages (RFC 3533) and the first packets that tell what a stream carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from deident.containers.source import Source, number

MARK = b"OggS"
FIRST, LAST = 2, 4  # flags of a page
_HEAD = 27  # bytes before the table of segments
_SEARCH = 1 << 16
CODECS = {b"\x01vorbis": "vorbis", b"OpusHead": "opus", b"\x7fFLAC": "flac", b"Speex   ": "speex"}


class Page(NamedTuple):
    """A page. stop : its end as its table claims; beyond the range when it is cut. table : sizes of its segments."""

    start: int
    body: int
    stop: int
    flags: int
    serial: int
    sequence: int
    table: bytes


def pages(source: Source, start: int, stop: int) -> Iterator[Page]:
    """Walk over the pages in order, whole or (the last) cut; bytes between pages are passed over."""
    at = start
    while at < stop:
        head = source.at(at, min(_HEAD + 255, stop - at))
        if head[:4] != MARK:
            found = source.at(at, min(_SEARCH, stop - at)).find(MARK, 1)
            at += found if found > 0 else _SEARCH - 3
            continue
        if len(head) < _HEAD or len(head) < _HEAD + head[26]:
            yield Page(at, stop, stop + 1, 0, 0, 0, b"")
            return
        table = head[_HEAD : _HEAD + head[26]]
        body = at + _HEAD + len(table)
        end = body + sum(table)
        serial, sequence = number(head, 14, 4, "little"), number(head, 18, 4, "little")
        yield Page(at, body, end, head[5], serial, sequence, table)
        at = end


def codec_of(packet: bytes) -> str:
    """Name the codec of a stream by its first packet: "vorbis", "opus", "flac", "speex" or "other"."""
    return next((name for mark, name in CODECS.items() if packet.startswith(mark)), "other")
