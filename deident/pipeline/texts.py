"""Counts the texts of a recording that no snippet is given."""

from __future__ import annotations

from deident.policy import Policy
from deident.recording import Recording, Tally
from deident.segmentation.turns import Turn, TurnIdentity


class TextCount:
    """Keeps `Tally.texts_left_out` while snippets are made.

    Parameters
    ----------
    recording : Recording
    policy : Policy
        Texts that it does not carry, or of channels that it does not read, are not counted.
    tally : Tally
    """

    def __init__(self, recording: Recording, policy: Policy, tally: Tally) -> None:
        some = () if policy.channels in ("mix", "split") else (None, policy.channels)
        turns = recording.turns if "text" in policy.carry else ()
        self._left: set[TurnIdentity] = {
            turn.identity for turn in turns if turn.text and (not some or turn.channel in some)
        }
        self._tally = tally
        tally.texts_left_out = len(self._left)

    def give(self, turn: Turn | None, text: str | None) -> None:
        """Count the text of a turn as given, in whole or in part."""
        if turn is not None and text:
            self._left.discard(turn.identity)
            self._tally.texts_left_out = len(self._left)
