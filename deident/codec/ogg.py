"""The links of an Ogg chain, and FLAC taken out of pages.

libsndfile decodes the first link of a chain and says nothing of the others; the build that Python packages
carry cannot read FLAC in Ogg at all."""

from __future__ import annotations

import bisect
from typing import NamedTuple

from deident.codec.files import Bytes
from deident.containers.ogg import FIRST, LAST, Page, codec_of, pages

_MAX_STREAMS = 64  # side by side
_TOLERANCE = 4096  # bytes that are no page: tags and padding, not lost sound
_MAPPING = 9  # 0x7F "FLAC", version, header count: before the native stream (FLAC to Ogg mapping 1.0)


class Chain(NamedTuple):
    """links : the streams one after the other. ending : the code of what is wrong with the pages, if anything."""

    links: list[Bytes]
    ending: str | None


def chain(source: Bytes) -> Chain:
    """Survey the links of a file."""
    starts, ending, stop = [0], None, 0
    opening = True
    running: set[int] = set()
    expected: dict[int, int] = {}
    for page in pages(source, 0, source.size):
        if page.stop > source.size:
            ending = "truncated"
            break
        if page.flags & FIRST and not opening:
            starts.append(page.start)
            ending = ending or ("truncated" if running else None)
            running, expected = set(), {}
        gap = page.start - stop > (_TOLERANCE if stop else 0)
        if gap or expected.get(page.serial, page.sequence) != page.sequence:
            ending = "damaged"
        opening = bool(page.flags & FIRST)
        running.add(page.serial)
        if page.flags & LAST:
            running.discard(page.serial)
        expected[page.serial] = page.sequence + 1 & 0xFFFFFFFF
        stop = page.stop
    if running:
        ending = ending or "truncated"
    elif source.size - stop > _TOLERANCE:
        ending = ending or "extra-data"
    return Chain([source.window(a, b) for a, b in zip(starts, [*starts[1:], stop], strict=True)], ending)


class Stream:
    """The pages of one serial number in a link, as if nothing lay between them; of FLAC, what is in the pages."""

    def __init__(self, link: Bytes, codec: str) -> None:
        self.codec = codec
        self.size = 0
        self._link = link
        self._pieces: list[tuple[int, int]] = []  # start of a piece in the stream, and in the link

    def add(self, page: Page) -> None:
        start = page.start
        if self.codec == "flac":
            start = page.body + (0 if self._pieces else _MAPPING)
        if start < page.stop:
            self._pieces.append((self.size, start))
            self.size += page.stop - start

    def at(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes from `offset`; fewer at the end, none beyond it."""
        count = min(count, self.size - offset)
        parts: list[bytes] = []
        number = bisect.bisect_right(self._pieces, (offset, self._link.size)) - 1
        while count > 0 and offset >= 0:
            begin, place = self._pieces[number]
            end = self._pieces[number + 1][0] if number + 1 < len(self._pieces) else self.size
            part = self._link.at(place + offset - begin, min(count, end - offset))
            if not part:
                break
            parts.append(part)
            offset, count, number = offset + len(part), count - len(part), number + 1
        return b"".join(parts)


def streams(link: Bytes) -> list[Stream]:
    """List the streams side by side in a link: one as a rule; a skeleton, a film or a second microphone beside
    it now and then."""
    found: dict[int, Stream] = {}
    for page in pages(link, 0, link.size):
        if page.serial not in found and page.flags & FIRST and len(found) < _MAX_STREAMS:
            found[page.serial] = Stream(link, codec_of(link.at(page.body, 8)))
        if page.serial in found and page.stop <= link.size:
            found[page.serial].add(page)
    return list(found.values())
