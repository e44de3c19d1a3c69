"""A store in a folder: stage, commit, publish.

Workers write finished snippets to spools in the private part. Committing a recording to the ledger is the
point of no return. Publishing takes everything committed, in shuffled order, and makes a new file for each:
written beside, synced, renamed. Whatever stops the program in between, the next opening finishes the job:
publishing again what was committed gives the same files, and what was not committed leaves no trace.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from deident.audio import RATE
from deident.audit import AUDIT_VERSION
from deident.errors import StoreError
from deident.keys import Key
from deident.store.disk import Disk, Spool, plain_errors
from deident.store.ledger import NO_COUNTS, NO_FACTS, STORE_VERSION, Ledger, wrong_version
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
from deident.uris import FORMAT, LEDGER, MARKER, PRIVATE, check_outside_stores

SYNCED_TOGETHER = 64  # files open at a time
LINES = 1000  # of the manifest, written at once
_MARK = "deident store "
_MARKER_PART = "store.part"
_LONGEST_MARK = 64  # bytes


class FolderStore(Store):
    """A store in a folder of this machine's file systems.

    Parameters
    ----------
    path : path-like
        The folder, made if need be. `.private` in it holds what the next run needs.
    key : Key, optional
        Seals what the ledger remembers of sources; without one the store keeps a key of its own.
    create : bool
        Make the store where there is none.
    disk : Disk, optional
        Makes the file-system calls; tests give one that fails.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: Key | None = None,
        create: bool = True,
        disk: Disk | None = None,
    ) -> None:
        self.path = Path(path)
        self._disk = disk or Disk()
        self._private = self.path / PRIVATE
        self.staging: Path = self._private / "staging"
        self.history = self._private / "reviews"  # of the review programme, which seals it
        self._waiting = 0
        self._spools: set[str] = set()
        self._open_folder(create)
        with contextlib.ExitStack() as undo:
            self._lock = self._take_lock()
            undo.callback(self._release_lock)
            traces = self.path / MANIFEST, self.history
            is_new = not self._snippets() and not any(map(os.path.lexists, traces))
            self._ledger = Ledger(self._private / LEDGER, create=is_new)
            undo.callback(self._ledger.close)
            self._refuse_lost()
            self._disk.make_folder(self.staging)
            self.key = self._ledger_key(key)
            self.id = self._ledger.store_id()
            self.refuse_older_ledger(self._snippets())
            self.recover()
            undo.pop_all()

    def close(self) -> None:
        self._ledger.close()
        self._release_lock()

    def commit(
        self,
        done: Iterable[tuple[Entry, list[Staged]]],
        *,
        spool: str | None = None,
        again: bool = False,
        counts: Mapping[str, int] = NO_COUNTS,
    ) -> list[bool]:
        rows = list(done)
        if spool is not None and not self.staging.is_dir():
            raise StoreError(
                "the store's staging folder is gone: run the same command again, which reads anew what was not released"
            )
        if spool is not None and not (self.staging / spool).exists():
            raise StoreError(
                "the workers do not share the store's file system: give the store as a URI", "unshared"
            )
        kept = self._ledger.commit(rows, again=again, counts=counts)
        self._waiting += len(rows)
        if spool is not None:
            self._spools.add(spool)
        if self._waiting >= self.WINDOW:
            self.publish()
        return kept

    def publish(self) -> None:
        self._refuse_lost()
        staged = self._ledger.staged()
        secrets.SystemRandom().shuffle(staged)
        spools: dict[str, int] = {}
        try:
            for snippet in staged:
                if snippet.spool not in spools:
                    with plain_errors("opening what is to be released"):
                        spools[snippet.spool] = os.open(
                            self.staging / snippet.spool, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
                        )
            for at in range(0, len(staged), SYNCED_TOGETHER):
                self._release(staged[at : at + SYNCED_TOGETHER], spools)
        finally:
            for descriptor in spools.values():
                os.close(descriptor)
        if staged:
            self._disk.sync_folder(self.path)
            self._ledger.mark_released()
        for name in self._spools.union(spools):
            self._disk.unlink(self.staging / name)
        self._spools.clear()
        self._waiting = 0

    def write_manifest(self) -> None:
        rows = self._ledger.released()
        size = 0

        def blocks() -> Iterator[bytes]:
            nonlocal size
            while lines := "".join(row.line(RATE, AUDIT_VERSION) for row in islice(rows, LINES)).encode():
                size += len(lines)
                yield lines

        self._disk.replace(self.path / MANIFEST, blocks(), self._fresh("manifest.part"))
        self._ledger.set_manifest(size)

    def _fresh(self, name: str) -> Path:
        """Return a path in the staging folder where nothing lies any more."""
        path = self.staging / name
        self._disk.unlink(path)
        return path

    def _listed(self) -> set[str]:
        try:
            with open(
                os.open(self.path / MANIFEST, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb"
            ) as file:
                return names_in(file.read())
        except OSError:
            return set()

    def _has_manifest(self) -> bool:
        """Tell whether the manifest is as it was last written, and nothing came or went since."""
        size = self._ledger.manifest()
        try:
            info = os.stat(self.path / MANIFEST, follow_symlinks=False)
        except OSError:
            return False
        return size == info.st_size and info.st_mtime_ns == 0

    def recover(self) -> None:
        needed = {snippet.spool for snippet in self._ledger.staged()}
        with plain_errors("looking into the store's private part"):
            found = [Path(entry.path) for entry in os.scandir(self.staging)]
        for path in found:
            if path.name not in needed:
                if path.is_dir() and not path.is_symlink():
                    raise StoreError(
                        "a folder lies in the store's staging folder, and is not its own: move it away"
                    )
                self._disk.unlink(path)
        self.publish()
        erasing = self._ledger.erasing()
        for name in erasing:
            self._disk.unlink(self.path / name)
        if not self._has_manifest():
            self.write_manifest()
        if erasing:
            self._ledger.mark_erased()

    def erase(
        self,
        sources: Iterable[tuple[bytes, bytes]],
        names: Iterable[str],
        counts: Mapping[str, int] = NO_COUNTS,
        facts: Mapping[str, str] = NO_FACTS,
    ) -> None:
        self._ledger.erase(sources, names, counts, facts)
        self.recover()

    def _release(self, snippets: list[Staged], spools: dict[str, int]) -> None:
        """Write beside, sync, rename. The syncs wait for the disk together: one after another, they would cost more
        than all else that a short recording needs.
        """
        parts = [self._fresh(f"{snippet.name}.part") for snippet in snippets]
        with ExitStack() as stack:
            descriptors = []
            for snippet, part in zip(snippets, parts, strict=True):
                descriptor = self._write_part(snippet, part, spools[snippet.spool])
                stack.callback(self._disk.close, descriptor)
                descriptors.append(descriptor)
            self._disk.sync_all(descriptors)
        for snippet, part in zip(snippets, parts, strict=True):
            self._disk.rename(part, self.path / snippet.name)

    def _refuse_lost(self) -> None:
        """Raise `StoreError`, and change nothing, where spools are gone whose snippets are committed."""
        rows = self._ledger.staged()
        gone = {spool for spool in {row.spool for row in rows} if not os.path.lexists(self.staging / spool)}
        if count := sum(row.spool in gone for row in rows):
            raise lost_snippets(f"{count} finished snippets", f"{PRIVATE}/{self.staging.name}")

    def _write_part(self, snippet: Staged, part: Path, spool: int) -> int:
        """Write a whole file; its open descriptor."""
        with plain_errors("reading what is to be released"):
            data = os.pread(spool, snippet.size, snippet.start)
        if hashlib.sha256(data).hexdigest() != snippet.sha256:
            raise changed_snippet()
        return self._disk.written(part, [data])

    def _open_folder(self, create: bool) -> None:
        """Make the store's folders, or look at those that are there; refuse everything else untouched."""
        with plain_errors("looking at the store"):
            if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
                raise StoreError("the store must be a folder, and not a link to one: give the folder itself")
            is_made = is_store(self.path)
            if not is_made and not create:
                raise no_store()
            if not is_made:
                check_outside_stores("a store", self.path)
            if not is_made and self.path.is_dir():
                self._refuse_foreign()
            if is_made:
                self._refuse_links()
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._disk.make_folder(self.path)
        self._disk.make_folder(self._private)
        if not is_made:
            beside = self._private / _MARKER_PART
            self._disk.unlink(beside)
            self._disk.replace(self.path / MARKER, [f"{_MARK}{STORE_VERSION}\n".encode()], beside)
            self._disk.sync_folder(self.path)
            self._disk.sync_folder(self.path.parent)

    def _refuse_foreign(self) -> None:
        """Raise `StoreError` unless the folder is empty, but for what a stop left of making a store."""
        if os.path.lexists(self.path / FORMAT):
            raise StoreError("this store was made at a URI: give it as file:// and its full path")
        names = {path.name for path in self.path.iterdir()}
        is_begun = self._private.is_dir() and not self._private.is_symlink()
        inside = {path.name for path in self._private.iterdir()} if is_begun else {PRIVATE}
        if names and (names != {PRIVATE} or inside - {_MARKER_PART}):
            raise StoreError(
                "expected an empty or new folder, or a store; got a folder with other files in it, or a store without"
                " its marker, perhaps of an older deident: choose another folder"
            )

    def _refuse_links(self) -> None:
        """Refuse a store in which symbolic links lie."""
        for folder in (self.path, self._private, self.staging):
            if folder.is_symlink():
                raise _link()
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                if any(entry.is_symlink() for entry in entries if not is_snippet(entry.name)):
                    raise _link()

    def _snippets(self) -> list[str]:
        """Return the names of all files that are named as snippets are."""
        with plain_errors("looking at the store"), os.scandir(self.path) as entries:
            return [entry.name for entry in entries if is_snippet(entry.name)]

    def _take_lock(self) -> int:
        """Lock the store against other runs."""
        with plain_errors("locking the store"):
            descriptor = os.open(
                self._private / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            os.fchmod(descriptor, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StoreError(
                "another run is at work in this store; wait for it, or choose another", "locked"
            ) from None
        return descriptor

    def _release_lock(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # closing is not enough where a forked worker has it too
        os.close(self._lock)

    def _ledger_key(self, key: Key | None) -> Key:
        """Return the key of the ledger; make one for a new store that was given none."""
        known = self._ledger.meta("key")
        if known is None and key is None and own_key(self._private) is None:
            self._disk.replace(self._private / "key", [Key.fresh().to_text()], self._fresh("key.part"))
        chosen = ledger_key(own_key(self._private), key, known)
        if known is None:
            self._ledger.set_meta("key", chosen.fingerprint())
        return chosen


def new_spool(folder: Path, disk: Disk | None = None) -> Spool:
    """Make a spool with a random name in a staging folder."""
    return Spool(folder, f"{secrets.token_hex(16)}.spool", disk or Disk())


def own_key(private: Path) -> Key | None:
    """Read the key that a store keeps of its own; None where it was given one."""
    own = private / "key"
    if not os.path.lexists(own):
        return None
    with own_key_errors():
        return Key.read(own)


def is_store(path: Path) -> bool:
    """Tell whether a folder has the marker of a store. Raises `StoreError` for a marker of another version."""
    try:
        descriptor = os.open(path / MARKER, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        text = file.read(_LONGEST_MARK).decode("ascii", "replace") if is_file else ""
    if not is_file or (path / PRIVATE).is_symlink() or not text.startswith(_MARK):
        return False
    if (version := text.removeprefix(_MARK).rstrip("\n")) != STORE_VERSION:
        raise wrong_version(version)
    return True


def _link() -> StoreError:
    return StoreError(
        "a symbolic link lies in the store or its private folder; nothing was changed: remove it"
    )
