"""What a worker does: some recordings to finished snippets in a spool, and a row for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deident.errors import DeidentError, RecordingError, SettingError, StoreError

if TYPE_CHECKING:
    from deident.pipeline import Tally
    from deident.policy import Policy
    from deident.secret import Key
    from deident.sources import Recording
    from deident.store import Spool, Staged
    from deident.store.remote import RemoteSpool

# released: at least one snippet.   no-speech: none was found.   dropped: all of it was.   partial: released,
# but the recording's end was missing.   refused: nothing could be used.   skipped: done by an earlier run.
STATES = ("released", "no-speech", "dropped", "partial", "refused", "skipped")
FINE = frozenset({"released", "no-speech", "skipped"})


@dataclass
class Outcome:
    """How one recording ended. `number` is its place in the input; `code` and `message` say why it is not fine;
    `id` speaks of it without naming it (`pseudonym`)."""

    number: int
    state: str
    tally: Tally
    code: str = ""
    message: str = ""
    snippets: list[Staged] = field(default_factory=list)
    id: str = ""


def process(
    chunk: Sequence[tuple[int, Recording]], policy: Policy, key: Key | None, staging: str
) -> tuple[list[Outcome], str | None]:
    """The outcomes of some recordings, and the spool in `staging` that holds their snippets: a task.

    Runs in a worker; returns rows, not sound."""
    from deident.store import open_spool

    spool = open_spool(staging)
    try:
        outcomes = [_one(number, recording, policy, key, spool) for number, recording in chunk]
        if not any(outcome.snippets for outcome in outcomes):
            spool.discard()
            return outcomes, None
        spool.close()
    except BaseException:
        spool.discard()
        raise
    for outcome in outcomes:
        outcome.snippets = [replace(snippet, spool=spool.name) for snippet in outcome.snippets]
    return outcomes, spool.name


def _one(
    number: int, recording: Recording, policy: Policy, key: Key | None, spool: Spool | RemoteSpool
) -> Outcome:
    from deident.audit import inspect
    from deident.pipeline import Tally, deidentify
    from deident.store import Staged

    tally = Tally()
    staged = []
    try:
        for snippet in deidentify(
            recording.path,
            policy,
            key=key,
            speaker=recording.speaker,
            segments=recording.segments,
            tally=tally,
        ):
            data = snippet.encode(policy.container)
            found = inspect(data, max_seconds=policy.cutting.max_seconds)
            staged.append(
                Staged(
                    name=f"{snippet.name}.{policy.container}",
                    spool="",  # has its name when it is whole
                    start=spool.append(data),
                    size=len(data),
                    seconds=round(found.seconds, 6),
                    sha256=hashlib.sha256(data).hexdigest(),
                    labels=_labels(recording),
                )
            )
    except RecordingError as error:
        return Outcome(number, "refused", tally, error.code, str(error))
    except (StoreError, SettingError, MemoryError):
        raise
    except Exception as error:
        # Of an unforeseen failure only the type is told: its text may hold what it failed on.
        where = "" if isinstance(error, DeidentError) else f" ({type(error).__name__})"
        return Outcome(number, "refused", tally, "failed", f"processing failed unexpectedly{where}")
    outcome = Outcome(number, state_of(tally), tally, snippets=staged)
    if tally.partial:
        outcome.code, outcome.message = (
            tally.partial,
            "the end of the recording is missing; kept what was read",
        )
    return outcome


def _labels(recording: Recording) -> str:
    return json.dumps(recording.labels, sort_keys=True, ensure_ascii=False)


def state_of(tally: Tally) -> str:
    """How a recording that could be read ended."""
    if tally.partial:
        return "partial"
    if tally.snippets:
        return "released"
    return "dropped" if set(tally.dropped_seconds) - {"too_short"} else "no-speech"
