"""A whole store, file by file and line by line: what is there, and nothing beside it.

A problem never shows a name that a person could have chosen: only the opaque names of snippets.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from deident.audit.ledger import Memory, is_in_use, memory_of
from deident.audit.manifest import Row, read_rows
from deident.audit.private import FORMAT, HISTORY, MARKER, audit_private
from deident.audit.promise import RATE, AuditError
from deident.audit.snippet import WAV_HEADER, check_duration, inspect, wav_samples

MANIFEST = "manifest.jsonl"
PRIVATE = ".private"
SNIPPET_NAME = re.compile(r"[0-9a-f]{32}\.(?:wav|flac)")

# Attributes that a file system sets of itself, on every file alike. All others have been put there.
_LABELS = ("security.selinux", "security.SMACK64")  # allowed where the store's folder has the same
_ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
_SYSTEM_ATTRIBUTES = ("system.", "lustre.")
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.EOPNOTSUPP}


class Problem(NamedTuple):
    """A broken promise.

    Attributes
    ----------
    code : str
        A short, stable word.
    message : str
        What is wrong, without a name that a person could have chosen.
    name : str
        The snippet's; "" for anything else.
    """

    code: str
    message: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.name else self.message


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The findings of an audit.

    Attributes
    ----------
    files : int
        Snippets that hold what they should.
    seconds : float
        Their duration in all.
    problems : tuple of Problem
        Broken promises; empty for a clean store.
    has_programme : bool
        The store promises consent, a share or days, which only its linkage can prove.
    """

    files: int
    seconds: float
    problems: tuple[Problem, ...]
    has_programme: bool = False

    @property
    def clean(self) -> bool:
        return not self.problems


