"""The promises made in public: what keeps each, its figure in a store, and the tests that guard it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deident.errors import counted

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
    snippets, seconds = counted(figures["snippets"], "snippet"), figures["seconds"]
    said = f"{snippets}, {seconds:,.1f} s in all; the longest lasts {longest} s"
    return said, figures["audit"]["clean"] and longest < figures["max_seconds"]


def _consent(figures: Figures) -> tuple[str, bool | None]:
    if figures["programme"].get("consent") != "required":
        return _NO_PROMISE, None
    return f"{counted(figures['without_consent'], 'snippet')} without consent", not figures["without_consent"]


def _share(figures: Figures) -> tuple[str, bool | None]:
    share = figures["programme"].get("share", 1.0)
    if share == 1.0:
        return _NO_PROMISE, None
    read, offered = figures["recordings_read"], figures["recordings_offered"]
    percent = f"{100 * read / max(1, offered):.2f} %; {100 * share:g} % are drawn"
    is_kept = "share" not in figures["audit"]["problems"]
    return f"{read} of {counted(offered, 'recording')} read ({percent})", is_kept


def _speaker(figures: Figures) -> tuple[str, bool | None]:
    most = figures["programme"].get("max_per_speaker")
    if most is None:
        return _NO_PROMISE, None
    held = figures["most_of_one_speaker"]
    return f"at most {held} of one speaker over the life of the store; {most} are allowed", held <= most


def _conversation(figures: Figures) -> tuple[str, bool]:
    most = figures["most_of_one_subject_by_one_reviewer"]
    said = (
        f"{counted(figures['rounds'], 'round')}, {counted(figures['reviewers'], 'reviewer')}; at most"
        f" {counted(figures['most_by_one_reviewer'], 'snippet')} to one of them, and at most {most} of one recording or"
        " speaker"
    )
    allowed = figures["programme"].get("max_per_reviewer")
    is_over = allowed is not None and figures["most_by_one_reviewer"] > allowed
    return said, most <= 1 and not is_over


def _days(figures: Figures) -> tuple[str, bool | None]:
    days = figures["programme"].get("keep_days")
    if days is None:
        return _NO_PROMISE, None
    oldest = figures["oldest_days"]
    return f"the oldest is {counted(oldest, 'day')} old; at most {days} may pass", oldest <= days


def _deleted(figures: Figures) -> tuple[str, bool]:
    erased = figures["erasures"]
    count = sum(row["snippets"] for row in erased)
    days = len({row["day"] for row in erased})
    said = f"erased: {counted(count, 'snippet')} on {counted(days, 'day')}; kept out:"
    said += f" {counted(figures['withdrawn'], 'name')}"
    is_left = {"linkage", "ledger", "unfinished"} & figures["audit"]["problems"].keys()
    return said, not is_left


def _disguised(figures: Figures) -> tuple[str, None]:
    return (
        f"disguised by {', '.join(figures['methods']) or 'a method that the store does not remember'}",
        None,
    )


def _one_voice(figures: Figures) -> tuple[str, None]:
    return f"{figures['dropped_seconds'].get('two_voices', 0.0):,.1f} s were dropped for a second voice", None


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
            "test_assigning.py::test_no_reviewer_gets_two_snippets_of_one_recording_or_speaker",
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
    Promise(
        "One voice in a snippet",
        "where [cutting] has one_voice, a piece is cut where its voice changes, or dropped; how many, is measured",
        _one_voice,
        ("test_voices.py::test_a_piece_with_two_voices_is_cut_or_dropped_and_counted",),
    ),
)
