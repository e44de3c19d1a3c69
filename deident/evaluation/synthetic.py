"""Voices that belong to no one: many speakers from a few numbers each, talking nonsense.

They exercise an evaluation where there is no speech at hand. What a disguise does to them says nothing of
what it does to people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from deident.audio import RATE, Audio, Doubles
from deident.dsp.stft import frame_view
from deident.evaluation.corpus import Corpus, Utterance

SIZE, HOP = 512, 128
# First three formants of ten vowels, Hz, men: Peterson & Barney, J. Acoust. Soc. Am. 24 (1952), table II.
VOWELS = np.array(
    [
        (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
        (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690),
    ],
    dtype=np.float64,
)  # fmt: skip


@dataclass(frozen=True)
class Speaker:
    """A synthetic voice.

    f0_hz : median.   f0_range : deviation of log F0.   tract : formant scale, 1 = a man of 1952.
    tilt_db : per octave.   jitter : period to period.   breath : noise in voiced sounds.
    rate : syllables a second.   pause : share of syllables followed by a pause.
    colour : (3,) own shift of the formants.   room_db : (8,) colouring by microphone and room.
    """

    f0_hz: float
    f0_range: float
    tract: float
    tilt_db: float
    jitter: float
    breath: float
    rate: float
    pause: float
    colour: tuple[float, ...]
    room_db: tuple[float, ...]


def draw_speaker(sex: str, rng: np.random.Generator) -> Speaker:
    """One voice of the given sex, "F" or "M"."""
    female = sex == "F"
    return Speaker(
        f0_hz=float(np.exp(rng.normal(np.log(205.0 if female else 118.0), 0.15))),
        f0_range=float(rng.uniform(0.08, 0.22)),
        tract=float(rng.normal(1.17 if female else 1.0, 0.06)),
        tilt_db=float(rng.normal(-4.5 if female else -3.0, 2.0)),
        jitter=float(rng.uniform(0.003, 0.015)),
        breath=float(rng.uniform(0.02, 0.2)),
        rate=float(rng.uniform(3.5, 6.0)),
        pause=float(rng.uniform(0.08, 0.25)),
        colour=tuple(rng.normal(0.0, 0.07, 3).tolist()),
        room_db=tuple(rng.normal(0.0, 2.5, 8).tolist()),
    )


def speak(speaker: Speaker, seconds: float, rng: np.random.Generator) -> Audio:
    """Nonsense syllables of about this length in this voice, at 16 kHz."""
    frames = round(seconds * RATE / HOP)
    formants, voiced, level, f0 = _parameters(speaker, frames, rng)
    samples = frames * HOP + SIZE
    source = _excitation(speaker, f0, voiced, samples, rng)
    window = np.sin(np.pi * (np.arange(SIZE) + 0.5) / SIZE)
    spectra = scipy.fft.rfft(frame_view(source.astype(np.float32), SIZE, HOP)[:frames] * window)
    spectra *= _envelope(speaker, formants, voiced) * level[:, None]
    shaped = scipy.fft.irfft(spectra, SIZE) * window
    out = np.zeros(samples)
    for part in range(SIZE // HOP):
        rows = out[part * HOP :][: frames * HOP].reshape(frames, HOP)
        rows += shaped[:, part * HOP : (part + 1) * HOP]
    out *= 0.1 / max(float(np.sqrt(np.mean(out**2))), 1e-9)
    out += rng.normal(0.0, 3e-4, samples)
    return Audio(np.clip(out, -1.0, 1.0), RATE)


def _parameters(
    speaker: Speaker, frames: int, rng: np.random.Generator
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Formants (frames, 3), voicing, level and F0 (frames,) of a row of syllables."""
    per_second = RATE / HOP
    formants, voiced = np.zeros((frames, 3)), np.zeros(frames)
    level, accent = np.zeros(frames), np.zeros(frames)
    at = 0
    while at < frames:
        length = max(6, round(per_second / speaker.rate * rng.uniform(0.7, 1.4)))
        consonant = round(length * rng.uniform(0.15, 0.4))
        span = slice(at, min(at + length, frames))
        formants[span] = VOWELS[rng.integers(len(VOWELS))]
        accent[span] = rng.normal()
        level[at : at + consonant] = rng.uniform(0.05, 0.3)
        level[at + consonant : at + length] = rng.uniform(0.6, 1.0)
        voiced[at + consonant : at + length] = 1.0
        at += length
        if rng.random() < speaker.pause:
            at += round(per_second * rng.uniform(0.1, 0.35))
    smooth = np.hanning(9) / np.hanning(9).sum()
    formants[formants[:, 0] == 0.0] = VOWELS[-1]
    for column in formants.T:
        column[:] = np.convolve(np.pad(column, 4, mode="edge"), smooth, mode="valid")
    soft = np.hanning(7) / np.hanning(7).sum()
    level = np.convolve(level, soft, mode="same")
    accent = np.convolve(accent, np.hanning(25) / np.hanning(25).sum(), mode="same")
    fall = np.linspace(0.5, -0.5, frames)
    f0 = speaker.f0_hz * np.exp(speaker.f0_range * (accent + fall))
    return formants, np.convolve(voiced, soft, mode="same"), level, f0


