"""The protocol of a store, wherever it lies, with what every backend has in common.

`FolderStore` and `BucketStore` are the two backends; `tests/store_contract.py` holds what both must pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from deident.audit import AuditError
from deident.errors import KeyMaterialError, StoreError
from deident.keys import Key
from deident.store.chain import Anchor, Mark
from deident.store.ledger import NO_COUNTS, NO_FACTS, Ledger
from deident.store.rows import Entry, Staged
from deident.uris import PRIVATE

MANIFEST = "manifest.jsonl"
_SNIPPET_NAME = re.compile(r"[0-9a-f]{32}\.(?:wav|flac)")


class Store(ABC):
    """Released snippets and a manifest, with a private part that remembers what was done.

    A context manager: opening takes the store for one process and finishes what an earlier one left; leaving it
    gives it back. What must hold of every backend:

    - `commit` is the point of no return: a recording is remembered with all its snippets, or not at all.
    - `publish` releases all that was committed, in an order drawn anew, which tells nothing of the recordings.
    - A stop at any moment loses no committed snippet, releases none twice and leaves none half-written: the next
      opening finishes what was committed and sweeps away what was not.
    - A recording that was released is not released again unless asked for; one that was erased never is.
    - A released snippet's bytes are those that were audited, or nothing more is released.
    - Nothing in the private part is a path, a name of a source or a label that the manifest lacks.

    Attributes
    ----------
    id : str
        Tells this store from another under the same key.
    key : Key
        Seals what the ledger remembers of sources.
    staging : Path or str
        Where workers put finished snippets, for `open_spool`.
    WINDOW : int
        Recordings whose snippets are released together.

    Raises
    ------
    StoreError
        When another run is at work in the store, or when it cannot be read or written.
    KeyMaterialError
        For a wrong or missing key.
    """

    WINDOW: ClassVar[int] = 64
    id: str
    key: Key
    staging: Path | str
    _ledger: Ledger

    @abstractmethod
    def close(self) -> None:
        """Give the store back."""

    @abstractmethod
    def commit(
        self,
        done: Iterable[tuple[Entry, list[Staged]]],
        *,
        spool: str | None = None,
        again: bool = False,
        counts: Mapping[str, int] = NO_COUNTS,
    ) -> list[bool]:
        """Remember recordings and their finished snippets, all or nothing; publish when the window is full.

        Parameters
        ----------
        done : iterable of (Entry, list of Staged)
            Recordings, and their snippets.
        spool : str, optional
            The name of the closed spool that holds these snippets.
        again : bool
            Release recordings that were released before. Erased ones stay out all the same.
        counts : mapping of str to int, optional
            Added to what is counted under these names, with the commit: names are keyed pseudonyms behind their kind.

        Returns
        -------
        list of bool
            For each, whether it counts. One that was released or erased before does not, and its snippets are
            forgotten.

        Raises
        ------
        StoreError
            When the spool is not where this process sees it, or the disk is full.
        """

    @abstractmethod
    def publish(self) -> None:
        """Release everything committed, in a random order.

        Raises
        ------
        AuditError
            When a finished snippet changed since it was committed.
        """

    @abstractmethod
    def recover(self) -> None:
        """Finish what is open: release what was committed, remove what was not. No worker may be at work."""

    @abstractmethod
    def write_manifest(self) -> None:
        """Replace `manifest.jsonl` as a whole: one line a snippet, sorted by name."""

    @abstractmethod
    def erase(
        self,
        sources: Iterable[tuple[bytes, bytes]],
        names: Iterable[str],
        counts: Mapping[str, int] = NO_COUNTS,
        facts: Mapping[str, str] = NO_FACTS,
    ) -> None:
        """Remove snippets for good: their files, lines and entries. The next opening makes up for a stop in between.

        Parameters
        ----------
        sources : iterable of (place, content)
            Digests of recordings that are never to be released again.
        names : iterable of str
            The snippets.
        counts : mapping of str to int, optional
            As `commit` takes it: marks of those who withdrew.
        facts : mapping of str to str, optional
            Texts to remember by name, as `remember` does, in the same commit.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def place(self, *parts: str | int) -> bytes:
        """Digest where a source lies, with what tells that it changed, under the key."""
        return self.key.derive("place", *parts)

    def content(self, digest: str) -> bytes:
        """Digest the audio of a source under the key."""
        return self.key.derive("content", digest)

    def origin(self, location: str, head: str) -> bytes:
        """Digest a place and how the audio there begins under the key; 32 random bytes where that is not known."""
        return self.key.derive("origin", location, head) if head else os.urandom(32)

    def file(self, digest: str) -> bytes:
        """Digest a file's bytes under the key; 32 random bytes where they are not known."""
        return self.key.derive("file", digest) if digest else os.urandom(32)

    def versions(self, entry: Entry) -> tuple[set[str], set[str]]:
        """See `Ledger.versions`."""
        return self._ledger.versions(entry)

    def entry(self, place: bytes) -> Entry | None:
        """Return what is remembered of a source, None where it was not done yet."""
        return self._ledger.entry(place)

    def is_released(self, content: bytes, *, again: bool = False) -> bool:
        """Tell whether a sound may not be released any more. again : only because it was erased."""
        return self._ledger.is_released(content, again=again)

    def holds(self, names: Iterable[str]) -> set[str]:
        """See `Ledger.holds`."""
        return self._ledger.holds(names)

    def policies(self, entry: Entry) -> set[str]:
        """See `Ledger.policies`."""
        return self._ledger.policies(entry)

    def counts(self, names: Iterable[str]) -> dict[str, int]:
        """See `Ledger.counts`."""
        return self._ledger.counts(names)

    def highest(self, kind: str) -> int:
        """See `Ledger.highest`."""
        return self._ledger.highest(kind)

    def sounds(self) -> dict[str, int]:
        """See `Ledger.sounds`."""
        return self._ledger.sounds()

    def has(self, name: str) -> bool:
        """Tell whether this is the name of a released snippet."""
        return self._ledger.has(name)

    @abstractmethod
    def _listed(self) -> set[str]:
        """Return the names in the manifest as it lies there."""

    def refuse_older_ledger(self, names: Iterable[str]) -> None:
        """Raise `StoreError` where the ledger knows less than lies in the store, which would be released again, or
        knows what was erased since.

        Snippets that somebody removed by hand are in the manifest still, and are left to the audit.
        """
        held = set(names)
        if count := len(self._ledger.strangers(held)):
            raise StoreError(
                f"the store holds {count} snippets that its ledger does not know: it is an older one, or somebody put"
                " them there. Nothing was changed: put the ledger's newest copy back, or remove what an audit tells of"
            )
        missing = set(self.names()) - held
        if missing and (count := len(missing - self._listed())):
            raise StoreError(
                f"the ledger knows {count} snippets that are neither in the store nor in its manifest: it is one from"
                " before an erasure. Nothing was changed: put the ledger's newest copy back"
            )

    def anchor(self, log: str) -> Anchor:
        """Return where this store remembers a sealed log, by what that holds."""
        return _Remembered(self, f"mark of {log}")

    def allow(self, columns: Iterable[str]) -> None:
        """Let labels of these names, too, stand in the manifest; an audit tells of others."""
        if new := set(columns) - set(self.columns()):
            self.remember("columns", json.dumps(sorted(new.union(self.columns()))))

    def columns(self) -> list[str]:
        """Return the names of labels that may stand in the manifest."""
        return [str(name) for name in json.loads(self._ledger.facts().get("columns", "[]"))]

    def remember(self, name: str, value: str) -> None:
        """Remember a text by name."""
        self._ledger.set_facts({name: value})

    def recall(self, name: str) -> str | None:
        """Return what is remembered by a name."""
        return self._ledger.facts().get(name)

    def names(self) -> Iterator[str]:
        """Yield the names of released snippets, sorted."""
        return (row.name for row in self._ledger.released())


