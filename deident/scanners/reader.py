"""Bytes of a file of any size, read where they are needed, within a budget."""

from __future__ import annotations

import io
from typing import BinaryIO

from deident.containers.finding import Bytes, ScanStop
from deident.containers.source import Pieces
from deident.errors import RecordingError

BLOCK = 16_384  # bytes read at once
MOST_READS = 4_000_000  # 14 hours of MP3
MOST_BYTES = 1 << 32  # read in all
ZERO_CHECK = 1 << 24  # bytes of padding that are looked at


class Reader:
    """A seekable binary file.

    Raises `ScanStop` when the budget is used up, `RecordingError` when reading fails.
    """

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
        """Read bytes of the file, within the total that a scan may read."""
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


class Packet(Pieces):
    """A packet whose bytes lie in several ranges of a file, as one range from 0."""

    source: Bytes

    def place(self, position: int) -> int:
        return self.source.place(self.locate(position)[1]) if self.size else 0


def zero_or_not(what: str, source: Bytes, start: int, stop: int) -> str:
    """Say of something that only fills space whether its bytes are all zero."""
    return f"{what}{', all zero' if is_zero(source, start, stop) else ' that is not zero'}"


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
