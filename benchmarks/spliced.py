"""Readings with spoken digits, listed names and spelled e-mail addresses spliced in, at known times.

Digits are of real speakers; names and addresses are by espeak-ng. All is said between sentences, at the level of the
reading, and is the same in every condition."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from deident.audio import RATE, Samples, Segment
from deident.codec import read
from deident.datasets.layouts import corpus_files

CONDITIONS = {
    f"{name}{rate}": (rate * 1_000, snr)
    for rate in (16, 8)
    for name, snr in (("clean", None), ("20dB", 20.0), ("10dB", 10.0))
}
NAMES = {
    "tune": ("Margaret Thornton", "Peter Lindqvist", "Aisha Rahman", "George Whitfield", "Helena Novak",
             "Oscar Delgado", "Rebecca Ashworth", "Daniel Fitzgerald", "Yuki Tanaka", "Carlos Mendoza",
             "Fiona Gallagher", "Thomas Abernathy", "Leila Haddad", "Victor Petrov", "Charlotte Baxter",
             "Ravi Menon", "Julia Bergmann", "Patrick O'Connell", "Naomi Goldstein", "Henry Lancaster"),
    "test": ("Katherine Boyle", "Stephen Marchetti", "Priya Krishnan", "Douglas Hamilton", "Ingrid Sorensen",
             "Martin Kowalski", "Beatrice Fontaine", "Samuel Okafor", "Veronica Castillo", "Edward Pemberton",
             "Amelia Hartley", "Rajesh Patel", "Wendy Nakamura", "Gregory Sinclair", "Elena Vasquez",
             "Walter Kensington", "Fatima Hussein", "Dominic Rossi", "Laura McAllister", "Theresa Dunne"),
}  # fmt: skip
NOT_SAID = (
    "Alan Fairbanks", "Bridget Nolan", "Claudia Moretti", "Derek Osborne", "Erika Halvorsen", "Farid Karimi",
    "Gloria Espinoza", "Howard Bingham", "Irene Papadakis", "Jerome Lafayette", "Kenji Watanabe", "Lydia Marsh",
    "Mohammed Saleh", "Nina Johansson", "Owen Treharne", "Paula Richter", "Quentin Hayes", "Rosa Ibarra",
    "Simon Whitaker", "Tara Dhillon",
)  # fmt: skip  # on the list, and in no recording
MAILS = {"tune": ("j o h n", "k w p"), "test": ("s a r a h", "m t b", "d a v e")}
VOICES = {
    "tune": ("en-us", "en-gb+f2", "en-gb-x-rp+m3", "en-us+f4"),
    "test": ("en-gb", "en-us+f3", "en-gb-scotland", "en-us+m2", "en-gb-x-rp+f1"),
}
DIGITS = {"tune": ("george",), "test": ("jackson", "lucas")}
ROLES = {"tune": "dev_train", "test": "dev_trial"}


@dataclass(frozen=True)
class Item:
    """Something spliced in. kind : digits, name or spelled."""

    kind: str
    segment: Segment


def tracks(speech: Path, part: str, speakers: int, condition: str) -> Iterator[tuple[Samples, list[Item]]]:
    """Yield the readings of each speaker with items between them, in one condition; the same in all conditions."""
    roles = {
        row[0]: row[3]
        for row in (line.split("\t") for line in (speech / "files.tsv").read_text().splitlines())
    }
    files: dict[str, list[Path]] = {}
    for file in corpus_files(speech / "verify"):
        if roles[f"verify/{file.name}"] == ROLES[part]:
            files.setdefault(file.speaker, []).append(file.path)
    rate, snr = CONDITIONS[condition]
    for number, speaker in enumerate(sorted(files)[:speakers]):
        rng = np.random.default_rng([number, len(part)])
        clean, items = spliced(files[speaker], speech, part, rng)
        if rate < RATE:
            narrow = soxr.resample(soxr.resample(clean, RATE, rate), rate, RATE)
            clean = np.pad(narrow, (0, max(0, clean.size - narrow.size)))[: clean.size]
        if snr is not None:
            noise = np.cumsum(rng.standard_normal(clean.size))
            noise -= np.convolve(noise, np.ones(400) / 400, "same")  # about pink above 40 Hz
            noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-snr / 20)
            clean = clean + noise
        yield np.ascontiguousarray(clean, np.float32), items


def spliced(
    paths: Sequence[Path], speech: Path, part: str, rng: np.random.Generator
) -> tuple[Samples, list[Item]]:
    """Join readings, with an item and short pauses between each two."""
    parts: list[Samples] = []
    items: list[Item] = []
    at = 0

    def add(samples: Samples) -> None:
        nonlocal at
        parts.append(samples)
        at += samples.size

    order = ["digits", "name", "digits", "name", "name", "spelled"]
    for number, path in enumerate(paths):
        reading = read(path).mono
        add(reading)
        kind = order[(number + int(rng.integers(len(order)))) % len(order)]
        add(np.zeros(int(rng.integers(2_000, 6_000)), np.float32))
        item = made(kind, speech, part, rng)
        item *= np.sqrt(np.mean(reading**2) / np.mean(item**2))
        items.append(Item(kind, Segment(at, at + item.size)))
        add(item)
        add(np.zeros(int(rng.integers(2_000, 6_000)), np.float32))
    add(read(paths[0]).mono[: 2 * RATE])
    return np.concatenate(parts), items


def made(kind: str, speech: Path, part: str, rng: np.random.Generator) -> Samples:
    if kind == "digits":
        voice = str(rng.choice(DIGITS[part]))
        out: list[Samples] = []
        for digit in rng.integers(0, 10, int(rng.integers(4, 10))):
            take = int(rng.integers(0, 10))
            out.append(trimmed(read(speech / "digits" / voice / f"{digit}_{voice}_{take}.flac").mono))
            out.append(np.zeros(int(rng.integers(800, 4_000)), np.float32))
        return np.concatenate(out[:-1])
    if kind == "name":
        text = str(rng.choice(NAMES[part]))
    else:
        text = f"{'. '.join(str(rng.choice(MAILS[part])).split())}. at example dot com"
    return spoken(text, str(rng.choice(VOICES[part])))


def spoken(text: str, voice: str) -> Samples:
    """Let espeak-ng say a text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        speed = "135" if re.search(r"\. ", text) else "150"
        subprocess.run(["espeak-ng", "-v", voice, "-s", speed, "-w", path, text], check=True)
        return trimmed(read(path).mono)


def trimmed(samples: Samples) -> Samples:
    """Take off what is 40 dB below the loudest at either end."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1].copy()
