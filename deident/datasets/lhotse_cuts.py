"""Lhotse's cuts of recordings to cuts of snippets, one after another, without a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from deident.datasets.lhotse import ALIGNMENTS, FIELDS, turn_of
from deident.errors import require
from deident.keys import Key
from deident.pipeline import Snippet, deidentify
from deident.policy import Policy
from deident.segment import RATE, Segment
from deident.segmentation.turns import Turn


class SnippetCuts:
    """Cuts of snippets, made while they are asked for; `lhotse.CutSet` takes it as it is.

    A snippet is of one supervision, or of none where a cut has none. What the policy carries goes along: text,
    words and phones as alignments, and the pseudonym of the speaker. Sound lies in memory.

    Parameters
    ----------
    cuts : iterable of lhotse.MonoCut
        Such as a lazy `CutSet`, opened again for every pass.
    policy : Policy, optional
    key : Key, optional
        For pseudonyms, and for voices kept by speaker.
    carry : tuple of str, optional
        "language", "gender", or names of fields of `custom`.

    Examples
    --------
    >>> from deident.datasets.lhotse_cuts import SnippetCuts
    >>> def deidentified(cuts):
    ...     return lhotse.CutSet(SnippetCuts(cuts, carry=("language",)))
    """

    def __init__(
        self,
        cuts: Iterable[Any],
        policy: Policy | None = None,
        *,
        key: Key | None = None,
        carry: Sequence[str] = (),
    ) -> None:
        self.cuts, self.policy, self.key, self.carry = cuts, Policy.given(policy), key, tuple(carry)

    def __iter__(self) -> Iterator[Any]:
        require("loaders", "Lhotse", "lhotse")
        import lhotse

        for cut in self.cuts:
            turns = [
                _moved(turn_of(_placed(s.to_dict(), cut.start), self.carry), cut.start)
                for s in cut.supervisions
            ]
            source = (cut.load_audio(), cut.sampling_rate)
            for snippet in deidentify(source, self.policy, key=self.key, turns=turns):
                yield self._cut(lhotse, snippet)

    def _cut(self, lhotse: Any, snippet: Snippet) -> Any:
        """Make a cut of a snippet, with its supervision."""
        turn = snippet.turn or Turn()
        labels = dict(turn.labels)
        recording = lhotse.Recording.from_bytes(
            snippet.encode(self.policy.container), recording_id=snippet.name
        )
        speaker = None
        if self.policy.tells_speakers and self.key and turn.speaker is not None:
            speaker = self.key.pseudonym("speaker", turn.speaker)
        alignment = {
            kind: [
                lhotse.supervision.AlignmentItem(w.text, w.segment.start / RATE, len(w.segment) / RATE)
                for w in timed
            ]
            for kind, name, timed in zip(
                ALIGNMENTS, ("words", "phones"), (snippet.words, snippet.phones), strict=True
            )
            if timed and name in self.policy.carry
        }
        supervision = lhotse.SupervisionSegment(
            id=snippet.name,
            recording_id=snippet.name,
            start=0.0,
            duration=recording.duration,
            channel=0,
            text=snippet.text if "text" in self.policy.carry else None,
            speaker=speaker,
            **{name: labels.pop(name) for name in FIELDS if name in labels},
            custom=labels or None,
            alignment=alignment or None,
        )
        cut = recording.to_cut()
        cut.id, cut.supervisions = snippet.name, [supervision]
        return cut


def _placed(supervision: Mapping[str, Any], start: float) -> dict[str, Any]:
    """Move a supervision from its time in a cut to that in the recording, where its alignment is already."""
    return {**supervision, "start": max(0.0, start + supervision["start"])}


def _moved(turn: Turn, start: float) -> Turn:
    """Move a turn from its time in the recording to that in a cut."""
    by = -round(start * RATE)
    words, phones = (
        tuple(replace(word, segment=_shifted(word.segment, by)) for word in timed)
        for timed in (turn.words, turn.phones)
    )
    return replace(turn, segment=_shifted(turn.segment, by), words=words, phones=phones)


def _shifted(segment: Segment, by: int) -> Segment:
    """Shift a segment, without negative positions."""
    return Segment(max(0, segment.start + by), max(0, segment.stop + by))
