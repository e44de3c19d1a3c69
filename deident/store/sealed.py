"""Records in a file that only a key opens: a line of text, then sealed records one after another."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deident.errors import KeyMaterialError, StoreError
from deident.keys import Key
from deident.store.disk import PRIVATE_FILE, Disk, plain_errors

NONCE_BYTES = 12  # AES-GCM's (NIST SP 800-38D), drawn anew for every record
MAX_RECORD_BYTES = 64 << 20
_SIZE = struct.Struct(">I")


class Sealed:
    """A file of JSON records under AES-256-GCM, mode 0600. purpose : what it holds; part of the seal.

    Opening proves that the key fits, and cuts off a record that a stop left half-written: it was not yet
    committed. Several runs may write to it: each change is made under a lock that lasts no longer.
    Raises `KeyMaterialError` for a wrong key or a changed file, `StoreError` for another file."""

    def __init__(self, path: Path, key: Key, purpose: str, disk: Disk | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._path = path
        self._magic = f"deident {purpose} 1\n".encode()
        self._disk = disk or Disk()
        self._cipher = AESGCM(key.derive("sealed", purpose))
        self._whole = self._end()
        if self._path.exists() and self._path.stat().st_size > self._whole:
            with self._locked() as descriptor:
                self._mend(descriptor)

    def add(self, records: list[dict[str, Any]]) -> None:
        """Append and sync."""
        if not records:
            return
        with self._locked(os.O_CREAT) as descriptor:
            self._mend(descriptor)
            start = b"" if self._whole else self._magic
            self._disk.write(descriptor, start + b"".join(map(self._sealed, records)))
            self._disk.sync(descriptor)
            self._whole = os.fstat(descriptor).st_size

    def records(self) -> Iterator[dict[str, Any]]:
        """All records that were written whole."""
        for record, _ in self._read():
            yield record

    def rewrite(self, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Every record as `change` gives it, without those of which it gives None."""
        if not self._path.exists():
            return
        with self._locked():
            old = list(self.records())
            new = [changed for record in old if (changed := change(record)) is not None]
            if new == old:
                return
            self._disk.replace(self._path, [self._magic, *map(self._sealed, new)])

    @contextlib.contextmanager
    def _locked(self, create: int = 0) -> Iterator[int]:
        """The file that lies at the path, for no other process meanwhile; not one that was rewritten since."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | create
        while True:
            with plain_errors("writing a sealed file"):
                descriptor = os.open(self._path, flags, PRIVATE_FILE)
            try:
                with plain_errors("locking a sealed file"):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    is_there = os.path.samestat(os.fstat(descriptor), os.stat(self._path))
                if is_there:
                    yield descriptor
                    return
            finally:
                self._disk.close(descriptor)

    def _sealed(self, record: dict[str, Any]) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, json.dumps(record).encode(), self._magic)
        return _SIZE.pack(len(sealed)) + sealed

    def _read(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Every whole record, and where it ends."""
        from cryptography.exceptions import InvalidTag

        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"a sealed file cannot be read: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            found = file.read(len(self._magic))
            if found != self._magic:
                if self._magic.startswith(found):
                    return
                raise StoreError(
                    f"expected a file that begins with {self._magic.decode().strip()!r}; this does not"
                )
            while len(head := file.read(_SIZE.size)) == _SIZE.size:
                (size,) = _SIZE.unpack(head)
                if not NONCE_BYTES < size <= MAX_RECORD_BYTES:
                    raise StoreError("a sealed file is damaged")
                sealed = file.read(size)
                if len(sealed) < size:
                    return
                try:
                    plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._magic)
                except InvalidTag:
                    raise KeyMaterialError(
                        "this is not the key of the sealed file, or the file was changed"
                    ) from None
                yield json.loads(plain), file.tell()

    def _mend(self, descriptor: int) -> None:
        """Cut off what a stop, of this run or of another, left half-written. For who holds the lock."""
        with plain_errors("repairing a sealed file"):
            size = os.fstat(descriptor).st_size
            if size != self._whole:
                self._whole = self._end()
                if size > self._whole:
                    os.ftruncate(descriptor, self._whole)

    def _end(self) -> int:
        """Of what was written whole; opens every record."""
        end = max((end for _, end in self._read()), default=0)
        with plain_errors("looking at a sealed file"):
            is_begun = self._path.exists() and self._path.stat().st_size >= len(self._magic)
        return end or (len(self._magic) if is_begun else 0)
