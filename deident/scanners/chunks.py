"""Chunks and what is noted of them whatever their family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deident.containers.chunks import Chunk, ChunkFormat, chunks
from deident.containers.finding import Bytes, Notes
from deident.scanners.reader import is_zero, zero_or_not


def walk(
    source: Bytes,
    start: int,
    stop: int,
    form: ChunkFormat,
    family: str,
    notes: Notes,
    sizes: Mapping[bytes, int] | None = None,
) -> Iterator[Chunk]:
    """Walk over the chunks in a range. Padding that is not zero, and bytes that are no chunk, are noted.

    sizes : by name, the size of a chunk whose own says 0xFFFFFFFF.
    """
    for chunk in chunks(source, start, stop, form, sizes):
        yield chunk
        start = chunk.after
        if not is_zero(source, chunk.stop, min(stop, start)):
            notes.add(f"{family}.padding", source, chunk.stop, start, "padding that is not zero")
    notes.add(f"{family}.gap", source, start, stop, "bytes that are no chunk")


def add_chunk(notes: Notes, source: Bytes, chunk: Chunk, family: str, known: Mapping[bytes, str]) -> None:
    """Note a chunk that sound does not need. known : meanings by name."""
    what = known.get(chunk.name)
    kind = f"{family}.{chunk.name.decode('latin-1').strip().lower()}" if what else f"{family}.unknown"
    notes.add(kind, source, chunk.start, chunk.stop, what or "a chunk of unknown kind")


def add_second(notes: Notes, source: Bytes, chunk: Chunk, family: str) -> None:
    """Note a chunk of a kind that there is one of."""
    notes.add(f"{family}.second", source, chunk.start, chunk.stop, "a second chunk where one is meant to be")


def add_rest(notes: Notes, source: Bytes, chunk: Chunk, kind: str, known: int) -> None:
    """Note what follows the `known` bytes of fields in a chunk."""
    notes.add(kind, source, chunk.body + known, chunk.stop, "bytes after the fields of a chunk")


def add_filler(notes: Notes, source: Bytes, chunk: Chunk, family: str) -> None:
    """Note a chunk that only fills space."""
    what = zero_or_not("filler", source, chunk.body, chunk.stop)
    notes.add(f"{family}.filler", source, chunk.start, chunk.stop, what)


def add_claim(notes: Notes, source: Bytes, chunk: Chunk, family: str) -> None:
    """Note sound that claims more bytes than there are: what stands at its end would be taken for sound."""
    if not chunk.is_whole:
        what = "a sound chunk that claims more bytes than there are: its end cannot be told from sound"
        notes.add(f"{family}.size", source, chunk.start, chunk.body, what)
