"""Evidence that a store keeps its promises: each with its mechanism, its figure, and the test that guards it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deident.audit import audit_store
from deident.audit.programme import most_of_a_speaker
from deident.disguise.strength import measured
from deident.errors import StoreError
from deident.pages.evidence import page
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

Figures = Mapping[str, Any]
_NO_PROMISE = "no such promise is made in this store"


class Promise(NamedTuple):
    """A promise made in public.

    Attributes
    ----------
    words : str
    mechanism : str
        What keeps it.
    figure : callable
        Of the figures of a store: a sentence, and whether the promise is kept (None where it is not made).
    tests : tuple of str
        What fails when the mechanism is broken.
    """

    words: str
    mechanism: str
    figure: Callable[[Figures], tuple[str, bool | None]]
    tests: tuple[str, ...]


def _short(figures: Figures) -> tuple[str, bool]:
    longest = figures["longest_seconds"]
    said = f"{figures['snippets']} snippets, {figures['seconds']} s in all; the longest lasts {longest} s"
    return said, figures["audit"]["clean"] and longest < figures["max_seconds"]


def _consent(figures: Figures) -> tuple[str, bool | None]:
    if figures["programme"].get("consent") != "required":
        return _NO_PROMISE, None
    return f"{figures['without_consent']} snippets without consent", not figures["without_consent"]


def _share(figures: Figures) -> tuple[str, bool | None]:
    share = figures["programme"].get("share", 1.0)
    if share == 1.0:
        return _NO_PROMISE, None
    read, offered = figures["recordings_read"], figures["recordings_offered"]
    percent = f"{100 * read / max(1, offered):.2f} %; {100 * share:g} % are drawn"
    is_kept = "share" not in figures["audit"]["problems"]
    return f"{read} of {offered} recordings were read ({percent})", is_kept


def _speaker(figures: Figures) -> tuple[str, bool | None]:
    most = figures["programme"].get("max_per_speaker")
    if most is None:
        return _NO_PROMISE, None
    held = figures["most_of_one_speaker"]
    return f"at most {held} of one speaker over the life of the store; {most} are allowed", held <= most


def _conversation(figures: Figures) -> tuple[str, bool]:
    most = figures["most_of_one_subject_by_one_reviewer"]
    said = (
        f"{figures['rounds']} rounds, {figures['reviewers']} reviewers; at most {figures['most_by_one_reviewer']}"
        f" snippets to one of them, and at most {most} of one recording or speaker"
    )
    allowed = figures["programme"].get("max_per_reviewer")
    is_over = allowed is not None and figures["most_by_one_reviewer"] > allowed
    return said, most <= 1 and not is_over


def _days(figures: Figures) -> tuple[str, bool | None]:
    days = figures["programme"].get("keep_days")
    if days is None:
        return _NO_PROMISE, None
    return f"the oldest is {figures['oldest_days']} days old; {days} are allowed", figures[
        "oldest_days"
    ] <= days


def _deleted(figures: Figures) -> tuple[str, bool]:
    erased = figures["erasures"]
    count = sum(row["snippets"] for row in erased)
    days = len({row["day"] for row in erased})
    said = f"{count} snippets were erased on {days} days; {figures['withdrawn']} names are kept out"
    is_left = {"linkage", "ledger", "unfinished"} & figures["audit"]["problems"].keys()
    return said, not is_left


def _disguised(figures: Figures) -> tuple[str, None]:
    return (
        f"disguised by {', '.join(figures['methods']) or 'a method that the store does not remember'}",
        None,
    )


def _muted(figures: Figures) -> tuple[str, None]:
    found = ", ".join(f"{count} {kind}" for kind, count in figures["found"].items())
    said = f"muted: {found or 'nothing'}"
    if seconds := figures["dropped_seconds"].get("found"):
        said += f"; {seconds} s of snippets were searched again and dropped"
    return said, None


PROMISES = (
    Promise(
        "Short snippets, under the limit, and nothing in them besides sound",
        "cut at pauses; what is too long is dropped; every byte is proved by a parser of its own before its release",
        _short,
        ("test_audit.py::test_the_limit_is_exclusive", "test_audit.py::test_nothing_dirty_passes"),
    ),
    Promise(
        "Only of people who agreed",
        "a recording without consent is not opened; the sealed linkage remembers consent, and an audit reads it",
        _consent,
        ("test_programme.py::test_a_recording_without_consent_is_not_read",),
    ),
    Promise(
        "A small share of the recordings",
        "drawn by a keyed hash of the recording, over the life of the store; the rest is not decoded",
        _share,
        (
            "test_programme.py::test_the_draw_is_of_the_recording_not_of_its_name_or_the_run",
            "test_programme.py::test_a_share_is_counted_once_and_is_proved",
        ),
    ),
    Promise(
        "Few snippets of one speaker",
        "counted by a keyed pseudonym over the life of the store, erased ones too",
        _speaker,
        ("test_programme.py::test_a_speaker_is_capped_over_the_life_of_a_store",),
    ),
    Promise(
        "No one has access to the longer conversation",
        "random names and order; no reviewer gets two snippets of one recording or speaker, in one round or several",
        _conversation,
        (
            "test_review.py::test_no_reviewer_gets_two_snippets_of_one_recording_or_speaker",
            "test_store.py::test_neighbours_tell_nothing",
        ),
    ),
    Promise(
        "Kept for a limited time",
        "a day for every snippet in the sealed linkage; `deident purge` erases, and an audit fails a day later",
        _days,
        ("test_programme.py::test_days_are_kept_to_the_day",),
    ),
    Promise(
        "Deleted on request",
        "`deident erase` removes from store, manifest, ledger and linkage, keeps out of later runs, and lists copies",
        _deleted,
        (
            "test_erase.py::test_a_source_is_erased_and_stays_erased",
            "test_programme.py::test_whoever_withdraws_is_erased_and_kept_out",
        ),
    ),
    Promise(
        "Another voice",
        "a new voice for every snippet, drawn without regard to the speaker; what was measured of it stands below",
        _disguised,
        ("test_pipeline.py::test_every_snippet_has_a_voice_of_its_own",),
    ),
    Promise(
        "Spoken names and numbers are searched for",
        "found ranges are silent before anything else reads the sound; recall is measured, absence is not promised",
        _muted,
        ("test_mute.py",),
    ),
)


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
        **_reviewed(rounds_of(str(folder), key)),
        **_counted(counts),
        "methods": methods,
        "protection": _protection(methods),
    }


def _reviewed(history: list[dict[str, Any]]) -> dict[str, int]:
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
