"""Named bytes below a URI, as object stores have them: put whole, replaced whole, never renamed."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from deident.store.disk import Disk
from deident.uris import PART, PRIVATE, UriFolder, plain_errors

COPY_BLOCK = 1 << 20


class Objects(UriFolder):
    """A folder at a URI, to be written too. On a real file system, files have mode 0600 and the time 0."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        protocols = self._fs.protocol
        is_local = "file" in ((protocols,) if isinstance(protocols, str) else protocols)
        self._disk = Disk() if is_local else None

    def prepare(self, *folders: str) -> None:
        """Make folders for their owner only, on file systems that have folders."""
        if self._disk:
            with plain_errors("making a folder of the store"):
                Path(self._root).parent.mkdir(parents=True, exist_ok=True)
            for folder in ("", *folders):
                path = Path(self._at(folder))
                self._disk.make_folder(path)
                self._disk.sync_folder(path.parent)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Put each whole or not at all."""
        if self._disk is None:
            with plain_errors("writing to the store"):
                self._fs.pipe({self._at(name): data for name, data in files.items()})
            return
        for name, data in files.items():
            self._put_local(self._disk, name, [data])

    def put_open_file(self, name: str, file: IO[bytes]) -> None:
        """Put the bytes that an open file has left."""
        if self._disk:
            self._put_local(self._disk, name, iter(lambda: file.read(COPY_BLOCK), b""))
            return
        with plain_errors("writing to the store"), self._fs.open(self._at(name), "wb") as there:
            shutil.copyfileobj(file, there, COPY_BLOCK)

    def _put_local(self, disk: Disk, name: str, blocks: Iterable[bytes]) -> None:
        beside = self._at(f"{PRIVATE}/{secrets.token_hex(16)}{PART}")
        disk.replace(Path(self._at(name)), blocks, Path(beside))

    def remove_together(self, names: Sequence[str]) -> None:
        """Remove files in no order, many in one request where there is one for that."""
        if self._disk is None:
            with plain_errors("removing from the store"), contextlib.suppress(FileNotFoundError):
                self._fs.rm([self._at(name) for name in names])
                return
        self.remove(names)  # an earlier run removed some

    def remove(self, names: Sequence[str]) -> None:
        """Remove those that are there, one after another."""
        with plain_errors("removing from the store"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(self._at(name))
