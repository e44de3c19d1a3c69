"""The equaliser in front of an encoder, with an encoder that hears nothing but colour."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise.vocoder.analysis import CEPSTRUM
from deident.evaluation import encoders
from deident.evaluation.copies import CopyJob, Embedding, Undisguised, gather
from deident.evaluation.corpus import InMemory, Utterance
from deident.evaluation.encoders import Equalised, equalised
from tests.voices import WOMAN, speech


def colour(samples: np.ndarray) -> np.ndarray:
    """(40,) the long-term spectrum in nepers, without its level."""
    logs = np.log(CEPSTRUM.band_powers(samples).mean(axis=0) + 1e-6)
    return logs - logs.mean()


def coloured(samples: np.ndarray) -> np.ndarray:
    gain = np.exp(np.cos(np.linspace(0.0, 3.0 * np.pi, CEPSTRUM.stft.bins))).astype(np.float32)
    return CEPSTRUM.stft.process(samples, lambda _frames, spectra: spectra * gain)


def test_an_equalised_encoder_hears_no_drawn_colour() -> None:
    noise = np.random.default_rng(5).standard_normal(3 * RATE).astype(np.float32)
    plain = speech(WOMAN, 3.0, seed=5) + 0.02 * noise  # so that every band has something to colour
    bright = coloured(plain)
    heard = [np.linalg.norm(colour(bright) - colour(plain))]
    flat = Equalised(colour)
    heard.append(np.linalg.norm(flat(bright) - flat(plain)))
    assert heard[1] < 0.3 * heard[0]


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(40, 0.1, np.float32)])
def test_silence_and_a_moment_stay_finite(samples: np.ndarray) -> None:
    out = equalised(samples)
    assert out.shape == samples.shape
    assert np.isfinite(out).all()


def test_the_encoder_is_there_without_the_voice_detector_that_its_package_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is installed beside a setuptools of today: its webrtcvad looks for pkg_resources in vain."""
    (tmp_path / "webrtcvad.py").write_text("raise ModuleNotFoundError('gone', name='pkg_resources')")
    (tmp_path / "resemblyzer.py").write_text("import webrtcvad\nHERE = True")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("resemblyzer", "webrtcvad"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        assert encoders._resemblyzer().HERE
        assert "webrtcvad" not in sys.modules  # somebody else's may work
    finally:
        sys.modules.pop("resemblyzer", None)


def test_it_travels_to_workers_and_is_named_by_what_it_wraps() -> None:
    one, other = Equalised(colour), Equalised(coloured)
    assert pickle.loads(pickle.dumps(one)).fingerprint == one.fingerprint != other.fingerprint


class Means:
    """An encoder that is given many snippets at once, and hears their means."""

    def many(self, snippets: list[np.ndarray]) -> np.ndarray:
        return np.array([[snippet.mean()] for snippet in snippets])


def test_embeddings_of_utterances_that_are_measured_together_are_their_own() -> None:
    levels = np.arange(1, 6) / 8.0  # more utterances than a task holds
    some = [
        Utterance(f"u{k}", "somebody", InMemory(Audio(np.full(800, level), RATE)))
        for k, level in enumerate(levels)
    ]
    found = gather(
        CopyJob(Undisguised(), "trial", 2, 0, "snippet", {"mean": Embedding("mean", Means())}), some
    )
    np.testing.assert_allclose(found["mean"], levels[:, None, None].repeat(2, axis=1))
