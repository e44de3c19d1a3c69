"""A store in a bucket: the same promises where nothing can be renamed and nothing is locked.

Workers put their finished snippets, many in one object that is named by its content, below `.private/staging`.
What counts is a record in `.private/log`, put by the client alone: one for every chunk of recordings. Putting it
is the point of no return; what no record names is swept away. When some recordings are together, their snippets
are released in one shuffled order, and a record says so. While a run lasts, a ledger on the client's disk is the log's
index; at its end, a short log takes the place of the long one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from deident.audio import RATE
from deident.audit import AUDIT_VERSION
from deident.errors import StoreError
from deident.keys import Key
from deident.store.disk import plain_errors
from deident.store.lease import LEASE_SECONDS, Lease
from deident.store.ledger import NO_COUNTS, NO_FACTS, STORE_VERSION, Ledger, wrong_version
from deident.store.log import Log, Record
from deident.store.objects import Objects
from deident.store.rows import Entry, Staged
from deident.store.store import (
    MANIFEST,
    Store,
    changed_snippet,
    is_snippet,
    ledger_key,
    lost_snippets,
    names_in,
    no_store,
    own_key_errors,
)
from deident.uris import FORMAT, LEDGER, PART, PRIVATE, check_outside_stores

STAGING = f"{PRIVATE}/staging"
OWN_KEY = f"{PRIVATE}/key"
SLICE = 64  # snippets: a task's worth of releasing, and of memory
ROWS_A_RECORD = 50_000
SPOOL_IN_MEMORY = 32 << 20

Slices = Sequence[Sequence[Staged]]


class Release(Protocol):
    """Releases the snippets of a store in a bucket, in this process or by the workers of a cluster.

    Attributes
    ----------
    window : int
        Recordings whose snippets are released together: as many as keep all that releases busy, or workers wait.
    """

    @property
    def window(self) -> int: ...

    def __call__(self, uri: str, slices: Slices) -> None:
        """Release slices of snippets.

        Parameters
        ----------
        uri : str
            The store's.
        slices : sequence of sequence of Staged
            In the order in which they are to be released.
        """


class BucketStore(Store):
    """A store at a URI of any file system that fsspec knows.

    Parameters
    ----------
    uri : str
        The place, such as ``s3://bucket/store``.
    key : Key, optional
        Seals the log; without one the store keeps a key of its own beside it.
    create : bool
        Make the store where there is none.
    spread : Release, optional
        Releases slices of snippets, in this process by default; a cluster lets its workers do it.
    lease_seconds : float
        A run that was killed holds the store for so long.
    """

    def __init__(
        self,
        uri: str,
        *,
        key: Key | None = None,
        create: bool = True,
        spread: Release | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._folder = Objects(uri)
        self.staging: str = self._folder.uri
        self._spread = spread or ReleaseHere()
        self._waiting = 0  # recordings whose snippets are not released yet
        self._is_compact = True
        self._is_sound = True
        self._check(create)
        self._lease = Lease(self._folder, lease_seconds)
        self._scratch = tempfile.TemporaryDirectory(prefix="deident-")
        try:
            self.key, is_new = self._store_key(key)
            self._ledger = Ledger(Path(self._scratch.name) / LEDGER, durable=False)
            self._log = Log(self._folder, self.key, self.id)
            self._is_compact = is_new or replay(self._log, self._ledger)
            self.refuse_older_ledger(filter(is_snippet, self._folder.names()))
            self.recover()
        except BaseException:
            self._scratch.cleanup()
            self._lease.release()
            raise

    def close(self) -> None:
        self._ledger.close()
        self._scratch.cleanup()
        self._lease.release()

    def commit(
        self,
        done: Iterable[tuple[Entry, list[Staged]]],
        *,
        spool: str | None = None,
        again: bool = False,
        counts: Mapping[str, int] = NO_COUNTS,
    ) -> list[bool]:
        rows = list(done)
        if spool is not None and not self._folder.has(f"{STAGING}/{spool}"):
            raise StoreError(
                "the workers put their snippets where this process does not see them: give a URI that means the same"
                " place on every machine, and begin again",
                "unshared",
            )
        kept = self._ledger.commit(rows, again=again, counts=counts)
        counted = [row for row, counts_too in zip(rows, kept, strict=True) if counts_too]
        if counted or counts:
            entries = [entry for entry, _ in counted]
            staged = [snippet for _, snippets in counted for snippet in snippets]
            self._put(Record("chunk", entries=entries, staged=staged, counts=dict(counts)))
        self._waiting += len(counted)
        if self._waiting >= self._spread.window:
            self.publish()
        return kept

    def publish(self) -> None:
        self._waiting = 0
        staged = self._ledger.staged()
        if not staged:
            return
        secrets.SystemRandom().shuffle(staged)
        self._lease.check()
        self._refuse_lost(staged)
        self._spread(self.staging, [staged[at : at + SLICE] for at in range(0, len(staged), SLICE)])
        self._put(Record("window"))
        self._ledger.mark_released()
        self._folder.remove_together([f"{STAGING}/{spool}" for spool in {s.spool for s in staged}])

    def _refuse_lost(self, staged: Sequence[Staged]) -> None:
        """Raise `StoreError`, and change nothing, where spools are gone whose snippets are committed."""
        there = set(self._folder.names(STAGING))
        if count := sum(snippet.spool not in there for snippet in staged):
            raise lost_snippets(f"{count} finished snippets", STAGING)

    def recover(self) -> None:
        if not self._is_sound:  # a record may or may not have been put: the next opening looks
            return
        self._lease.check()
        self.publish()
        self._log.sweep()
        parts = [name for name in self._folder.names(PRIVATE) if name.endswith(PART)]
        self._folder.remove([f"{PRIVATE}/{name}" for name in parts])
        self._folder.remove_together([f"{STAGING}/{name}" for name in self._folder.names(STAGING)])
        self._folder.remove_together(self._ledger.erasing())
        if not self._is_compact or not self._folder.has(MANIFEST):  # else it says what the log says
            self.write_manifest()
        self._compact()
        self._ledger.mark_erased()

    def write_manifest(self) -> None:
        with plain_errors("writing the manifest"), tempfile.TemporaryFile() as file:
            file.writelines(row.line(RATE, AUDIT_VERSION).encode() for row in self._ledger.released())
            file.seek(0)
            self._folder.put_open_file(MANIFEST, file)

    def _listed(self) -> set[str]:
        return names_in(self._folder.get(MANIFEST) or b"")

    def erase(
        self,
        sources: Iterable[tuple[bytes, bytes]],
        names: Iterable[str],
        counts: Mapping[str, int] = NO_COUNTS,
        facts: Mapping[str, str] = NO_FACTS,
    ) -> None:
        record = Record(
            "erase", erased=list(sources), names=list(names), counts=dict(counts), facts=dict(facts)
        )
        self._put(record)
        self._ledger.erase(record.erased, record.names, counts, facts)
        self.recover()

    def remember(self, name: str, value: str) -> None:
        super().remember(name, value)
        self._is_compact = False  # the next record takes it along

    def _put(self, record: Record) -> None:
        """Append a record to the log, with the facts of the ledger."""
        self._is_compact = False
        with self._writing():
            self._log.put(replace(record, facts={**self._ledger.facts(), **record.facts}))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Write to the log no more once it is not known what it says."""
        self._lease.check()
        if not self._is_sound:
            raise StoreError("the store's log could not be written: run the same command again")
        try:
            yield
        except BaseException:
            self._is_sound = False
            raise

    def _compact(self) -> None:
        """Put a short log in place of a long one, ordered by random digests: what came together is forgotten."""
        if self._is_compact:
            return
        facts = self._ledger.facts()
        counts = [self._ledger.all_counts()]  # in the first piece: a count is added to what is there
        pieces = self._ledger.pieces(ROWS_A_RECORD)
        with self._writing():
            self._log.rewrite(
                Record("piece", entries=e, released=r, facts=facts, counts=counts.pop() if counts else {})
                for e, r in pieces
            )
        self._is_compact = True

    def _check(self, create: bool) -> None:
        """Refuse a place that holds anything but a store made at a URI."""
        folders = PRIVATE, STAGING, Log.FOLDER, Lease.FOLDER
        if self._folder.has(FORMAT):
            self._folder.prepare(*folders)
            return
        if not create:
            raise no_store()
        check_outside_stores("a store", self._folder.uri)
        own = {OWN_KEY, Log.FOLDER, Lease.FOLDER, STAGING}
        foreign = {f"{PRIVATE}/{n}" for n in self._folder.names(PRIVATE) if not n.endswith(PART)} - own
        if set(self._folder.names()) - {PRIVATE} or foreign or self._folder.names(STAGING):
            raise StoreError(
                "expected an empty or new place, or a store made at a URI; got other files, or a store made by its path"
            )
        self._folder.prepare(*folders)

    def _store_key(self, key: Key | None) -> tuple[Key, bool]:
        """Return the ledger's key, and whether the store is made now."""
        raw, known = self._folder.get(OWN_KEY), self._folder.get(FORMAT)
        own = _own_key(raw)
        if known is not None:
            self.id, fingerprint = _read_format(known)
            return ledger_key(own, key, fingerprint), False
        if own is None and key is None:
            own = Key.fresh()
            self._folder.put({OWN_KEY: own.to_text()})
        chosen = ledger_key(own, key, None)
        self.id = secrets.token_hex(16)
        Log(self._folder, chosen, self.id).create()
        made = {"version": STORE_VERSION, "key": chosen.fingerprint(), "id": self.id}
        self._folder.put({FORMAT: json.dumps(made).encode()})
        return chosen, True


