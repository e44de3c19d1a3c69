"""Ogg pages (RFC 3533): where each link of a chain lies, and FLAC taken out of them.

libsndfile decodes the first link of a chain and says nothing of the others; the build that Python packages
carry cannot read FLAC in Ogg at all."""

from __future__ import annotations

import bisect
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from deident.codec.files import Bytes

_HEAD = 27
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_RESYNC = 1 << 16
_MAX_STREAMS = 64  # side by side
_TOLERANCE = 4096  # bytes that are no page: tags and padding, not lost sound


class Page(NamedTuple):
    start: int
    body: int
    stop: int
    flags: int
    serial: int
    sequence: int
    sizes: bytes


@dataclass(slots=True)
class Chain:
    links: list[Bytes]
    ending: str | None


def pages(source: Bytes) -> Iterator[Page]:
    """Every page in order, whole or (the last) cut; bytes between pages are passed over."""
    at = 0
    while at < source.size:
        head = source.at(at, _HEAD + 255)
        if head[:4] != b"OggS":
            found = source.at(at, _RESYNC).find(b"OggS", 1)
            at += found if found > 0 else _RESYNC - 3
            continue
        if len(head) < _HEAD or len(head) < _HEAD + head[26]:
            yield Page(at, at, source.size + 1, 0, 0, 0, b"")
            return
        sizes = head[_HEAD : _HEAD + head[26]]
        body = at + _HEAD + len(sizes)
        stop = body + sum(sizes)
        serial, sequence = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        yield Page(at, body, stop, head[5], serial, sequence, sizes)
        at = stop


def chain(source: Bytes) -> Chain:
    """The links of a file, and what is wrong with its pages."""
    starts, ending, stop = [0], None, 0
    opening = True
    running: set[int] = set()
    expected: dict[int, int] = {}
    for page in pages(source):
        if page.stop > source.size:
            ending = "truncated"
            break
        if page.flags & _FIRST and not opening:
            starts.append(page.start)
            ending = ending or ("truncated" if running else None)
            running, expected = set(), {}
        gap = page.start - stop > (_TOLERANCE if stop else 0)
        if gap or expected.get(page.serial, page.sequence) != page.sequence:
            ending = "damaged"
        opening = bool(page.flags & _FIRST)
        running.add(page.serial)
        if page.flags & _LAST:
            running.discard(page.serial)
        expected[page.serial] = page.sequence + 1 & 0xFFFFFFFF
        stop = page.stop
    if running:
        ending = ending or "truncated"
    elif source.size - stop > _TOLERANCE:
        ending = ending or "extra-data"
    return Chain([source.window(a, b) for a, b in zip(starts, [*starts[1:], stop], strict=True)], ending)


_CODECS = {b"\x01vorbis": "vorbis", b"OpusHead": "opus", b"\x7fFLAC": "flac", b"Speex   ": "speex"}


class Stream:
    """The pages of one serial number in a link, as if nothing lay between them. codec : "vorbis", "opus",
    "flac", "speex" or "other", by its first packet."""

    def __init__(self, link: Bytes, serial: int, codec: str) -> None:
        self.serial, self.codec = serial, codec
        self._link = link
        self._pages: list[tuple[int, int]] = []  # where a page begins in the stream, and in the link
        self.size = 0

    def add(self, page: Page) -> None:
        self._pages.append((self.size, page.start))
        self.size += page.stop - page.start

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer at the end, none beyond it."""
        count = min(count, self.size - offset)
        pieces: list[bytes] = []
        number = bisect.bisect_right(self._pages, (offset, self._link.size)) - 1
        while count > 0 and offset >= 0:
            begin, place = self._pages[number]
            end = self._pages[number + 1][0] if number + 1 < len(self._pages) else self.size
            piece = self._link.at(place + offset - begin, min(count, end - offset))
            if not piece:
                break
            pieces.append(piece)
            offset, count, number = offset + len(piece), count - len(piece), number + 1
        return b"".join(pieces)


def streams(link: Bytes) -> list[Stream]:
    """What runs side by side in a link: one stream as a rule; a skeleton, a film or a second microphone beside
    it now and then."""
    found: dict[int, Stream] = {}
    for page in pages(link):
        if page.serial not in found and page.flags & _FIRST and len(found) < _MAX_STREAMS:
            mark = link.at(page.body, 8)
            codec = next((name for start, name in _CODECS.items() if mark.startswith(start)), "other")
            found[page.serial] = Stream(link, page.serial, codec)
        if page.serial in found and page.stop <= link.size:
            found[page.serial].add(page)
    return list(found.values())


class FlacFile(io.RawIOBase):
    """The native FLAC stream inside a link: page bodies of the FLAC serial, one after the other.

    Only reading on is cheap; going back starts over, which a decoder does a few times at its start."""

    _MAPPING = 9  # 0x7F "FLAC", version, header count: before the native stream (FLAC to Ogg mapping 1.0)

    def __init__(self, link: Bytes, serial: int) -> None:
        self._link = link
        self._serial = serial
        self._length = link.size
        self._restart()

    def _restart(self) -> None:
        self._pages = self._bodies()
        self._piece, self._from, self._position = b"", 0, 0

    def _bodies(self) -> Iterator[bytes]:
        skip = self._MAPPING
        for page in pages(self._link):
            if page.serial == self._serial:
                yield self._link.at(page.body, page.stop - page.body)[skip:]
                skip = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        if base + offset < self._from:
            self._restart()
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._length:  # the pretended end, asked for to learn a length
            return 0
        while self._position >= self._from + len(self._piece):
            piece = next(self._pages, None)
            if piece is None:
                return 0
            self._from += len(self._piece)
            self._piece = piece
        at = self._position - self._from
        data = self._piece[at : at + len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
