"""Speech-like signals of known pitch and formants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE = 16_000
Samples = npt.NDArray[np.float32]

VOWELS = {  # an average man's formants, Hz; the first three of Peterson & Barney (1952)
    "a": (730.0, 1_090.0, 2_440.0, 3_400.0, 4_500.0),
    "e": (530.0, 1_840.0, 2_480.0, 3_500.0, 4_500.0),
    "i": (270.0, 2_290.0, 3_010.0, 3_700.0, 4_500.0),
    "o": (570.0, 840.0, 2_410.0, 3_300.0, 4_500.0),
    "u": (300.0, 870.0, 2_240.0, 3_300.0, 4_500.0),
}
BANDWIDTHS = (70.0, 90.0, 120.0, 160.0, 200.0)  # Hz


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker.

    f0_hz : median pitch.   tract : vocal-tract ratio, formants times this; 1 for a man, 1.17 for a woman,
    1.35 for a child.   jitter : standard deviation of a period, in octaves.   breath : noise under the voice,
    as a part of it.   tilt_db : of the source, per octave."""

    f0_hz: float = 110.0
    tract: float = 1.0
    jitter: float = 0.0
    breath: float = 0.0
    tilt_db: float = -9.0


MAN, WOMAN, CHILD = Speaker(110.0), Speaker(210.0, 1.17), Speaker(300.0, 1.35)


def pulses(f0_hz: npt.ArrayLike, samples: int, tilt_db: float = -9.0) -> Samples:
    """Make (samples,) of band-limited pulses with pitch f0_hz, a number or (samples,)."""
    track = np.broadcast_to(np.asarray(f0_hz, dtype=np.float64), (samples,))
    phase = 2.0 * np.pi * np.cumsum(track) / RATE
    out = np.zeros(samples)
    for harmonic in range(1, int(0.47 * RATE / max(float(track.min(initial=np.inf)), 30.0)) + 1):
        level = harmonic ** (tilt_db / 6.02) * (harmonic * track < 0.47 * RATE)
        out += level * np.cos(harmonic * phase)
    return out.astype(np.float32)


def vowel(
    name: str | Sequence[float] = "a",
    f0_hz: npt.ArrayLike = 110.0,
    seconds: float = 1.0,
    tract: float = 1.0,
    tilt_db: float = -9.0,
) -> Samples:
    """Make (samples,) of a vowel of known formants, sustained or, with f0_hz as (samples,), gliding."""
    samples = round(seconds * RATE)
    return _level(_formants(pulses(f0_hz, samples, tilt_db), name, tract))


def hiss(
    seconds: float = 0.1, centre_hz: float = 5_000.0, width_hz: float = 2_000.0, seed: int = 0
) -> Samples:
    """Make (samples,) of an unvoiced consonant: noise around one frequency."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return _level(_resonate(noise, centre_hz, width_hz), 0.03)


def speech(speaker: Speaker = MAN, seconds: float = 3.0, seed: int = 0) -> Samples:
    """Make (samples,) of syllables of hiss and gliding vowel, with pauses between phrases, over faint noise."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = [np.zeros(RATE // 10, dtype=np.float32)]
    while sum(map(len, parts)) < seconds * RATE:
        for _ in range(rng.integers(2, 5)):
            parts.append(
                _edges(
                    hiss(rng.uniform(0.04, 0.1), rng.uniform(3_000, 6_000), seed=int(rng.integers(1 << 30)))
                )
            )
            parts.append(_edges(_syllable(speaker, rng)))
        parts.append(np.zeros(int(rng.uniform(0.15, 0.4) * RATE), dtype=np.float32))
    out = np.concatenate(parts)[: round(seconds * RATE)]
    return (out + 1e-4 * rng.standard_normal(len(out))).astype(np.float32)


