"""Evidence that a store keeps its promises: each with its mechanism, its figure, and the test that guards it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deident.audit import audit_store
from deident.audit.programme import most_of_a_speaker
from deident.disguise.strength import measured
from deident.errors import StoreError
from deident.pages.evidence import page
from deident.programme.promises import PROMISES, Figures
from deident.programme.signing import EvidenceError, signed, verified
from deident.runs.commit import METHODS, PROGRAMME, RELEASED
from deident.store import Linkage, audit_linkage, day_text, folder_of, today
from deident.store.disk import plain_errors
from deident.store.proof import memory_in, rounds_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from deident.keys import Key

VERSION = 1
JSON, PAGE = "report.json", "report.html"


def make(
    store: str | os.PathLike[str],
    linkage: str | os.PathLike[str],
    key: Key,
    signer: Ed25519PrivateKey,
    *,
    max_seconds: float = 10.0,
) -> tuple[bytes, bytes, bool]:
    """Make the evidence of a store.

    Parameters
    ----------
    store : path-like
        A folder.
    linkage : path-like
    key : Key
        Of the runs.
    signer : Ed25519PrivateKey
        Of the operator.
    max_seconds : float
        Every snippet must be shorter.

    Returns
    -------
    statement : bytes
        Signed JSON.
    page : bytes
        HTML that follows from it.
    is_kept : bool
        No promise is broken.

    Raises
    ------
    StoreError
        When a run is at work in the store, or it cannot be read.
    """
    figures = figures_of(store, linkage, key, max_seconds=max_seconds, day=today())
    statement = signed({**figures, "promises": _rows(figures)}, signer)
    return statement, _page(statement), all(row["kept"] is not False for row in _rows(figures))


def check(
    statement: bytes,
    html: bytes,
    public: Ed25519PublicKey,
    store: str | os.PathLike[str],
    linkage: str | os.PathLike[str],
    key: Key,
) -> dict[str, Any]:
    """Prove that evidence was signed, that its page follows from it, and that the store is as it says.

    Parameters
    ----------
    statement, html : bytes
        As `make` gave them.
    public : Ed25519PublicKey
    store, linkage, key
        As `make` takes them.

    Returns
    -------
    dict
        The statement.

    Raises
    ------
    EvidenceError
        When any of it does not hold.
    """
    said = verified(statement, public)
    if said.get("version") != VERSION:
        raise EvidenceError(f"expected evidence of version {VERSION}: check it with the deident that made it")
    if html != _page(statement):
        raise EvidenceError("the page does not say what was signed")
    now = figures_of(store, linkage, key, max_seconds=said["max_seconds"], day=int(said["day_number"]))
    expected = {**now, "promises": _rows(now)}
    if differing := sorted(name for name in {*said, *expected} if said.get(name) != expected.get(name)):
        raise EvidenceError(
            f"the store is not as the evidence says any more, in {', '.join(differing)}: make new evidence after every"
            " run, round, purge or erasure; if there was none, find out who changed it"
        )
    return said


def figures_of(
    store: str | os.PathLike[str], linkage: str | os.PathLike[str], key: Key, *, max_seconds: float, day: int
) -> dict[str, Any]:
    """Count all that evidence says of a store, without who. day : on which ages are counted, since 1970-01-01."""
    folder = folder_of(store)
    before = _digest(folder, linkage)
    audit = audit_store(folder, max_seconds=max_seconds)
    problems = Counter(p.code for p in (*audit.problems, *audit_linkage(folder, linkage, key, day=day)))
    with memory_in(str(folder), key) as memory:
        facts, counts, sounds = memory.facts, memory.counts, memory.sounds
        rows = [row.seconds for row in memory.rows()]
    links = [link for link in Linkage(linkage, key).links() if link.store == facts["id"] and link.names]
    read = {state: count for state, count in sounds.items() if state != "not-drawn"}
    methods = json.loads(facts.get(METHODS, "[]"))
    if _digest(folder, linkage) != before:
        raise StoreError(
            "the store changed while it was read: try again when no run is at work in it", "locked"
        )
    return {
        "version": VERSION,
        "day": day_text(day),
        "day_number": day,
        "store": facts["id"],
        "store_sha256": before,
        "audit": {"clean": not problems, "problems": dict(sorted(problems.items()))},
        "programme": json.loads(facts.get(PROGRAMME, "{}")),
        "snippets": audit.files,
        "seconds": round(audit.seconds, 3),
        "longest_seconds": max(rows, default=0.0),
        "max_seconds": max_seconds,
        "recordings_offered": sum(sounds.values()),
        "recordings_read": sum(read.values()),
        "recordings_released": sum(read.get(state, 0) for state in RELEASED),
        "without_consent": sum(len(link.names) for link in links if not link.consent),
        "most_of_one_speaker": most_of_a_speaker(counts),
        "oldest_days": max((day - link.day for link in links), default=0),
        **_reviewed(rounds_of(str(folder), key, facts)),
        **_counted(counts),
        "methods": methods,
        "protection": _protection(methods),
    }


def _reviewed(history: list[dict[str, Any]]) -> dict[str, int]:
    """Count rounds, reviewers, and the most that one of them was given."""
    by_reviewer = Counter(row["reviewer"] for row in history)
    by_subject = Counter((row["reviewer"], subject) for row in history for subject in row["subjects"])
    return {
        "rounds": len({row["round"] for row in history if "round" in row}),
        "reviewers": len(by_reviewer),
        "most_by_one_reviewer": max(by_reviewer.values(), default=0),
        "most_of_one_subject_by_one_reviewer": max(by_subject.values(), default=0),
    }


def _counted(counts: Mapping[str, int]) -> dict[str, Any]:
    """Read what was erased, found and dropped from the counts of a store.

    They are `erased:KIND:DAY`, `found:KIND` and `dropped:REASON`.
    """
    erasures: list[dict[str, Any]] = []
    found: dict[str, int] = {}
    dropped: dict[str, int] = {}
    withdrawn = 0
    for name, count in sorted(counts.items()):
        what, _, more = name.partition(":")
        kind, _, day = more.partition(":")
        if what == "erased":
            erasures.append({"kind": kind, "day": day_text(int(day)), "snippets": count})
        elif what == "found":
            found[kind] = count
        elif what == "dropped":
            dropped[kind] = count
        withdrawn += what == "withdrawn"
    return {"erasures": erasures, "withdrawn": withdrawn, "found": found, "dropped_seconds": dropped}


def _protection(methods: list[str]) -> list[dict[str, str]]:
    """Return what was measured of the methods: the rows of the table of this version."""
    nothing = [("measured", "nothing yet")]
    return [{"method": name, **dict(measured(name) or nothing)} for name in methods]


def _rows(figures: Figures) -> list[dict[str, Any]]:
    rows = []
    for promise in PROMISES:
        figure, kept = promise.figure(figures)
        rows.append(
            {
                "promise": promise.words,
                "mechanism": promise.mechanism,
                "figure": figure,
                "kept": kept,
                "tests": list(promise.tests),
            }
        )
    return rows


def _page(statement: bytes) -> bytes:
    return page(json.loads(statement), hashlib.sha256(statement).hexdigest()).encode()


def _digest(folder: Path, linkage: str | os.PathLike[str]) -> str:
    """Digest the names, modes and bytes of all files and folders in a store, and of its linkage."""
    found = hashlib.sha256()
    with plain_errors("reading the store"):
        paths = sorted(folder.rglob("*"))
        for name, path in (*((str(path.relative_to(folder)), path) for path in paths), ("", Path(linkage))):
            info = path.lstat()
            data = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            part = f"{name}\0{info.st_mode}\0{len(data)}\0{hashlib.sha256(data).hexdigest()}\n"
            found.update(part.encode(errors="surrogateescape"))
    return found.hexdigest()
