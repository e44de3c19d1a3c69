"""The linkage of snippets to their sources: sealed, apart from the store, and only where it was asked for.

Without it nothing points back from a snippet, and so nothing can be erased by its source. A record is written
and synced before what it speaks of is committed: the file may know of snippets that were never released, and
never lacks one that was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deident.errors import StoreError
from deident.keys import Key
from deident.store.chain import Anchor
from deident.store.erasures import erasures, remember, without_links
from deident.store.sealed import Sealed
from deident.store.store import Store


@dataclass(frozen=True, repr=False)
class Link:
    """A source and its snippets.

    Attributes
    ----------
    place, content : str
        The ledger's digests, in hexadecimal digits.
    recording : str
        The pseudonym that messages use.
    path : str
        The full path or URI.
    speaker : str or None
        As the run was given it.
    names : tuple of str
        The snippets; none where the sound was released before, from another path.
    day : int
        Days since 1970-01-01 UTC, of the run.
    store : str
        `Store.id`.
    utterances : tuple of str
        The source's ids of them, where it has any.
    consent : bool
        Its people consented, as the run was told.
    draw : str
        The number that was drawn for it, 16 hexadecimal digits, where the policy has a share.
    """

    place: str
    content: str
    recording: str
    path: str
    speaker: str | None
    names: tuple[str, ...]
    day: int
    store: str = ""
    utterances: tuple[str, ...] = ()
    consent: bool = False
    draw: str = ""

    def __repr__(self) -> str:
        return f"Link({len(self.names)} snippets)"


class Linkage:
    """The links of one or more stores, in a sealed file that is made with its first record.

    Parameters
    ----------
    path : path-like
        Where the file lies or shall lie: outside the stores.
    key : Key
        The one that the stores were made with.

    Raises
    ------
    KeyMaterialError
        For a wrong key.
    StoreError
        For a file that was changed, cut or is of another version, and with `anchor` (where a store remembers it) for
        an older copy, another one or none.
    """

    def __init__(self, path: str | os.PathLike[str], key: Key, *, anchor: Anchor | None = None) -> None:
        self._file = Sealed(Path(path), key, "linkage", anchor=anchor)

    def add(self, links: list[Link]) -> None:
        """Append links and sync them; with none, the file is there all the same."""
        self._file.add([asdict(link) for link in links])

    def links(self) -> Iterator[Link]:
        """Yield all links."""
        return map(_link, self._file.records())

    def remove(self, of: Callable[[Link], bool]) -> None:
        """Rewrite the file without some links."""
        self._file.rewrite(lambda record: None if of(_link(record)) else record)

    def attach(self, store: Store, *, is_written: bool = False) -> None:
        """Prove that this is the store's linkage, and drop names that the store never released.

        Such names are there where a stop came between their record and their commit. From here on, the store
        remembers the file: an older copy of it, another one or none is an error, not an empty answer. An erasure that
        a stop cut short loses its links.

        is_written : by a run, which may be the first that gives this store a linkage.
        """
        anchor = store.anchor("linkage")
        self._file.attach(anchor)
        if anchor.get() is None and not any(link.store == store.id for link in self.links()):
            if not is_written and next(store.names(), None):
                raise StoreError(
                    "linkage: it knows nothing of this store; nothing was changed: give the one that the store's runs"
                    " wrote"
                )
            return
        found = erasures(store)
        gone = {link for erasure in found for link in erasure.links}

        def kept(record: dict[str, Any]) -> dict[str, Any] | None:
            link = _link(record)
            if gone and link.store == store.id and digest(store, link) in gone:
                return None
            there = _released(link, store) if link.store == store.id else link
            return record if there == link else asdict(there)

        self._file.rewrite(kept)
        remember(store, without_links(found))


def digest(store: Store, link: Link) -> str:
    """Return what tells a link from others, whatever is left of its snippets."""
    return store.key.pseudonym("link", link.place, link.path, link.speaker or "", link.day)


def _link(record: dict[str, Any]) -> Link:
    lists = {name: tuple(record.get(name, ())) for name in ("names", "utterances")}
    return Link(**{**record, **lists})


def _released(link: Link, store: Store) -> Link:
    """Keep the names of a link whose snippets the store has released."""
    there = [at for at, name in enumerate(link.names) if store.has(name)]
    called = link.utterances
    return replace(
        link,
        names=tuple(link.names[at] for at in there),
        utterances=tuple(called[at] for at in there) if called else (),
    )


def today() -> int:
    """Count the days since 1970-01-01 UTC."""
    return int(time.time() // 86_400)


def day_text(day: int) -> str:
    """Return a day since 1970-01-01 as its date, YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime(86_400 * day))
