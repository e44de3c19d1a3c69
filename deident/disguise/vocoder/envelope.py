"""Settings of what happens to the spectral envelope: normalised to common averages, then given drawn statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from deident.audio import RATE, Audio, Floats, at_work_rate
from deident.disguise.base import Method, ordered
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, Analysis
from deident.disguise.vocoder.normalisation import (
    covariance_map,
    matrix_exponential,
    normalise_means,
    normalise_sounds,
    normalise_spread,
    rewarp,
    tract_ratio,
    warp_generator,
)
from deident.disguise.vocoder.tables import FACTORS, SPREADS
from deident.dsp.timing import smooth_curve
from deident.errors import between

ORDER = CEPSTRUM.order
FRAMES_PER_SECOND = RATE / STFT.hop
WARP_KNOTS = 4  # pieces of equal width on the mel scale, of the drawn warp
LINK = (
    0.7  # correlation of a drawn pitch and a drawn vocal tract, as people with short tracts have high voices
)
WANDER_KNOTS = 64
WANDER_SECONDS = 0.4  # from one drawn value to the next


@dataclass(frozen=True)
class EnvelopeVoice:
    """The drawn parameters of a voice, independent of the speaker; see the settings of `Vocoder`."""

    f0_hz: float = field(repr=False)
    tract: float = field(repr=False)
    warp: tuple[float, ...] = field(repr=False)
    tilt_db: float = field(repr=False)
    spreads: tuple[float, ...] = field(repr=False)
    colour: tuple[float, ...] = field(repr=False)
    mixing: tuple[float, ...] = field(repr=False)
    speaker: tuple[float, ...] = field(repr=False)


V = TypeVar("V", bound=EnvelopeVoice)


@dataclass(frozen=True)
class EnvelopeMethod(Method[V]):
    """The base of the methods that normalise and redraw the spectral envelope."""

    mean: float = 1.0
    spread: float = 1.0
    floor_db: float = 25.0
    tract_norm: float = 1.0
    sounds: float = 1.0
    covariance: float = 1.0
    gate_db: float = 30.0
    f0_hz: tuple[float, float] = (95.0, 215.0)
    tract: tuple[float, float] = (1.0, 1.0)
    warp: float = 0.0
    mixing: float = 0.0
    speaker: float = 0.0
    wander: float = 0.0
    colour: float = 0.8
    tilt_db: float = 1.5
    loudness_jitter: float = 0.4
    spread_jitter: float = 0.2
    sharpness: float = 1.15

    def __post_init__(self) -> None:
        for name, low, high in self.ranges():
            value = getattr(self, name)
            if isinstance(value, tuple):
                ordered(name, value, low, high)
            else:
                between(name, value, low, high)

    @classmethod
    def ranges(cls) -> Sequence[tuple[str, float, float]]:
        """Name, lower and upper bound of every setting."""
        return RANGES

    def _drawn_envelope(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the fields of an `EnvelopeVoice`."""
        # Bounded, as an extreme warp costs words, and protects no more than the others.
        slopes = np.exp(self.warp * np.sqrt(3.0) * rng.uniform(-1.0, 1.0, WARP_KNOTS))
        jitter = np.array((self.loudness_jitter, *(self.spread_jitter,) * (ORDER - 1)))
        size, own = rng.standard_normal(2)
        tract = LINK * size + math.sqrt(1.0 - LINK**2) * own
        return {
            "f0_hz": _quantile(self.f0_hz, size),
            "tract": _quantile(self.tract, tract),
            "warp": tuple((np.cumsum(slopes) / slopes.sum()).tolist()),
            "tilt_db": float(self.tilt_db * rng.standard_normal()),
            "spreads": tuple(np.exp(jitter * rng.standard_normal(ORDER)).tolist()),
            "colour": (0.0, *(self.colour * rng.standard_normal(ORDER - 1)).tolist()),
            "mixing": tuple((self.mixing * rng.standard_normal((ORDER - 1) ** 2)).tolist()),
            "speaker": tuple((self.speaker * rng.standard_normal(len(FACTORS))).tolist()),
        }

    def _changed(self, speech: Analysis, voices: Sequence[V], rngs: Sequence[np.random.Generator]) -> Floats:
        """Normalise (frames, order) cepstra, and give them the statistics of the drawn voices."""
        ragged, cepstra = speech.ragged, speech.cepstra
        if self.tract_norm:
            ratios = tract_ratio(speech, CEPSTRUM) ** -self.tract_norm
            cepstra = ragged.transform(cepstra, rewarp(CEPSTRUM, ratios))
        centre, deviations = normalise_means(cepstra, speech, self.mean)
        if self.spread:
            deviations = normalise_spread(deviations, speech, self.spread)
        if self.sounds or self.speaker:
            offsets = drawn(voices, "speaker") @ FACTORS.reshape(len(FACTORS), -1)
            offsets = offsets.reshape(len(voices), *FACTORS.shape[1:])
            deviations = normalise_sounds(deviations, speech, self.sounds, offsets)
        matrices = self._matrices(voices)
        if self.covariance:
            matrices = covariance_map(deviations, speech, self.covariance) @ matrices
        deviations = ragged.transform(deviations, matrices)
        deviations += centre
        deviations += ragged.spread(SPREADS[0] * drawn(voices, "colour"))
        tracts, knots = (np.array([getattr(voice, name) for voice in voices]) for name in ("tract", "warp"))
        cepstra = ragged.transform(deviations, rewarp(CEPSTRUM, tracts, knots))
        if self.wander:
            knots = self.wander * np.array([rng.standard_normal(WANDER_KNOTS) for rng in rngs])
            curve = smooth_curve(knots, WANDER_SECONDS * FRAMES_PER_SECOND, ragged)[:, None].astype(
                np.float32
            )
            slope = cepstra @ warp_generator(CEPSTRUM)
            slope += np.float32(0.5) * curve * (slope @ warp_generator(CEPSTRUM))
            cepstra += curve * slope
        return cepstra

    def _matrices(self, voices: Sequence[V]) -> Floats:
        """Build (snippets, order, order): from deviations in common spreads to cepstra, mixed and scaled as drawn."""
        matrices = np.tile(np.eye(ORDER, dtype=np.float32), (len(voices), 1, 1))
        if self.mixing:
            mixing = drawn(voices, "mixing").reshape(-1, ORDER - 1, ORDER - 1)
            matrices[:, 1:, 1:] = matrix_exponential(mixing)
        scale = SPREADS[0] * drawn(voices, "spreads")
        scale[:, 1:] *= np.float32(self.sharpness)
        matrices *= scale[:, None]
        return matrices


