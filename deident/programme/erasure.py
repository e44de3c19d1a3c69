"""Erasure from a store, its linkage and its rounds: on request, and when the days are over."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deident.errors import SettingError
from deident.review import Copy, copies, copies_over, forget, today_text
from deident.runs.commit import PROGRAMME
from deident.runs.gate import count_name
from deident.store import FolderStore, day_text, today
from deident.uris import location

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.store import Link, Linkage, Store


@dataclass(frozen=True)
class Erased:
    """The counts of an erasure.

    Attributes
    ----------
    snippets, recordings : int
    withdraw : tuple of Copy
        Copies in rounds, which their reviewers must delete.
    """

    snippets: int
    recordings: int
    withdraw: tuple[Copy, ...]


def erase(
    store: Store,
    linkage: Linkage,
    key: Key,
    links: Collection[Link],
    kind: str,
    marks: Mapping[str, int] = MappingProxyType({}),
) -> Erased:
    """Erase all that came from some links. A stop in between leaves nothing that the same call does not finish.

    Parameters
    ----------
    store : Store
    linkage : Linkage
        Attached to the store.
    key : Key
        Of the rounds.
    links : collection of Link
    kind : str
        Of the request; the store remembers it with the day.
    marks : mapping of str to int
        What the store shall count with it; see `withdrawal_marks`.

    Returns
    -------
    Erased
    """
    names = {name for link in links for name in link.names}
    given = copies(store, key, names) if isinstance(store, FolderStore) else []
    sources = [(bytes.fromhex(link.place), bytes.fromhex(link.content)) for link in links]
    if names:
        marks = {**marks, f"erased:{kind}:{today()}": len(names)}
    if sources or marks:
        store.erase(sources, names, marks)
    linkage.remove(set(links).__contains__)
    store.recover()  # with the linkage as it is now
    return Erased(len(names), len({link.place for link in links}), tuple(given))


def withdrawal_marks(store: Store, withdrawn: Iterable[str]) -> dict[str, int]:
    """Make the marks that keep people out: keyed pseudonyms of every speaker, path or pseudonym on a list."""
    called = {name for line in withdrawn for name in (line, location(line))}
    return {count_name(store, "withdrawn", name): 1 for name in called}


def purge(store: Store, linkage: Linkage, key: Key) -> Erased:
    """Erase what a store has kept for the days of its programme. Again on the same day, there is nothing left to do.

    Copies in rounds whose days are over are to withdraw too. Rounds are forgotten after as many days again: until then,
    `deident review withdraw` lists their copies.

    Parameters
    ----------
    store : Store
    linkage : Linkage
    key : Key

    Returns
    -------
    Erased

    Raises
    ------
    SettingError
        When the store has no programme that says how long.
    """
    promise = json.loads(store.recall(PROGRAMME) or "{}")
    days, round_days = promise.get("keep_days"), promise.get("round_days")
    if days is None and round_days is None:
        raise SettingError(
            "this store's programme has no keep_days: give them as [programme] keep_days in the policy of its"
            " first run, or use `deident erase --older-than`"
        )
    linkage.attach(store)
    links: set[Link] = set()
    if days is not None:
        last = today() - days
        links = {link for link in linkage.links() if link.store == store.id and link.day <= last}
    erased = erase(store, linkage, key, links, "purge")
    if not isinstance(store, FolderStore):
        return erased
    over = copies_over(store, key)
    forget(store, key, day_text(today() - 2 * (days or round_days)))
    return replace(erased, withdraw=tuple(sorted({*erased.withdraw, *over})))


def receipt(kind: str, erased: Erased) -> dict[str, Any]:
    """Make the receipt of an erasure, as plain values: what kind it was, when, and of how much; never of whom."""
    return {
        "kind": kind,
        "day": today_text(),
        "recordings": erased.recordings,
        "snippets": erased.snippets,
        "withdraw": [dataclasses.asdict(copy) for copy in erased.withdraw],
    }
