"""Tags that stand before or behind a recording of any format: ID3, APE and Lyrics3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from deident.containers.source import Source, number

ID3, ID3V1, ID3V1_MORE, APE = 10, 128, 227, 32  # bytes of a header, or of all
LYRICS_BEGIN = b"LYRICSBEGIN"
_LYRICS_V1 = 5_120  # bytes, at most
_MOST_APE = 1 << 26
_IS_HEADER = 1 << 29  # flag of an APE tag's header, which its footer lacks
_MOST = 1_000  # tags in front: tag editors leave more than one, never many


class Tag(NamedTuple):
    kind: str
    start: int
    stop: int


def synchsafe(data: bytes, start: int) -> int:
    """Read 28 bits that lie in four bytes (ID3v2.4, section 6.2)."""
    return sum((byte & 0x7F) << 7 * (3 - k) for k, byte in enumerate(data[start : start + 4]))


def id3_size(head: bytes) -> int:
    """Count the bytes of the ID3v2 tag that starts so, or 0 if none does."""
    if len(head) < ID3 or head[:3] != b"ID3" or 0xFF in head[3:5] or max(head[6:10]) > 0x7F:
        return 0
    return ID3 + synchsafe(head, 6) + (ID3 if head[3] >= 4 and head[5] & 0x10 else 0)


def front_tags(source: Source, start: int, stop: int) -> Iterator[Tag]:
    """Walk over the tags in front; the last one may be cut."""
    for _ in range(_MOST):
        head = source.at(start, APE)
        if size := id3_size(head):
            kind = "id3v2"
        elif head[:8] == b"APETAGEX" and number(head, 20, 4, "little") & _IS_HEADER:
            kind, size = "ape", APE + number(head, 12, 4, "little")
        else:
            return
        yield Tag(kind, start, min(stop, start + size))
        start += size
        if start >= stop:
            return


def front_tags_end(source: Source) -> int:
    """Count the bytes of tags in front of a recording."""
    return max((tag.stop for tag in front_tags(source, 0, source.size)), default=0)


def end_tags(source: Source, start: int, stop: int) -> Iterator[Tag]:
    """Walk over the tags at the end, from the last one back."""
    while start < stop and (tag := _last_tag(source, start, stop)):
        yield tag
        stop = tag.start


def end_tags_start(source: Source, start: int, stop: int) -> int:
    """Find where the tags at the end begin."""
    return min((tag.start for tag in end_tags(source, start, stop)), default=stop)


def _last_tag(source: Source, start: int, stop: int) -> Tag | None:
    """Find the tag that ends at a position."""
    for size, mark, kind in ((ID3V1, b"TAG", "id3v1"), (ID3V1_MORE, b"TAG+", "id3v1.more")):
        at = stop - size
        if at >= start and source.at(at, len(mark)) == mark:
            return Tag(kind, at, stop)
    foot = source.at(max(start, stop - APE), min(APE, stop - start))
    if len(foot) == APE and foot[:8] == b"APETAGEX":
        return _ape(source, start, stop, number(foot, 12, 4, "little"))
    if foot.endswith(b"LYRICS200") and foot[-15:-9].isdigit():
        at = stop - 15 - int(foot[-15:-9])
        if at >= start and source.at(at, len(LYRICS_BEGIN)) == LYRICS_BEGIN:
            return Tag("lyrics3v2", at, stop)
    if foot.endswith(b"LYRICSEND"):
        first = max(start, stop - _LYRICS_V1)
        found = source.at(first, stop - first).rfind(LYRICS_BEGIN)
        if found >= 0:
            return Tag("lyrics3", first + found, stop)
    size = id3_size(b"ID3" + foot[-7:]) if foot[-ID3:-7] == b"3DI" else 0
    if size and stop - size >= start and source.at(stop - size, 3) == b"ID3":
        return Tag("id3v2", stop - size, stop)
    return None


def _ape(source: Source, start: int, stop: int, size: int) -> Tag:
    """Find the start of an APE tag from its footer, whose size may or may not count the header, or be wrong."""
    first, last = max(start, stop - size - APE), stop - APE
    if size >= APE and last - first <= _MOST_APE:
        data = source.at(first, last - first)
        header = data.rfind(b"APETAGEX")
        flags = number(data, header + 20, 4, "little")  # a footer is that of another tag
        if header >= 0 and flags & _IS_HEADER:
            return Tag("ape", first + header, stop)
        if stop - size >= start and _are_items(source, stop - size, last):
            return Tag("ape", stop - size, stop)
    return Tag("ape.broken", last, stop)


def _are_items(source: Source, at: int, stop: int) -> bool:
    """Tell whether a range holds whole items of an APE tag."""
    while at < stop:
        head = source.at(at, 8 + 256)
        name, zero, _ = head[8:].partition(b"\0")
        if not name or not zero:
            return False
        at += 8 + len(name) + 1 + number(head, 0, 4, "little")
    return at == stop
