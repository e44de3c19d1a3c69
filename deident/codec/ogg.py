"""The links of an Ogg chain, and FLAC taken out of pages.

libsndfile decodes the first link of a chain and says nothing of the others; the build that Python packages
carry cannot read FLAC in Ogg at all.
"""

from __future__ import annotations

from typing import NamedTuple

from deident.codec.files import Bytes
from deident.containers.flac import stream_info
from deident.containers.ogg import FIRST, LAST, NO_GRANULE, Page, codec_of, most_samples, pages
from deident.containers.source import Pieces, number
from deident.containers.tags import end_tags_start

_MAX_STREAMS = 64  # side by side
_TOLERANCE = 4096  # bytes that are no page: tags and padding, not lost sound
_CLOCK_SECONDS = 0.1  # by which times may differ
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
    elif end_tags_start(source, stop, source.size) - stop > _TOLERANCE:
        ending = ending or "extra-data"
    return Chain([source.window(a, b) for a, b in zip(starts, [*starts[1:], stop], strict=True)], ending)


class Stream(Pieces):
    """The pages of one serial number in a link, as if nothing lay between them; of FLAC, what is in the pages."""

    def __init__(self, link: Bytes, codec: str) -> None:
        super().__init__(link)
        self.codec = codec

    def add_page(self, page: Page) -> None:
        start = page.start
        if self.codec == "flac":
            start = page.body if self.size else page.body + _MAPPING
        self.add(start, page.stop - start)


def streams(link: Bytes) -> list[Stream]:
    """List the streams side by side in a link: one as a rule; a skeleton, a film or a second microphone beside
    it now and then.
    """
    found: dict[int, Stream] = {}
    for page in pages(link, 0, link.size):
        if page.serial not in found and page.flags & FIRST and len(found) < _MAX_STREAMS:
            found[page.serial] = Stream(link, codec_of(link.at(page.body, 8)))
        if page.serial in found and page.stop <= link.size:
            found[page.serial].add_page(page)
    return list(found.values())


def has_steady_clock(link: Bytes) -> bool:
    """Tell whether the positions of pages in time fit what they hold, which libsndfile does not look at.

    Gaps of Vorbis are seen as far as its blocks are long; all of them are missed at the end.
    """
    streams: dict[int, tuple[str, int, int]] = {}  # codec, longest block, rate
    position: dict[int, int] = {}
    for page in pages(link, 0, link.size):
        if page.flags & FIRST:
            head = link.at(page.body, 51)
            codec = codec_of(head)
            if codec == "opus":
                streams[page.serial] = codec, 0, 48_000
            elif codec == "vorbis" and len(head) >= 30:
                streams[page.serial] = codec, 1 << (head[28] >> 4), number(head, 12, 4, "little")
            elif codec == "flac" and len(head) == 51 and (info := stream_info(head[17:])).rate:
                streams[page.serial] = codec, info.most, info.rate
        elif page.serial in streams and page.granule not in (0, NO_GRANULE):
            codec, block, rate = streams[page.serial]
            most = most_samples(page, link, codec, block)
            step = page.granule - position.get(page.serial, page.granule - most)
            is_back = step < 0 or (codec != "vorbis" and step < most - _CLOCK_SECONDS * rate)
            if step > most + _CLOCK_SECONDS * rate or (is_back and not page.flags & LAST):
                return False
            position[page.serial] = page.granule
    return True
