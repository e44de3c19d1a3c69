"""Boxes of MP4 and QuickTime (ISO 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from deident.containers.source import Source, number


class Box(NamedTuple):
    """A box. start, body, stop : positions of its header, its content and its end."""

    name: bytes
    start: int
    body: int
    stop: int


def boxes(source: Source, start: int, stop: int) -> Iterator[Box]:
    """Walk over the boxes in a range, up to bytes that are none; the last one may be cut."""
    while start < stop:
        head = source.at(start, 16)
        header, size = 8, number(head, 0, 4)
        if size == 1:
            header, size = 16, number(head, 8, 8)
        elif size == 0:
            size = stop - start
        if size < header or start + header > stop:
            return
        end = min(stop, start + size)
        yield Box(head[4:8], start, start + header, end)
        start = end
