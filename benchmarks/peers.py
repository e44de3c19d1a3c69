"""Methods of others, to compare with: nothing here is imported by the library."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Samples

RATE = 16_000


def b2(samples: npt.NDArray[np.floating], alpha: float, order: int = 20) -> npt.NDArray[np.float64]:
    """The McAdams baseline of the VoicePrivacy challenges, frame by frame at 16 kHz, before its last division
    by the peak.

    Follows the description in Patino et al. (2021): `librosa.lpc`, roots, pole angles to the power alpha,
    `scipy.signal.lfilter` for the residual and for the new filter, overlap-add."""
    import librosa
    from scipy.signal import lfilter

    tiny = np.finfo(np.float32).eps
    size, hop = 320, 160
    hann = np.hanning(size)
    window = np.sqrt(hann * hop / hann.sum())
    samples = samples.astype(np.float64) + tiny
    out = np.zeros(len(samples))
    for start in range(hop, len(samples) - size + 1, hop):
        frame = samples[start : start + size] * window
        prediction = librosa.lpc(frame + tiny, order=order)
        poles = np.roots(prediction)
        upper = poles.imag > 0
        angle = np.clip(np.angle(poles[upper]) ** alpha, 0.0, np.pi)
        new = np.abs(poles[upper]) * np.exp(1j * angle)
        moved = np.concatenate((poles[poles.imag == 0], new, new.conj()))
        residual = lfilter(prediction, [1.0], frame)
        out[start : start + size] += window * lfilter([1.0], np.real(np.poly(moved)), residual)
    return out


def praat(samples: Samples) -> object:
    """Praat's "Change gender" by way of parselmouth: formants and median pitch moved, PSOLA."""
    import parselmouth

    sound = parselmouth.Sound(samples.astype(np.float64), RATE)
    return parselmouth.praat.call(sound, "Change gender", 75.0, 600.0, 1.15, 180.0, 1.0, 1.0)


def librosa_shift(samples: Samples) -> object:
    import librosa

    return librosa.effects.pitch_shift(samples, sr=RATE, n_steps=4.0)


def world(samples: Samples) -> object:
    """WORLD: dio, stonemask, cheaptrick, d4c, and synthesis at another pitch."""
    world = pyworld()
    wide = samples.astype(np.float64)
    f0, times = world.dio(wide, RATE)
    f0 = world.stonemask(wide, f0, times, RATE)
    envelope = world.cheaptrick(wide, f0, times, RATE)
    return world.synthesize(f0 * 1.26, envelope, world.d4c(wide, f0, times, RATE), RATE)


def pyworld() -> Any:
    """The package pyworld, which asks for its version in a way that setuptools no longer offers."""
    if "pkg_resources" not in sys.modules and importlib.util.find_spec("pkg_resources") is None:
        old = types.ModuleType("pkg_resources")
        vars(old)["get_distribution"] = importlib.metadata.distribution
        sys.modules["pkg_resources"] = old
    return importlib.import_module("pyworld")


def command(*words: str) -> Callable[[Samples], object]:
    """A program that reads one WAV file and writes another; "IN" and "OUT" stand for them."""

    def run(samples: Samples) -> object:
        import soundfile

        with tempfile.TemporaryDirectory() as folder:
            files = {"IN": f"{folder}/in.wav", "OUT": f"{folder}/out.wav"}
            soundfile.write(files["IN"], samples, RATE)
            subprocess.run([files.get(word, word) for word in words], check=True, capture_output=True)
        return None

    return run


PEERS: dict[str, Callable[[Samples], object]] = {
    "B2 loop (librosa.lpc, lfilter)": lambda samples: b2(samples, 0.7),
    "Praat Change gender": praat,
    "Rubber Band -p 4 -F": command("rubberband", "-q", "-p", "4", "-F", "IN", "OUT"),
    "sox pitch": command("sox", "IN", "OUT", "pitch", "400"),
    "librosa pitch_shift": librosa_shift,
    "WORLD dio": world,
}


def installed(peer: Callable[[Samples], object]) -> bool:
    """Tell if it runs here at all."""
    try:
        peer((0.1 * ((np.arange(RATE) / 133.0) % 1.0 - 0.5)).astype(np.float32))  # something with a pitch
    except (ImportError, FileNotFoundError, subprocess.CalledProcessError):
        return False
    return True
