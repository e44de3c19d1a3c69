"""The programme of a store: consent, share, and time, proved by what its ledger and its linkage say.

It reads the ledger's facts by itself, and takes the links as they were sealed.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple, Protocol

FACT = "programme"
_DRAW = re.compile("[0-9a-f]{16}")
_SETTINGS = {"consent", "keep_days", "max_per_reviewer", "max_per_speaker", "share"}
_LATER = {"round_days", "seal_rounds"}  # which older stores do not know


class Linked(Protocol):
    """A link of the linkage, by what is looked at here."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def speaker(self) -> str | None: ...
    @property
    def day(self) -> int: ...
    @property
    def consent(self) -> bool: ...
    @property
    def draw(self) -> str: ...


class Broken(NamedTuple):
    """A promise of the programme that is not kept. code : a short, stable word."""

    code: str
    message: str


def audit_rounds(
    facts: Mapping[str, str], rounds: Iterable[Mapping[str, object]], today: str
) -> list[Broken]:
    """List what rounds hold against the programme: more for a reviewer than is allowed, and what is over its days.

    Rounds are remembered for the days of the programme, and for as many again to withdraw their copies.

    rounds : records of the history of reviews.   today : YYYY-MM-DD.
    """
    rounds = list(rounds)
    try:
        said = json.loads(facts.get(FACT, "{}"))
        days, most = said.get("keep_days"), said.get("max_per_reviewer")
        round_days = said.get("round_days")
    except (ValueError, AttributeError):
        return []  # `audit_programme` says so
    broken = []
    if (
        isinstance(most, int)
        and max(Counter(str(row["reviewer"]) for row in rounds).values(), default=0) > most
    ):
        broken.append(Broken("reviewer", f"a reviewer was given more than {most} snippets"))
    if isinstance(round_days, int) and (long := sum(_lasts(row) > round_days for row in rounds)):
        broken.append(Broken("round", f"{long} copies were given for more than {round_days} days"))
    if not isinstance(days, int):
        return broken
    now = date.fromisoformat(today)
    old = [
        row for row in rounds if "file" in row and (now - date.fromisoformat(str(row["day"]))).days > 2 * days
    ]
    over = f"{len(old)} copies in rounds are remembered for more than twice {days} days: run `deident purge`"
    return [*broken, Broken("expired", over)] if old else broken


def _lasts(row: Mapping[str, object]) -> float:
    """Return for how many days a copy was given; without end where the record says none."""
    if "file" not in row:
        return 0
    if "until" not in row:
        return math.inf
    return (date.fromisoformat(str(row["until"])) - date.fromisoformat(str(row["day"]))).days


def most_of_a_speaker(counts: Mapping[str, int]) -> int:
    """Return the most snippets that were released of one speaker; 0 where speakers are not counted."""
    return max((count for name, count in counts.items() if name.startswith("speaker:")), default=0)


def audit_programme(
    facts: Mapping[str, str], counts: Mapping[str, int], links: Iterable[Linked], today: int
) -> list[Broken]:
    """List the promises of a store's programme that are not kept; empty for a store without one.

    Parameters
    ----------
    facts : mapping of str to str
        Of the ledger.
    counts : mapping of str to int
        Of the ledger: snippets that were released of each speaker over the store's life.
    links : iterable of Linked
        Those of this store.
    today : int
        Days since 1970-01-01.

    Returns
    -------
    list of Broken
    """
    if FACT not in facts:
        return []
    try:
        said = json.loads(facts[FACT])
        if said.keys() - _LATER != _SETTINGS:
            raise ValueError
        limit = int(float(said["share"]) * 2**64)
        days = None if said["keep_days"] is None else int(said["keep_days"])
        most = None if said["max_per_speaker"] is None else int(said["max_per_speaker"])
        is_consent_required = {"required": True, "optional": False}[said["consent"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return [Broken("programme", "what the store remembers of its programme is damaged")]
    found: Counter[tuple[str, str]] = Counter()
    held: Counter[str] = Counter()
    for link in links:
        count = len(link.names)
        if not count:
            continue
        held[link.speaker or ""] += count
        if is_consent_required and link.consent is not True:
            found["consent", "came from recordings without consent"] += count
        if limit < 2**64 and not (_DRAW.fullmatch(link.draw) and int(link.draw, 16) < limit):
            found["share", "came from recordings that the share does not draw"] += count
        if days is not None and today - link.day > days:
            over = f"{today - link.day - days} days" if today - link.day - days > 1 else "a day"
            found["expired", f"are {over} over the {days} that they may be kept: run `deident purge`"] += (
                count
            )
        if link.day > today + 1:
            found["expired", "were released on a day that is still to come: was a clock wrong?"] += count
    broken = [Broken(code, f"{count} snippets {said_of}") for (code, said_of), count in found.items()]
    if most is not None and max([most_of_a_speaker(counts), *held.values()]) > most:
        broken.append(Broken("speaker", f"more than {most} snippets of one speaker were released"))
    return broken