def _own_key(raw: bytes | None) -> Key | None:
    """Return the key that a store keeps of its own, None where it was given one."""
    with own_key_errors():
        return None if raw is None else Key.from_hex(raw.decode("ascii", "replace"))


def _read_format(raw: bytes) -> tuple[str, str]:
    """Return a store's id and its key's fingerprint."""
    try:
        found = json.loads(raw)
        version, fingerprint, id_ = (str(found[name]) for name in ("version", "key", "id"))
        bytes.fromhex(id_)
    except (ValueError, KeyError, TypeError):
        raise StoreError(
            f"{FORMAT} of the store cannot be read: nothing was changed: put its newest copy back, or begin a new store"
        ) from None
    if version != STORE_VERSION:
        raise wrong_version(version)
    return id_, fingerprint


def replay(log: Log, ledger: Ledger) -> bool:
    """Rebuild a ledger from the log, in the order in which it was written. Tells whether the log is a short one."""
    is_compact = True
    for record in log.records():
        is_compact = is_compact and record.kind == "piece"
        ledger.load(record.entries, record.staged, record.released, record.counts)
        ledger.set_facts(record.facts)
        ledger.erase(record.erased, record.names)
        if record.kind == "window":
            ledger.mark_released()
    return is_compact


@contextlib.contextmanager
def read_only(uri: str, key: Key) -> Iterator[tuple[Ledger, dict[str, str]]]:
    """Read what a store remembers, and its facts; change nothing."""
    folder = Objects(uri)
    known, own = folder.get(FORMAT), folder.get(OWN_KEY)
    if known is None:
        raise no_store()
    id_, fingerprint = _read_format(known)
    chosen = ledger_key(_own_key(own), key, fingerprint)
    Lease.refuse(folder)
    with tempfile.TemporaryDirectory(prefix="deident-") as scratch:
        ledger = Ledger(Path(scratch) / LEDGER, durable=False)
        try:
            replay(Log(folder, chosen, id_), ledger)
            yield ledger, {"id": id_, **ledger.facts()}
        finally:
            ledger.close()


