"""The equaliser in front of an encoder, with an encoder that sees nothing but colour."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise.vocoder.analysis import CEPSTRUM
from deident.errors import SettingError
from deident.evaluation import encoders, filterbanks
from deident.evaluation.copies import CopyJob, Embedding, Undisguised, gather
from deident.evaluation.corpus import InMemory, Utterance
from deident.evaluation.encoders import Equalised, equalised
from deident.evaluation.layouts import read_corpus
from deident.evaluation.words import recogniser_named, word_errors
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
    distances = [np.linalg.norm(colour(bright) - colour(plain))]
    flat = Equalised(colour)
    distances.append(np.linalg.norm(flat(bright) - flat(plain)))
    assert distances[1] < 0.3 * distances[0]


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
    """An encoder that is given many snippets at once, and returns their means."""

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


def message(number: int, *parts: bytes) -> bytes:
    """A field of a protocol buffer, of length-delimited parts."""
    body = b"".join(parts)
    return bytes([number << 3 | 2, len(body) & 0x7F | 0x80, len(body) >> 7]) + body


def integer(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


def onnx_mean(path: Path, *dims: int) -> str:
    """A network in the ONNX format: the mean over the second axis of an input of these dimensions (0: any)."""

    def value(name: bytes, sizes: tuple[int, ...]) -> bytes:
        shape = message(2, *(message(1, integer(1, size) if size else message(2, b"t")) for size in sizes))
        return message(1, name) + message(2, message(1, integer(1, 1), shape))

    axes = message(5, message(1, b"axes"), integer(8, 1), integer(20, 7)[:0], bytes([0xA0, 0x01, 7]))
    keep = message(5, message(1, b"keepdims"), integer(3, 0), bytes([0xA0, 0x01, 2]))
    node = message(1, message(1, b"x"), message(2, b"e"), message(4, b"ReduceMean"), axes, keep)
    graph = message(
        7, node, message(2, b"g"), message(11, value(b"x", dims)), message(12, value(b"e", (1, *dims[2:])))
    )
    path.write_bytes(integer(1, 8) + graph + message(8, integer(2, 13)))
    return str(path)


class TestOnnx:
    @pytest.fixture(autouse=True)
    def packages(self) -> None:
        pytest.importorskip("onnxruntime")
        pytest.importorskip("kaldi_native_fbank")

    def test_a_network_gets_filterbanks_without_their_mean(self, tmp_path: Path) -> None:
        name, encoder = encoders.encoder_named(f"onnx:{onnx_mean(tmp_path / 'mean.onnx', 1, 0, 80)}")
        samples = speech(WOMAN, 1.5)
        assert name == "mean"
        assert encoder(samples).shape == (80,)
        np.testing.assert_allclose(encoder(samples), 0.0, atol=1e-4)
        np.testing.assert_allclose(encoder(samples[:2_000]), 0.0, atol=1e-4)  # repeated to a second
        assert np.isfinite(encoder(np.zeros(0, np.float32))).all()

    def test_filterbanks_are_kaldis(self) -> None:
        """A tone lies in the band of its mel, and twice the amplitude is log 4 more power."""
        tone = np.sin(2.0 * np.pi * 1_000.0 * np.arange(RATE) / RATE).astype(np.float32)
        frames = filterbanks.filterbanks(0.1 * tone)
        assert frames.shape == (98, 80)
        mel = 1127.0 * np.log1p(np.array([20.0, 1_000.0, 8_000.0]) / 700.0)
        assert frames.mean(0).argmax() == pytest.approx(81 * (mel[1] - mel[0]) / (mel[2] - mel[0]) - 1, abs=1)
        louder = filterbanks.filterbanks(0.2 * tone)
        assert louder.max() - frames.max() == pytest.approx(np.log(4.0), abs=0.01)

    def test_it_travels_and_is_named_by_its_content(self, tmp_path: Path) -> None:
        one, same, other = (
            encoders.Onnx(onnx_mean(tmp_path / name, *dims))
            for name, dims in (
                ("a.onnx", (1, 0, 80)),
                ("b.onnx", (1, 0, 80)),
                ("c.onnx", (1, 0, 80)),
            )
        )
        assert pickle.loads(pickle.dumps(one)).fingerprint == one.fingerprint == same.fingerprint
        (tmp_path / "d.onnx").write_bytes((tmp_path / "c.onnx").read_bytes() + integer(5, 1))
        assert encoders.Onnx(str(tmp_path / "d.onnx")).fingerprint != other.fingerprint

    @pytest.mark.parametrize("content", [b"", b"no network", None])
    def test_a_file_that_is_no_network_is_refused_without_its_path(
        self, content: bytes | None, tmp_path: Path
    ) -> None:
        path = tmp_path / "secret.onnx"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SettingError, match="ONNX") as error:
            encoders.Onnx(str(path))
        assert "secret" not in str(error.value)


class TestWhisper:
    def test_a_folder_without_a_model_is_refused_without_its_path(self, tmp_path: Path) -> None:
        pytest.importorskip("faster_whisper")
        with pytest.raises(SettingError, match="Whisper") as error:
            recogniser_named(f"whisper:{tmp_path}")
        assert str(tmp_path) not in str(error.value)

    def test_it_understands_speech(self, speech: Path) -> None:
        models = os.environ.get("DEIDENT_MODELS")
        if not models:
            pytest.skip("DEIDENT_MODELS names no folder of models")
        name, whisper = recogniser_named(f"whisper:{models}/whisper-tiny.en")
        assert name == "whisper-tiny.en"
        u = next(u for u in read_corpus(speech / "files.tsv", "verify/1040/").utterances if u.transcript)
        assert word_errors(u.transcript, whisper(u.load().mono)) < 0.3 * word_errors(u.transcript, "")
        assert whisper(np.zeros(RATE, np.float32)) == whisper(np.zeros(RATE, np.float32))
