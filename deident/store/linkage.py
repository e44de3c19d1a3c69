"""The linkage of snippets to their sources: sealed, apart from the store, and only where it was asked for.

Without it nothing points back from a snippet, and so nothing can be erased by its source. A record is written
and synced before what it speaks of is committed: the file may know of snippets that were never released, and
never lacks one that was."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deident.keys import Key
from deident.store.disk import Disk
from deident.store.sealed import Sealed
from deident.store.store import Store


@dataclass(frozen=True, repr=False)
class Link:
    """A source and its snippets. place, content : the ledger's digests, in hexadecimal digits.
    recording : the pseudonym that messages use.   day : days since 1970-01-01 UTC, of the run.
    store : which store it is of, by `Store.id`.   names : none where the sound was released before, from
    another place.   utterances : what the source calls each of them, where it calls them something."""

    place: str
    content: str
    recording: str
    path: str
    speaker: str | None
    names: tuple[str, ...]
    day: int
    store: str = ""
    utterances: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Link({len(self.names)} snippets)"


class Linkage:
    """The sealed file at `path`; made with its first record. Raises `KeyMaterialError` for a wrong key,
    `StoreError` for a damaged file."""

    def __init__(self, path: str | os.PathLike[str], key: Key, disk: Disk | None = None) -> None:
        self._file = Sealed(Path(path), key, "linkage", disk)

    def add(self, links: list[Link]) -> None:
        self._file.add([asdict(link) for link in links])

    def links(self) -> Iterator[Link]:
        return map(_link, self._file.records())

    def remove(self, of: Callable[[Link], bool]) -> None:
        """Rewrite the file without some links."""
        self._file.rewrite(lambda record: None if of(_link(record)) else record)

    def forget_unreleased(self, store: Store) -> None:
        """Drop names that the store never released: a stop came between their record and their commit."""

        def kept(record: dict[str, Any]) -> dict[str, Any]:
            link = _link(record)
            there = _released(link, store) if link.store == store.id else link
            return record if there == link else asdict(there)

        self._file.rewrite(kept)


def _link(record: dict[str, Any]) -> Link:
    lists = {name: tuple(record.get(name, ())) for name in ("names", "utterances")}
    return Link(**{**record, **lists})


def _released(link: Link, store: Store) -> Link:
    there = [at for at, name in enumerate(link.names) if store.has(name)]
    called = link.utterances
    return replace(
        link,
        names=tuple(link.names[at] for at in there),
        utterances=tuple(called[at] for at in there) if called else (),
    )


def today() -> int:
    return int(time.time() // 86_400)
