"""Proof that a linkage and a store agree: what the one names the other holds, and the reverse."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from deident.audit import Problem
from deident.audit.ledger import Memory, is_in_use, memory_of
from deident.audit.manifest import Row
from deident.audit.place import LONGEST_SECONDS
from deident.audit.private import HISTORY
from deident.audit.programme import FACT as PROGRAMME
from deident.audit.programme import audit_programme, audit_rounds
from deident.audit.remote import RemoteAudit
from deident.errors import StoreError
from deident.keys import Key
from deident.store.chain import Fixed, Mark
from deident.store.linkage import Linkage, day_text, today
from deident.store.local import is_store, own_key
from deident.store.sealed import Record, Sealed
from deident.store.store import is_snippet, ledger_key, no_store
from deident.uris import PRIVATE, UriFolder, is_in_store, is_uri, local_path


def audit_linkage(
    store: str | os.PathLike[str], linkage: str | os.PathLike[str], key: Key, *, day: int | None = None
) -> list[Problem]:
    """Prove that a linkage is private, lies outside its store, names the store's snippets, each once, and keeps the
    promises of the store's programme: consent, share, speakers and days.

    Changes nothing: neither the store nor the linkage.

    Parameters
    ----------
    store : path-like
        A folder or URI.
    linkage : path-like
        The file that `run --linkage` wrote.
    key : Key
        The one of the run.
    day : int, optional
        Since 1970-01-01; by default today.

    Returns
    -------
    list of Problem

    Raises
    ------
    KeyMaterialError
        For a wrong key.
    StoreError
        For a missing or damaged linkage, and for a store that a run is at work in.
    """
    store, path = os.fspath(store), Path(linkage)
    day = today() if day is None else day
    problems = _problems_of_file(path, store)
    links = Linkage(path, key)
    with memory_in(store, key) as memory:
        mark = memory.facts.get("mark of linkage")
        try:
            Linkage(path, key, anchor=Fixed(Mark.parse(mark) if mark else None))
        except StoreError as error:
            problems.append(Problem("linkage", str(error)))
        if is_uri(store):
            problems += RemoteAudit(LONGEST_SECONDS, deep=False).of_memory(store, memory).problems
        own = [link for link in links.links() if link.store == memory.facts["id"]]
        broken = audit_programme(memory.facts, memory.counts, own, day)
        try:
            given = rounds_of(store, key, memory.facts)
            if PROGRAMME in memory.facts:
                broken += audit_rounds(memory.facts, given, day_text(day))
        except StoreError as error:
            problems.append(Problem("history", str(error)))
        problems += [Problem(code, message) for code, message in broken]
        known = [name for link in own for name in link.names]
        released = {row.name for row in memory.rows()}
    return problems + _disagreements(known, _files(store), released)


def _problems_of_file(path: Path, store: str) -> list[Problem]:
    """Check mode, links and place of the linkage's file."""
    try:
        info = path.lstat()
    except OSError:
        raise StoreError(
            "there is no linkage at that place: give the file that `run --linkage` wrote"
        ) from None
    problems = []
    if not stat.S_ISREG(info.st_mode) or stat.S_IMODE(info.st_mode) != 0o600 or info.st_nlink != 1:
        problems.append(Problem("linkage", "the linkage must be a regular file with mode 0600 and one link"))
    if is_inside(path, store):
        problems.append(Problem("linkage", "the linkage lies in a store: whoever gets the one has the other"))
    return problems


def _disagreements(known: list[str], held: set[str], released: set[str]) -> list[Problem]:
    """Compare the names in a linkage with the files in the store and the names in its ledger."""
    problems = []
    named = set(known)
    if twice := len(known) - len(named):
        problems.append(Problem("linkage", f"{twice} snippets are linked to more than one source"))
    for name in sorted(held | released | named):
        if name not in named:
            where = "store" if name in held else "ledger"
            problems.append(Problem("linkage", f"is in the {where}, and is linked to no source", name))
        elif name not in held or name not in released:
            where = "store" if name not in held else "ledger"
            problems.append(Problem("linkage", f"is in the linkage but not in the {where}", name))
    return problems


def is_inside(path: str | os.PathLike[str], store: str | os.PathLike[str]) -> bool:
    """Tell whether a file would lie in this store, there or not, or in any that is there."""
    folder = local_path(store)
    is_within = not is_uri(folder) and Path(path).resolve().is_relative_to(Path(folder).resolve())
    return is_within or is_in_store(path)


@contextlib.contextmanager
def memory_in(store: str, key: Key) -> Iterator[Memory]:
    """Read what a store remembers, and change nothing."""
    if is_uri(store):
        from deident.store.bucket import read_only

        with read_only(store, key) as (ledger, facts):

            def rows() -> Iterator[Row]:
                return (Row(r.name, r.seconds, r.sha256, json.loads(r.labels)) for r in ledger.released())

            yield Memory(rows, len(ledger.staged()), facts, ledger.all_counts(), ledger.sounds())
        return
    path = Path(store)
    if not is_store(path):
        raise no_store()
    private = path / PRIVATE
    if is_in_use(str(private)):
        raise StoreError("a run is at work in this store; wait for it", "locked")
    try:
        with memory_of(str(private)) as memory:
            ledger_key(own_key(private), key, memory.facts["key"] or None)
            yield memory
    except (sqlite3.Error, OSError, ValueError):
        raise StoreError("the ledger is missing or cannot be read: put its newest copy back") from None


def rounds_of(store: str, key: Key, facts: Mapping[str, str]) -> list[Record]:
    """Return the records of what was given to reviewers.

    facts : of the ledger. Raises `StoreError` for a history that is not the one of this store.
    """
    if is_uri(store):
        return []
    mark = facts.get("mark of rounds")
    anchor = Fixed(Mark.parse(mark) if mark else None)
    history = Sealed(Path(store) / PRIVATE / HISTORY, key, "rounds", anchor=anchor, owner=facts["id"])
    return list(history.records())


def _files(store: str) -> set[str]:
    """Return the names of the snippets that lie in a store."""
    names = UriFolder(store).names() if is_uri(store) else os.listdir(store)
    return set(filter(is_snippet, names))
