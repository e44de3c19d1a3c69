"""What a worker does: some recordings to finished snippets in a spool, and a row for each."""

from __future__ import annotations

import gc
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deident.errors import DeidentError, RecordingError, SettingError, StoreError, debug_traceback
from deident.recording import Tally
from deident.segmentation.turns import words_to_json

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.pipeline import Snippet
    from deident.policy import Policy
    from deident.recording import Observer, OnRead, Recording
    from deident.segmentation.turns import Turn
    from deident.store import Spool, Staged
    from deident.store.bucket import BucketSpool

# released: at least one snippet.   no-speech: none was found.   dropped: all of it was.   partial: released,
# but the recording's end was missing.   refused: nothing could be used.   skipped: done by an earlier run.
STATES = ("released", "no-speech", "dropped", "partial", "refused", "skipped")
FINE = frozenset({"released", "no-speech", "skipped"})

Chunk = list[tuple[int, "Recording"]]  # with their places in the input


@dataclass
class Outcome:
    """How one recording ended. `number` is its place in the input; `code` and `message` say why it is not fine;
    `id` speaks of it without naming it (`pseudonym`). turns : of each snippet, the one it was cut from, for the
    linkage alone."""

    number: int
    state: str
    tally: Tally
    code: str = ""
    message: str = ""
    snippets: list[Staged] = field(default_factory=list)
    id: str = ""
    turns: list[Turn | None] = field(default_factory=list)


Result = tuple[list[Outcome], str | None]  # of a chunk, and the spool with its snippets


def warm_up() -> None:
    """In a process that is for a run alone: load what it needs, and let the garbage collector look through that no
    more, which would cost a twentieth of the run."""
    import deident.pipeline  # noqa: F401

    gc.freeze()


def process(
    chunk: Chunk,
    policy: Policy,
    key: Key | None,
    staging: str | None,
    on_read: OnRead | None = None,
) -> Result:
    """The outcomes of some recordings, and the spool in `staging` that holds their snippets: a task. Without
    `staging`, what they would be.

    Runs in a worker; returns rows, not sound."""
    from deident.store import open_spool

    if staging is None:
        return [_one(number, recording, policy, key, None, on_read) for number, recording in chunk], None
    spool = open_spool(staging)
    try:
        outcomes = [_one(number, recording, policy, key, spool, on_read) for number, recording in chunk]
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
    number: int,
    recording: Recording,
    policy: Policy,
    key: Key | None,
    spool: Spool | BucketSpool | None,
    on_read: OnRead | None,
) -> Outcome:
    from deident.codec.problems import ENDINGS
    from deident.pipeline import plan
    from deident.recording import ListenerError, Observer

    observer = Observer(on_read=on_read)
    outcome = Outcome(number, "refused", observer.tally)
    try:
        if spool is None:
            plan(recording.path, recording, policy, key, observer)
        else:
            _stage(outcome, recording, policy, key, spool, observer)
    except (StoreError, SettingError, MemoryError):
        raise
    except ListenerError as error:
        raise error.cause from None
    except Exception as error:
        debug_traceback()
        return refused(number, error, Tally())  # nothing of it counts
    outcome.state = state_of(outcome.tally)
    if ending := outcome.tally.partial:
        outcome.code, outcome.message = ending, f"{ENDINGS[ending]}; kept what was read"
    return outcome


def _stage(
    outcome: Outcome,
    recording: Recording,
    policy: Policy,
    key: Key | None,
    spool: Spool | BucketSpool,
    observer: Observer,
) -> None:
    from deident.audit import inspect
    from deident.pipeline import snippets_of
    from deident.process import each_on_one_thread
    from deident.store import Staged

    made = snippets_of(recording.path, recording, policy, key, observer)
    for snippet in each_on_one_thread(made):
        data = snippet.encode(policy.container)
        found = inspect(data, max_seconds=policy.cutting.max_seconds)
        outcome.snippets.append(
            Staged(
                name=f"{snippet.name}.{policy.container}",
                spool="",  # has its name when it is whole
                start=spool.append(data),
                size=len(data),
                seconds=round(found.seconds, 6),
                sha256=hashlib.sha256(data).hexdigest(),
                labels=_labels(snippet, recording, policy, key),
            )
        )
        outcome.turns.append(snippet.turn and replace(snippet.turn, text=None, words=(), labels={}))


def refused(number: int, error: Exception, tally: Tally) -> Outcome:
    """The end of a recording that cannot be used, or that made something fail."""
    if isinstance(error, RecordingError):
        return Outcome(number, "refused", tally, error.code, str(error))
    # Of an unforeseen failure only the type is told: its text may hold what it failed on.
    where = "" if isinstance(error, DeidentError) else f" ({type(error).__name__})"
    return Outcome(number, "refused", tally, "failed", f"processing failed unexpectedly{where}")


def _labels(snippet: Snippet, recording: Recording, policy: Policy, key: Key | None) -> str:
    """What the manifest shows of a snippet besides the sound, as the policy allows."""
    labels: dict[str, str] = {**recording.labels, **(snippet.turn.labels if snippet.turn else {})}
    if "text" in policy.carry and snippet.text is not None:
        labels["text"] = snippet.text
    if "words" in policy.carry and snippet.words:
        labels["words"] = words_to_json(snippet.words)
    speaker = (snippet.turn and snippet.turn.speaker) or recording.speaker
    if policy.tells_speakers and speaker is not None and key is not None:
        labels["speaker"] = key.pseudonym("speaker", speaker)
    text = json.dumps(labels, sort_keys=True, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RecordingError(
            "a text or label of this recording is no Unicode: it holds half of a surrogate pair", "text"
        ) from None
    return text


def state_of(tally: Tally) -> str:
    """How a recording that could be read ended."""
    if tally.partial:
        return "partial"
    if tally.snippets:
        return "released"
    return "dropped" if set(tally.dropped_seconds) - {"too_short"} else "no-speech"