def _syllable(speaker: Speaker, rng: np.random.Generator) -> Samples:
    samples = int(rng.uniform(0.12, 0.28) * RATE)
    glide = np.linspace(*rng.uniform(-0.15, 0.15, 2), samples)
    if speaker.jitter:
        periods = np.arange(samples) * speaker.f0_hz // RATE
        glide += (speaker.jitter * rng.standard_normal(int(periods[-1]) + 1))[periods.astype(int)]
    source = pulses(speaker.f0_hz * 2.0**glide, samples, speaker.tilt_db)
    source += (speaker.breath * source.std() * rng.standard_normal(samples)).astype(np.float32)
    names = rng.choice(list(VOWELS), 2, replace=False)
    fade = np.linspace(0.0, 1.0, samples, dtype=np.float32)
    one, two = (_level(_formants(source, str(name), speaker.tract)) for name in names)
    return one * (1.0 - fade) + two * fade


def _formants(
    source: npt.NDArray[np.floating], name: str | Sequence[float], tract: float
) -> npt.NDArray[np.float64]:
    out = source.astype(np.float64)
    centres = VOWELS[name] if isinstance(name, str) else tuple(name)
    for centre_hz, width_hz in zip(centres, BANDWIDTHS, strict=False):
        if centre_hz * tract < 0.47 * RATE:
            out = _resonate(out, centre_hz * tract, width_hz)
    return out


def _resonate(
    samples: npt.NDArray[np.floating], centre_hz: float, width_hz: float
) -> npt.NDArray[np.float64]:
    from scipy.signal import lfilter

    radius = np.exp(-np.pi * width_hz / RATE)
    turn = 2.0 * np.pi * centre_hz / RATE
    poles = [1.0, -2.0 * radius * np.cos(turn), radius**2]
    out: npt.NDArray[np.float64] = lfilter([sum(poles)], poles, samples)
    return out


def _level(samples: npt.NDArray[np.floating], rms: float = 0.1) -> Samples:
    return (samples * (rms / max(float(np.sqrt(np.mean(samples**2))), 1e-9))).astype(np.float32)


def _edges(samples: Samples, seconds: float = 0.01) -> Samples:
    fade = np.hanning(2 * round(seconds * RATE))[: round(seconds * RATE)].astype(np.float32)
    out = samples.copy()
    out[: len(fade)] *= fade
    out[-len(fade) :] *= fade[::-1]
    return out


def noise(kind: str, samples: int, seed: int = 0) -> Samples:
    """Make (samples,) of noise of power 1: white, pink, hiss, telephone, car or babble."""
    rng = np.random.default_rng(seed)
    if kind == "babble":
        voices = [
            speech(Speaker(f0), samples / RATE + 1.0, seed + n) for n, f0 in enumerate(range(90, 270, 30))
        ]
        out = np.sum([np.roll(np.resize(v, samples), int(rng.integers(samples))) for v in voices], axis=0)
    else:
        hz = np.fft.rfftfreq(samples, 1.0 / RATE)
        weights = {
            "white": np.ones_like(hz),
            "pink": np.maximum(hz, 20.0) ** -0.5,
            "hiss": hz >= 4_000.0,
            "telephone": (hz >= 300.0) & (hz <= 3_400.0),
            "car": (hz > 20.0) / (1.0 + (hz / 100.0) ** 2),
        }
        out = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * weights[kind], samples)
    return _level(out, 1.0)


def telephone(samples: np.ndarray) -> np.ndarray:
    """Limit (samples,) to 300 to 3,400 Hz, and quantise them by mu-law."""
    spectrum, hz = np.fft.rfft(samples), np.fft.rfftfreq(samples.size, 1 / RATE)
    band = np.fft.irfft(spectrum * ((hz > 300) & (hz < 3_400)), samples.size)
    code = np.rint(127 * np.sign(band) * np.log1p(255 * np.abs(band).clip(0, 1)) / np.log(256))
    return np.asarray(np.sign(code) * (256.0 ** (np.abs(code) / 127) - 1) / 255, np.float32)
