"""Pretrained speaker encoders: from a snippet to one embedding.

Any callable from (samples,) float32 at 16 kHz to a vector is an encoder (SpeechBrain's ECAPA-TDNN or a WavLM x-vector,
for instance). `Onnx` runs a network from a file; `Resemblyzer` is the one that ships its weights.
"""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from deident.audio import RATE, Floats
from deident.disguise.naming import object_named
from deident.disguise.vocoder import tables as vocoder_tables
from deident.disguise.vocoder.analysis import CEPSTRUM
from deident.disguise.vocoder.synthesis import LEVEL
from deident.dsp.stft import frame_view
from deident.errors import ExtraMissingError, SettingError
from deident.evaluation import filterbanks
from deident.evaluation.cache import digest, file_digest, fingerprint, source_digest

SIZE, HOP, WINDOW, STEP = 400, 160, 160, 77  # samples, samples; frames of one partial, frames between them


@cache
def _mel_matrix() -> Floats:
    import librosa

    return np.asarray(librosa.filters.mel(sr=16_000, n_fft=SIZE, n_mels=40), np.float32).T


def mel_frames(samples: Floats) -> Floats:
    """(frames, 40) mel power of 25 ms frames every 10 ms, as Resemblyzer's network was trained on.

    Level raised to -30 dBFS if below and long silences skipped, by level alone: the encoder's own
    preprocessing runs a voice detector frame by frame, which costs more than the network.
    """
    level = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) + 1e-9)
    gain = max(1.0, 10.0 ** (-30.0 / 20.0) / level)
    padded = np.pad(samples * np.float32(gain), SIZE // 2)
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(SIZE) / SIZE)).astype(np.float32)
    power = np.abs(scipy.fft.rfft(frame_view(padded, SIZE, HOP) * window)) ** 2
    mel: Floats = power @ _mel_matrix()
    energy = mel.sum(1)
    near = np.convolve(energy > 1e-4 * np.percentile(energy, 95), np.ones(31), mode="same") > 0
    return mel[near] if near.any() else mel


def partials(mel: Floats) -> Floats:
    """(partials, 160, 40): overlapping windows of 1.6 s over the whole snippet, padded if shorter."""
    if len(mel) < WINDOW:
        mel = np.pad(mel, ((0, WINDOW - len(mel)), (0, 0)))
    starts = list(range(0, len(mel) - WINDOW + 1, STEP))
    if len(mel) - WINDOW - starts[-1] > STEP // 2:
        starts.append(len(mel) - WINDOW)
    return np.stack([mel[start : start + WINDOW] for start in starts])


@cache
def _network() -> Any:
    """Load the network, once a process, however often an encoder is sent there."""
    return _resemblyzer().VoiceEncoder("cpu", verbose=False).eval()


def _resemblyzer() -> Any:
    """The package. It imports a voice detector, unused here, that fails where setuptools has no pkg_resources
    any more: there an empty module stands in its place.
    """
    try:
        return importlib.import_module("resemblyzer")
    except ImportError as error:
        if error.name != "pkg_resources":
            raise
    sys.modules["webrtcvad"] = types.ModuleType("webrtcvad")
    try:
        return importlib.import_module("resemblyzer")
    finally:
        del sys.modules["webrtcvad"]


class Resemblyzer:
    """The speaker encoder of the `resemblyzer` package (GE2E, Wan et al. 2018), fed directly and in batches.

    Raises `ExtraMissingError` without the extra `attackers`.
    """

    name = "resemblyzer"

    def __init__(self) -> None:
        try:
            _resemblyzer()
            import torch  # noqa: F401  # to know now whether it is there
        except ImportError:
            raise ExtraMissingError.of("attackers", "the speaker encoder") from None

    def __call__(self, samples: Floats) -> Floats:
        return np.asarray(self.many([samples])[0])

    def many(self, snippets: list[Floats]) -> Floats:
        """(snippets, 256) unit vectors: the mean of each snippet's partial embeddings."""
        import torch

        network = _network()
        batches = [partials(mel_frames(snippet)) for snippet in snippets]
        with torch.inference_mode():
            windows: Any = torch.from_numpy(np.concatenate(batches))
            embedded = np.concatenate([network(part).numpy() for part in windows.split(64)])
        bounds = np.cumsum([0] + [len(batch) for batch in batches])
        means = [embedded[a:b].mean(0) for a, b in pairwise(bounds)]
        unit = [mean / max(float(np.linalg.norm(mean)), 1e-9) for mean in means]
        return np.stack(unit)


