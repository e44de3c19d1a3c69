"""What a store knows of sources and snippets, wherever it lies."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from deident.keys import Key
from deident.store.ledger import Entry, Ledger


class Remembering(ABC):
    """A context manager around a ledger.

    id : tells this store from another under the same key.   key : seals what the ledger knows of sources."""

    id: str
    key: Key
    _ledger: Ledger

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def place(self, *parts: str | int) -> bytes:
        """The keyed digest of where a source lies, with what tells that it changed."""
        return self.key.derive("place", *parts)

    def content(self, digest: str) -> bytes:
        """The keyed digest of what a source holds."""
        return self.key.derive("content", digest)

    def origin(self, location: str, head: str) -> bytes:
        """The keyed digest of a place and of how the sound there begins; one of its own where that is not known."""
        return self.key.derive("origin", location, head) if head else os.urandom(32)

    def file(self, digest: str) -> bytes:
        """The keyed digest of a file's bytes; one of its own where they are not known."""
        return self.key.derive("file", digest) if digest else os.urandom(32)

    def versions(self, entry: Entry) -> tuple[set[str], set[str]]:
        """See `Ledger.versions`."""
        return self._ledger.versions(entry)

    def entry(self, place: bytes) -> Entry | None:
        return self._ledger.entry(place)

    def is_released(self, content: bytes, *, again: bool = False) -> bool:
        """Whether a sound was released (or erased, the one thing that `again` asks) and may not be once more."""
        return self._ledger.is_released(content, again=again)

    def holds(self, names: Iterable[str]) -> set[str]:
        """See `Ledger.holds`."""
        return self._ledger.holds(names)

    def policies(self, entry: Entry) -> set[str]:
        """See `Ledger.policies`."""
        return self._ledger.policies(entry)

    def has(self, name: str) -> bool:
        """Whether this is the name of a released snippet."""
        return self._ledger.has(name)

    def names(self) -> Iterator[str]:
        """The released snippets."""
        return (row.name for row in self._ledger.released())
