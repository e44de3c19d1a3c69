"""The search for the front: reproducible settings that are valid, and a front that holds no dominated point."""

from typing import Any

import pytest

from benchmarks.frontier import drawn, half, on_front
from deident.disguise.vocoder import Vocoder
from deident.evaluation.synthetic import synthetic_corpus


def test_settings_are_valid_and_follow_from_the_seed() -> None:
    settings = drawn(20, seed=3)
    assert settings[0] == {}
    assert len({repr(Vocoder(**values)) for values in settings}) == 20
    assert drawn(20, seed=3) == settings != drawn(20, seed=4)


def test_halves_share_training_speakers_alone() -> None:
    corpus = synthetic_corpus()
    trial = [{u.speaker for u in half(corpus, k).utterances if u.role != "train"} for k in (0, 1)]
    train = [{u.speaker for u in half(corpus, k).utterances if u.role == "train"} for k in (0, 1)]
    assert trial[0]
    assert not trial[0] & trial[1]
    assert trial[0] | trial[1] == {u.speaker for u in corpus.utterances if u.role != "train"}
    assert train[0] == train[1]


@pytest.mark.parametrize(
    ("eer", "added", "expected"),
    [(20.0, 5.0, True), (20.0, 9.0, False), (30.0, 12.0, True), (10.0, 1.0, True), (9.0, 2.0, False)],
)
def test_the_front_holds_what_no_other_point_beats(eer: float, added: float, expected: bool) -> None:
    points: list[dict[str, Any]] = [
        {"eer": [e, e, e], "added": [a, a, a]} for e, a in ((20.0, 5.0), (30.0, 12.0), (10.0, 1.0))
    ]
    found = {"eer": [eer] * 3, "added": [added] * 3}
    assert on_front(found, points) is expected
