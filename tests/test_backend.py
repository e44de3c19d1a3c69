"""The back end (PLDA), on vectors of known make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from deident.evaluation import backend, metrics
from deident.evaluation.trials import Trials
from tests.vectors import make_evidence, utterances


class TestBackend:
    def test_scores_are_the_two_covariance_likelihood_ratio(self) -> None:
        rng = np.random.default_rng(0)
        between = np.array([3.0, 0.5])
        plda = backend.Backend({"": np.zeros(2)}, np.ones(2), np.eye(2), between)
        trial, model, counts, pooled = rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), [1, 4], 2
        found = plda.score(trial, model, counts, pooled)
        for row, column in np.ndindex(3, 2):
            pair = np.concatenate((trial[row], model[column]))
            a, b = np.diag(between + 1 / pooled), np.diag(between + 1 / counts[column])
            cross = np.diag(between)
            one = multivariate_normal(np.zeros(4), np.block([[a, cross], [cross, b]])).logpdf(pair)
            two = multivariate_normal(np.zeros(2), a).logpdf(trial[row])
            two += multivariate_normal(np.zeros(2), b).logpdf(model[column])
            assert found[row, column] == pytest.approx(one - two)

    def test_what_an_utterance_shares_with_itself_is_no_speaker(self) -> None:
        trials = Trials.of(utterances(40, 3))
        rng = np.random.default_rng(1)
        words = 3.0 * rng.normal(size=(120, 1, 4)) + 0.1 * rng.normal(size=(120, 5, 4))
        known = backend.moments(words, trials.speakers, trials.strata)
        assert np.abs(np.linalg.eigvalsh(known.between)).max() < 0.35 * np.trace(known.total) / 4

    def test_a_voice_that_a_copys_utterances_share_is_no_speaker(self) -> None:
        trials = Trials.of(utterances(40, 3))
        rng = np.random.default_rng(1)
        voices = 3.0 * rng.normal(size=(40, 4, 4))[trials.speakers] + 0.1 * rng.normal(size=(120, 4, 4))
        known = backend.moments(voices, trials.speakers, trials.strata)
        assert abs(np.trace(known.between)) < 0.1 * np.trace(known.total)

    def test_between_is_the_mean_product_of_other_utterances_in_other_copies(self) -> None:
        trials = Trials.of(utterances(6, 3))
        vectors = np.random.default_rng(2).normal(size=(18, 2, 5))
        known = backend.moments(vectors, trials.speakers, trials.strata)
        names = np.asarray(trials.strata)
        centre = np.stack([vectors[names == sex].mean((0, 1)) for sex in trials.strata])
        standard = (vectors - centre[:, None]) / (vectors - centre[:, None]).std((0, 1))
        products = [
            np.outer(standard[u, c], standard[v, d])
            for u in range(18) for v in range(18) for c in range(2) for d in range(2)
            if trials.speakers[u] == trials.speakers[v] and u != v and c != d
        ]  # fmt: skip
        np.testing.assert_allclose(known.between, np.mean(products, axis=0), atol=1e-5)

    def test_few_training_speakers_in_many_dimensions_do_not_blind_the_back_end(self) -> None:
        """Twelve speakers span twelve directions; those on trial differ in all sixty."""
        rng = np.random.default_rng(4)
        train, trials = Trials.of(utterances(12, 4)), Trials.of(utterances(30, 4, first=50))

        def vectors_of(view: Trials) -> np.ndarray:
            voices = rng.normal(size=(view.count, 60))[view.speakers]
            return voices[:, None] + 1.5 * rng.normal(size=(len(view.speakers), 3, 60))

        known, others = vectors_of(train), vectors_of(trials)
        shape = backend.choose(known, train)[0]
        assert shape.prior > 0.0

        def found(shape: backend.Shape) -> float:
            plda = backend.fit(backend.moments(known, train.speakers, train.strata), shape)
            scores = plda.compare(others[:, 0], others[:, 1], trials)
            return metrics.eer(scores[trials.target], scores[trials.nontarget])

        assert found(shape) < 0.7 * found(replace(shape, prior=0.0))

    def test_directions_of_the_disguise_are_ignored(self) -> None:
        e = make_evidence(offset=4.0)
        plda = backend.fit(
            backend.moments(e.train, e.train_trials.speakers, e.train_trials.strata),
            backend.Shape(12, 11, 0.1),
        )
        shift = np.ones((1, 12)) / plda.scale
        along = np.linalg.norm(shift @ plda.projection) / np.linalg.norm(shift)
        other = np.linalg.norm(plda.projection, axis=0).max()
        assert along < 0.5 * other
