"""Erasure from a store, its linkage and its rounds: on request, and when the days are over."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deident.errors import SettingError
from deident.review import Copy, copies, copies_over, forget, today_text
from deident.runs.commit import PROGRAMME
from deident.runs.gate import count_name
from deident.store import FolderStore, day_text, today
from deident.store.erasures import FACT as ERASURES
from deident.store.erasures import Erasure, erasures, remember, sealed, without_links
from deident.store.linkage import digest
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
        With those of the same erasure when it was stopped.
    withdraw : tuple of Copy
        Copies in rounds, which their reviewers must delete.
    id : str
        32 random hexadecimal digits.
    earlier : tuple of dict
        Receipts of other erasures that were stopped before theirs were written; they are complete since.
    """

    snippets: int
    recordings: int
    withdraw: tuple[Copy, ...]
    id: str = ""
    earlier: tuple[dict[str, Any], ...] = ()


def erase(
    store: Store,
    linkage: Linkage,
    key: Key,
    links: Collection[Link],
    kind: str,
    marks: Mapping[str, int] = MappingProxyType({}),
    *,
    request: str = "",
    over: Iterable[Copy] = (),
    is_due: bool = False,
) -> Erased:
    """Erase all that came from some links. A stop in between leaves nothing that the same call does not finish.

    The store remembers what was erased with the erasure itself, until it is complete, or until `settle` says that its
    receipt is written.

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
    request : str
        What was asked for: with the kind, it tells a repeat of an erasure that was stopped.
    over : iterable of Copy
        More copies in rounds to withdraw.
    is_due : bool
        A receipt will be written, and `settle` called then.

    Returns
    -------
    Erased
    """
    names = {name for link in links for name in link.names}
    given = copies(store, key, names) if isinstance(store, FolderStore) else []
    sources = [(bytes.fromhex(link.place), bytes.fromhex(link.content)) for link in links]
    if names:
        marks = {**marks, f"erased:{kind}:{today()}": len(names)}
    asked = store.key.pseudonym("erasure", kind, request)
    found = erasures(store)
    others = [erasure for erasure in found if erasure.request != asked]
    erased = Erased(len(names), len({link.place for link in links}), tuple(sorted({*given, *over})))
    erased = replace(erased, id=secrets.token_hex(16), earlier=tuple(other.said for other in others))
    for stopped in found:
        if stopped.request == asked:
            erased, is_due = _together(erased, stopped.said), is_due or stopped.is_due
    mine = Erasure(asked, _said(kind, erased), is_due, [digest(store, link) for link in links])
    if sources or marks:
        store.erase(sources, names, marks, {ERASURES: sealed(store, [*others, mine])})
    if links:
        linkage.remove(set(links).__contains__)
    is_any = erased.recordings or erased.withdraw or marks
    remember(store, without_links([*others, mine] if is_due and is_any else others))
    store.recover()  # with the linkage as it is now
    return erased


def settle(store: Store) -> None:
    """Forget the erasures whose receipts have been written."""
    remember(store, [erasure for erasure in erasures(store) if erasure.links])
    store.recover()


def _together(erased: Erased, said: Mapping[str, Any]) -> Erased:
    """Add what an erasure had erased before it was stopped."""
    return replace(
        erased,
        snippets=erased.snippets + said["snippets"],
        recordings=erased.recordings + said["recordings"],
        withdraw=tuple(sorted({*erased.withdraw, *(Copy(**copy) for copy in said["withdraw"])})),
        id=said["id"],
    )


def withdrawal_marks(store: Store, withdrawn: Iterable[str]) -> dict[str, int]:
    """Make the marks that keep people out: keyed pseudonyms of every speaker, path or pseudonym on a list."""
    called = {name for line in withdrawn for name in (line, location(line))}
    return {count_name(store, "withdrawn", name): 1 for name in called}


def purge(store: Store, linkage: Linkage, key: Key, *, is_due: bool = False) -> Erased:
    """Erase what a store has kept for the days of its programme. Again on the same day, there is nothing left to do.

    Copies in rounds whose days are over are to withdraw too. Rounds are forgotten after as many days again: until then,
    `deident review withdraw` lists their copies.

    Parameters
    ----------
    store : Store
    linkage : Linkage
    key : Key
    is_due : bool
        As `erase` takes it.

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
    over = copies_over(store, key) if isinstance(store, FolderStore) else []
    erased = erase(store, linkage, key, links, "purge", over=over, is_due=is_due)
    if isinstance(store, FolderStore):
        forget(store, key, day_text(today() - 2 * (days or round_days)))
    return erased


def receipt(kind: str, erased: Erased) -> dict[str, Any]:
    """Make the receipt of an erasure, as plain values: what kind it was, when, and of how much; never of whom.

    `earlier` has receipts that a stop kept from being written.
    """
    return {**_said(kind, erased), **({"earlier": list(erased.earlier)} if erased.earlier else {})}


def _said(kind: str, erased: Erased) -> dict[str, Any]:
    """Return the receipt of this erasure alone."""
    return {
        "id": erased.id,
        "kind": kind,
        "day": today_text(),
        "recordings": erased.recordings,
        "snippets": erased.snippets,
        "withdraw": [dataclasses.asdict(copy) for copy in erased.withdraw],
    }
