"""The sealed history of rounds: which reviewer was given what, and which copies must be withdrawn."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from deident.errors import SettingError
from deident.keys import Key
from deident.policy import ProgrammeSettings
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
    """List the copies in all rounds that must be withdrawn: their snippets were erased, or their days are over.

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
        known = [record for record in history(store, key).records() if "file" in record]
        records = [r for r in known if r["snippet"] not in present or is_over(r)]
    else:
        wanted = {snippet_id(key, name) for name in names}
        records = [r for r in history(store, key).records() if r.get("snippet") in wanted]
    return sorted(map(_copy, records))


def copies_over(store: FolderStore, key: Key) -> list[Copy]:
    """List the copies in all rounds whose last day has passed."""
    return [_copy(record) for record in history(store, key).records() if is_over(record)]


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


def promise_of(store: FolderStore) -> ProgrammeSettings:
    """Return the programme that a store remembers, or one that promises nothing."""
    return ProgrammeSettings(**json.loads(store.recall(PROGRAMME) or "{}"))


def last_day(released: int, days: int | None, promise: ProgrammeSettings) -> int | None:
    """Return the last day of a snippet in a round that is made today, None where it has none.

    released : its own day.   days : of the round.
    """
    ends = [today() + most for most in (days, promise.round_days) if most is not None]
    if promise.keep_days is not None:
        ends.append(released + promise.keep_days)
    return min(ends, default=None)


def snippets_left(
    promise: ProgrammeSettings, reviewers: Iterable[str], records: Iterable[Record]
) -> dict[str, int]:
    """Return how many snippets each reviewer may still get, where the programme says so.

    Raises `SettingError` when one has had them all.
    """
    most = promise.max_per_reviewer
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


def _copy(record: Record) -> Copy:
    return Copy(record["round"], record["reviewer"], record["file"], record["day"])


def is_over(record: Record) -> bool:
    """Tell whether the last day of a copy has passed."""
    return bool(str(record.get("until", "9")) < today_text())


def history(store: FolderStore, key: Key) -> Sealed:
    """Open the sealed list of all assignments: what went to whom, and when."""
    return Sealed(store.history, key, "rounds", anchor=store.anchor("rounds"), owner=store.id)


def snippet_id(key: Key, name: str) -> str:
    """Return a pseudonym of a snippet: the history outlives erasures, and must not tell what was erased."""
    return key.pseudonym("review-snippet", name)


def today_text() -> str:
    """Return today's date (UTC), YYYY-MM-DD."""
    return day_text(today())