@dataclass(frozen=True)
class Onnx:
    """A speaker encoder in a file of the ONNX format: CAM++, ERes2Net, WeSpeaker's, ReDimNet.

    Attributes
    ----------
    path : str
        Its first input is (1, frames, 80) Kaldi filterbanks without their mean, or (1, samples) at 16 kHz. Its first
        output is (1, dims).

    Raises
    ------
    ExtraMissingError
        Without `onnxruntime` and `kaldi-native-fbank`.
    SettingError
        When the file is not such a network.
    """

    path: str

    def __post_init__(self) -> None:
        try:
            import onnxruntime  # noqa: F401
        except ImportError:
            raise ExtraMissingError.of("attackers", "an encoder in a file") from None
        filterbanks.check_extras()
        try:
            shape = np.shape(self(np.zeros(RATE, np.float32)))
        except Exception:
            # onnxruntime raises kinds of its own, whose messages hold the path.
            shape = ()
        if len(shape) != 1:
            raise SettingError(
                "expected the file of an encoder in the ONNX format, from (1, frames, 80) filterbanks or (1, samples) "
                "at 16 kHz to (1, dims)"
            )

    @property
    def fingerprint(self) -> str:
        return digest("onnx", file_digest(self.path), source_digest(__name__, filterbanks.__name__))

    def __call__(self, samples: Floats) -> Floats:
        """(dims,) embedding of (samples,) at 16 kHz."""
        session = _session(self.path)
        given = session.get_inputs()[0]
        ready = samples if len(given.shape) == 2 else filterbanks.centred(filterbanks.filterbanks(samples))
        embedded: Floats = session.run(None, {given.name: np.ascontiguousarray(ready[None], np.float32)})[0][
            0
        ]
        return embedded


@cache
def _session(path: str) -> Any:
    """Load a network, once a process and file, with one thread: work is divided over processes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Equalised:
    """An encoder behind an equaliser.

    The long-term spectrum of a snippet's speech is brought to that of average speech: the colour that a disguise draws,
    or a microphone leaves, is undone as far as anybody can who does not know the draw.
    """

    encoder: Any

    @property
    def fingerprint(self) -> str:
        return digest(
            "equalised", fingerprint(self.encoder), source_digest(__name__, vocoder_tables.__name__)
        )

    def __call__(self, samples: Floats) -> Floats:
        return np.asarray(self.many([samples])[0])

    def many(self, snippets: list[Floats]) -> Floats:
        """(snippets, dims)."""
        flat = [equalised(snippet) for snippet in snippets]
        if hasattr(self.encoder, "many"):
            return np.asarray(self.encoder.many(flat))
        return np.stack([np.asarray(self.encoder(snippet)) for snippet in flat])


def equalised(samples: Floats) -> Floats:
    """(samples,) at the level and with the smooth long-term spectrum of average speech."""
    if not samples.any():
        return samples
    powers = CEPSTRUM.band_powers(samples)
    total = powers.mean(axis=1)
    average = powers[total > np.percentile(total, 95) * 10.0**-1.8].mean(axis=0)
    floor = 1e-4  # -40 dB: what is further below was never there
    ratio = np.log((vocoder_tables.BANDS + floor) / (average / average.mean() + floor))
    smooth = ratio @ CEPSTRUM.analysis @ CEPSTRUM.basis(CEPSTRUM.bins_hz)
    gain = np.exp(0.5 * smooth).astype(np.float32)
    flat = CEPSTRUM.stft.process(samples, lambda _frames, spectra: spectra * gain)
    return flat * np.float32(LEVEL / (np.sqrt(np.mean(flat**2)) + 1e-9))


def encoder_named(text: str) -> tuple[str, Any]:
    """A name for the report, and the encoder: onnx:PATH, resemblyzer, package.module:NAME; equalised: before any."""
    kind, _, rest = text.partition(":")
    if kind == "equalised":
        name, encoder = encoder_named(rest)
        return f"{name}, equalised", Equalised(encoder)
    if text == Resemblyzer.name:
        return text, Resemblyzer()
    return (Path(rest).stem, Onnx(rest)) if kind == "onnx" else (rest, object_named(text))
