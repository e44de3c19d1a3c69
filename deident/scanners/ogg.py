"""Ogg pages, and the comments of what they carry: Vorbis, Opus, FLAC, Speex. RFC 3533, 7845."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from deident.containers.finding import Bytes, Notes
from deident.containers.flac import metadata_blocks
from deident.containers.ogg import FIRST, Page, codec_of, pages
from deident.containers.source import number
from deident.scanners.comments import scan_comments
from deident.scanners.flac import scan_block
from deident.scanners.reader import Packet

_FOREIGN_PAGES = 100  # of a stream that is no sound are noted
_VORBIS_HEADER, _SPEEX_HEADER = 30, 80  # bytes
_COMMENTS = {"vorbis": b"\x03vorbis", "opus": b"OpusTags", "speex": b""}


def scan_ogg(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note serial numbers, comments, streams that are no sound, and bytes between and after pages."""
    streams: dict[int, _Stream] = {}
    for page in pages(source, start, stop):
        if not page.table and page.stop > stop:  # its header is cut
            break
        _gap(source, start, page.start, notes)
        start = page.stop
        if page.flags & FIRST or page.serial not in streams:
            if page.serial in streams:
                streams[page.serial].finish(notes)
            streams[page.serial] = _Stream(source)
            notes.add("ogg.serial", source, page.start + 14, page.start + 18, "the serial number of a stream")
        streams[page.serial].page(page, min(stop, page.stop), notes)
    _gap(source, start, stop, notes)
    for stream in streams.values():
        stream.finish(notes)


def _gap(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    notes.add("ogg.gap", source, start, stop, "bytes between pages, or after the last")


@dataclass
class _Stream:
    """One stream's header packets, as they come together. `headers` : packets yet to be looked at."""

    source: Bytes
    kind: str = ""
    headers: int = 1
    foreign: int = 0

    def __post_init__(self) -> None:
        self.packet = Packet(self.source)

    def page(self, page: Page, end: int, notes: Notes) -> None:
        """Collect the header packets of a page; note pages of streams that are no sound."""
        body = page.body
        for lace in page.table:
            if self.headers <= 0:
                break
            self.packet.add(body, min(lace, end - body))
            body += lace
            if lace < 255:
                self.finish(notes)
        if self.kind == "other" and self.foreign < _FOREIGN_PAGES:
            self.foreign += 1
            notes.add("ogg.foreign", self.source, page.start, end, "a page of a stream that is no sound")

    def finish(self, notes: Notes) -> None:
        """Look at the packet that is complete now, or will never be."""
        packet, self.packet = self.packet, Packet(self.source)
        if not packet.size or self.headers <= 0:
            return
        self.headers -= 1
        if not self.kind:
            self.first(packet, notes)
        elif self.kind == "flac":
            if packet.at(0, 1)[:1] > b"\x7f":
                self.headers = 0
            for block in islice(metadata_blocks(packet, 0, packet.size), 1):
                scan_block(packet, block._replace(stop=packet.size), notes, first=False, family="ogg.flac")
        elif self.kind in _COMMENTS:
            mark = _COMMENTS[self.kind]
            if packet.at(0, len(mark)) != mark:
                notes.add(f"ogg.{self.kind}", packet, 0, packet.size, "a header that is no comment")
                return
            stop = scan_comments(packet, len(mark), packet.size, notes, f"ogg.{self.kind}")
            if self.kind == "vorbis" and packet.at(stop, 1) == b"\1":
                stop += 1  # the framing bit
            notes.add(f"ogg.{self.kind}.padding", packet, stop, packet.size, "bytes after the comments")

    def first(self, packet: Packet, notes: Notes) -> None:
        """Recognise the codec by the first packet, and note bytes after its fields."""
        head = packet.at(0, 80)
        self.kind, known = codec_of(head), packet.size
        if self.kind == "opus" and len(head) < 19:
            self.kind = "other"
        if self.kind == "vorbis":
            self.headers, known = 1, _VORBIS_HEADER
        elif self.kind == "opus":
            self.headers, known = 1, 19 if not head[18] else 21 + head[9]
        elif self.kind == "speex":
            self.headers, known = 1, _SPEEX_HEADER
        elif self.kind == "flac":
            self.headers, known = number(head, 7, 2) or 1 << 16, 13 + 38
        else:
            self.headers = 0
        notes.add(f"ogg.{self.kind}.header", packet, known, packet.size, "bytes after the fields of a header")
