"""Ogg pages (RFC 3533) and the first packets that tell what a stream carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from deident.containers.flac import frame_header
from deident.containers.source import Source, number

MARK = b"OggS"
CONTINUED, FIRST, LAST = 1, 2, 4  # flags of a page
NO_GRANULE = (1 << 64) - 1  # no packet ends on the page
_HEAD = 27  # bytes before the table of segments
_SEARCH = 1 << 16
CODECS = {b"\x01vorbis": "vorbis", b"OpusHead": "opus", b"\x7fFLAC": "flac", b"Speex   ": "speex"}


class Page(NamedTuple):
    """A page. stop : its end as its table claims; beyond the range when it is cut. granule : samples up to its end.
    table : sizes of its segments.
    """

    start: int
    body: int
    stop: int
    flags: int
    granule: int
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
            yield Page(at, stop, stop + 1, 0, NO_GRANULE, 0, 0, b"")
            return
        table = head[_HEAD : _HEAD + head[26]]
        body = at + _HEAD + len(table)
        end = body + sum(table)
        granule, serial, sequence = (number(head, *field, "little") for field in ((6, 8), (14, 4), (18, 4)))
        yield Page(at, body, end, head[5], granule, serial, sequence, table)
        at = end


def codec_of(packet: bytes) -> str:
    """Name the codec of a stream by its first packet: "vorbis", "opus", "flac", "speex" or "other"."""
    return next((name for mark, name in CODECS.items() if packet.startswith(mark)), "other")


def most_samples(page: Page, source: Source, codec: str, block: int) -> int:
    """Bound the samples of the packets that end on a page. Of Opus it is their number, at 48 kHz (RFC 6716, 3.1).

    block : samples of a long block of Vorbis, at most two of which overlap by half, or of the largest frame of FLAC.
    """
    at, total, is_start, own = page.body, 0, not page.flags & CONTINUED, block
    for lace in page.table:
        if codec == "opus" and is_start:
            total += _opus_samples(source.at(at, 2))
        elif codec == "flac" and is_start:
            header = frame_header(source.at(at, 16))
            own = header.samples if header else 0  # or it holds tags
        if codec != "opus" and lace < 255:
            total += own if codec == "flac" else block // 2
        at, is_start = at + lace, lace < 255
    return total


def _opus_samples(packet: bytes) -> int:
    """Count the samples at 48 kHz of an Opus packet (RFC 6716, section 3.1)."""
    if len(packet) < 1:
        return 0
    config = packet[0] >> 3
    if config < 12:
        frame = (480, 960, 1_920, 2_880)[config & 3]
    elif config < 16:
        frame = (480, 960)[config & 1]
    else:
        frame = 120 << (config & 3)
    count = packet[0] & 3
    return frame * (packet[1] & 63 if count == 3 and len(packet) > 1 else 2 if count else 1)
