"""The sealed history of rounds: which reviewer was given what, and which copies must be withdrawn."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from deident.errors import SettingError
from deident.keys import Key
from deident.runs.commit import PROGRAMME
from deident.store import FolderStore, Sealed, day_text, today
from deident.store.sealed import Record


@dataclass(frozen=True, order=True)
class Copy:
    """A copy of a snippet that a reviewer got. `file` lies in the folder (or tar) `round/reviewer`."""

    round: str
    reviewer: str
    file: str
    day: str


def copies(store: FolderStore, key: Key, names: Iterable[str] | None = None) -> list[Copy]:
    """List the copies in all rounds of snippets that are not in the store any more, and must be withdrawn.

    Parameters
    ----------
    store : Store
    key : Key
    names : iterable of str, optional
        List the copies of these snippets instead, as before an erasure.

    Returns
    -------
    list of Copy
        Sorted by round and reviewer. Files of a round that was stopped are among them; they never left.
    """
    if names is None:
        present = {snippet_id(key, path.name) for path in store.path.iterdir()}
        records = [r for r in history(store, key).records() if r.get("snippet", "") not in {*present, ""}]
    else:
        wanted = {snippet_id(key, name) for name in names}
        records = [r for r in history(store, key).records() if r.get("snippet") in wanted]
    return sorted(Copy(r["round"], r["reviewer"], r["file"], r["day"]) for r in records)


def forget(store: FolderStore, key: Key, last_day: str) -> None:
    """Forget of rounds up to a day all but who has had a snippet of whom, by pseudonyms: nobody gets a second one.

    Parameters
    ----------
    store : Store
    key : Key
    last_day : str
        YYYY-MM-DD.
    """
    if not os.path.lexists(store.history):
        return
    kept = ("reviewer", "subjects")
    history(store, key).rewrite(
        lambda record: {name: record[name] for name in kept} if record.get("day", "9") <= last_day else record
    )


def snippets_left(store: FolderStore, reviewers: Iterable[str], records: Iterable[Record]) -> dict[str, int]:
    """Return how many snippets each reviewer may still get, where the programme of the store says so.

    Raises `SettingError` when one has had them all.
    """
    most = json.loads(store.recall(PROGRAMME) or "{}").get("max_per_reviewer")
    if most is None:
        return {}
    reviewers = list(reviewers)
    had = Counter(str(record["reviewer"]) for record in records)
    if done := sum(had[reviewer] >= most for reviewer in reviewers):
        raise SettingError(
            f"{done} of the reviewers have had the {most} snippets that the programme of this store allows:"
            " leave them out"
        )
    return {reviewer: most - had[reviewer] for reviewer in reviewers}


def history(store: FolderStore, key: Key) -> Sealed:
    """Open the sealed list of all assignments: what went to whom, and when."""
    return Sealed(store.history, key, "rounds", anchor=store.anchor("rounds"))


def snippet_id(key: Key, name: str) -> str:
    """Return a pseudonym of a snippet: the history outlives erasures, and must not tell what was erased."""
    return key.pseudonym("review-snippet", name)


def today_text() -> str:
    """Return today's date (UTC), YYYY-MM-DD."""
    return day_text(today())
