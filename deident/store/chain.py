"""The chain of a sealed log: each block is bound to all before it, and heads say how many there are.

A log is blocks under AES-256-GCM, in a file (`Sealed`) or in a bucket (`Log`). A block's associated data is the digest
of all before it and its own length, so that no block, length or position changes unnoticed. Two heads, written in turn
after each block, hold the count and the digest: a log that lacks blocks which a head counts was cut. Only one block may
lie beyond the newest head, whole or unfinished, for an append writes the block first and a head then.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from deident.errors import KeyMaterialError, StoreError
from deident.keys import Key

VERSION = 3
ID_BYTES = 16
HEADS = 2
MAX_BLOCK_BYTES = 64 << 20
_NONCE_BYTES, _TAG_BYTES = 12, 16  # AES-GCM's (NIST SP 800-38D); a nonce is drawn anew for every block
_SIZE = struct.Struct(">I")
SIZE_BYTES = _SIZE.size
_STATE = struct.Struct(">Q32s")
HEAD_BYTES = _NONCE_BYTES + _STATE.size + _TAG_BYTES
_GO_ON = "nothing was changed: put the newest copy of it back, or begin a new store"


class Mark(NamedTuple):
    """A log as a store remembers it: what is opened later must be this, or have grown from it.

    id : of the log, for life.   generation : how often it was rewritten.   blocks, digest : how many there are, and
    what they say.
    """

    id: str
    generation: int
    blocks: int
    digest: str

    def __str__(self) -> str:
        return f"{self.id} {self.generation} {self.blocks} {self.digest}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        try:
            id_, generation, blocks, digest = text.split()
            return cls(id_, int(generation), int(blocks), digest)
        except ValueError:
            raise StoreError(
                "the ledger's mark of a sealed log is damaged; nothing was changed: put the ledger's newest copy back"
            ) from None


class Anchor(Protocol):
    """The memory of a store for the mark of one log."""

    def get(self) -> Mark | None:
        """Return the mark, None for a log that was never written."""

    def set(self, mark: Mark) -> None:
        """Remember another mark."""


class Fixed:
    """A mark that is not to be changed, of a store that is only looked at."""

    def __init__(self, mark: Mark | None) -> None:
        self._mark = mark

    def get(self) -> Mark | None:
        return self._mark

    def set(self, mark: Mark) -> None:
        """Do nothing."""


class Chain:
    """Seals and opens the blocks of one log in their order.

    purpose : what the log holds, part of the seal.   id, generation : see `Mark`.
    tail : of an unfinished block, once the log was walked.   is_counted : by a head, to the last block.
    """

    def __init__(self, key: Key, purpose: str, id_: bytes, generation: int) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.id, self.generation = id_, generation
        self.count = 0
        self.tail = b""
        self.is_counted = True
        self._purpose = purpose
        self._cipher = AESGCM(key.derive("sealed", purpose))
        self._start = magic(purpose) + id_ + generation.to_bytes(8, "big")
        self._digest = hashlib.sha256(self._start).digest()

    def seal(self, plain: bytes) -> bytes:
        """Make the next block."""
        if len(plain) > MAX_BLOCK_BYTES // 2:
            raise StoreError(
                f"{self._purpose}: expected records of at most {MAX_BLOCK_BYTES >> 21} MB; one is larger"
            )
        nonce = os.urandom(_NONCE_BYTES)
        size = _SIZE.pack(_NONCE_BYTES + len(plain) + _TAG_BYTES)
        block = size + nonce + self._cipher.encrypt(nonce, plain, self._digest + size)
        self._advance(block)
        return block

    def head(self) -> bytes:
        """Make the head for the blocks so far."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _STATE.pack(self.count, self._digest), self._start)

    def counted(self, head: bytes) -> dict[int, bytes]:
        """Return the number of blocks in a head and their digest; nothing for a damaged one or one of another log."""
        from cryptography.exceptions import InvalidTag

        try:
            plain = self._cipher.decrypt(head[:_NONCE_BYTES], head[_NONCE_BYTES:], self._start)
        except (InvalidTag, ValueError):
            return {}
        count, digest = _STATE.unpack(plain)
        return {count: digest}

    def mark(self) -> Mark:
        """Return what tells this log from an older or another one."""
        return Mark(self.id.hex(), self.generation, self.count, self._digest.hex())

    def walk(self, heads: Iterable[bytes], blocks: Iterable[bytes], known: Mark | None) -> Iterator[bytes]:
        """Open every block in turn.

        blocks : as `seal` made them; the last may be cut short.   known : what a store remembers of the log.
        Raises `KeyMaterialError` for a wrong key, `StoreError` for a log that was changed, cut or reordered, or that
        is another or an older one than the known.
        """
        counted: dict[int, bytes] = {}
        for head in heads:
            counted |= self.counted(head)
        if not counted:
            raise KeyMaterialError(
                f"{self._purpose}: this is not its key, or its beginning was changed: give the key that"
                " it was made with, or put the newest copy of it back"
            )
        expected = max(counted)
        if known and known.id != self.id.hex():
            raise another(self._purpose)
        is_known = known is not None and known.generation == self.generation
        for block in blocks:
            if self.count > expected or self.tail:
                raise self.changed()
            if self.count == expected and _is_unfinished(block):
                self.tail = block
                continue
            yield self._open(block)
            is_other = known and is_known and self.count == known.blocks and self.mark() != known
            if is_other or counted.get(self.count, self._digest) != self._digest:
                raise self.changed()
        oldest = max(expected, known.blocks) if known and is_known else expected
        if self.count < oldest or (known and self.generation < known.generation):
            raise StoreError(f"{self._purpose}: records are missing that it had; {_GO_ON}")
        self.is_counted = self.count == expected

    def _open(self, block: bytes) -> bytes:
        """Decrypt the next block; it fails unless all blocks before it are the same."""
        from cryptography.exceptions import InvalidTag

        size, sealed = block[:SIZE_BYTES], block[SIZE_BYTES:]
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._digest + size)
        except (InvalidTag, ValueError):
            raise self.changed() from None
        self._advance(block)
        return plain

    def _advance(self, block: bytes) -> None:
        """Add a block to the digest of the chain."""
        self._digest = hashlib.sha256(self._digest + block).digest()
        self.count += 1

    def changed(self) -> StoreError:
        """Return the error for a log that is not as it was written."""
        return StoreError(f"{self._purpose}: it was changed or is damaged; {_GO_ON}")


def magic(purpose: str) -> bytes:
    """Return the line that a log begins with."""
    return f"deident {purpose} {VERSION}\n".encode()


def another(purpose: str) -> StoreError:
    """Return the error for a log of another store, or one that was begun anew."""
    return StoreError(f"{purpose}: this is another one than the store was written with; {_GO_ON}")


def missing(purpose: str) -> StoreError:
    """Return the error for a log that a store remembers and that is not there."""
    return StoreError(f"{purpose}: the store was written with one, and it is not there; {_GO_ON}")


def size_of(start: bytes) -> int:
    """Return the bytes of a block, by its first four; more than `MAX_BLOCK_BYTES` where they are no length."""
    (size,) = _SIZE.unpack(start[:SIZE_BYTES])
    return SIZE_BYTES + int(size) if size > _NONCE_BYTES + _TAG_BYTES else MAX_BLOCK_BYTES + 1


def _is_unfinished(block: bytes) -> bool:
    """Tell whether a block is shorter than it says, and says what a block may."""
    return len(block) < SIZE_BYTES or len(block) < size_of(block) <= MAX_BLOCK_BYTES
