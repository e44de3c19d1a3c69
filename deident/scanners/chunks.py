"""Chunks: a name, a size and that many bytes, of which RIFF, RF64, W64, AIFF and CAF are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from deident.scanners.finding import Bytes, Notes
from deident.scanners.reader import is_zero, number


@dataclass(frozen=True)
class Layout:
    """How one family writes its chunks. counts_header : the size includes name and size themselves."""

    family: str
    name_bytes: int = 4
    size_bytes: int = 4
    order: str = "little"
    align: int = 2
    counts_header: bool = False

    @property
    def header(self) -> int:
        return self.name_bytes + self.size_bytes


class Chunk(NamedTuple):
    """start, body, stop : where the header starts, the header ends and the body ends.   whole : the body is
    all there.   claimed : the size that its header says."""

    name: bytes
    start: int
    body: int
    stop: int
    whole: bool
    claimed: int


def walk(
    source: Bytes,
    start: int,
    stop: int,
    layout: Layout,
    notes: Notes,
    sizes: Mapping[bytes, int] | None = None,
) -> Iterator[Chunk]:
    """The chunks in a range. Padding that is not zero, and bytes that are no chunk, are noted.

    sizes : by name, the size of a chunk whose own says 0xFFFFFFFF."""
    while stop - start >= layout.header:
        source.step()
        head = source.read(start, layout.header)
        name, claimed = (
            head[: layout.name_bytes],
            number(head, layout.name_bytes, layout.size_bytes, layout.order),
        )
        size = (sizes or {}).get(name, claimed) if claimed == 0xFFFFFFFF else claimed
        body = start + layout.header
        if layout.counts_header:
            size -= layout.header
        if size < 0:
            break
        end = body + size
        yield Chunk(name, start, body, min(end, stop), end <= stop, claimed)
        if end >= stop:
            return
        start = padded_end(source, end, stop, layout, notes)
    notes.add(f"{layout.family}.gap", source, start, stop, "bytes that are no chunk")


def padded_end(source: Bytes, end: int, stop: int, layout: Layout, notes: Notes) -> int:
    """Where the next chunk starts."""
    padded = min(stop, end + -end % layout.align)
    if padded > end and not is_zero(source, end, padded):
        if layout.align == 2 and source.read(end, 4).isascii() and source.read(end, 4).strip().isalnum():
            return end  # a writer that forgot the padding
        notes.add(f"{layout.family}.padding", source, end, padded, "padding that is not zero")
    return padded


def add_filler(notes: Notes, source: Bytes, chunk: Chunk, family: str) -> None:
    """Note a chunk that only fills space."""
    empty = is_zero(source, chunk.body, chunk.stop)
    what = "filler, all zero" if empty else "filler that is not zero"
    notes.add(f"{family}.filler", source, chunk.start, chunk.stop, what)


def add_claim(notes: Notes, source: Bytes, chunk: Chunk, family: str) -> None:
    """Note sound that claims more bytes than there are: what stands at its end would be taken for sound."""
    if not chunk.whole:
        what = "a sound chunk that claims more bytes than there are: its end cannot be told from sound"
        notes.add(f"{family}.size", source, chunk.start, chunk.body, what)
