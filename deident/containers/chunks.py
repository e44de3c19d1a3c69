"""Chunks: a name, a size and that many bytes, of which RIFF, RF64, W64, AIFF and CAF are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from deident.containers.source import Source, number

UNKNOWN_SIZE = 0xFFFFFFFF  # of RF64: the size stands in `ds64`
_NAMES = {b"fmt ", b"data", b"fact", b"LIST", b"COMM", b"SSND"}


@dataclass(frozen=True, slots=True)
class ChunkFormat:
    """Spelling of the chunks of one family. counts_header : the size includes name and size themselves."""

    name_bytes: int = 4
    size_bytes: int = 4
    order: str = "little"
    align: int = 2
    counts_header: bool = False

    @property
    def header(self) -> int:
        return self.name_bytes + self.size_bytes


RIFF, RIFX, CAF = ChunkFormat(), ChunkFormat(order="big"), ChunkFormat(size_bytes=8, order="big", align=1)
W64 = ChunkFormat(name_bytes=16, size_bytes=8, align=8, counts_header=True)


class Chunk(NamedTuple):
    """A chunk. start, body : positions of its header and of what follows it. stop : end of its body, at most that
    of the range. end : the same as its header claims it. claimed : the size in its header. after : start of the
    next.
    """

    name: bytes
    start: int
    body: int
    stop: int
    end: int
    claimed: int
    after: int

    @property
    def is_whole(self) -> bool:
        return self.end <= self.stop


def chunks(
    source: Source, start: int, stop: int, form: ChunkFormat, sizes: Mapping[bytes, int] | None = None
) -> Iterator[Chunk]:
    """Walk over the chunks of a range; the last one may be cut.

    sizes : by name, the size of a chunk whose header says 0xFFFFFFFF.
    """
    while stop - start >= form.header:
        head = source.at(start, form.header)
        name, claimed = (
            head[: form.name_bytes],
            number(head, form.name_bytes, form.size_bytes, form.order),
        )
        size = (sizes or {}).get(name, claimed) if claimed == UNKNOWN_SIZE else claimed
        body = start + form.header
        end = start + size if form.counts_header else body + size
        if len(head) < form.header or end < body:
            return
        after = end if end >= stop or _lacks_padding(source, end, form) else end + -end % form.align
        yield Chunk(name, start, body, min(end, stop), end, claimed, after)
        start = after


def _lacks_padding(source: Source, end: int, form: ChunkFormat) -> bool:
    """Tell a writer that forgot the byte behind a chunk of odd size, so that the next chunk follows at once."""
    if form.align != 2 or not end % 2:
        return False
    here = source.at(end, 5)
    return len(here) == 5 and here[1:] not in _NAMES and all(32 <= byte < 127 for byte in here[:4])
