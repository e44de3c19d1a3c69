"""Ogg pages, and the comments of what they carry: Vorbis, Opus, FLAC, Speex. RFC 3533, 7845."""

from __future__ import annotations

from dataclasses import dataclass, field

from deident.scanners.comments import scan_comments
from deident.scanners.finding import Bytes, Notes
from deident.scanners.flac import scan_block
from deident.scanners.reader import Pieces, number

MARK = b"OggS"
_PAGE = 27  # bytes of a page's header before the table of its segments
_FOREIGN_PAGES = 100  # of a stream that is no sound are noted
_SEARCH = 1 << 16
_VORBIS_HEADER, _SPEEX_HEADER = 30, 80  # bytes


def scan_ogg(source: Bytes, start: int, stop: int, notes: Notes) -> None:
    """Note serial numbers, comments, streams that are no sound, and bytes between and after pages."""
    streams: dict[int, _Stream] = {}
    place = start
    while place < stop:
        source.step()
        head = source.read(place, _PAGE)
        if head[:4] != MARK or len(head) < _PAGE or place + _PAGE > stop:
            begin, place = place, _next_page(source, place, stop)
            notes.add("ogg.gap", source, begin, place, "bytes between pages, or after the last")
            continue
        table = source.read(place + _PAGE, head[26])
        body = place + _PAGE + len(table)
        end = min(stop, body + sum(table))
        serial = number(head, 14, 4, "little")
        if head[5] & 2 or serial not in streams:
            if serial in streams:
                streams[serial].finish(notes)
            streams[serial] = _Stream(source)
            notes.add("ogg.serial", source, place + 14, place + 18, "the serial number of a stream")
        streams[serial].page(place, body, table, end, notes)
        place = end
    for stream in streams.values():
        stream.finish(notes)


def _next_page(source: Bytes, place: int, stop: int) -> int:
    place += 1
    while place < stop:
        source.step()
        data = source.read(place, _SEARCH)
        found = data.find(MARK)
        if found >= 0:
            return min(stop, place + found)
        place += max(1, len(data) - 3)
    return stop


@dataclass
class _Stream:
    """One stream's header packets, as they come together. `headers` : packets yet to be looked at."""

    source: Bytes
    kind: str = ""
    headers: int = 1
    packet: list[tuple[int, int]] = field(default_factory=list)
    foreign: int = 0

    def page(self, start: int, body: int, table: bytes, end: int, notes: Notes) -> None:
        for lace in table:
            if self.headers <= 0:
                break
            self.packet.append((body, max(0, min(lace, end - body))))
            body += lace
            if lace < 255:
                self.finish(notes)
        if self.kind == "foreign" and self.foreign < _FOREIGN_PAGES:
            self.foreign += 1
            notes.add("ogg.foreign", self.source, start, end, "a page of a stream that is no sound")

    def finish(self, notes: Notes) -> None:
        """Look at the packet that is complete now, or will never be."""
        if not self.packet or self.headers <= 0:
            return
        packet = Pieces(self.source, _joined(self.packet))
        self.packet = []
        self.headers -= 1
        if not self.kind:
            self.first(packet, notes)
        elif self.kind == "flac":
            if packet.read(0, 1)[:1] > b"\x7f":
                self.headers = 0
            if packet.size:
                scan_block(packet, 0, packet.size, notes, first=False, family="ogg.flac")
        elif self.kind in _COMMENTS:
            mark = _COMMENTS[self.kind]
            if packet.read(0, len(mark)) != mark:
                notes.add(f"ogg.{self.kind}", packet, 0, packet.size, "a header that is no comment")
                return
            stop = scan_comments(packet, len(mark), packet.size, notes, f"ogg.{self.kind}")
            if self.kind == "vorbis" and packet.read(stop, 1) == b"\1":
                stop += 1  # the framing bit
            notes.add(f"ogg.{self.kind}.padding", packet, stop, packet.size, "bytes after the comments")

    def first(self, packet: Pieces, notes: Notes) -> None:
        head = packet.read(0, 80)
        known = packet.size
        if head[:7] == b"\x01vorbis":
            self.kind, self.headers, known = "vorbis", 1, _VORBIS_HEADER
        elif head[:8] == b"OpusHead" and len(head) >= 19:
            self.kind, self.headers = "opus", 1
            known = 19 if not head[18] else 21 + head[9]
        elif head[:8] == b"Speex   ":
            self.kind, self.headers, known = "speex", 1, _SPEEX_HEADER
        elif head[:5] == b"\x7fFLAC":
            self.kind, self.headers, known = "flac", number(head, 7, 2) or 1 << 16, 13 + 38
        else:
            self.kind, self.headers = "foreign", 0
        notes.add(f"ogg.{self.kind}.header", packet, known, packet.size, "bytes after the fields of a header")


_COMMENTS = {"vorbis": b"\x03vorbis", "opus": b"OpusTags", "speex": b""}


def _joined(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in as few pieces as there are pages."""
    joined: list[tuple[int, int]] = []
    for start, length in pieces:
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return joined
