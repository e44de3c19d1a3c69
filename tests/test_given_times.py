"""Turns, segments and words that the recording cannot have: on channels that it lacks, or past its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deident.audio import RATE, Audio, Segment
from deident.codec.mixing import Channels
from deident.datasets.annotation_files import Annotation
from deident.datasets.annotations import with_words
from deident.errors import RecordingError, SettingError
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Recording
from deident.segmentation.turns import Turn, Word
from tests.methods import Sine
from tests.test_tables import seconds

NOISE = np.random.default_rng(2).standard_normal((2, 6 * RATE)).astype(np.float32) * 0.1
BOTH, ONE = Audio(NOISE, RATE), Audio(NOISE[:1], RATE)


@pytest.mark.parametrize(
    ("audio", "channels", "told"),
    [
        (BOTH, "split", (1, 2)),
        (ONE, "split", (1, 1)),
        (BOTH, 0, (0, 3)),
        (BOTH, 0, (0, None)),
        (BOTH, 1, (None, 0)),
    ],
)
def test_turns_say_a_channel_that_is_there(
    audio: Audio, channels: Channels, told: tuple[int | None, int | None]
) -> None:
    turns = [Turn(seconds(2 * n + 0.5, 2 * n + 2), channel=channel) for n, channel in enumerate(told)]
    with pytest.raises(RecordingError) as caught:
        list(deidentify(audio, Policy(disguise=Sine(), channels=channels), turns=turns))
    assert caught.value.code == "no-channel"


@pytest.mark.parametrize(("audio", "channels"), [(BOTH, "mix"), (ONE, "mix"), (ONE, 0)])
def test_turns_of_what_is_one_channel_need_not_say_it(audio: Audio, channels: Channels) -> None:
    turns = [Turn(seconds(0.5, 2), channel=0), Turn(seconds(2.5, 4))]
    assert len(list(deidentify(audio, Policy(disguise=Sine(), channels=channels), turns=turns))) == 2


@pytest.mark.parametrize("kind", ["turns overlap", "second turn inside", "words partly told"])
def test_a_word_without_a_channel_is_of_one_turn(kind: str) -> None:
    turns = () if "partly" in kind else (Turn(seconds(0.5, 4.5), channel=0), Turn(seconds(3, 4.5), channel=1))
    words = [Annotation("a", seconds(3.5, 3.8), text="hi")]
    words += [Annotation("a", seconds(1, 2), channel=0, text="so")] if "partly" in kind else []
    if "inside" in kind:
        words = [Annotation("a", seconds(2.9, 3.1), text="hi")]
    with pytest.raises(SettingError, match="expected a channel with all words"):
        with_words([Recording("/x/a.wav", turns=turns)], words)


# Times that the recording does not have.


@pytest.mark.parametrize(
    "told",
    [
        {"turns": [Turn(Segment(0, 4_000 * RATE), "anna", "so", labels={"lang": "nl"})]},
        {"segments": [Segment(RATE, 4_000 * RATE)]},
        {"turns": [Turn(words=(Word(seconds(0, 0.2), "so"), Word(seconds(500, 800), "on")))]},
        {"turns": [Turn(seconds(0, 4), phones=(Word(seconds(50, 80), "s"),))]},
    ],
)
def test_times_in_milliseconds_refuse_the_recording(told: dict[str, Any]) -> None:
    with pytest.raises(RecordingError) as caught:
        list(deidentify(ONE, Policy(disguise=Sine(), carry=("text",)), **told))
    assert caught.value.code == "segment-range"


@pytest.mark.parametrize("stop", [6.4, 20.0, 30.0])
def test_a_last_utterance_may_last_until_the_window_of_its_recogniser_ends(stop: float) -> None:
    found = list(deidentify(ONE, Policy(disguise=Sine()), turns=[Turn(seconds(4, stop))]))
    assert [snippet.seconds for snippet in found] == [2.0]
