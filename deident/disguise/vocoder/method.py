"""The default disguise: every snippet synthesised anew in a voice drawn without regard to the speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from deident.audio import RATE, Audio, Doubles, Floats, at_work_rate
from deident.disguise.base import Method, ordered
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, Analysis, analyse
from deident.disguise.vocoder.normalisation import (
    contour,
    covariance_map,
    normalise_means,
    normalise_sounds,
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
from deident.dsp.mel import MelCepstrum
from deident.dsp.timing import interpolate_rows, limit_runs, smooth, smooth_curve, source_positions
from deident.errors import between

_FRAMES_PER_SECOND = RATE / STFT.hop
TIMING_KNOTS = 64


@dataclass(frozen=True)
class Vocoder(Method[VocoderVoice]):
    """Synthesise every snippet anew: analysis, normalisation, and synthesis under a drawn voice.

    Normalisation brings to common averages what tells speakers apart; drawing gives every voice a pitch, a vocal tract
    and a colour that do not depend on the speaker. The excitation is new, so that nothing of the waveform remains. The
    output is never longer than the input. Pauses are shortened, so word times do not hold.

    Parameters
    ----------
    order : int, 6 to 16
        Cepstra kept of the spectral envelope. Default 16.
    mean : float, 0 to 1
        Fraction by which the snippet's mean envelope moves to the common one. Default 1.
    spread : float, 0 to 1
        Fraction by which the standard deviation of each cepstrum moves to the common one. Default 1.
    classes : bool
        Estimate the means of voiced and unvoiced frames apart. Default True.
    floor_db : float, 6 to 60
        Floor of each band of the envelope, in dB below the band's average. Default 25.
    noise : float, 0 to 3
        Times the noise floor of a band that is subtracted from its power. Default 1.
    tract_norm : float, 0 to 1
        Fraction by which the estimated vocal tract moves to the average one. Default 1.
    sounds : float, 0 to 1
        Fraction by which each kind of sound moves to its mean in average speech. Default 1.
    settle : float, 0 to 1
        Fraction by which each frame then moves to the mean of its sounds. Default 0.
    covariance : float, 0 to 1
        Fraction by which the covariance of the cepstra moves to the common one. Default 1.
    covariance_frames : float, 1 to 10000
        Frames at which the snippet's own covariance counts as much as the common one. Default 50.
    gate_db : float, 6 to 60
        Gate for speech, in dB below the loud frames; comfort noise replaces what is softer. Default 30.
    f0_hz : (lower, upper), 60 to 400
        Range of the drawn median pitch in Hz, uniform in its logarithm. Default (95, 215).
    f0_octaves : (lower, upper), 0 to 0.5
        Range of the drawn standard deviation of the pitch contour in octaves. Default (0, 0.06).
    tract : (lower, upper), 0.6 to 1.6
        Range of the drawn ratio of all formants, uniform in its logarithm. Default (1, 1).
    warp : float, 0 to 0.3
        Standard deviation of the log slopes of a drawn frequency warp, in nepers. Default 0.
    warp_knots : int, 1 to 8
        Pieces of equal width on the mel scale that the warp has. Default 4.
    tilt_db : float, 0 to 12
        Standard deviation of the drawn spectral tilt, in dB over the band. Default 1.5.
    breath : (lower, upper), 0 to 1
        Range of the drawn share of aspiration noise. Default (0, 0.25).
    smoothing : (lower, upper), 0 to 8
        Range of the drawn smoothing of the envelope over time, in frames of 16 ms. Default (0, 0).
    loudness_jitter : float, 0 to 1
        Standard deviation of the drawn log scale of the first cepstrum, in nepers. Default 0.4.
    spread_jitter : float, 0 to 0.5
        The same for each other cepstrum. Default 0.2.
    colour : float, 0 to 2
        Standard deviation of the drawn offsets of each cepstrum, in common standard deviations. Default 0.8.
    sharpness : float, 0.5 to 2
        Scale of all cepstra but the first: above 1, formants are sharper than found. Default 1.15.
    timing : float, 0 to 0.5
        Standard deviation of the drawn local rate, in nepers. Default 0.
    timing_seconds : float, 0.05 to 2
        Time from one drawn rate to the next. Default 0.16.
    pause_seconds : (lower, upper), 0 to 10
        Range of the drawn length to which longer pauses are shortened. Default (0.18, 0.33).
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

    replaces_quiet = True
    needs_fades: ClassVar[bool] = True

    order: int = 16
    mean: float = 1.0
    spread: float = 1.0
    classes: bool = True
    floor_db: float = 25.0
    noise: float = 1.0
    tract_norm: float = 1.0
    sounds: float = 1.0
    settle: float = 0.0
    covariance: float = 1.0
    covariance_frames: float = 50.0
    gate_db: float = 30.0
    f0_hz: tuple[float, float] = (95.0, 215.0)
    f0_octaves: tuple[float, float] = (0.0, 0.06)
    tract: tuple[float, float] = (1.0, 1.0)
    warp: float = 0.0
    warp_knots: int = 4
    tilt_db: float = 1.5
    breath: tuple[float, float] = (0.0, 0.25)
    smoothing: tuple[float, float] = (0.0, 0.0)
    loudness_jitter: float = 0.4
    spread_jitter: float = 0.2
    colour: float = 0.8
    sharpness: float = 1.15
    timing: float = 0.0
    timing_seconds: float = 0.16
    pause_seconds: tuple[float, float] = (0.18, 0.33)
    delay_seconds: float = 0.0015
    comfort_db: float = 45.0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if isinstance(value, tuple):
                ordered(name, value, low, high)
            else:
                between(name, value, low, high)

    def draw(self, rng: np.random.Generator) -> VocoderVoice:
        """Draw a voice; see `Disguise.draw`."""
        slopes = np.exp(self.warp * rng.standard_normal(self.warp_knots))
        delays = rng.uniform(-0.5, 0.5, 9) * self.delay_seconds
        jitter = np.array((self.loudness_jitter, *(self.spread_jitter,) * (self.order - 1)))
        return VocoderVoice(
            f0_hz=float(np.exp(rng.uniform(*np.log(self.f0_hz)))),
            f0_octaves=float(rng.uniform(*self.f0_octaves)),
            tract=float(np.exp(rng.uniform(*np.log(self.tract)))),
            warp=tuple((np.cumsum(slopes) / slopes.sum()).tolist()),
            tilt_db=float(self.tilt_db * rng.standard_normal()),
            breath=float(rng.uniform(*self.breath)),
            smoothing=float(rng.uniform(*self.smoothing)),
            spreads=tuple(np.exp(jitter * rng.standard_normal(self.order)).tolist()),
            colour=(0.0, *(self.colour * rng.standard_normal(self.order - 1)).tolist()),
            timing=tuple((self.timing * rng.standard_normal(TIMING_KNOTS)).tolist()),
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
        cepstrum = CEPSTRUM if self.order == CEPSTRUM.order else replace(CEPSTRUM, order=self.order)
        speech = analyse(
            snippets, cepstrum, TRACKER, floor_db=self.floor_db, noise=self.noise, gate_db=self.gate_db
        )
        rate = self._time_warp(speech, voices, np.array([rng.random() for rng in rngs]))
        most = speech.ragged.segment_sum(rate) * STFT.hop - (STFT.size - STFT.hop)
        lengths = [max(1, min(len(s), int(m))) for s, m in zip(snippets, most.tolist(), strict=True)]
        parameters = self._parameters(speech, cepstrum, voices, rate, lengths)
        return levelled(
            synthesise(parameters, cepstrum, voices, rngs, self.comfort_db), parameters, speech.level
        )

    def _parameters(
        self,
        speech: Analysis,
        cepstrum: MelCepstrum,
        voices: list[VocoderVoice],
        rate: Doubles,
        lengths: list[int],
    ) -> SynthesisParameters:
        """Normalise the speech, and time-warp it to these lengths in samples."""
        ragged, into, order = speech.ragged, STFT.ragged(lengths), self.order
        tracks = np.empty((ragged.frames, order + 4), dtype=np.float32)
        tracks[:, :order] = self._normalised(speech, cepstrum, voices)
        tracks[:, order] = ragged.spread(_drawn(voices, "tilt_db"))
        tracks[:, -3] = speech.voiced
        tracks[:, -2] = speech.presence
        tracks[:, -1] = contour(speech, _drawn(voices, "f0_octaves"))
        tracks = interpolate_rows(tracks, source_positions(rate, ragged, into))
        cepstra = tracks[:, : order + 1]
        voiced, presence, octaves = np.ascontiguousarray(tracks[:, -3:].T)
        cepstra[:, 0] += np.log(presence + np.float32(1e-12))  # the gate, as log power
        return SynthesisParameters(lengths, into, cepstra, voiced, presence, octaves)

    def _normalised(self, speech: Analysis, cepstrum: MelCepstrum, voices: list[VocoderVoice]) -> Floats:
        """Normalise (frames, order) cepstra, and give them the statistics of the drawn voices."""
        ragged, cepstra, spreads = speech.ragged, speech.cepstra, SPREADS[0, : self.order]
        if self.tract_norm:
            ratios = tract_ratio(speech, cepstrum) ** -self.tract_norm
            cepstra = ragged.transform(cepstra, rewarp(cepstrum, ratios))
        centre, deviations = normalise_means(cepstra, speech, self.mean, self.classes)
        if self.spread:
            deviations = normalise_spread(deviations, speech, self.spread)
        if self.sounds or self.settle:
            deviations = normalise_sounds(deviations, speech, self.sounds, self.settle)
        scale = spreads * _drawn(voices, "spreads")
        scale[:, 1:] *= np.float32(self.sharpness)
        if self.covariance:
            matrices = covariance_map(deviations, speech, self.covariance_frames, self.covariance)
            deviations = ragged.transform(deviations, matrices * scale[:, None])
        else:
            deviations = deviations * ragged.spread(scale)
        deviations = smooth(deviations, voices[0].smoothing, ragged)
        deviations += centre
        deviations += ragged.spread(spreads * _drawn(voices, "colour"))
        return deviations

    def _time_warp(self, speech: Analysis, voices: list[VocoderVoice], start: Doubles) -> Doubles:
        """Draw (frames,) frames of output per frame of input; their sum is at most the number of frames."""
        ragged = speech.ragged
        timing = np.array([voice.timing for voice in voices])
        curve = smooth_curve(timing, self.timing_seconds * _FRAMES_PER_SECOND, ragged, start)
        pauses = np.array([voice.pause_seconds for voice in voices]) * _FRAMES_PER_SECOND
        rate = limit_runs(np.exp(curve), speech.presence < 0.3, pauses, ragged)
        rate *= ragged.spread(np.minimum(1.0, np.array(ragged.counts) / ragged.segment_sum(rate)))
        return rate


def _drawn(voices: list[VocoderVoice], name: str) -> Floats:
    """Collect a parameter of all voices, (voices, ...)."""
    return np.array([getattr(voice, name) for voice in voices], dtype=np.float32)


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("order", 6, 16),
    ("mean", 0.0, 1.0),
    ("spread", 0.0, 1.0),
    ("floor_db", 6.0, 60.0),
    ("noise", 0.0, 3.0),
    ("tract_norm", 0.0, 1.0),
    ("sounds", 0.0, 1.0),
    ("settle", 0.0, 1.0),
    ("covariance", 0.0, 1.0),
    ("covariance_frames", 1.0, 10_000.0),
    ("gate_db", 6.0, 60.0),
    ("f0_hz", 60.0, 400.0),
    ("f0_octaves", 0.0, 0.5),
    ("tract", 0.6, 1.6),
    ("warp", 0.0, 0.3),
    ("warp_knots", 1, 8),
    ("tilt_db", 0.0, 12.0),
    ("breath", 0.0, 1.0),
    ("smoothing", 0.0, 8.0),
    ("loudness_jitter", 0.0, 1.0),
    ("spread_jitter", 0.0, 0.5),
    ("colour", 0.0, 2.0),
    ("sharpness", 0.5, 2.0),
    ("timing", 0.0, 0.5),
    ("timing_seconds", 0.05, 2.0),
    ("pause_seconds", 0.0, 10.0),
    ("delay_seconds", 0.0, 0.004),
    ("comfort_db", 20.0, 90.0),
)
