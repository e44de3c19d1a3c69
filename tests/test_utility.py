"""The costs of a disguise: words, melody, and what a model learns of disguised words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.evaluation.copies import (
    Analysed,
    CopyJob,
    Undisguised,
    gather,
)
from deident.evaluation.corpus import Corpus, InMemory, Utterance
from deident.evaluation.synthetic import synthetic_corpus
from deident.evaluation.utility import Melody, WordShape, training_use
from deident.evaluation.words import (
    Pocketsphinx,
    Recognition,
    is_runaway,
    text_by,
    word_errors,
    words_wrong,
)
from tests.test_evaluation import Noise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return synthetic_corpus(speakers=32, utterances=3, seconds=2.0)


class TestUtility:
    @pytest.mark.parametrize(
        ("reference", "hypothesis", "errors"),
        [
            ("a b c", "a b c", 0),
            ("a b c", "", 3),
            ("", "a", 1),
            ("A, b!", "a b", 0),
            ("a b c d", "b c x d", 2),
        ],
    )
    def test_word_errors(self, reference: str, hypothesis: str, errors: int) -> None:
        assert word_errors(reference, hypothesis) == errors

    @pytest.mark.parametrize(
        ("reference", "text", "wrong", "runs_away"),
        [
            ("five eight three two", "5, " + "8, " * 108, 4, True),
            ("by steven's king", "I'll see you in the next video.", 3, True),
            ("a b", "a b " + "c " * 30, 2, True),
            ("a b c", "x y z", 3, False),
            ("a b c", "a b c d", 1, False),
            ("", "a", 0, True),
        ],
    )
    def test_at_most_all_words_are_wrong(
        self, reference: str, text: str, wrong: int, runs_away: bool
    ) -> None:
        assert words_wrong(reference, text) == wrong
        assert is_runaway(reference, text) == runs_away

    def test_the_melody_of_a_copy_is_kept_and_that_of_noise_is_not(self, corpus: Corpus) -> None:
        utterance = corpus.utterances[0]
        original = utterance.load()
        shorter = Audio(original.samples[:, : len(original) // 2], RATE)
        found = Melody()(Analysed(original), utterance, [Analysed(original), Analysed(shorter)])
        assert found["f0_correlation"][0] == pytest.approx(1.0)
        np.testing.assert_allclose(found["duration_ratio"], [1.0, 0.5], atol=1e-4)

    def test_words_survive_identity_and_die_in_noise(self) -> None:
        rng = np.random.default_rng(0)
        words = []
        for speaker in range(3):
            for index in range(24):
                tone = 300.0 + 500.0 * (index % 4) + 20.0 * speaker
                samples = np.sin(2.0 * np.pi * tone / RATE * np.arange(5_000)) * np.hanning(5_000)
                audio = Audio(0.3 * samples + 1e-3 * rng.normal(size=5_000), RATE)
                words.append(
                    Utterance(
                        f"{speaker}/{index}", str(speaker), InMemory(audio), transcript="abcd"[index % 4]
                    )
                )
        plain, hidden = (
            gather(CopyJob(method, "words", 1, 0, "snippet", {"word": WordShape()}), words)["word"][:, 0]
            for method in (Undisguised(), Noise())
        )
        same, gone = training_use(words, plain, plain), training_use(words, plain, hidden)
        assert same.original == same.trained_on_disguised == same.both_disguised > 0.9
        assert gone.original == same.original
        assert max(gone.trained_on_disguised, gone.tested_on_disguised, gone.both_disguised) < 0.55
        assert gone.chance == 0.25

    def test_a_recogniser_hears_speech_and_no_words_in_noise(self, speech: Path) -> None:
        pytest.importorskip("pocketsphinx")
        from deident.evaluation.layouts import read_corpus

        corpus = read_corpus(speech / "files.tsv", "verify/1040/")
        measure, noise = Recognition("it", Pocketsphinx()), Noise()
        count, wrong, wrong_in_noise = 0, 0, 0
        for u in [u for u in corpus.utterances if u.transcript][:4]:
            plain = Analysed(u.load())
            hidden = Analysed(noise.apply(plain.audio, 1, np.random.default_rng(0)))
            plain_text, hidden_text = (
                str(measure(plain, u, [one])[text_by("it")][0]) for one in (plain, hidden)
            )
            count += word_errors(u.transcript, "")
            wrong += word_errors(u.transcript, plain_text)
            wrong_in_noise += word_errors(u.transcript, hidden_text)
        assert wrong < 0.4 * count
        assert wrong_in_noise >= 0.95 * count
