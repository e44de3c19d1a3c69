"""The log of a store in a bucket: sealed records, in the order of their names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from deident.errors import StoreError
from deident.keys import Key
from deident.store.ledger import Entry, Released, Staged, values
from deident.store.objects import Objects
from deident.uris import PRIVATE

_NONCE_BYTES = 12  # AES-GCM's (NIST SP 800-38D), drawn anew for every record
_FETCHED_TOGETHER = 32
_SIZE_BYTES = 8


@dataclass(frozen=True)
class Record:
    """One record. chunk : these recordings are done, and their snippets staged.   window : the snippets
    of some chunks are released.   piece : all that older records said, in parts.   erase : sources (place,
    content) and names that are to be forgotten.   replaces : names of older records it takes the place of."""

    kind: Literal["chunk", "window", "piece", "erase"]
    entries: list[Entry] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)
    released: list[Released] = field(default_factory=list)
    erased: list[tuple[bytes, bytes]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        rows: dict[str, Any] = {
            **vars(self),
            "entries": [values(entry) for entry in self.entries],
            "staged": [values(snippet) for snippet in self.staged],
            "released": [values(row) for row in self.released],
        }
        return json.dumps(rows, separators=(",", ":"), default=bytes.hex).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Record:
        rows = json.loads(raw)
        read = bytes.fromhex
        return cls(
            kind=rows["kind"],
            entries=[
                Entry(read(place), read(content), state, policy, read(origin), read(file))
                for place, content, state, policy, origin, file in rows["entries"]
            ],
            staged=[Staged(*row) for row in rows["staged"]],
            released=[Released(*row) for row in rows["released"]],
            erased=[(read(place), read(content)) for place, content in rows["erased"]],
            names=rows["names"],
            replaces=rows["replaces"],
        )


class Log:
    """Records under AES-256-GCM in a folder. A record that a stop left half-written was never put: its length is
    in front of it. Raises `StoreError` for one that was changed."""

    FOLDER: ClassVar[str] = f"{PRIVATE}/log"

    def __init__(self, folder: Objects, key: Key) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._folder = folder
        self._cipher = AESGCM(key.derive("sealed", "log"))
        self._number = 0

    def names(self) -> list[str]:
        return sorted(self._folder.names(self.FOLDER))

    def put(self, record: Record) -> str:
        """Put a record, which counts once this returns; its name."""
        self._number += 1
        name = f"{self._number:012}-{os.urandom(8).hex()}"
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, record.to_bytes(), name.encode())
        self._folder.put({f"{self.FOLDER}/{name}": len(sealed).to_bytes(_SIZE_BYTES, "big") + sealed})
        return name

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield all records, oldest first. Later records get later names."""
        from cryptography.exceptions import InvalidTag

        names = self.names()
        for at in range(0, len(names), _FETCHED_TOGETHER):
            some = names[at : at + _FETCHED_TOGETHER]
            for name, raw in zip(
                some, self._folder.get_all([f"{self.FOLDER}/{n}" for n in some]), strict=True
            ):
                sealed = raw[_SIZE_BYTES:]
                if len(sealed) != int.from_bytes(raw[:_SIZE_BYTES], "big"):
                    continue
                try:
                    nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
                    plain = self._cipher.decrypt(nonce, text, name.encode())
                    self._number = max(self._number, int(name.partition("-")[0]))
                except (InvalidTag, ValueError):
                    raise StoreError("a record of the store's log was changed") from None
                yield name, Record.from_bytes(plain)

    def remove(self, names: list[str]) -> None:
        """Oldest first, so that what is left after a stop is the end of the log."""
        self._folder.remove([f"{self.FOLDER}/{name}" for name in sorted(names)])