class _Remembered:
    """A sealed log's mark in the memory of a store."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name

    def get(self) -> Mark | None:
        text = self._store.recall(self._name)
        return None if text is None else Mark.parse(text)

    def set(self, mark: Mark) -> None:
        self._store.remember(self._name, str(mark))


def names_in(manifest: bytes) -> set[str]:
    """Return the names in a manifest, of lines that can be read."""
    found = set()
    for line in manifest.splitlines():
        with contextlib.suppress(ValueError, LookupError, TypeError):
            found.add(str(json.loads(line)["name"]))
    return found


def is_snippet(name: str) -> bool:
    """Tell whether a file has the name of a snippet."""
    return bool(_SNIPPET_NAME.fullmatch(name))


@contextlib.contextmanager
def own_key_errors() -> Iterator[None]:
    """Say of what is wrong with a key that it is the store's own, which no new one replaces."""
    try:
        yield
    except KeyMaterialError as error:
        what = str(error).partition(";")[0].partition(":")[0]
        raise KeyMaterialError(
            f"the store's own key, {PRIVATE}/key, cannot be used ({what}): put its newest copy back, with mode 0600"
        ) from None


def no_store() -> StoreError:
    """Return the error for a place without a store, where one is expected."""
    return StoreError(
        "expected a store that an earlier run made; there is none at that place: give what `deident run` had as --out"
    )


def lost_snippets(what: str, where: str) -> StoreError:
    """Return the error for committed snippets that are gone before they were released. where : they lay."""
    return StoreError(
        f"{what} that were about to be released are gone from {where}. Nothing was changed: put the newest copy of what"
        " lay there back, and run the same command again; where there is none, begin a new store, and withdraw this"
        " one, for the same recordings get other voices there"
    )


def changed_snippet() -> AuditError:
    """Return the error for a finished snippet that is not what was audited."""
    return AuditError(
        "a finished snippet changed before it was released; nothing more is released: put the newest copy of the"
        f" store's {PRIVATE} back, or begin a new store"
    )


def ledger_key(own: Key | None, given: Key | None, known: str | None) -> Key:
    """Derive the ledger's key from the store's own, or else from the one given.

    known : its fingerprint, where the store has one. Raises `KeyMaterialError` for a wrong or missing key.
    """
    chosen = own or given
    if chosen is None:
        raise KeyMaterialError("this store was made with a key; give the same one with --key-file")
    ledger = chosen.subkey("ledger")
    if known not in (None, ledger.fingerprint()):
        raise KeyMaterialError(
            "this is not the key that the store was made with; give that one with --key-file"
        )
    return ledger
