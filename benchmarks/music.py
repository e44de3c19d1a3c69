"""Share of hold music that is told from speech, and seconds of speech that are taken for music.

    DEIDENT_SPEECH=... python -m benchmarks music [--pieces 40] [--seed 0]

A piece is 24 s of chords, arpeggios or a melody of an instrument that is synthesised, with or without percussion,
and goes through a line of its own, which ffmpeg makes. Shares are of what `find_speech` takes for speech, minute by
minute, as in a run. Thresholds were chosen on other pieces. Speech is all of $DEIDENT_SPEECH, that of a folder or
speaker joined, as it is and as `monotone`: with the pitch of all that is voiced at one frequency."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.record import record
from deident.audio import RATE, Audio, Floats
from deident.codec import read
from deident.dsp import psola
from deident.dsp.music import find_music
from deident.dsp.pitch import PitchTracker
from deident.dsp.tones import find_tones
from deident.segmentation.vad import find_speech, subtract

Sound = npt.NDArray[np.float64]
SECONDS, SECTION = 24, 60 * RATE
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))
# levels of the partials, inharmonicity, vibrato, seconds of attack and of decay
INSTRUMENTS = {
    "piano": ([0.9**k / k**1.1 for k in range(1, 13)], 4e-4, 0.0, 0.004, 0.8),
    "electric piano": ([1.0, 0.1, 0.05, 0.1, 0.02], 0.0, 0.0, 0.005, 1.0),
    "organ": ([1.0, 0.7, 0.4, 0.35, 0.1, 0.2, 0.0, 0.15], 0.0, 0.0, 0.02, 20.0),
    "strings": ([1.0 / k for k in range(1, 16)], 0.0, 0.006, 0.12, 20.0),
    "plucked": ([1.0 / k for k in range(1, 20)], 1e-4, 0.0, 0.001, 0.3),
    "flute": ([1.0, 0.3, 0.12, 0.04], 0.0, 0.004, 0.05, 20.0),
    "brass": ([1.0, 0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1], 0.0, 0.003, 0.04, 2.0),
    "bell": ([1.0, 0.0, 0.6, 0.0, 0.0, 0.3], 0.02, 0.0, 0.002, 1.2),
}
LINES: dict[str, tuple[str, ...]] = {  # what ffmpeg is given, with the suffix last
    "clean": (),
    "telephone": ("-af", "highpass=f=300:p=2,lowpass=f=3400:p=2", "-ar", "8000", "-c:a", "pcm_mulaw", "wav"),
    "GSM": ("-ar", "8000", "-c:a", "libgsm", "gsm"),
    "G.726": ("-ar", "8000", "-c:a", "g726", "-b:a", "32k", "wav"),
    "Opus 12k": ("-ar", "16000", "-c:a", "libopus", "-b:a", "12k", "-application", "voip", "opus"),
    "MP3 24k": ("-ar", "16000", "-b:a", "24k", "mp3"),
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks music", description=__doc__)
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for number in range(args.pieces):
        rng = np.random.default_rng((args.seed, number))
        name = list(INSTRUMENTS)[number % len(INSTRUMENTS)]
        line = list(LINES)[(number + number // len(INSTRUMENTS)) % len(LINES)]
        seconds = taken_for_music(through(line, piece(name, rng)))
        for group in ("all music", name, line):
            sums[group] = sums.get(group, np.zeros(2)) + seconds
    if folder := os.environ.get("DEIDENT_SPEECH"):
        for samples in speech_of(Path(folder)):
            sums["speech"] = sums.get("speech", np.zeros(2)) + taken_for_music(samples)
            sums["monotone"] = sums.get("monotone", np.zeros(2)) + taken_for_music(monotone(samples))
    print(f"{'':<16}{'as speech':>12}{'music':>10}{'share':>9}")
    for group, (whole, told) in sums.items():
        print(f"{group:<16}{whole:>10.0f} s{told:>8.0f} s{told / max(whole, 1e-9):>9.1%}")
    record("music", {group: seconds.round(1).tolist() for group, seconds in sums.items()})
    return 0


def taken_for_music(samples: Floats) -> npt.NDArray[np.float64]:
    """Count the seconds of detected speech, and those of them that are dropped as music or tones."""
    whole = told = 0
    for start in range(0, samples.size, SECTION):
        section = np.ascontiguousarray(samples[start : start + SECTION])
        segments = find_speech(Audio(section, RATE))
        left = subtract(segments, find_tones(section, segments))
        left = subtract(left, find_music(section, left))
        whole += sum(map(len, segments))
        told += sum(map(len, segments)) - sum(map(len, left))
    return np.array([whole, told]) / RATE


def piece(instrument: str, rng: np.random.Generator) -> Floats:
    """Compose and play: (samples,)."""
    out = np.zeros(SECONDS * RATE)
    scale, root, beat = (
        SCALES[rng.integers(len(SCALES))],
        int(rng.integers(45, 58)),
        float(rng.uniform(0.4, 0.9)),
    )
    style, degree = str(rng.choice(["chords", "arpeggio", "melody"])), 7
    for number, at in enumerate(np.arange(0.0, SECONDS, beat * (4 if style == "chords" else 0.5))):
        degree = (
            int(np.clip(degree + rng.integers(-2, 3), 3, 15))
            if number % 8 == 0 or style == "melody"
            else degree
        )
        chord = [degree, degree + 2, degree + 4]
        notes = {"chords": [*chord, degree - 7], "arpeggio": [chord[number % 3]], "melody": [degree]}[style]
        length = beat * (4.1 if style == "chords" else rng.uniform(0.5, 1.2))
        for step in notes:
            semitone = root + 12 * (step // len(scale)) + scale[step % len(scale)]
            sound = note(instrument, 440.0 * 2.0 ** ((semitone - 69) / 12), length, rng)
            start = round(at * RATE)
            out[start : start + sound.size] += sound[: out.size - start]
    out /= out.std()
    if rng.random() < 0.4:
        out += rng.uniform(0.5, 2.0) * _drums(out.size, beat, rng)
    scaled: Floats = (0.1 * out / out.std()).astype(np.float32)
    return scaled


def note(instrument: str, hz: float, seconds: float, rng: np.random.Generator) -> Sound:
    """Play one note: (samples,)."""
    partials, inharmonic, vibrato, attack, decay = INSTRUMENTS[instrument]
    time = np.arange(round(seconds * RATE)) / RATE
    cycles = hz * (
        time + vibrato / (2.0 * np.pi * 5.5) * np.sin(2.0 * np.pi * 5.5 * time + rng.uniform(0, 6))
    )
    sound = np.zeros(time.size)
    for number, level in enumerate(partials, 1):
        ratio = number * np.sqrt(1.0 + inharmonic * number**2)
        if hz * ratio < 7_600.0:
            sound += level * np.sin(2.0 * np.pi * ratio * cycles + rng.uniform(0, 6))
    release = np.clip((seconds - time) / 0.05, 0.0, 1.0)
    return np.asarray(sound * np.minimum(1.0, time / attack) * np.exp(-time / decay) * release)


def _drums(samples: int, beat: float, rng: np.random.Generator) -> Sound:
    """Play a bass drum and a snare in turns, (samples,)."""
    out, time = np.zeros(samples), np.arange(RATE // 8) / RATE
    for number, at in enumerate(range(0, samples - time.size, round(beat * RATE))):
        bass = np.sin(2.0 * np.pi * 60.0 * time)
        out[at : at + time.size] += np.exp(-25.0 * time) * (
            rng.standard_normal(time.size) if number % 2 else 2 * bass
        )
    return out


def through(line: str, samples: Floats) -> Floats:
    """Send (samples,) through a line."""
    if not LINES[line]:
        return samples
    import soundfile

    *options, suffix = LINES[line]
    with tempfile.TemporaryDirectory() as folder:
        source, sent, received = (f"{folder}/{name}" for name in ("a.wav", f"b.{suffix}", "c.wav"))
        soundfile.write(source, samples.clip(-1.0, 1.0), RATE, "PCM_16")
        for command in ([source, *options, sent], [sent, "-ar", str(RATE), "-ac", "1", received]):
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", *command], check=True)
        return read(received).mono


def speech_of(folder: Path) -> Iterator[Floats]:
    """Read recordings, those of one folder joined."""
    folders: dict[Path, list[Path]] = {}
    for file in sorted(folder.rglob("*.flac")):
        folders.setdefault(file.parent, []).append(file)
    for files in folders.values():
        yield np.concatenate([read(file).mono for file in files])


def monotone(samples: Floats) -> Floats:
    """Set the pitch of all that is voiced to its median."""
    pitch, new_pulses = PitchTracker().track(samples), psola._new_pulses
    if not pitch.voiced.any():
        return samples

    def steady(periods: Sound, hop: float, length: int) -> Sound:
        return new_pulses(np.where(periods == psola.UNVOICED, periods, RATE / pitch.median_hz), hop, length)

    with mock.patch.object(psola, "_new_pulses", steady):
        return psola.repitch_all([samples], [pitch], [1.0], [1.0])[0]
