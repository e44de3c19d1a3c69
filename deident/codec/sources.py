"""Descriptors of regular files, opened from a path, an open file or a stream of bytes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from deident import uris as remote
from deident.codec.problems import RefusedError
from deident.errors import DeidentError

_PIECE = 1 << 20
_IN_MEMORY = 64 << 20  # beyond it a copied source goes to an unnamed file on disk


@contextlib.contextmanager
def descriptor_of(
    source: str | os.PathLike[str] | BinaryIO, *, follow_links: bool, spool_bytes: int
) -> Iterator[tuple[int, int]]:
    """Open a source as (descriptor, position of the recording in it), closed on leaving. Raises `RefusedError`."""
    if isinstance(source, str) and remote.is_uri(source := remote.local_path(source)):
        descriptor, start = _fetch(source, spool_bytes), 0
    elif isinstance(source, str | bytes | os.PathLike):
        descriptor, start = _open(os.fspath(source), follow_links), 0
    elif (own := _own_descriptor(source)) is not None:
        descriptor, start = _reopen(own), source.tell()
    else:
        descriptor, start = _spool(source, spool_bytes), 0
    try:
        yield descriptor, start
    finally:
        os.close(descriptor)


def _open(path: str | bytes, follow_links: bool) -> int:
    """Open a regular file for reading, without waiting for a device or following links unless asked to."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", *(() if follow_links else ("O_NOFOLLOW",))):
        flags |= getattr(os, name, 0)
    try:
        _check_kind(os.stat(path, follow_symlinks=follow_links).st_mode)  # opening some devices does things
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", errno.ENOENT)
        if number == errno.ELOOP:
            # Links that are followed and come to no end lead to no recording.
            raise RefusedError("missing" if follow_links else "symlink") from None
        is_missing = number in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
        raise RefusedError("missing" if is_missing else "unreadable") from None
    try:
        _check_kind(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise RefusedError("symlink")
    if stat.S_ISDIR(mode):
        raise RefusedError("directory")
    if not stat.S_ISREG(mode):
        raise RefusedError("not-regular")


def _own_descriptor(file: BinaryIO) -> int | None:
    """Get the descriptor whose bytes are the file object's own. Others (gzip, zip members) have a `fileno` too,
    but of what they decompress.
    """
    inner: Any = getattr(file, "file", file)  # what tempfile wraps
    raw = getattr(inner, "raw", inner)
    if getattr(raw, "closed", False) is True:
        raise RefusedError("not-binary")
    if not isinstance(raw, io.FileIO) or not isinstance(inner, io.RawIOBase | io.BufferedIOBase):
        return None
    if "+" in raw.mode or "w" in raw.mode or "a" in raw.mode:
        inner.flush()
    return raw.fileno() if stat.S_ISREG(os.fstat(raw.fileno()).st_mode) else None


def _reopen(descriptor: int) -> int:
    """Open it again, read-only and with a position of its own where the system can do that, else duplicate it."""
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return os.dup(descriptor)


def _fetch(uri: str, most: int) -> int:
    """Copy a file at a URI to a temporary one, of at most so many bytes."""
    try:
        with remote.open_uri(uri) as file:
            return _spool(file, most)
    except FileNotFoundError:
        raise RefusedError("missing") from None
    except (RefusedError, DeidentError):
        raise
    except Exception:  # each kind of storage has errors of its own, which name the URI
        raise RefusedError("unreadable") from None


def _spool(file: BinaryIO, most: int) -> int:
    """Copy what can still be read: into memory while it is small, then into a file without a name."""
    copy = os.memfd_create("recording", os.MFD_CLOEXEC) if hasattr(os, "memfd_create") else _unnamed()
    size, on_disk = 0, not hasattr(os, "memfd_create")
    try:
        while piece := _read(file):
            size += len(piece)
            if size > most:
                raise RefusedError("limit-spool", most)
            if size > _IN_MEMORY and not on_disk:
                copy, on_disk = _move(copy), True
            view = memoryview(piece)
            while view:
                view = view[os.write(copy, view) :]
    except OSError:
        os.close(copy)
        raise RefusedError("unreadable") from None
    except BaseException:
        os.close(copy)
        raise
    return copy


def _read(file: BinaryIO) -> bytes:
    """Read the next piece of a binary file object."""
    try:
        piece = file.read(_PIECE)
    except (ValueError, AttributeError, UnicodeDecodeError):  # closed, or no file at all, or text
        raise RefusedError("not-binary") from None
    if piece is None:
        raise RefusedError("unreadable")  # a non-blocking stream with nothing to give
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise RefusedError("not-binary")
    return bytes(piece)


def _unnamed() -> int:
    """Open a temporary file that has no name."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _move(memory: int) -> int:
    """Move what lies in memory to a temporary file on disk."""
    disk, at = _unnamed(), 0
    try:
        while piece := os.pread(memory, _PIECE, at):
            at += os.write(disk, piece)
    except BaseException:
        os.close(disk)
        raise
    os.close(memory)
    return disk
