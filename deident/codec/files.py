"""Bytes of an open descriptor, read by position."""

from __future__ import annotations

import io
import os
from typing import Any

from deident.containers.source import Source

_SEARCHED = 1 << 20


class Bytes:
    """A descriptor's bytes from `start` to `stop`. Reading never moves another reader's position."""

    def __init__(self, descriptor: int, start: int = 0, stop: int | None = None) -> None:
        self.descriptor = descriptor
        self.start = start
        self.size = (os.fstat(descriptor).st_size if stop is None else stop) - start

    def at(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes from `offset`; fewer at the end, none beyond it."""
        count = min(count, self.size - offset)
        if offset < 0 or count <= 0:
            return b""
        return _pread(self.descriptor, count, self.start + offset)

    def window(self, start: int, stop: int | None = None) -> Bytes:
        end = self.size if stop is None else stop
        return Bytes(self.descriptor, self.start + start, self.start + end)

    def again(self, count: int) -> int:
        """Find where its first `count` bytes occur once more, or its end."""
        head = self.at(0, count)
        for at in range(count, self.size, _SEARCHED):
            if (found := self.at(at, _SEARCHED + count - 1).find(head)) >= 0:
                return at + found
        return self.size


def _pread(descriptor: int, count: int, offset: int) -> bytes:
    """Read at an offset, also on systems without `pread`."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


_TAG = 128  # at a pretended end, decoders look for an ID3v1 tag and must find room for one


class File(io.RawIOBase):
    """`Bytes` as a file object for a decoder, with some bytes replaced and a length to be chosen.

    patches : bytes by the offset at which they stand in for the true ones: sizes that a recorder never filled in.
    length : pretended size, where a decoder derives a wrong duration from the true one.
    """

    def __init__(self, source: Source, patches: dict[int, bytes] | None = None, length: int = 0) -> None:
        self._source = source
        self._patches = patches or {}
        self._length = length or source.size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._source.at(self._position, len(view))
        if self._position >= self._length - _TAG and self._length > self._source.size:
            data = bytes(min(len(view), self._length - self._position))
        view[: len(data)] = data
        for where, patch in self._patches.items():
            first, last = max(where, self._position), min(where + len(patch), self._position + len(data))
            if first < last:
                view[first - self._position : last - self._position] = patch[first - where : last - where]
        self._position += len(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(self._length - self._position if size < 0 else size)
        return bytes(buffer[: self.readinto(buffer)])
