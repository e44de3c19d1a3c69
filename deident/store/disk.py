"""Every file-system call that the store makes, in one place: what can fail is written down here.

A test replaces this object to stop the program before and after each call, and to fill the disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deident.errors import StoreError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
SYNC_THREADS = 16
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}  # a folder, on some network file systems
_GO_ON = "mend that, and run the same command again, which goes on where it stopped"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@contextlib.contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn an `OSError` into a `StoreError` that names no path."""
    try:
        yield
    except OSError as error:
        what = f"{doing} failed: {error.strerror or 'input/output error'}"
        code = _code(error)
        raise StoreError(what if code == "disk-full" else f"{what}: {_GO_ON}", code) from None


def _code(error: OSError) -> str:
    return "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "store"


class Disk:
    """The calls themselves. Files are made new (never opened through a link), mode 0600, and synced."""

    def make_folder(self, path: Path) -> None:
        """Make a folder for its owner only, or close one that is there. Raises `StoreError` for anything else there."""
        with plain_errors("making a folder of the store"):
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=PRIVATE_FOLDER)
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise StoreError(
                    "expected a folder, or nothing; got a link or file in a folder's place: move it away"
                )
            path.chmod(PRIVATE_FOLDER)

    def create(self, path: Path) -> int:
        """Make a new, empty file, and return its descriptor."""
        with plain_errors("making a file in the store"):
            descriptor = os.open(path, _NEW, PRIVATE_FILE)
            os.fchmod(descriptor, PRIVATE_FILE)  # whatever the umask is
            return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        with plain_errors("writing to the store"):
            while view:
                view = view[os.write(descriptor, view) :]

    def truncate(self, descriptor: int, size: int) -> None:
        with plain_errors("repairing a file"):
            os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        with plain_errors("syncing a file of the store"):
            os.fsync(descriptor)

    def sync_all(self, descriptors: Sequence[int]) -> None:
        """Many at a time: a file system writes its journal once for those that wait."""
        with ThreadPoolExecutor(SYNC_THREADS) as threads:
            list(threads.map(self._sync_each, (descriptors[k::SYNC_THREADS] for k in range(SYNC_THREADS))))

    def _sync_each(self, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            self.sync(descriptor)

    def set_times(self, descriptor: int) -> None:
        """Access and modification time to 1970-01-01T00:00:00Z: time links what was written together."""
        with plain_errors("setting the time of a file of the store"):
            os.utime(descriptor, ns=(0, 0))

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        with plain_errors("renaming a file of the store"):
            os.rename(old, new)

    def unlink(self, path: Path) -> None:
        with plain_errors("removing a file of the store"), contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def sync_folder(self, path: Path) -> None:
        """Make names in a folder durable, on file systems that can."""
        with plain_errors("syncing a folder of the store"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except PermissionError:
                return  # a folder that may be written and not be read
            try:
                os.fsync(descriptor)
            except OSError as error:
                if error.errno not in _CANNOT_SYNC:
                    raise
            finally:
                os.close(descriptor)

    def written(self, path: Path, blocks: Iterable[bytes]) -> int:
        """Make a new file of these bytes, with the time 0; its descriptor, which is not synced yet."""
        descriptor = self.create(path)
        try:
            for block in blocks:
                self.write(descriptor, block)
            self.set_times(descriptor)
        except BaseException:
            self.close(descriptor)
            raise
        return descriptor

    def replace(self, path: Path, blocks: Iterable[bytes], beside: Path | None = None) -> None:
        """Put these bytes at `path`, whole or not at all: written beside it, synced, renamed."""
        beside = beside or path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            descriptor = self.written(beside, blocks)
            try:
                self.sync(descriptor)
            finally:
                self.close(descriptor)
            self.rename(beside, path)
        except BaseException:
            with contextlib.suppress(StoreError):
                self.unlink(beside)
            raise
        self.sync_folder(path.parent)


class Spool:
    """Snippets of some recordings, one after another in one private file, until they are released.

    One file for many snippets: that costs one sync, and the order in which released files are made is then
    free.
    """

    def __init__(self, folder: Path, name: str, disk: Disk) -> None:
        self.name = name
        self._path = folder / name
        self._disk = disk
        self._at = 0
        self._is_closed = False
        self._descriptor = disk.create(self._path)

    def append(self, data: bytes) -> int:
        """Append bytes; the position where they start."""
        start = self._at
        self._disk.write(self._descriptor, data)
        self._at += len(data)
        return start

    def close(self) -> None:
        """Sync the spool and its folder."""
        try:
            self._disk.sync(self._descriptor)
        finally:
            self._close()
        self._disk.sync_folder(self._path.parent)

    def discard(self) -> None:
        """Remove the spool, open or closed."""
        self._close()
        self._disk.unlink(self._path)

    def _close(self) -> None:
        """Once: by a second time the number may be another file's."""
        if not self._is_closed:
            self._is_closed = True
            self._disk.close(self._descriptor)
