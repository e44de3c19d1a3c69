"""A worker's part of a run: a batch of recordings to finished snippets in a spool, and an outcome for each."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deident.errors import DEBUG_HINT, DeidentError, RecordingError, SettingError, StoreError, debug_traceback
from deident.recording import Tally
from deident.segmentation.turns import words_to_json

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.pipeline import Snippet
    from deident.policy import Policy
    from deident.recording import Observer, OnRead, Recording
    from deident.segmentation.turns import Turn, TurnIdentity
    from deident.store import Spool, Staged
    from deident.store.bucket import BucketSpool

STATES = ("released", "no-speech", "dropped", "partial", "refused", "skipped")
FINE = frozenset({"released", "no-speech", "skipped"})

Batch = list[tuple[int, "Recording"]]  # each with its number in the input


@dataclass
class Outcome:
    """The end of one recording of a run.

    Attributes
    ----------
    number : int
        Of the recording in the input, from 0.
    state : str
        "released": at least one snippet. "no-speech": none was found. "dropped": speech was found, and all of it was
        dropped. "partial": released, but the recording's end was missing. "refused": nothing could be used.
        "skipped": an earlier run did it.
    tally : Tally
        Seconds and counts.
    code, message : str
        Why it was not released, or not whole: a stable word, and a sentence that names no recording.
    snippets : list of Staged
        Rows for the store; no audio.
    id : str
        Pseudonym of the recording: 12 hexadecimal digits that `deident which` leads back from.
    turns : list of Turn or None
        The turn that each snippet was cut from, for the linkage alone.
    """

    number: int
    state: str
    tally: Tally
    code: str = ""
    message: str = ""
    snippets: list[Staged] = field(default_factory=list)
    id: str = ""
    turns: list[Turn | None] = field(default_factory=list)

    @classmethod
    def empty(cls, number: int, state: str, code: str = "", message: str = "") -> Outcome:
        """Make the outcome of a recording of which nothing counts.

        Parameters
        ----------
        number : int
            Of the recording in the input.
        state, code, message : str
            As of `Outcome`.

        Returns
        -------
        Outcome
        """
        return cls(number, state, Tally(), code, message)

    def withhold(self, state: str, code: str, message: str) -> None:
        """Change the end to one that releases nothing.

        Parameters
        ----------
        state, code, message : str
            As of `Outcome`.
        """
        self.state, self.code, self.message = state, code, message
        self.tally.withdraw_all(code.replace("-", "_"))

    def keep(self, kept: Sequence[tuple[Staged, Turn | None]]) -> bool:
        """Keep some of the snippets, and count the texts that only others had as left out.

        Parameters
        ----------
        kept : sequence of (Staged, Turn or None)
            Each with its turn.

        Returns
        -------
        bool
            False where there were snippets, and none is kept.
        """
        is_emptied = bool(self.snippets and not kept)
        had = self._texts() if len(kept) < len(self.snippets) else set()
        self.snippets, self.turns = [own for own, _ in kept], [turn for _, turn in kept]
        self.tally.texts_left_out += len(had - self._texts()) if had else 0
        return not is_emptied

    def _texts(self) -> set[TurnIdentity]:
        """Return the turns whose text a snippet has."""
        turns = zip(self.snippets, self.turns, strict=True)
        return {turn.identity for snippet, turn in turns if turn and json.loads(snippet.labels).get("text")}


Result = tuple[
    list[Outcome], str | None
]  # the outcomes of a batch, and the name of the spool with its snippets


def warm_up() -> None:
    """Load all that a run needs, and exempt it from garbage collection, which would cost a twentieth of the run.

    For processes that do nothing else.
    """
    import deident.pipeline  # noqa: F401

    gc.freeze()


def process(
    batch: Batch,
    policy: Policy,
    key: Key | None,
    staging: str | None,
    on_read: OnRead | None = None,
) -> Result:
    """De-identify a batch of recordings: the task of a worker.

    Parameters
    ----------
    batch : list of (int, Recording)
    policy : Policy
    key : Key or None
    staging : str or None
        Where to put the spool with the snippets; None to tally only, as a dry run does.
    on_read : callable, optional
        Called with seconds of audio that were read.

    Returns
    -------
    outcomes : list of Outcome
        Rows, no audio.
    spool : str or None
        Name of the spool in `staging`, None when there are no snippets.

    Raises
    ------
    StoreError, SettingError, MemoryError
        What no recording is to blame for.
    """
    from deident.store import open_spool

    if staging is None:
        return [_one(number, recording, policy, key, None, on_read) for number, recording in batch], None
    spool = open_spool(staging)
    try:
        outcomes = [_one(number, recording, policy, key, spool, on_read) for number, recording in batch]
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
    """Process a recording; turn every error into an outcome."""
    from deident.codec.problems import ENDINGS
    from deident.pipeline import plan
    from deident.recording import CallbackError, Observer

    observer = Observer(on_read=on_read)
    outcome = Outcome(number, "refused", observer.tally)
    try:
        if spool is None:
            plan(recording.path, recording, policy, key, observer)
        else:
            _stage(outcome, recording, policy, key, spool, observer)
    except (StoreError, SettingError, MemoryError):
        raise
    except CallbackError as error:
        raise error.cause from None
    except Exception as error:
        debug_traceback()
        return refused(number, error)
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
    """Make snippets, audit each, and append them to the spool."""
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
                spool="",  # named when it is whole
                start=spool.append(data),
                size=len(data),
                seconds=round(found.seconds, 6),
                sha256=hashlib.sha256(data).hexdigest(),
                labels=_labels(snippet, recording, policy, key),
            )
        )
        outcome.turns.append(
            snippet.turn and replace(snippet.turn, text=None, words=(), phones=(), labels={})
        )


def refused(number: int, error: Exception) -> Outcome:
    """Make the outcome of a recording that cannot be used, or that made something fail."""
    if isinstance(error, RecordingError):
        return Outcome.empty(number, "refused", error.code, str(error))
    # Only the type of an unforeseen failure is shown: its text may hold what it failed on.
    where = "" if isinstance(error, DeidentError) else f" ({type(error).__name__}); {DEBUG_HINT}"
    return Outcome.empty(number, "refused", "failed", f"processing failed unexpectedly{where}")


def _labels(snippet: Snippet, recording: Recording, policy: Policy, key: Key | None) -> str:
    """Return the labels of a snippet in the manifest, as JSON, as far as the policy allows them."""
    labels: dict[str, str] = {**recording.labels, **(snippet.turn.labels if snippet.turn else {})}
    if "text" in policy.carry and snippet.text is not None:
        labels["text"] = snippet.text
    for name, timed in (("words", snippet.words), ("phones", snippet.phones)):
        if name in policy.carry and timed:
            labels[name] = words_to_json(timed)
    speaker = (snippet.turn and snippet.turn.speaker) or recording.speaker
    if policy.tells_speakers and speaker is not None and key is not None:
        labels["speaker"] = key.pseudonym("speaker", speaker)
    text = json.dumps(labels, sort_keys=True, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RecordingError(
            "a text or label of this recording is not Unicode: it holds half of a surrogate pair", "text"
        ) from None
    return text


def state_of(tally: Tally) -> str:
    """Return the state of a recording that could be read."""
    if tally.partial:
        return "partial"
    if tally.snippets:
        return "released"
    return "dropped" if set(tally.dropped_seconds) - {"too_short"} else "no-speech"