class ReleaseHere:
    """Releases slices one after another in this process."""

    @property
    def window(self) -> int:
        return Store.WINDOW

    def __call__(self, uri: str, slices: Slices) -> None:
        for snippets in slices:
            release(uri, snippets)


def release(uri: str, snippets: Sequence[Staged]) -> None:
    """Copy snippets from their spools to files of their own: the same again gives the same."""
    folder = Objects(uri)
    sounds = folder.get_ranges([(f"{STAGING}/{s.spool}", s.start, s.start + s.size) for s in snippets])
    for snippet, data in zip(snippets, sounds, strict=True):
        if hashlib.sha256(data).hexdigest() != snippet.sha256:
            raise changed_snippet()
    folder.put({snippet.name: data for snippet, data in zip(snippets, sounds, strict=True)})


class BucketSpool:
    """A `Spool` for a bucket: collected in memory, or beyond some size in a file without a name, then put as one
    object that is named by its content. The same chunk with the same voices gives the same object.
    """

    def __init__(self, uri: str) -> None:
        self.name = ""
        self._folder = Objects(uri)
        self._hash = hashlib.sha256()
        self._at = 0
        self._file = tempfile.SpooledTemporaryFile(SPOOL_IN_MEMORY)  # noqa: SIM115

    def append(self, data: bytes) -> int:
        """Append bytes; the position where they start."""
        start = self._at
        with plain_errors("writing finished snippets"):
            self._file.write(data)
        self._hash.update(data)
        self._at += len(data)
        return start

    def close(self) -> None:
        """Put the spool where it is durable; its name is known from here on."""
        self.name = f"{self._hash.hexdigest()}.spool"
        with self._file:
            self._file.seek(0)
            self._folder.put_open_file(f"{STAGING}/{self.name}", self._file)

    def discard(self) -> None:
        self._file.close()
