"""The default disguise: every snippet synthesised anew in a voice drawn without regard to the speaker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from deident.audio import RATE, Audio, Doubles, Floats, at_work_rate
from deident.disguise.base import Method, ordered
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, Analysis, analyse
from deident.disguise.vocoder.context import move_in_context
from deident.disguise.vocoder.normalisation import (
    contour,
    normalise_means,
    normalise_spread,
    rewarp,
    tract_ratio,
)
from deident.disguise.vocoder.synthesis import (
    COMFORT_KNOTS,
    SynthesisParameters,
    VocoderVoice,
    batch_key,
    levelled,
    synthesise,
)
from deident.disguise.vocoder.tables import SPREADS
from deident.dsp.timing import interpolate_rows, limit_runs, source_positions
from deident.errors import between

ORDER = CEPSTRUM.order
FRAMES_PER_SECOND = RATE / STFT.hop
# Of the slopes of the drawn warp, in pieces of equal width on the mel scale: below 600 Hz a warp costs the most words.
WARP_WEIGHTS = (0.5, 1.0, 1.3, 1.3)
LINK = (
    0.7  # correlation of a drawn pitch and a drawn vocal tract, as people with short tracts have high voices
)
EVERY_PAUSE = 10.0  # seconds; a pause that may be so long is never shortened


@dataclass(frozen=True)
class Vocoder(Method[VocoderVoice]):
    """Synthesise every snippet anew: analysis, normalisation, and synthesis under a drawn voice.

    Normalisation brings to common averages what tells speakers apart; drawing gives every voice a pitch, a vocal tract
    and a colour that do not depend on the speaker. The excitation is new, so that nothing of the waveform remains. The
    output is never longer than the input. Pauses are shortened, so word times do not hold, unless all are kept.

    Parameters
    ----------
    mean : float, 0 to 1
        Fraction by which the snippet's mean envelope moves to the common one. Default 1.
    spread : float, 0 to 1
        Fraction by which the standard deviation of each cepstrum moves to the common one. Default 1.
    context : float, 0 to 1
        Fraction of the move that a learned map makes, which sees each frame in its context. Default 1.
    floor_db : float, 6 to 60
        Floor of each band of the envelope, in dB below the band's average. Default 25.
    noise : float, 0 to 3
        Times the background of a band that is subtracted from its power: its noise floor, and three times as much
        where it is steady noise. Default 0.5.
    tract_norm : float, 0 to 1
        Fraction by which the estimated vocal tract moves to the average one. Default 1.
    gate_db : float, 6 to 60
        Gate for speech, in dB below the loud frames; comfort noise replaces what is softer. Over a background it lies
        above that, up to 36. Default 50.
    f0_hz : (lower, upper), 60 to 400
        Range of the drawn median pitch in Hz, uniform in its logarithm. Default (95, 215).
    f0_octaves : (lower, upper), 0 to 0.5
        Range of the drawn standard deviation of the pitch contour in octaves. Default (0.12, 0.22).
    tract : (lower, upper), 0.6 to 1.6
        Range of the drawn ratio of all formants, uniform in its logarithm; it rises with the pitch.
        Default (0.85, 1.18).
    warp : float, 0 to 0.6
        Standard deviation of the log slopes of a drawn frequency warp, in nepers: half of it below 600 Hz, and 1.3
        times as much above 1,800. Default 0.25.
    tilt_db : float, 0 to 12
        Standard deviation of the drawn spectral tilt, in dB over the band. Default 1.5.
    breath : (lower, upper), 0 to 1
        Range of the drawn share of aspiration noise. Default (0, 0.25).
    colour : float, 0 to 2
        Standard deviation of the drawn offsets of each cepstrum, in common standard deviations. Default 0.4.
    pause_seconds : (lower, upper), 0 to 10
        Range of the drawn length to which longer pauses are shortened; (10, 10) keeps all. Default (0.5, 1).
    delay_seconds : float, 0 to 0.004
        Range of the drawn group delay of the pulses. Default 0.0015.
    comfort_db : float, 20 to 90
        Level of the comfort noise, in dB below the speech. Default 45.

    Raises
    ------
    SettingError
        For a setting out of its range.

    Examples
    --------
    >>> from deident.disguise import DISGUISES
    >>> DISGUISES["vocoder"]()(np.zeros(16_000), 16_000).shape
    (16000,)
    """

    @property
    def keeps_time(self) -> bool:  # type: ignore[override]  # a trait, which nobody sets
        """Every word stays at its time: no pause is shortened."""
        return self.pause_seconds[0] >= EVERY_PAUSE

    def keeping_time(self) -> Vocoder:
        """Give the method with all pauses kept."""
        return replace(self, pause_seconds=(EVERY_PAUSE, EVERY_PAUSE))

    replaces_quiet = True
    needs_fades: ClassVar[bool] = True

    mean: float = 1.0
    spread: float = 1.0
    context: float = 1.0
    floor_db: float = 25.0
    tract_norm: float = 1.0
    gate_db: float = 50.0
    f0_hz: tuple[float, float] = (95.0, 215.0)
    tract: tuple[float, float] = (0.85, 1.18)
    warp: float = 0.25
    colour: float = 0.4
    tilt_db: float = 1.5
    noise: float = 0.5
    f0_octaves: tuple[float, float] = (0.12, 0.22)
    breath: tuple[float, float] = (0.0, 0.25)
    pause_seconds: tuple[float, float] = (0.5, 1.0)
    delay_seconds: float = 0.0015
    comfort_db: float = 45.0

    def __post_init__(self) -> None:
        for name, low, high in RANGES:
            value = getattr(self, name)
            if isinstance(value, tuple):
                ordered(name, value, low, high)
            else:
                between(name, value, low, high)

    def draw(self, rng: np.random.Generator) -> VocoderVoice:
        """Draw a voice; see `Disguise.draw`."""
        # Bounded, as an extreme warp costs words, and protects no more than the others.
        drawn = rng.uniform(-1.0, 1.0, len(WARP_WEIGHTS))
        slopes = np.exp(self.warp * np.sqrt(3.0) * drawn * WARP_WEIGHTS)
        size, own = rng.standard_normal(2)
        tract = LINK * size + math.sqrt(1.0 - LINK**2) * own
        delays = rng.uniform(-0.5, 0.5, 9) * self.delay_seconds
        return VocoderVoice(
            f0_hz=_quantile(self.f0_hz, size),
            tract=_quantile(self.tract, tract),
            warp=tuple((np.cumsum(slopes) / slopes.sum()).tolist()),
            tilt_db=float(self.tilt_db * rng.standard_normal()),
            colour=(0.0, *(self.colour * rng.standard_normal(ORDER - 1)).tolist()),
            f0_octaves=float(rng.uniform(*self.f0_octaves)),
            breath=float(rng.uniform(*self.breath)),
            pause_seconds=float(rng.uniform(*self.pause_seconds)),
            delays=tuple((delays - delays.min()).tolist()),
            comfort=tuple(rng.standard_normal(COMFORT_KNOTS).tolist()),
        )

    def apply(self, audio: Audio, voice: VocoderVoice, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; the output is as long as the input, or shorter."""
        return self._each([audio], [voice], [rng])[0]

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[VocoderVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise several snippets in one pass, at the cost per second of a long one."""
        return self._each(audios, voices, rngs)  # not by `apply`, which a subclass may replace

    def _each(
        self, audios: Sequence[Audio], voices: Sequence[VocoderVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise together what has voices of one `batch_key`; silence stays silent."""
        samples = [at_work_rate(audio) for audio in audios]
        out = [Audio(np.zeros_like(own), RATE) for own in samples]
        batches: dict[object, list[int]] = {}
        for index, (own, voice, _) in enumerate(zip(samples, voices, rngs, strict=True)):
            if own.any():
                batches.setdefault(batch_key(voice), []).append(index)
        for batch in batches.values():
            made = self._batch(
                [samples[i] for i in batch], [voices[i] for i in batch], [rngs[i] for i in batch]
            )
            for index, audio in zip(batch, made, strict=True):
                out[index] = audio
        return out

    def _batch(
        self, snippets: list[Floats], voices: list[VocoderVoice], rngs: list[np.random.Generator]
    ) -> list[Audio]:
        """Disguise (samples,) snippets in voices of one `batch_key`."""
        speech = analyse(
            snippets,
            TRACKER.track_all(snippets),
            rngs,
            floor_db=self.floor_db,
            noise=self.noise,
            gate_db=self.gate_db,
        )
        rate = _shortened_pauses(speech, voices)
        most = speech.ragged.segment_sum(rate) * STFT.hop - (STFT.size - STFT.hop)
        lengths = [max(1, min(len(s), int(m))) for s, m in zip(snippets, most.tolist(), strict=True)]
        parameters = self._parameters(speech, voices, rate, lengths)
        sound = synthesise(parameters, CEPSTRUM, voices, rngs, self.comfort_db)
        return levelled(sound, parameters, speech.level)

    def _parameters(
        self,
        speech: Analysis,
        voices: list[VocoderVoice],
        rate: Doubles,
        lengths: list[int],
    ) -> SynthesisParameters:
        """Change the envelopes, and time-warp the speech to these lengths in samples."""
        ragged, into = speech.ragged, STFT.ragged(lengths)
        tracks = np.empty((ragged.frames, ORDER + 4), dtype=np.float32)
        tracks[:, :ORDER] = self._changed(speech, voices)
        tracks[:, ORDER] = ragged.spread(_drawn(voices, "tilt_db"))
        tracks[:, -3] = speech.voiced
        tracks[:, -2] = speech.presence
        tracks[:, -1] = contour(speech, _drawn(voices, "f0_octaves"))
        tracks = interpolate_rows(tracks, source_positions(rate, ragged, into))
        cepstra = tracks[:, : ORDER + 1]
        voiced, presence, octaves = np.ascontiguousarray(tracks[:, -3:].T)
        cepstra[:, 0] += np.log(presence + np.float32(1e-12))  # the gate, as log power
        return SynthesisParameters(lengths, into, cepstra, voiced, presence, octaves)

    def normalised(self, speech: Analysis) -> tuple[Floats, Floats]:
        """Normalise cepstra by snippet, before the learned map.

        Parameters
        ----------
        speech : Analysis

        Returns
        -------
        means : (frames, order) float32
        deviations : (frames, order) float32
            From the means, in common standard deviations.
        """
        cepstra = speech.cepstra
        if self.tract_norm:
            ratios = tract_ratio(speech, CEPSTRUM) ** -self.tract_norm
            cepstra = speech.ragged.transform(cepstra, rewarp(CEPSTRUM, ratios))
        means, deviations = normalise_means(cepstra, speech, self.mean)
        return means, normalise_spread(deviations, speech, self.spread) if self.spread else deviations

    def _changed(self, speech: Analysis, voices: Sequence[VocoderVoice]) -> Floats:
        """Normalise (frames, order) cepstra, and give them the statistics of the drawn voices."""
        ragged = speech.ragged
        centre, deviations = self.normalised(speech)
        if self.context:
            deviations = move_in_context(deviations, speech, self.context)
        deviations *= SPREADS[0]
        deviations += centre
        deviations += ragged.spread(SPREADS[0] * _drawn(voices, "colour"))
        tracts, knots = (np.array([getattr(voice, name) for voice in voices]) for name in ("tract", "warp"))
        return ragged.transform(deviations, rewarp(CEPSTRUM, tracts, knots))


def _shortened_pauses(speech: Analysis, voices: list[VocoderVoice]) -> Doubles:
    """Shorten pauses to those of the voices: (frames,) frames of output per frame of input."""
    pauses = np.array([voice.pause_seconds for voice in voices]) * FRAMES_PER_SECOND
    pauses[pauses >= EVERY_PAUSE * FRAMES_PER_SECOND] = np.inf
    return limit_runs(np.ones(speech.ragged.frames), speech.presence < 0.3, pauses, speech.ragged)


def _quantile(bounds: tuple[float, float], normal: float) -> float:
    """Map a unit normal to a value uniform in its logarithm between bounds."""
    share = 0.5 + 0.5 * math.erf(normal / math.sqrt(2.0))
    return float(bounds[0] * (bounds[1] / bounds[0]) ** share)


def _drawn(voices: Sequence[VocoderVoice], name: str) -> Floats:
    """Collect a parameter of all voices, (voices, ...)."""
    return np.array([getattr(voice, name) for voice in voices], dtype=np.float32)


RANGES: tuple[tuple[str, float, float], ...] = (
    ("mean", 0.0, 1.0),
    ("spread", 0.0, 1.0),
    ("context", 0.0, 1.0),
    ("floor_db", 6.0, 60.0),
    ("tract_norm", 0.0, 1.0),
    ("gate_db", 6.0, 60.0),
    ("f0_hz", 60.0, 400.0),
    ("tract", 0.6, 1.6),
    ("warp", 0.0, 0.6),
    ("colour", 0.0, 2.0),
    ("tilt_db", 0.0, 12.0),
    ("noise", 0.0, 3.0),
    ("f0_octaves", 0.0, 0.5),
    ("breath", 0.0, 1.0),
    ("pause_seconds", 0.0, EVERY_PAUSE),
    ("delay_seconds", 0.0, 0.004),
    ("comfort_db", 20.0, 90.0),
)
