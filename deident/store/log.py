"""The log of a store in a bucket: a chain of sealed blocks, an object each."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from deident.keys import Key
from deident.store.chain import HEADS, Chain, missing
from deident.store.objects import Objects
from deident.store.rows import Entry, Released, Staged, values
from deident.uris import PRIVATE

PURPOSE = "log"
_FETCHED_TOGETHER = 32
_GENERATION_BYTES = 8
_HEADS = [f"head-{slot}" for slot in range(HEADS)]
_BLOCK_NAME = re.compile(r"(\d{8})-(\d{12})")


@dataclass(frozen=True)
class Record:
    """One record of the log.

    kind : chunk, recordings that are done and their snippets, which are staged; window, all that was staged is
    released; piece, a part of all that an older generation of the log said; erase, sources (place, content) and names
    that are to be forgotten.   facts : see `Ledger.set_facts`.   counts : are added to what was counted.
    """

    kind: Literal["chunk", "window", "piece", "erase"]
    entries: list[Entry] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)
    released: list[Released] = field(default_factory=list)
    erased: list[tuple[bytes, bytes]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        rows: dict[str, Any] = {
            **vars(self),
            "entries": [values(entry) for entry in self.entries],
            "staged": [values(snippet) for snippet in self.staged],
            "released": [values(row) for row in self.released],
        }
        said = {name: value for name, value in rows.items() if value}
        return json.dumps(said, separators=(",", ":"), default=bytes.hex).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Record:
        rows: dict[str, Any] = json.loads(raw)
        read = bytes.fromhex
        return cls(
            kind=rows["kind"],
            entries=[
                Entry(read(place), read(content), state, policy, read(origin), read(file))
                for place, content, state, policy, origin, file in rows.get("entries", [])
            ],
            staged=[Staged(*row) for row in rows.get("staged", [])],
            released=[Released(*row) for row in rows.get("released", [])],
            erased=[(read(place), read(content)) for place, content in rows.get("erased", [])],
            names=rows.get("names", []),
            facts=rows.get("facts", {}),
            counts=rows.get("counts", {}),
        )


class Log:
    """Records in a folder of objects, in the order in which they were put; `deident.store.chain` says what is
    authenticated.

    A generation is written by `rewrite` in place of the one before, and counts once a head says so. id : the store's.
    Raises `StoreError` for a log that was changed or cut.
    """

    FOLDER: ClassVar[str] = f"{PRIVATE}/log"

    def __init__(self, folder: Objects, key: Key, id_: str) -> None:
        self._folder, self._key, self._id = folder, key, bytes.fromhex(id_)
        self._chain = self._begun(0)

    def create(self) -> None:
        """Begin an empty log."""
        self._put_heads(self._chain, range(HEADS))

    def records(self) -> Iterator[Record]:
        """Yield all records, oldest first, and go on from there."""
        raw = [raw for name in _HEADS if (raw := self._folder.get(f"{self.FOLDER}/{name}")) is not None]
        if not raw:
            raise missing(PURPOSE)
        heads = [(int.from_bytes(head[:_GENERATION_BYTES], "big"), head[_GENERATION_BYTES:]) for head in raw]
        own = [generation for generation, head in heads if self._begun(generation).counted(head)]
        chain = self._begun(max(own, default=0))
        names = [
            name for name in self._folder.names(self.FOLDER) if self._generation(name) == chain.generation
        ]
        if sorted(names) != [_name(chain.generation, number) for number in range(1, len(names) + 1)]:
            raise chain.changed()
        counted = [head for generation, head in heads if generation == chain.generation]
        for plain in chain.walk(counted, self._blocks(sorted(names)), None):
            yield Record.from_bytes(plain)
        self._chain = chain

    def put(self, record: Record) -> None:
        """Append a record, which counts once this returns."""
        chain = self._chain
        if not chain.is_counted:
            self._put_heads(chain, [chain.count % HEADS])
        if chain.tail:
            self._folder.put({f"{PRIVATE}/log-{secrets.token_hex(4)}.unfinished": chain.tail})
            chain.tail = b""
        self._put_block(chain, record)
        self._put_heads(chain, [chain.count % HEADS])

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put a new generation of the log in place of the old one."""
        self.sweep()
        chain = self._begun(self._chain.generation + 1)
        for record in records:
            self._put_block(chain, record)
        self._put_heads(chain, range(HEADS))
        self._chain = chain
        self.sweep()

    def sweep(self) -> None:
        """Remove blocks of other generations, which a stop left behind."""
        found = ((name, self._generation(name)) for name in self._folder.names(self.FOLDER))
        old = [f"{self.FOLDER}/{name}" for name, of in found if of not in (None, self._chain.generation)]
        self._folder.remove_together(old)

    def _begun(self, generation: int) -> Chain:
        return Chain(self._key, PURPOSE, self._id, generation)

    def _put_block(self, chain: Chain, record: Record) -> None:
        block = chain.seal(record.to_bytes())
        self._folder.put({f"{self.FOLDER}/{_name(chain.generation, chain.count)}": block})

    def _put_heads(self, chain: Chain, slots: Iterable[int]) -> None:
        for slot in slots:
            head = chain.generation.to_bytes(_GENERATION_BYTES, "big") + chain.head()
            self._folder.put({f"{self.FOLDER}/{_HEADS[slot]}": head})
        chain.is_counted = True

    def _blocks(self, names: list[str]) -> Iterator[bytes]:
        for at in range(0, len(names), _FETCHED_TOGETHER):
            some = names[at : at + _FETCHED_TOGETHER]
            yield from self._folder.get_all([f"{self.FOLDER}/{name}" for name in some])

    @staticmethod
    def _generation(name: str) -> int | None:
        """Return the generation that an object belongs to, None for what is no block."""
        found = _BLOCK_NAME.fullmatch(name)
        return int(found[1]) if found else None


def _name(generation: int, number: int) -> str:
    return f"{generation:08}-{number:012}"
