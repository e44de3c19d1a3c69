"""The default disguise: every snippet spoken anew by a voice that was drawn without regard to the speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from deident.audio import RATE, Audio, Complexes, Doubles, Floats, at_work_rate
from deident.disguise.base import Method, ordered
from deident.disguise.vocoder.normalisation import (
    Analysis,
    analyse,
    contour,
    covariance_map,
    normalise_means,
    normalise_sounds,
    normalise_spread,
    rewarp,
    tract_ratio,
)
from deident.disguise.vocoder.tables import SPREADS
from deident.dsp.excitation import add_pulses, fill_with_noise, pulse_shapes, shape_size
from deident.dsp.level import bend_peaks
from deident.dsp.mel import HIGHEST_HZ, MelCepstrum, mel
from deident.dsp.pitch import PitchTracker
from deident.dsp.ragged import Ragged
from deident.dsp.stft import Stft
from deident.dsp.timing import interpolate_rows, limit_runs, smooth, smooth_curve, source_positions
from deident.errors import between

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
_COMFORTS = np.stack(  # (knots, bins) from what is drawn at knots to bins, by straight lines
    [np.interp(_PLACES, np.linspace(0.0, 1.0, COMFORT_KNOTS), knot) for knot in np.eye(COMFORT_KNOTS)]
)


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


@dataclass(frozen=True)
class _Score:
    """What to sing, frame by frame of the output. The cepstra have the tilt at their end."""

    lengths: list[int]
    joined: Ragged
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
    smooth frequency warp, in nepers.   tilt_db : over the band.   loudness_jitter, spread_jitter : of the spread
    of the first cepstrum, and of each other's, in nepers.   timing : of the local pace, in nepers, at
    `timing_seconds`.   delay_seconds : of the pulses' group delay.

    sharpness : of the formants, 1 = as found after smoothing.   comfort_db : of what lies between words,
    below the speech. The output is never longer than the input.
    Raises `SettingError` for settings out of range."""

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
        """Draw a voice: what all snippets in it share."""
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
        """The same words in another voice; as long as the input, or shorter."""
        return self._each([audio], [voice], [rng])[0]

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[VocoderVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """`apply` for each audio and its voice, in one pass: so, a second costs as little in short audios as in
        a long one."""
        return self._each(audios, voices, rngs)

    def _each(
        self, audios: Sequence[Audio], voices: Sequence[VocoderVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        sounds = [at_work_rate(audio) for audio in audios]
        out: dict[int, Audio] = {}
        alike: dict[object, list[int]] = {}
        for index, (samples, voice, _) in enumerate(zip(sounds, voices, rngs, strict=True)):
            if samples.any():
                alike.setdefault(_kind(voice), []).append(index)
            else:
                out[index] = Audio(np.zeros_like(samples), RATE)
        for those in alike.values():
            made = self._together(
                [sounds[i] for i in those], [voices[i] for i in those], [rngs[i] for i in those]
            )
            out.update(zip(those, made, strict=True))
        return [out[index] for index in range(len(sounds))]

    def _together(
        self, snippets: list[Floats], voices: list[VocoderVoice], rngs: list[np.random.Generator]
    ) -> list[Audio]:
        """Each snippet, (samples,), in its voice, of voices of one `_kind`."""
        cepstrum = CEPSTRUM if self.order == CEPSTRUM.order else replace(CEPSTRUM, order=self.order)
        speech = analyse(
            snippets, cepstrum, TRACKER, floor_db=self.floor_db, noise=self.noise, gate_db=self.gate_db
        )
        pace = self._pace(speech, voices, np.array([rng.random() for rng in rngs]))
        most = speech.joined.segment_sum(pace) * _STFT.hop - (_STFT.size - _STFT.hop)
        lengths = [max(1, min(len(s), int(m))) for s, m in zip(snippets, most.tolist(), strict=True)]
        score = self._score(speech, cepstrum, voices, pace, lengths)
        sound = self._sung(score, cepstrum, voices, _source(score, voices, rngs))
        return _levelled(sound, score, speech.level)

    def _score(
        self,
        speech: Analysis,
        cepstrum: MelCepstrum,
        voices: list[VocoderVoice],
        pace: Doubles,
        lengths: list[int],
    ) -> _Score:
        """What was said, as the drawn voices say it, at their pace."""
        joined, into, order = speech.joined, _STFT.ragged(lengths), self.order
        tracks = np.empty((joined.frames, order + 4), dtype=np.float32)
        tracks[:, :order] = self._erased(speech, cepstrum, voices)
        tracks[:, order] = joined.spread(_drawn(voices, "tilt_db"))
        tracks[:, -3] = speech.voiced
        tracks[:, -2] = speech.spoken
        tracks[:, -1] = contour(speech, _drawn(voices, "f0_octaves"))
        tracks = interpolate_rows(tracks, source_positions(pace, joined, into))
        cepstra = tracks[:, : order + 1]
        voiced, spoken, octaves = np.ascontiguousarray(tracks[:, -3:].T)
        cepstra[:, 0] += np.log(spoken + np.float32(1e-12))  # the gate, in the envelope's measure
        return _Score(lengths, into, cepstra, voiced, spoken, octaves)

    def _erased(self, speech: Analysis, cepstrum: MelCepstrum, voices: list[VocoderVoice]) -> Floats:
        """(frames, order) cepstra of what was said, as the drawn voices move."""
        joined, cepstra, spreads = speech.joined, speech.cepstra, SPREADS[0, : self.order]
        if self.tract_norm:
            ratios = tract_ratio(speech, cepstrum) ** -self.tract_norm
            cepstra = joined.transform(cepstra, rewarp(cepstrum, ratios))
        centre, moves = normalise_means(cepstra, speech, self.mean, self.classes)
        if self.spread:
            moves = normalise_spread(moves, speech, self.spread)
        if self.sounds or self.settle:
            moves = normalise_sounds(moves, speech, self.sounds, self.settle)
        onward = spreads * _drawn(voices, "spreads")
        onward[:, 1:] *= np.float32(self.sharpness)
        if self.covariance:
            carried = covariance_map(moves, speech, self.covariance_frames, self.covariance)
            moves = joined.transform(moves, carried * onward[:, None])
        else:
            moves = moves * joined.spread(onward)
        moves = smooth(moves, voices[0].smoothing, joined)
        moves += centre
        moves += joined.spread(spreads * _drawn(voices, "colour"))
        return moves

    def _pace(self, speech: Analysis, voices: list[VocoderVoice], start: Doubles) -> Doubles:
        """(frames,) how many frames of output each frame becomes; together no more than there are."""
        joined = speech.joined
        timing = np.array([voice.timing for voice in voices])
        curve = smooth_curve(timing, self.timing_seconds * _FRAMES_PER_SECOND, joined, start)
        pauses = np.array([voice.pause_seconds for voice in voices]) * _FRAMES_PER_SECOND
        pace = limit_runs(np.exp(curve), speech.spoken < 0.3, pauses, joined)
        pace *= joined.spread(np.minimum(1.0, np.array(joined.counts) / joined.segment_sum(pace)))
        return pace

    def _sung(
        self, score: _Score, cepstrum: MelCepstrum, voices: list[VocoderVoice], source: Floats
    ) -> Floats:
        """(padded,) the source under the envelope of the score."""
        basis = _basis(cepstrum, voices[0].tract, voices[0].warp)
        comfort = self._comfort(voices)

        def colour(frames: slice, spectra: Complexes) -> Complexes:
            envelope = score.cepstra[frames] @ basis
            np.exp(envelope, out=envelope)
            envelope += score.joined.spread(comfort, frames)
            spectra *= envelope
            spectra[:, :2] = 0.0
            return spectra

        return _STFT.process_padded(source, colour)

    def _comfort(self, voices: list[VocoderVoice]) -> Floats:
        """(voices, bins) the amplitude of the noise between words."""
        drawn = np.array([voice.comfort for voice in voices]) @ _COMFORTS
        comfort: Floats = np.exp(0.25 * drawn - self.comfort_db * _NEPERS - _PLACES).astype(np.float32)
        return comfort


def _kind(voice: VocoderVoice) -> object:
    """What voices have to share to be sung together. By default nothing of it is drawn."""
    return voice.tract, voice.warp, voice.smoothing, shape_size(max(voice.delays))


def _drawn(voices: list[VocoderVoice], name: str) -> Floats:
    """(voices, ...) what was drawn for each."""
    return np.array([getattr(voice, name) for voice in voices], dtype=np.float32)


@lru_cache(1)  # by default nothing of it is drawn, and what is drawn is not kept
def _basis(cepstrum: MelCepstrum, tract: float, warp: tuple[float, ...]) -> Floats:
    """(order + 1, bins) from cepstra to log amplitude, with formants and frequencies moved; and from a tilt in
    dB over the band."""
    highest = mel(HIGHEST_HZ)
    moved = mel(np.minimum(_BINS_HZ / tract, HIGHEST_HZ))
    knots = np.linspace(0.0, highest, len(warp) + 1)
    source = np.interp(moved, knots, highest * np.array((0.0, *warp)))
    tilt = (_NEPERS * (_PLACES - 0.5)).astype(np.float32)
    return np.vstack((cepstrum.basis_at(source) * np.float32(0.5), tilt))  # amplitude, not power


def _source(score: _Score, voices: list[VocoderVoice], rngs: list[np.random.Generator]) -> Floats:
    """(padded,) what the throat does, all of it white but for the balance of pulses and noise."""
    hop, joined = _STFT.hop, score.joined
    knots = 0.02 * np.array([rng.standard_normal(TIMING_KNOTS) for rng in rngs])
    drift = smooth_curve(knots, 20.0, joined)
    f0_hz = np.array([voice.f0_hz for voice in voices])
    f0_hz = joined.spread(f0_hz) * np.exp(np.log(2.0) * score.octaves + drift)
    breath = np.array([voice.breath for voice in voices])
    padded = np.empty((joined.frames + 1) * hop, dtype=np.float32)
    padded[: hop // 2] = padded[-hop // 2 :] = 0.0
    fill_with_noise(padded[hop // 2 : -hop // 2], rngs, score.voiced, breath, hop, joined)
    shapes = pulse_shapes(breath, np.array([voice.delays for voice in voices]))
    phase = np.array([rng.random() for rng in rngs])
    add_pulses(padded[hop:], f0_hz, np.sqrt(score.voiced), hop, phase, shapes, joined)
    _hush(padded, score)
    return padded


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


def _levelled(sound: Floats, score: _Score, level: Floats) -> list[Audio]:
    """Each snippet in (padded,) sound, which is changed: at the constant level, less where the source was all
    but silent; peaks rounded, not clipped."""
    hop, joined = _STFT.hop, score.joined
    _hush(sound, score)
    rows = sound[hop // 2 : -hop // 2].reshape(-1, hop)
    energy = joined.segment_sum(score.spoken * np.einsum("ij,ij->i", rows, rows))
    ends = joined.spread(np.array(score.lengths))
    middles = joined.local_index * hop
    samples = np.minimum(middles + hop // 2, ends) - np.minimum(np.maximum(middles - hop // 2, 0), ends)
    power = energy / (joined.segment_sum(score.spoken * samples.astype(np.float32)) + np.float32(1e-3))
    gain = LEVEL / np.sqrt(power + 1e-12) * np.minimum(1.0, np.sqrt(level / SILENCE))
    made = (
        Audio.trusted if np.isfinite(gain * power).all() else Audio
    )  # a sample that is not tells in its power
    pieces = _pieces(sound, score)
    return [made(bend_peaks(own * amount)[None], RATE) for own, amount in zip(pieces, gain, strict=True)]


def _pieces(padded: Floats, score: _Score) -> list[Floats]:
    """(samples,) views of each snippet."""
    firsts = _STFT.offsets(score.joined)
    return [padded[first : first + length] for first, length in zip(firsts, score.lengths, strict=True)]


def _hush(padded: Floats, score: _Score) -> None:
    """Silence what lies between the snippets."""
    end = 0
    for first, length in zip(_STFT.offsets(score.joined), score.lengths, strict=True):
        padded[end:first] = 0.0
        end = first + length
    padded[end:] = 0.0
