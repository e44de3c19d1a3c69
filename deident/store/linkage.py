"""Which snippets came from which source: sealed, apart from the store, and only where it was asked for.

Without it nothing points back from a snippet, and so nothing can be erased by its source. The file is a line
of text and sealed records one after another, each written and synced before what it speaks of is committed:
it may know of snippets that were never released, and never lacks one that was."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deident.errors import KeyMaterialError, StoreError
from deident.secret import Key
from deident.store.disk import Disk, plain_errors

MAGIC = b"deident linkage 1\n"
NONCE_BYTES = 12  # AES-GCM's (NIST SP 800-38D), drawn anew for every record
MAX_RECORD_BYTES = 64 << 20
_SIZE = struct.Struct(">I")


@dataclass(frozen=True, repr=False)
class Link:
    """A source and its snippets. place, content : the ledger's digests, in hexadecimal digits.
    recording : the pseudonym that messages use.   day : days since 1970-01-01 UTC, of the run."""

    place: str
    content: str
    recording: str
    path: str
    speaker: str | None
    names: tuple[str, ...]
    day: int

    def __repr__(self) -> str:
        return f"Link({len(self.names)} snippets)"


class Linkage:
    """The sealed file at `path`; made with its first record. Raises `KeyMaterialError` for a wrong key,
    `StoreError` for a damaged file."""

    def __init__(self, path: str | os.PathLike[str], key: Key, disk: Disk | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._path = Path(path)
        self._disk = disk or Disk()
        self._cipher = AESGCM(key.derive("linkage"))
        self._cut_off_half_a_record()  # and a wrong key shows before anything is released

    def add(self, links: list[Link]) -> None:
        """Append and sync."""
        if not links:
            return
        with plain_errors("writing the linkage"):
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        try:
            start = b"" if os.fstat(descriptor).st_size else MAGIC
            self._disk.write(descriptor, start + b"".join(map(self._sealed, links)))
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)

    def links(self) -> Iterator[Link]:
        """All records that were written whole."""
        for link, _ in self._records():
            yield link

    def remove(self, of: Callable[[Link], bool]) -> None:
        """Rewrite the file without some records."""
        kept = [link for link in self.links() if not of(link)]
        beside = self._path.with_name(self._path.name + ".part")
        self._disk.unlink(beside)
        self._disk.write_whole(self._path, MAGIC + b"".join(map(self._sealed, kept)), beside)
        self._disk.sync_folder(self._path.parent)

    def _sealed(self, link: Link) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        record = nonce + self._cipher.encrypt(nonce, json.dumps(asdict(link)).encode(), MAGIC)
        return _SIZE.pack(len(record)) + record

    def _records(self) -> Iterator[tuple[Link, int]]:
        """Every whole record, and where it ends. A record cut off at the end was not yet committed."""
        from cryptography.exceptions import InvalidTag

        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"the linkage cannot be read: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            found = file.read(len(MAGIC))
            if found != MAGIC:
                if MAGIC.startswith(found):
                    return
                raise StoreError("expected a linkage file of deident; this is none")
            while len(head := file.read(_SIZE.size)) == _SIZE.size:
                (size,) = _SIZE.unpack(head)
                if not NONCE_BYTES < size <= MAX_RECORD_BYTES:
                    raise StoreError("the linkage is damaged")
                record = file.read(size)
                if len(record) < size:
                    return
                try:
                    plain = self._cipher.decrypt(record[:NONCE_BYTES], record[NONCE_BYTES:], MAGIC)
                except InvalidTag:
                    raise KeyMaterialError("this is not the linkage's key, or the file was changed") from None
                values = json.loads(plain)
                yield Link(**{**values, "names": tuple(values["names"])}), file.tell()

    def _cut_off_half_a_record(self) -> None:
        ends = [end for _, end in self._records()]
        with plain_errors("repairing the linkage"):
            if not self._path.exists():
                return
            size = self._path.stat().st_size
            end = max(ends, default=len(MAGIC) if size >= len(MAGIC) else 0)
            if size > end:
                os.truncate(self._path, end)


def today() -> int:
    return int(time.time() // 86_400)
