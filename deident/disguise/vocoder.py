"""The default disguise: every snippet spoken anew by a voice that was drawn without regard to the speaker."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from deident.audio import RATE, Audio, at_work_rate
from deident.disguise.base import Method, ordered
from deident.disguise.vocoder_erase import (
    Speech,
    analyse,
    contour,
    covariance_map,
    normalise_means,
    normalise_sounds,
    normalise_spread,
    rewarp,
    tract_ratio,
)
from deident.disguise.vocoder_tables import SPREADS
from deident.dsp.excitation import add_pulses, noise, pulse_shapes
from deident.dsp.level import bend_peaks
from deident.dsp.mel import HIGHEST_HZ, MelCepstrum, mel
from deident.dsp.pitch import PitchTracker
from deident.dsp.stft import Complexes, Floats, Stft
from deident.dsp.timing import Doubles, clamp_runs, eased, places, rows_at, smooth
from deident.errors import between
from deident.secret import KEY_BYTES

_STFT = Stft(512, 256)  # frames every 8 ms cost a fifth more, and bring the recogniser nothing
TRACKER = PitchTracker(hop=256)
CEPSTRUM = MelCepstrum(_STFT)
_FRAMES_PER_SECOND = RATE / _STFT.hop
LEVEL = 0.06  # root mean square of the speech, full scale 1
SILENCE = 1e-7  # power of the loud frames, -70 dB: what is softer is not made louder
TIMING_KNOTS = 64
COMFORT_KNOTS = 6
_NEPERS = np.log(10.0) / 20.0  # to a decibel

_BINS_HZ = CEPSTRUM.bins_hz
_PLACES = mel(_BINS_HZ) / mel(HIGHEST_HZ)  # of the bins, 0 to 1


@dataclass(frozen=True)
class VocoderVoice:
    """What was drawn. Nothing of it depends on the speaker, and nothing of it is kept."""

    f0_hz: float = field(repr=False)
    f0_octaves: float = field(repr=False)
    tract: float = field(repr=False)
    warp: tuple[float, ...] = field(repr=False)
    tilt_db: float = field(repr=False)
    breath: float = field(repr=False)
    smoothing: float = field(repr=False)
    spreads: tuple[float, ...] = field(repr=False)
    colour: tuple[float, ...] = field(repr=False)
    timing: tuple[float, ...] = field(repr=False)
    pause_seconds: float = field(repr=False)
    delays: tuple[float, ...] = field(repr=False)
    comfort: tuple[float, ...] = field(repr=False)
    noise: bytes = field(repr=False)


@dataclass(frozen=True)
class _Score:
    """What to sing, frame by frame of the output. The cepstra have a one at their end."""

    cepstra: Floats
    voiced: Floats
    spoken: Floats
    octaves: Floats


@dataclass(frozen=True)
class Vocoder(Method[VocoderVoice]):
    """Many voices to one: analysis, erasure and resynthesis under a drawn voice.

    What is erased
    order : cepstra kept of the envelope.   mean, spread : 0 to 1, how far the snippet's average envelope and
    its spread go to the common ones.   classes : voiced and unvoiced sounds each have their own average.
    floor_db : what is further below a band's average is not told apart.   noise : how many times the noise of
    a band is taken off it.   tract_norm : 0 to 1, how far the estimated vocal tract goes to the average one.
    sounds : 0 to 1, how far each kind of sound goes to where average speech has it.   settle : 0 to 1, how far
    each frame then goes to the middle of its sounds.   covariance : 0 to 1, how far the way cepstra move
    together goes to the common one; `covariance_frames` of the common one count with the snippet's own.
    gate_db : what is further below the loud frames gives way to comfort noise.

    What is drawn, as (lower, upper)
    f0_hz : the pitch, evenly in its logarithm.   f0_octaves : spread of what is left of the melody.
    tract : ratio of all formants.   smoothing : of the envelope over time, in frames of 16 ms.
    breath : 0 to 1.   pause_seconds : the longest pause.
    and as standard deviations
    colour : of each cepstrum's mean, in common spreads.   warp : of the slopes between `warp_knots` knots of a
    smooth frequency warp, in nepers.   tilt_db : over the band.   spread_jitter : of each cepstrum's spread,
    in nepers.   timing : of the local pace, in nepers, at `timing_seconds`.   delay_seconds : of the pulses'
    group delay.

    sharpness : of the formants, 1 = as found after smoothing.   comfort_db : of what lies between words,
    below the speech. The output is never longer than the input.
    Raises `SettingError` for settings out of range."""

    replaces_quiet: ClassVar[bool] = True

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
    spread_jitter: float = 0.25
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
        """A voice. The generator's bits decide everything, down to the noise."""
        slopes = np.exp(self.warp * rng.standard_normal(self.warp_knots))
        delays = rng.uniform(-0.5, 0.5, 9) * self.delay_seconds
        return VocoderVoice(
            f0_hz=float(np.exp(rng.uniform(*np.log(self.f0_hz)))),
            f0_octaves=float(rng.uniform(*self.f0_octaves)),
            tract=float(np.exp(rng.uniform(*np.log(self.tract)))),
            warp=tuple((np.cumsum(slopes) / slopes.sum()).tolist()),
            tilt_db=float(self.tilt_db * rng.standard_normal()),
            breath=float(rng.uniform(*self.breath)),
            smoothing=float(rng.uniform(*self.smoothing)),
            spreads=tuple(np.exp(self.spread_jitter * rng.standard_normal(self.order)).tolist()),
            colour=(0.0, *(self.colour * rng.standard_normal(self.order - 1)).tolist()),
            timing=tuple((self.timing * rng.standard_normal(TIMING_KNOTS)).tolist()),
            pause_seconds=float(rng.uniform(*self.pause_seconds)),
            delays=tuple((delays - delays.min()).tolist()),
            comfort=tuple(rng.standard_normal(COMFORT_KNOTS).tolist()),
            noise=rng.bytes(KEY_BYTES),
        )

    def apply(self, audio: Audio, voice: VocoderVoice) -> Audio:
        """The same words in another voice; as long as the input, or shorter."""
        samples = at_work_rate(audio)
        if not max(samples.max(initial=0.0), -samples.min(initial=0.0)):
            return Audio(np.zeros_like(samples), RATE)
        cepstrum = CEPSTRUM if self.order == CEPSTRUM.order else replace(CEPSTRUM, order=self.order)
        speech = analyse(
            samples, cepstrum, TRACKER, floor_db=self.floor_db, noise=self.noise, gate_db=self.gate_db
        )
        rng = _generator(voice)
        pace = self._pace(speech, voice, rng.random())
        length = max(1, min(len(samples), int(pace.sum() * _STFT.hop) - (_STFT.size - _STFT.hop)))
        times = np.arange(_STFT.frames(length), dtype=np.float64) + 0.5
        where = places(pace, times)
        tracks = np.ones((len(pace), self.order + 4), dtype=np.float32)
        tracks[:, : self.order] = self._erased(speech, cepstrum, voice)
        tracks[:, -3] = speech.voiced
        tracks[:, -2] = speech.spoken
        tracks[:, -1] = contour(speech, voice.f0_octaves)
        tracks = rows_at(tracks, where)
        score = _Score(tracks[:, : self.order + 1], *np.ascontiguousarray(tracks[:, -3:].T))
        sound = self._sung(score, cepstrum, voice, _source(score, voice, length, rng))
        return Audio(_levelled(sound, score.spoken, speech.level), RATE)

    def _erased(self, speech: Speech, cepstrum: MelCepstrum, voice: VocoderVoice) -> Floats:
        """(frames, order) cepstra of what was said, as the drawn voice moves."""
        cepstra = speech.cepstra
        if self.tract_norm:
            cepstra = cepstra @ rewarp(cepstrum, tract_ratio(speech, cepstrum) ** -self.tract_norm)
        centre, moves = normalise_means(cepstra, speech, self.mean, self.classes)
        if self.spread:
            moves = normalise_spread(moves, speech, self.spread)
        if self.sounds or self.settle:
            moves = normalise_sounds(moves, speech, self.sounds, self.settle)
        onward = np.diag(SPREADS[0, : self.order] * np.array(voice.spreads, dtype=np.float32))
        onward[1:, 1:] *= np.float32(self.sharpness)
        if self.covariance:
            onward = covariance_map(moves, speech, self.covariance_frames, self.covariance) @ onward
        moves = smooth(moves @ onward, voice.smoothing)
        moves += centre
        moves += SPREADS[0, : self.order] * np.array(voice.colour, dtype=np.float32)
        return moves

    def _pace(self, speech: Speech, voice: VocoderVoice, start: float) -> Doubles:
        """(frames,) how many frames of output each frame becomes; together no more than there are."""
        curve = eased(
            np.array(voice.timing), self.timing_seconds * _FRAMES_PER_SECOND, len(speech.spoken), start
        )
        pace = clamp_runs(np.exp(curve), speech.spoken < 0.3, voice.pause_seconds * _FRAMES_PER_SECOND)
        pace *= min(1.0, len(pace) / float(pace.sum()))
        return pace

    def _sung(self, score: _Score, cepstrum: MelCepstrum, voice: VocoderVoice, source: Floats) -> Floats:
        """(samples,) the source under the envelope of the score."""
        basis, comfort = self._colours(cepstrum, voice)
        score.cepstra[:, 0] += np.log(score.spoken + np.float32(1e-12))  # the gate, in the envelope's measure

        def colour(frames: slice, spectra: Complexes) -> Complexes:
            envelope = score.cepstra[frames] @ basis
            np.exp(envelope, out=envelope)
            envelope += comfort
            spectra *= envelope
            spectra[:, :2] = 0.0
            return spectra

        return _STFT.process(source, colour)

    def _colours(self, cepstrum: MelCepstrum, voice: VocoderVoice) -> tuple[Floats, Floats]:
        """(order + 1, bins) from cepstra and a one to log amplitude as drawn, and (bins,) the amplitude of the
        comfort noise."""
        tilt = (voice.tilt_db * _NEPERS * (_PLACES - 0.5)).astype(np.float32)
        knots = np.linspace(0.0, 1.0, COMFORT_KNOTS)
        comfort = 0.25 * np.interp(_PLACES, knots, voice.comfort) - self.comfort_db * _NEPERS - _PLACES
        basis = np.vstack((_basis(cepstrum, voice.tract, voice.warp), tilt))
        return basis, np.exp(comfort).astype(np.float32)