class StoreAudit:
    """Of a folder. max_seconds : every snippet must be shorter.   deep : read every byte."""

    def __init__(self, max_seconds: float, deep: bool) -> None:
        self.max_seconds, self.deep = max_seconds, deep
        self.problems: list[Problem] = []
        self.files, self.samples = 0, 0
        self.has_programme = False
        self.columns: frozenset[str] = frozenset()  # of labels, by the ledger
        self._descriptor = -1  # of the store's folder

    def of(self, path: str | os.PathLike[str]) -> AuditReport:
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError):
            self.broken("store", "the store is not a folder that can be read")
        else:
            try:
                self._descriptor = folder
                self._owner = os.fstat(folder).st_uid
                self._labels = {name: _attribute(folder, name) for name in _LABELS}
                self.everything(folder, os.path.join(path, PRIVATE))
            except OSError as error:
                self.broken("unreadable", f"the store cannot be read to its end: {error.strerror}")
            finally:
                os.close(folder)
        return self.report()

    def report(self) -> AuditReport:
        return AuditReport(self.files, self.samples / RATE, tuple(self.problems), self.has_programme)

    def broken(self, code: str, message: str, name: str = "") -> None:
        self.problems.append(Problem(code, message, name))

    def everything(self, folder: int, private: str) -> None:
        """Audit folder, snippets, manifest and private folder."""
        info = os.fstat(folder)
        if stat.S_IMODE(info.st_mode) != 0o700:
            self.broken("mode", "the store's folder must have mode 0700")
        self.attributes(folder, "the store's folder", "")
        has_private = False
        names = []
        for name in self.snippets(folder):
            has_private |= name == PRIVATE
            if name != PRIVATE:
                names.append(name)
        manifest = self.opened(folder, MANIFEST, "")
        if manifest is None:
            rows: Iterator[Row] = iter(())
            self.broken("manifest", "the manifest is missing or cannot be read")
        else:
            rows = read_rows(manifest, self.broken)
        with self.remembered(folder, private if has_private else None) as memory:
            self.paired(sorted(names), rows, memory)

    @contextlib.contextmanager
    def remembered(self, folder: int, private: str | None) -> Iterator[Memory | None]:
        """Open the ledger, and look at what lies beside it; None where there is none to compare with."""
        if private is None:  # a copy that was given away
            yield None
            return
        if is_in_use(private):
            self.broken("locked", "a run is at work in the store: audit it when that has ended")
            yield None
            return
        descriptor = os.open(
            PRIVATE, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
        )
        try:
            audit_private(descriptor, self._owner, self.broken, self.attributes)
            found = set(os.listdir(descriptor))
        finally:
            os.close(descriptor)
        if FORMAT in found and MARKER not in found:  # made at a URI: its log is sealed
            yield None
            return
        if MARKER not in found:
            self.broken("private", "the private folder lacks the marker of a store")
        with contextlib.ExitStack() as stack:
            try:
                memory = stack.enter_context(memory_of(private))
            except (sqlite3.Error, OSError, ValueError):
                self.broken("ledger", "the ledger is missing or cannot be read: put its newest copy back")
                yield None
                return
            if memory.unfinished:
                self.broken("unfinished", "a run or an erasure was stopped: run it again to finish it")
            if memory.has_history and HISTORY not in found:
                self.broken("history", "the history of reviews is gone from the private folder")
            try:
                yield memory
            except sqlite3.Error:
                self.broken("ledger", "the ledger cannot be read to its end: put its newest copy back")

    def snippets(self, folder: int) -> Iterator[str]:
        """Yield the names of snippets, and of a sound private folder; anything else but the manifest is a problem."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if SNIPPET_NAME.fullmatch(entry.name):
                    yield entry.name
                elif entry.name == PRIVATE:
                    info = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(info.st_mode) or stat.S_IMODE(info.st_mode) != 0o700:
                        self.broken("private", "the private folder must be a real folder with mode 0700")
                    if info.st_uid != self._owner:
                        self.broken("owner", "the private folder belongs to another user than the store")
                    if stat.S_ISDIR(info.st_mode):
                        yield entry.name
                elif entry.name != MANIFEST:
                    self.broken("stray", f"a stray {_kind(entry)} is in the store; its name is not shown")

    def paired(self, names: list[str], rows: Iterator[Row], memory: Memory | None) -> None:
        """Walk files, lines and the ledger side by side; all are sorted, so none has to be kept."""
        files = ((name, name) for name in names)
        lines = ((row.name, row) for row in rows)
        known = ((row.name, row) for row in memory.rows()) if memory else iter(())
        self.columns = memory.columns if memory else frozenset()
        self.has_programme = memory is not None and "programme" in memory.facts
        for name, (file, row, released) in side_by_side(files, lines, known):
            if file is None and row is not None:
                self.broken("missing", "is in the manifest but not in the store", name)
            if file is not None and row is None:
                self.broken("unlisted", "is in the store but not in its place in the manifest", name)
            if row is not None and not row.is_speaker_opaque:
                self.broken(
                    "speaker", "has a speaker in the manifest that is no pseudonym of 32 hex digits", name
                )
            if file is not None:
                self.snippet(name, row)
            if memory is not None:
                self.compared(name, file, row, released)

    def compared(self, name: str, file: str | None, row: Row | None, released: Row | None) -> None:
        """Report where a file, its line and the ledger disagree."""
        if row is not None and not self.columns.issuperset(row.labels):
            self.broken("columns", "has labels that no run was asked to carry", name)
        if released is None:
            where = "store" if file is not None else "manifest"
            self.broken("ledger", f"is in the {where}, but by the ledger it was never released", name)
        elif file is None and row is None:
            self.broken(
                "ledger", "was released by the ledger, but is neither in the store nor in the manifest", name
            )
        elif row is not None and row != released:
            self.broken("ledger", "is not as the ledger says, by the manifest", name)

    def snippet(self, name: str, row: Row | None) -> None:
        descriptor = self.opened(self._descriptor, name, name)
        if descriptor is None:
            self.broken("unreadable", "is not a file that can be read", name)
            return
        try:
            with os.fdopen(descriptor, "rb") as file:
                size = os.fstat(descriptor).st_size
                samples = self.sound(file.read(self.wanted(size)), size, name, row)
        except OSError as error:
            self.broken("unreadable", f"cannot be read: {error.strerror}", name)
        except AuditError as error:
            self.broken("bytes", str(error), name)
        else:
            self.files += 1
            self.samples += samples

    def wanted(self, size: int) -> int:
        """Bytes to read of a snippet of `size` bytes."""
        if not self.deep:
            return WAV_HEADER
        most = int(self.max_seconds * RATE) * 2
        if size > most + most // 8 + 4096:  # no encoding of the longest snippet is larger
            raise AuditError(
                f"a snippet must last less than {self.max_seconds:g} s; its {size} bytes hold more:"
                " after a run with another limit, give that (--max-seconds)"
            )
        return size + 1  # one more shows a file that grows

    def sound(self, data: bytes, size: int, name: str, row: Row | None) -> int:
        """The samples of a snippet, after all that its bytes and its line in the manifest promise."""
        if self.deep:
            found = inspect(data, max_seconds=self.max_seconds)
            kind, samples = found.format, found.samples
        elif data[:4] == b"RIFF":
            kind, samples = "wav", wav_samples(data, size)
            check_duration(samples, self.max_seconds)
        else:
            kind, samples = "flac", int.from_bytes(data[22:26], "big")
            if data[:8] != b"fLaC\x80\x00\x00\x22":
                raise AuditError("expected a WAV or FLAC marker at the start of a snippet; found neither")
            check_duration(samples, self.max_seconds)
        if not name.endswith(f".{kind}"):
            raise AuditError(f"holds {kind.upper()}, which its ending does not say")
        if row is not None:
            if row.seconds != round(samples / RATE, 6):
                self.broken("seconds", "does not last as long as the manifest says", name)
            if self.deep and row.sha256 != hashlib.sha256(data).hexdigest():
                self.broken("checksum", "does not have the checksum that the manifest says", name)
        return samples

    def opened(self, folder: int, name: str, shown: str) -> int | None:
        """A descriptor of a regular file in the store whose mode, time, links and attributes are right."""
        what = "the manifest" if not shown else "the snippet"
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=folder)
        except OSError:
            return None
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            os.close(descriptor)
            return None
        if stat.S_IMODE(info.st_mode) != 0o600:
            self.broken("mode", f"{what} must have mode 0600", shown)
        if info.st_mtime_ns != 0:
            self.broken("time", f"{what} must have the modification time 1970-01-01T00:00:00Z", shown)
        if info.st_uid != self._owner:
            self.broken("owner", f"{what} belongs to another user than the store", shown)
        if info.st_nlink != 1:
            self.broken("links", f"{what} must have one link; it has {info.st_nlink}", shown)
        self.attributes(descriptor, what, shown)
        return descriptor

    def attributes(self, descriptor: int, what: str, shown: str) -> None:
        """Report extended attributes: they can hold anything."""
        if not hasattr(os, "listxattr"):
            return  # a system whose attributes Python cannot list
        try:
            found = [a for a in os.listxattr(descriptor) if not self._is_allowed(descriptor, a)]
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                self.broken("attributes", f"the extended attributes of {what} cannot be read", shown)
            return
        if found:
            self.broken("attributes", f"{what} has {len(found)} extended attributes; expected none", shown)

    def _is_allowed(self, descriptor: int, name: str) -> bool:
        """Tell whether the system itself sets an attribute, and a security label is the one of the store's folder."""
        if name in _LABELS:
            return _attribute(descriptor, name) == self._labels[name]
        return name.startswith(_SYSTEM_ATTRIBUTES) and name not in _ACCESS_LISTS


def side_by_side(*streams: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield every name of some sorted streams of (name, value), with its value in each; None where one lacks it."""
    heads = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        name = min(head[0] for head in heads if head is not None)
        values = [head[1] if head is not None and head[0] == name else None for head in heads]
        yield name, values
        heads = [
            next(stream, None) if head is not None and head[0] == name else head
            for stream, head in zip(streams, heads, strict=True)
        ]


def _attribute(descriptor: int, name: str) -> bytes | None:
    try:
        return os.getxattr(descriptor, name)
    except (OSError, AttributeError):
        return None


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "symbolic link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "device, pipe or socket"
