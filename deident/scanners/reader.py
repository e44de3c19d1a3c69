"""Bytes of a file of any size, read where they are needed, within a budget."""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import BinaryIO

from deident.errors import RecordingError
from deident.scanners.finding import Bytes, ScanStop

BLOCK = 16_384  # bytes read at once
MOST_READS = 4_000_000  # 14 hours of MP3
MOST_BYTES = 1 << 32  # read in all
ZERO_CHECK = 1 << 24  # bytes of padding that are looked at


class Reader:
    """A seekable binary file.

    Raises `ScanStop` when the budget is used up, `RecordingError` when reading fails."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.reads, self.bytes = MOST_READS, MOST_BYTES
        self.block_start, self.block = 0, b""
        try:
            self.size = file.seek(0, io.SEEK_END)
        except (OSError, ValueError) as error:
            raise RecordingError("the recording cannot be read: it does not seek", "unreadable") from error

    def place(self, position: int) -> int:
        return position

    def at(self, start: int, size: int, /) -> bytes:
        self.reads -= 1
        if self.reads < 0:
            raise ScanStop("more pieces than any recording has")
        skip = start - self.block_start
        if skip >= 0 and skip + size <= len(self.block):
            return self.block[skip : skip + size]
        if start < 0 or size <= 0 or start >= self.size:
            return b""
        if size >= BLOCK:
            return self._fetch(start, size)
        self.block_start, self.block = start, self._fetch(start, BLOCK)
        return self.block[:size]

    def _fetch(self, start: int, size: int) -> bytes:
        self.bytes -= size
        if self.bytes < 0:
            raise ScanStop(f"more than {MOST_BYTES >> 20} MB would have to be read")
        try:
            self.file.seek(start)
            data = self.file.read(size)
        except (OSError, ValueError) as error:
            raise RecordingError("the recording cannot be read to its end", "unreadable") from error
        if not isinstance(data, bytes):
            raise RecordingError("expected a binary file; got text or a file that would block", "unreadable")
        return data


class Pieces:
    """A packet whose bytes lie in several ranges of a file, as one range from 0."""

    def __init__(self, source: Bytes, pieces: list[tuple[int, int]]) -> None:
        self.source = source
        self.pieces = [piece for piece in pieces if piece[1] > 0]  # (start in source, bytes)
        self.starts: list[int] = []
        self.size = 0
        for _, length in self.pieces:
            self.starts.append(self.size)
            self.size += length

    def place(self, position: int) -> int:
        if not self.pieces:
            return 0
        piece = max(0, bisect_right(self.starts, position) - 1)
        return self.source.place(self.pieces[piece][0] + position - self.starts[piece])

    def at(self, start: int, size: int, /) -> bytes:
        parts: list[bytes] = []
        piece = max(0, bisect_right(self.starts, start) - 1)
        while size > 0 and piece < len(self.pieces):
            skip = start - self.starts[piece]
            part = self.source.at(self.pieces[piece][0] + skip, min(size, self.pieces[piece][1] - skip))
            if not part:
                break
            parts.append(part)
            start, size, piece = start + len(part), size - len(part), piece + 1
        return b"".join(parts)


def is_zero(source: Bytes, start: int, stop: int) -> bool:
    """Tell whether these bytes are all zero, as far as `ZERO_CHECK`; more than that counts as not."""
    if stop - start > ZERO_CHECK:
        return False
    while start < stop:
        data = source.at(start, min(1 << 18, stop - start))
        if not data:
            return True
        if data.count(0) != len(data):
            return False
        start += len(data)
    return True