@lru_cache(1)  # by default nothing of it is drawn, and what is drawn is not kept
def _basis(cepstrum: MelCepstrum, tract: float, warp: tuple[float, ...]) -> Floats:
    """(order, bins) from cepstra to log amplitude, with formants and frequencies moved."""
    highest = mel(HIGHEST_HZ)
    moved = mel(np.minimum(_BINS_HZ / tract, HIGHEST_HZ))
    knots = np.linspace(0.0, highest, len(warp) + 1)
    source = np.interp(moved, knots, highest * np.array((0.0, *warp)))
    return cepstrum.basis_at(source) * np.float32(0.5)  # amplitude, not power


def _source(score: _Score, voice: VocoderVoice, length: int, rng: np.random.Generator) -> Floats:
    """(length,) what the throat does, all of it white but for the balance of pulses and noise."""
    hop, frames = _STFT.hop, len(score.voiced)
    drift = eased(0.02 * rng.standard_normal(TIMING_KNOTS), 20.0, frames)
    f0_hz = voice.f0_hz * np.exp(np.log(2.0) * score.octaves + drift)
    sound = noise(rng, score.voiced, voice.breath, hop)[hop // 2 :]
    shapes = pulse_shapes(voice.breath, np.array(voice.delays))
    add_pulses(sound, f0_hz, np.sqrt(score.voiced), hop, rng.random(), shapes)
    return sound[:length]


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
    ("spread_jitter", 0.0, 0.5),
    ("colour", 0.0, 2.0),
    ("sharpness", 0.5, 2.0),
    ("timing", 0.0, 0.5),
    ("timing_seconds", 0.05, 2.0),
    ("pause_seconds", 0.0, 10.0),
    ("delay_seconds", 0.0, 0.004),
    ("comfort_db", 20.0, 90.0),
)


def _generator(voice: VocoderVoice) -> np.random.Generator:
    """A stream of the voice's own bits."""
    words = np.frombuffer(voice.noise, dtype=np.uint32)
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(words, pool_size=8)))


def _levelled(sound: Floats, spoken: Floats, level: float) -> Floats:
    """`sound`, which is changed, at the constant level, less where the source was all but silent; its peaks
    rounded, not clipped."""
    hop = _STFT.hop
    edges = np.append(np.arange(0, len(sound) + hop // 2, hop) - hop // 2, len(sound)).clip(0)
    weight = spoken[: len(edges) - 1]
    energy = np.add.reduceat(np.square(sound), edges[:-1])
    power = float(weight @ energy) / (float(weight @ np.diff(edges)) + 1e-3)
    sound *= np.float32(LEVEL / (power + 1e-12) ** 0.5 * min(1.0, (level / SILENCE) ** 0.5))
    return bend_peaks(sound)
