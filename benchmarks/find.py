"""Recall of the search for spoken names and numbers, at known times in readings.

    DEIDENT_SPEECH=... python -m benchmarks find --model FOLDER [--part test] [--speakers 20] [--conditions clean16 ...]

Into the readings of each speaker, strings of four to nine spoken digits, listed names and spelled e-mail addresses
(both by espeak-ng) are spliced between sentences, at the level of the reading. An item is silenced if all of it lies in
found ranges with the default margin of `--mute`; the milliseconds that do not are missed. A region is false if it
overlaps no item, and is no person or place by Presidio: readings name many, and these are counted apart. Far is the
share of the sound more than a second from any item that is silenced, which a few long regions can make large. The list
has twenty more names than are said. Settings were chosen on the part `tune`; speakers, digits, names and voices of the
part `test` are others."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from deident.audio import RATE, Audio, Samples, Segment
from deident.codec import read
from deident.datasets.layouts import corpus_files
from deident.pipeline import deidentify
from deident.programme.finding import Finder
from deident.programme.recognising import SpokenWord, WhisperWords
from deident.programme.spoken import ListedNames, Presidio
from deident.segmentation.mute import Mute, MuteSettings

RESULT = Path(__file__).parent / "results" / "find.json"
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
FAR = RATE  # samples; nearer to an item, a margin is to be silenced
ROLES = {"tune": "dev_train", "test": "dev_trial"}


@dataclass(frozen=True)
class Item:
    """Something spliced in. kind : digits, name or spelled."""

    kind: str
    segment: Segment


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks find", description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a Whisper model")
    parser.add_argument("--spacy", default="en_core_web_sm", help="none: without presidio-analyzer")
    parser.add_argument("--part", choices=ROLES, default="test")
    parser.add_argument("--speakers", type=int, default=20)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--conditions", nargs="*", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="disguise what is left, and count snippets in which anything is read",
    )
    parser.add_argument("--cache", help="folder to keep recognised words in, for another try at the rest")
    args = parser.parse_args(argv)
    if not (folder := os.environ.get("DEIDENT_SPEECH")):
        parser.error("set DEIDENT_SPEECH to the folder of real recordings")
    recognise: Any = WhisperWords(args.model)
    names = NAMES[args.part] + NOT_SAID
    searches = (ListedNames(names), *(() if args.spacy == "none" else (Presidio(args.spacy),)))
    expecting: list[Any] = list(WhisperWords(args.model).expecting(names))
    if args.cache:
        cache = Path(args.cache)
        recognise, expecting = Cached(recognise, cache), [Cached(one, cache) for one in expecting]
    finder = Finder(recognise, searches, passes=args.passes, expecting=tuple(expecting))
    print(
        f"{'':<10}{'digits':>16}{'name':>16}{'spelled':>16}{'ms missed':>11}{'false/h':>9}{'far':>7}  by kind"
    )
    if args.verify:
        print(verified(finder, Path(folder), args.part, args.speakers, args.conditions[0]))
        return 0
    for condition in args.conditions:
        row = measure(finder, Path(folder), args.part, args.speakers, condition)
        known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        known[f"{args.part} {condition}"] = {**row, "passes": args.passes, "spacy": args.spacy}
        RESULT.write_text(json.dumps(known, indent=1) + "\n")
        _draw(condition, row)
    return 0


class Cached:
    """A recogniser whose words are kept by the digest of the sound, and of what it expects."""

    def __init__(self, recognise: Any, folder: Path) -> None:
        self._recognise, self._folder = recognise, folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, samples: Samples) -> list[SpokenWord]:
        asked = repr(self._recognise).encode()
        place = self._folder / f"{hashlib.sha256(samples.tobytes() + asked).hexdigest()}.json"
        if not place.exists():
            place.write_text(json.dumps(self._recognise(samples)))
        return [SpokenWord(*word) for word in json.loads(place.read_text())]


def measure(finder: Finder, speech: Path, part: str, speakers: int, condition: str) -> dict[str, Any]:
    """Count what was silenced, missed and falsely silenced in one condition."""
    given, silenced = Counter[str](), Counter[str]()
    missed: list[float] = []
    kinds: Counter[str] = Counter()
    seconds, regions = 0.0, 0
    far, far_silenced = 0, 0
    for samples, items in tracks(speech, part, speakers, condition):
        found = finder.in_samples(samples)
        mute = Mute([one.segment for one in found], MuteSettings())
        for item in items:
            covered = sum(map(len, mute.within(item.segment)))
            given[item.kind] += 1
            silenced[item.kind] += covered == len(item.segment)
            missed.append(1_000 * (len(item.segment) - covered) / RATE)
        for region in mute.ranges:
            if not any(region.overlap(item.segment) for item in items):
                own = {one.kind for one in found if one.segment.overlap(region)}
                kinds.update(own)
                regions += not own <= {"PERSON", "LOCATION"}
        seconds += samples.size / RATE
        is_far, is_silenced = np.ones(samples.size, np.bool_), np.zeros(samples.size, np.bool_)
        for item in items:
            is_far[max(0, item.segment.start - FAR) : item.segment.stop + FAR] = False
        for region in mute.ranges:
            is_silenced[region.start : region.stop] = True
        far += int(is_far.sum())
        far_silenced += int((is_far & is_silenced).sum())
    return {
        "seconds": round(seconds, 1),
        "items": dict(given),
        "silenced": dict(silenced),
        "recall": {kind: round(silenced[kind] / given[kind], 3) for kind in given},
        "interval": {kind: wilson(silenced[kind], given[kind]) for kind in given},
        "ms_missed_mean": round(float(np.mean(missed)), 1),
        "ms_missed_of_missed": round(float(np.mean([m for m in missed if m] or [0.0])), 1),
        "false_regions_an_hour": round(3_600 * regions / seconds, 1),
        "silenced_far_from_items": round(far_silenced / far, 3),
        "false_by_kind_an_hour": {kind: round(3_600 * n / seconds, 1) for kind, n in sorted(kinds.items())},
    }


def verified(finder: Finder, speech: Path, part: str, speakers: int, condition: str) -> dict[str, int]:
    """Count snippets of the muted recordings, those that `--verify` drops, and those in which it misses something.

    The last are read by the same recogniser with half a second of silence before them, which it has not read.
    """
    counts = {"snippets": 0, "dropped": 0, "left": 0}
    for samples, _ in tracks(speech, part, speakers, condition):
        muted = [one.segment for one in finder.in_samples(samples)]
        for snippet in deidentify(Audio(samples, RATE), mute=muted):
            counts["snippets"] += 1
            if not finder.is_clean(snippet.samples, RATE):
                counts["dropped"] += 1
                continue
            later = np.pad(snippet.samples, (RATE // 2, 0))
            counts["left"] += not finder.is_clean(later, RATE)
    return counts


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Wilson (1927)."""
    z, share = 1.96, hits / of
    middle, wide = share + z * z / (2 * of), z * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = (middle - wide) / (1 + z * z / of), (middle + wide) / (1 + z * z / of)
    return round(float(low), 3), round(float(high), 3)


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


def _draw(condition: str, row: dict[str, Any]) -> None:
    cells = "".join(
        f"{row['silenced'].get(kind, 0):>5}/{row['items'].get(kind, 0):<3}{row['recall'].get(kind, 0.0):>7.1%}"
        for kind in ("digits", "name", "spelled")
    )
    kinds = ", ".join(f"{kind} {count:g}" for kind, count in row["false_by_kind_an_hour"].items())
    print(
        f"{condition:<10}{cells}{row['ms_missed_mean']:>11.0f}{row['false_regions_an_hour']:>9.1f}"
        f"{row['silenced_far_from_items']:>7.1%}  {kinds}",
        flush=True,
    )