def _excitation(
    speaker: Speaker, f0: Doubles, voiced: Doubles, samples: int, rng: np.random.Generator
) -> Doubles:
    """Pulses where voiced, noise elsewhere and a little everywhere."""
    position = np.arange(samples) / HOP
    at = np.interp(position, np.arange(len(f0)), f0)
    wander = np.repeat(rng.normal(1.0, speaker.jitter, samples // 64 + 1), 64)[:samples]
    phase = np.cumsum(at * wander / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) * np.sqrt(RATE / at)
    voicing = np.interp(position, np.arange(len(voiced)), voiced)
    noise = rng.normal(0.0, 1.0, samples)
    return np.asarray(voicing * (pulses + speaker.breath * noise) + (1.0 - voicing) * noise, np.float64)


def _envelope(speaker: Speaker, formants: Doubles, voiced: Doubles) -> Doubles:
    """(frames, bins) amplitude: resonances under a tilt where voiced, a rising slope where not."""
    hz = np.arange(SIZE // 2 + 1) * (RATE / SIZE)
    own = formants * speaker.tract * (1.0 + np.asarray(speaker.colour))
    fixed = np.broadcast_to(np.array([3500.0, 4600.0]) * speaker.tract, (len(own), 2))
    centres = np.concatenate((own, fixed), axis=1)
    widths = np.array([70.0, 90.0, 140.0, 200.0, 280.0]) * speaker.tract
    gain = np.ones((len(own), len(hz)))
    for centre, width in zip(centres.T, widths, strict=True):
        offset = (hz[None] ** 2 - centre[:, None] ** 2) / (centre[:, None] * width)
        gain *= (centre[:, None] / width) / np.sqrt(1.0 + offset**2)
    gain **= 0.5
    gain /= np.sqrt((gain**2).mean(1, keepdims=True))
    octaves = np.log2(np.maximum(hz, 100.0) / 200.0)
    vowel = gain * 10.0 ** (speaker.tilt_db * octaves / 20.0)
    hiss = 10.0 ** (3.0 * np.log2(np.maximum(hz, 100.0) / 4000.0) / 20.0)
    room = np.interp(hz, np.geomspace(100.0, 7500.0, 8), speaker.room_db)
    mixed = voiced[:, None] * vowel + (1.0 - voiced[:, None]) * hiss[None] * 0.15
    return np.asarray(mixed * 10.0 ** (room / 20.0), np.float64)


def synthetic_corpus(speakers: int = 48, utterances: int = 6, seconds: float = 4.0, seed: int = 0) -> Corpus:
    """A corpus of invented voices, as many of each sex; made in memory in a few seconds."""
    from deident.evaluation.corpus import InMemory

    made: list[Utterance] = []
    for number in range(speakers):
        rng = np.random.default_rng((seed, number))
        sex = "FM"[number % 2]
        voice = draw_speaker(sex, rng)
        for index in range(utterances):
            audio = speak(voice, seconds * float(rng.uniform(0.8, 1.2)), rng)
            name = f"voice-{number:03d}"
            made.append(
                Utterance(f"{name}/{index:02d}", name, InMemory(audio), sex, recording=f"{name}/{index // 3}")
            )
    return Corpus("synthetic voices", tuple(made), synthetic=True)
