"""Bytes at positions, the one view that parsers have of a file."""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol


class Source(Protocol):
    """Bytes that can be read at any position: a file's, or those of a packet that lies in pieces in a file."""

    @property
    def size(self) -> int: ...

    def at(self, offset: int, count: int, /) -> bytes:
        """Read up to `count` bytes from `offset`; fewer at the end, none beyond it."""


class Memory:
    """Bytes in memory as a `Source`."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def at(self, offset: int, count: int, /) -> bytes:
        return self.data[offset : offset + count] if offset >= 0 and count > 0 else b""


class Pieces:
    """Ranges of sources, one behind the other, as one `Source`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = 0
        self._starts: list[int] = []
        self._pieces: list[tuple[Source, int]] = []

    def add(self, start: int, size: int, source: Source | None = None) -> None:
        """Append `size` bytes from `start`, of another source if one is given."""
        source = source or self.source
        if size <= 0:
            return
        if not self._pieces or self.locate(self.size) != (source, start):
            self._starts.append(self.size)
            self._pieces.append((source, start))
        self.size += size

    def locate(self, position: int) -> tuple[Source, int]:
        """Find the source of a byte and its position there."""
        index = max(0, bisect_right(self._starts, position) - 1)
        source, start = self._pieces[index]
        return source, start + position - self._starts[index]

    def at(self, offset: int, count: int, /) -> bytes:
        parts: list[bytes] = []
        count = min(count, self.size - offset)
        while offset >= 0 and count > 0:
            source, start = self.locate(offset)
            index = bisect_right(self._starts, offset)
            end = self._starts[index] if index < len(self._starts) else self.size
            part = source.at(start, min(count, end - offset))
            if not part:
                break
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return b"".join(parts)


def number(data: bytes, start: int, size: int, order: str = "big") -> int:
    """Read an unsigned number; bytes past the end count as none."""
    return int.from_bytes(data[start : start + size], "big" if order in ("big", ">") else "little")