def _quantile(bounds: tuple[float, float], normal: float) -> float:
    """Map a unit normal to a value uniform in its logarithm between bounds."""
    share = 0.5 + 0.5 * math.erf(normal / math.sqrt(2.0))
    return float(bounds[0] * (bounds[1] / bounds[0]) ** share)


def drawn(voices: Sequence[EnvelopeVoice], name: str) -> Floats:
    """Collect a parameter of all voices, (voices, ...)."""
    return np.array([getattr(voice, name) for voice in voices], dtype=np.float32)


def in_batches(
    disguise: Callable[[list[Floats], list[V], list[np.random.Generator]], list[Audio]],
    key: Callable[[V], object],
    audios: Sequence[Audio],
    voices: Sequence[V],
    rngs: Sequence[np.random.Generator],
) -> list[Audio]:
    """Disguise together what has voices of one key; silence stays silent."""
    samples = [at_work_rate(audio) for audio in audios]
    out = [Audio(np.zeros_like(own), RATE) for own in samples]
    batches: dict[object, list[int]] = {}
    for index, (own, voice, _) in enumerate(zip(samples, voices, rngs, strict=True)):
        if own.any():
            batches.setdefault(key(voice), []).append(index)
    for batch in batches.values():
        made = disguise([samples[i] for i in batch], [voices[i] for i in batch], [rngs[i] for i in batch])
        for index, audio in zip(batch, made, strict=True):
            out[index] = audio
    return out


RANGES: tuple[tuple[str, float, float], ...] = (
    ("mean", 0.0, 1.0),
    ("spread", 0.0, 1.0),
    ("floor_db", 6.0, 60.0),
    ("tract_norm", 0.0, 1.0),
    ("sounds", 0.0, 1.0),
    ("covariance", 0.0, 1.0),
    ("gate_db", 6.0, 60.0),
    ("f0_hz", 60.0, 400.0),
    ("tract", 0.6, 1.6),
    ("warp", 0.0, 0.4),
    ("mixing", 0.0, 0.3),
    ("speaker", 0.0, 5.0),
    ("wander", 0.0, 0.15),
    ("colour", 0.0, 2.0),
    ("tilt_db", 0.0, 12.0),
    ("loudness_jitter", 0.0, 1.0),
    ("spread_jitter", 0.0, 0.5),
    ("sharpness", 0.5, 2.0),
)
