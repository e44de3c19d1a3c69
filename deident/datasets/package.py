"""A folder of files that is there whole or not at all, with neutral times and modes."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deident.errors import StoreError
from deident.store import Disk
from deident.store.disk import plain_errors


class Package:
    """A folder being written, whose files have mode 0600 and time 0, like those of a store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk = Disk()

    def put(self, name: str, data: bytes) -> None:
        """Write a new file, in a folder below if the name has a slash."""
        path = self._folder / name
        if path.parent != self._folder:
            self._disk.make_folder(path.parent)
        self._disk.close(self._disk.written(path, [data]))

    def put_lines(self, name: str, lines: list[str]) -> None:
        """Write a new file of lines."""
        self.put(name, "".join(f"{line}\n" for line in lines).encode())

    def path(self, name: str) -> Path:
        """Return the path for a file that another library writes; `finish` it then."""
        return self._folder / name

    def finish(self, name: str) -> None:
        """Set mode and time of a file that another library wrote."""
        with plain_errors("finishing a file"):
            os.chmod(self._folder / name, 0o600)
            os.utime(self._folder / name, ns=(0, 0))


@contextmanager
def package(out: Path) -> Iterator[Package]:
    """Make a folder at `out`: write it beside, and rename it when all is there.

    Parameters
    ----------
    out : Path
        Not there yet, or an empty folder.

    Yields
    ------
    Package

    Raises
    ------
    StoreError
        If something is at that place."""
    with plain_errors("making the data set's folder"):
        if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
            raise StoreError("there is something at the data set's place: expected a new or empty folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_name(f".{out.name}.{secrets.token_hex(8)}.part")
        beside.mkdir(mode=0o700)
    try:
        yield Package(beside)
        with plain_errors("putting the data set in its place"):
            os.rename(beside, out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
