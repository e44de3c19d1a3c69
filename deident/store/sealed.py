"""A sealed log in a file: the linkage, and the history of reviews."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from deident.errors import StoreError
from deident.keys import Key
from deident.store.chain import (
    HEAD_BYTES,
    HEADS,
    ID_BYTES,
    MAX_BLOCK_BYTES,
    SIZE_BYTES,
    VERSION,
    Anchor,
    Chain,
    another,
    magic,
    missing,
    size_of,
)
from deident.store.disk import Disk, plain_errors

BLOCK_BYTES = 1 << 20  # of records together, more or less
_GENERATION_BYTES = 8
_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe in its place is not waited for
_READ, _CHANGE = os.O_RDONLY | _PLAIN, os.O_RDWR | _PLAIN

Record = dict[str, Any]


class Sealed:
    """A file of records under a key, mode 0600; `deident.store.chain` says what is authenticated.

    Opening proves every record and changes nothing. An append that a stop left unfinished is ignored; before the next
    one takes its place, it is copied to a file beside. Several runs may write to one file: each change is made under a
    lock that lasts no longer.

    Parameters
    ----------
    path : Path
        The file; made when something is first added, be it nothing.
    key : Key
        Seals it.
    purpose : str
        What it holds; part of the seal.
    disk : Disk, optional
        Makes the file-system calls.
    anchor : Anchor, optional
        Where a store remembers the file, so that an older copy, another one or none is noticed.
    owner : str, optional
        `Store.id` of the one store that the file belongs to, 32 hexadecimal digits: it is the file's id, and that of
        another store under the same key is refused before there is a mark, too.

    Raises
    ------
    KeyMaterialError
        For a wrong key.
    StoreError
        For another file, one of another version, and one that was changed, cut or put back.
    """

    def __init__(
        self,
        path: Path,
        key: Key,
        purpose: str,
        disk: Disk | None = None,
        *,
        anchor: Anchor | None = None,
        owner: str = "",
    ) -> None:
        self._path, self._key, self._purpose = path, key, purpose
        self._disk = disk or Disk()
        self._anchor = anchor
        self._owner = bytes.fromhex(owner)
        self._magic = magic(purpose)
        self._heads_at = len(self._magic) + ID_BYTES + _GENERATION_BYTES
        self._blocks_at = self._heads_at + HEADS * HEAD_BYTES
        self._chain: Chain | None = None  # of the file as it was last proved; None where there was none
        self._seen: tuple[bytes, int] | None = None  # its beginning and size then
        self._prove()

    def attach(self, anchor: Anchor) -> None:
        """From here on, prove that this is the file that a store remembers, and let it remember every change."""
        self._anchor, self._seen = anchor, None
        self._refuse_missing()

    def add(self, records: Sequence[Record]) -> None:
        """Append records and sync them, in a new file where there is none. They count once this returns."""
        self._make()
        for plain in _packed(records):
            self._append(plain)
        self._remember()

    def records(self) -> Iterator[Record]:
        """Yield all records that were written whole."""
        return self._read()

    def rewrite(self, change: Callable[[Record], Record | None]) -> None:
        """Put every record as `change` gives it in place of the old ones, without those of which it gives None."""
        if not self._is_there():
            self._refuse_missing()
            return
        with self._locked() as descriptor:
            old = list(self._read(descriptor))
            new = [changed for record in old if (changed := change(record)) is not None]
            if new != old and self._chain:
                self._set_aside(self._chain.tail)
                self._write(new, self._chain.id, self._chain.generation + 1)
        self._remember()

    def _make(self) -> None:
        """Make the file, unless it is there."""
        with self._creating():
            if not self._is_there():
                self._refuse_missing()
                self._write([], self._owner or os.urandom(ID_BYTES), 0)

    def _append(self, plain: bytes) -> None:
        """Append a block under the lock, after the file was proved if it changed."""
        with self._locked() as descriptor:
            if self._seen is None or self._seen != self._look(descriptor):
                self._prove(descriptor)
            chain, self._seen = self._chain, None
            if chain is None:
                raise missing(self._purpose)
            if not chain.is_counted:
                self._put_head(descriptor, chain)
            if chain.tail:
                self._set_aside(chain.tail)
                self._disk.truncate(descriptor, os.fstat(descriptor).st_size - len(chain.tail))
                chain.tail = b""
            os.lseek(descriptor, 0, os.SEEK_END)
            self._disk.write(descriptor, chain.seal(plain))
            self._disk.sync(descriptor)
            self._put_head(descriptor, chain)
            self._seen = self._look(descriptor)

    def _put_head(self, descriptor: int, chain: Chain) -> None:
        """Write the head that counts the last block, into the slot of the older one."""
        os.lseek(descriptor, self._heads_at + chain.count % HEADS * HEAD_BYTES, os.SEEK_SET)
        self._disk.write(descriptor, chain.head())
        chain.is_counted = True

    def _write(self, records: Sequence[Record], id_: bytes, generation: int) -> None:
        """Put a new file in place of the old one, if any."""
        chain = Chain(self._key, self._purpose, id_, generation)
        blocks = [chain.seal(plain) for plain in _packed(records)]
        start = self._magic + id_ + generation.to_bytes(_GENERATION_BYTES, "big")
        beside = self._path.with_name(f"{self._path.name}.part")
        if os.path.lexists(beside):
            self._refuse_foreign(beside)
            self._disk.unlink(beside)  # of a run that was stopped
        self._disk.replace(self._path, [start, *(chain.head() for _ in range(HEADS)), *blocks], beside)
        self._chain, self._seen = chain, None

    def _refuse_foreign(self, beside: Path) -> None:
        """Raise `StoreError` for a file that no run of ours left unfinished."""
        with plain_errors("looking beside a sealed file"):
            is_file = stat.S_ISREG(beside.lstat().st_mode)
            start = beside.read_bytes()[: len(self._magic)] if is_file else b""
        if not is_file or start != self._magic[: len(start)]:
            raise StoreError(
                f"{self._purpose}: a file of its name and {beside.suffix} lies beside it, and is no part of it;"
                " nothing was changed: move that away, or choose another name"
            )

    def _set_aside(self, tail: bytes) -> None:
        """Keep half a block that a stop left, in a file beside."""
        if tail:
            name = f"{self._path.name}.{secrets.token_hex(4)}.unfinished"
            self._disk.replace(self._path.with_name(name), [tail])

    def _remember(self) -> None:
        if self._anchor and self._chain and self._anchor.get() != (mark := self._chain.mark()):
            self._anchor.set(mark)

    def _refuse_missing(self) -> None:
        """Raise where the store remembers a file that is gone."""
        if self._anchor and self._anchor.get() and not self._is_there():
            raise missing(self._purpose)

    def _prove(self, locked: int | None = None) -> None:
        """Decrypt all blocks, which proves them."""
        for _ in self._read(locked):
            pass

    def _read(self, locked: int | None = None) -> Iterator[Record]:
        """Yield all records, and note the state of the file then. locked : a descriptor of it that holds the lock."""
        known = self._anchor.get() if self._anchor else None
        file = self._opened(locked)
        if file is None:
            self._refuse_missing()
            self._chain = self._seen = None
            return
        with file:
            start, size = seen = self._look(file.fileno(), is_locked=locked is not None)
            id_, generation = self._parse(start)
            if self._owner and known is None and id_ != self._owner:
                raise another(self._purpose)
            chain = Chain(self._key, self._purpose, id_, generation)
            heads = [start[at : at + HEAD_BYTES] for at in range(self._heads_at, self._blocks_at, HEAD_BYTES)]
            file.seek(self._blocks_at)
            for plain in chain.walk(heads, _blocks(file, size - self._blocks_at), known):
                yield from json.loads(plain)
        self._chain, self._seen = chain, seen

    def _parse(self, start: bytes) -> tuple[bytes, int]:
        """Return the id and generation. Raises `StoreError` for another file, or one of another version."""
        line = self._magic.rpartition(b" ")[0] + b" "
        if start.startswith(line) and not start.startswith(self._magic):
            raise StoreError(
                f"{self._purpose}: expected version {VERSION}; this is of another, or damaged: go on with the deident"
                " that made it, or begin a new store"
            )
        if not start.startswith(self._magic) or len(start) < self._blocks_at:
            raise StoreError(
                f"{self._purpose}: expected a file that begins with {self._magic.decode().strip()!r} and is whole; this"
                " is not: put the newest copy of it back"
            )
        at = len(self._magic) + ID_BYTES
        return start[len(self._magic) : at], int.from_bytes(start[at : self._heads_at], "big")

    def _look(self, descriptor: int, *, is_locked: bool = True) -> tuple[bytes, int]:
        """Return the beginning of the file and its size, while nobody writes."""
        with plain_errors("reading a sealed file"):
            if not is_locked:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            seen = os.pread(descriptor, self._blocks_at, 0), os.fstat(descriptor).st_size
            if not is_locked:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            return seen

    def _opened(self, locked: int | None) -> IO[bytes] | None:
        with plain_errors("reading a sealed file"):
            try:
                if locked is not None:
                    return open(os.dup(locked), "rb")
                return open(os.open(self._path, _READ), "rb")
            except FileNotFoundError:
                return None

    def _is_there(self) -> bool:
        return os.path.lexists(self._path)

    @contextlib.contextmanager
    def _creating(self) -> Iterator[None]:
        """Keep other runs from making the file meanwhile, where folders can be locked."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(self._disk.close, folder)
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Give the file that lies at the path, for no other process meanwhile; not one that was rewritten since."""
        while True:
            with plain_errors("writing a sealed file"):
                descriptor = os.open(self._path, _CHANGE)
            try:
                with plain_errors("locking a sealed file"):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    is_there = os.path.samestat(os.fstat(descriptor), os.stat(self._path))
                if is_there:
                    yield descriptor
                    return
            finally:
                self._disk.close(descriptor)


def _packed(records: Sequence[Record]) -> Iterator[bytes]:
    """Yield JSON lists of some records each, so that no block grows too large."""
    texts: list[str] = []
    size = 0
    for record in records:
        texts.append(json.dumps(record))
        size += len(texts[-1])
        if size >= BLOCK_BYTES:
            yield f"[{','.join(texts)}]".encode()
            texts, size = [], 0
    if texts:
        yield f"[{','.join(texts)}]".encode()


def _blocks(file: IO[bytes], left: int) -> Iterator[bytes]:
    """Yield the blocks in so many bytes of a file; the last may be cut short."""
    while left > 0:
        start = file.read(min(SIZE_BYTES, left))
        if not start:
            return
        size = size_of(start) if len(start) == SIZE_BYTES else SIZE_BYTES
        block = start + file.read(min(size, left, MAX_BLOCK_BYTES) - len(start))
        yield block
        left -= len(block)
