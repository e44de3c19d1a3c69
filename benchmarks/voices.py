"""Detection of a second voice in a piece: two pitches at once, and a change of the spectrum or of an embedding.

    DEIDENT_SPEECH=... python -m benchmarks voices [--encoder onnx:PATH] [--speakers 20]

Pieces of two voices are mixed from readings of people of the same sex and of the other: a turn (1.5 to 4.5 s of each,
0 to 0.3 s between them), a short turn (0.6 to 1.5 s of the second), all of one reading over another, and 1 to 3 s of
one, 3 to 10 dB down, behind another. Otherwise the second voice is 6 dB down to 3 dB up. The thresholds are those of
the speakers of the part dev_train, readings and non-native speech, of whose pieces each cue drops one in 200: what
is rare in so few people is less rare in others. The figures are of those of dev_trial, whom they do not know. Every
speaker is of one recording, so that microphones change with voices, which helps; silence between turns is digital."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fill import fill
from benchmarks.find import wilson
from deident.audio import RATE, Audio, Samples
from deident.codec import read
from deident.segmentation.vad import VadSettings, find_speech
from deident.segmentation.voices import change_of_spectrum, likeness, overlap

RESULT = Path(__file__).parent / "results" / "voices.json"
PAGE = Path(__file__).parents[1] / "docs" / "programme.md"
KINDS = ("turn", "short turn", "over", "behind")
DATA = {"verify": "one voice", "nonnative": "one voice, non-native"}
SEXES = ("same sex", "other sex")
WRONG = 0.005  # of the pieces with one voice of the part dev_train, by each of the two cues
Person = tuple[str, str]  # speaker and sex
Row = dict[str, Any]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks voices", description=__doc__)
    parser.add_argument("--encoder", help="onnx:PATH, in place of the spectrum")
    parser.add_argument("--speakers", type=int, default=1_000, help="of each part")
    args = parser.parse_args(argv)
    if not (folder := os.environ.get("DEIDENT_SPEECH")):
        parser.error("set DEIDENT_SPEECH to the folder of real recordings")
    change: Callable[[Samples], float] = change_of_spectrum
    name = "spectrum"
    if args.encoder:
        from deident.evaluation.encoders import encoder_named

        _, encoder = encoder_named(args.encoder)
        name = Path(args.encoder.partition(":")[2]).stem

        def change(samples: Samples) -> float:
            return -likeness(samples, encoder)

    row = measure(change, Path(folder), args.speakers)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    known[name] = row
    RESULT.write_text(json.dumps(known, indent=1) + "\n")
    for what, share in row.items():
        print(f"{name:<12}{what:<28}{share}")
    fill(PAGE, "voices", table(known))
    return 0


def measure(change: Callable[[Samples], float], speech: Path, speakers: int) -> Row:
    """Choose the thresholds of both cues on one part, and count what they find in the other."""
    single = [piece for data in DATA for piece in _single(speech, data, "dev_train", speakers)]
    most_change, most_overlap = (
        float(np.quantile([cue(piece) for piece in single], 1 - WRONG)) for cue in (change, overlap)
    )

    def is_dropped(piece: Samples) -> bool:
        return overlap(piece) > most_overlap or change(piece) > most_change

    people = len(_readings(speech, "verify", "dev_trial", speakers))
    row: Row = {"speakers": people, "change": round(most_change, 3), "overlap": round(most_overlap, 4)}
    for data, what in DATA.items():
        row[f"{what}, wrongly dropped"] = _share(
            map(is_dropped, _single(speech, data, "dev_trial", speakers))
        )
    found: dict[str, list[bool]] = {}
    for kind, piece in _mixed(speech, "dev_trial", speakers):
        found.setdefault(kind, []).append(is_dropped(piece))
    return row | {kind: _share(hits) for kind, hits in found.items()}


def table(known: Mapping[str, Row]) -> list[list[str]]:
    """Lay out the shares in percent, with their intervals: a column a comparison."""
    kinds = [kind for kind in next(iter(known.values())) if "dropped" in kind or ", " in kind]
    names = [f"{name}, {row['speakers']} speakers a half" for name, row in known.items()]
    out = [["pieces dropped, %", *names]]
    for kind in kinds:
        cells = []
        for row in known.values():
            share, (low, high) = row[kind]["share"], row[kind]["interval"]
            cells.append(f"{100 * share:.0f} [{100 * low:.0f}, {100 * high:.0f}]")
        out.append([kind, *cells])
    return out


def _share(hits: Iterable[bool]) -> Row:
    found = list(hits)
    return {
        "share": round(float(np.mean(found)), 3),
        "of": len(found),
        "interval": wilson(sum(found), len(found)),
    }


def _readings(speech: Path, data: str, role: str, speakers: int) -> dict[Person, list[Samples]]:
    people: dict[Person, list[Path]] = {}
    folder = speech / data if data == "nonnative" else speech
    for line in (folder / "files.tsv").read_text().splitlines():
        place, speaker, sex, own = line.split("\t")[:4]
        if place.startswith(f"{data}/") and own == role:
            people.setdefault((speaker, sex), []).append(speech / place)
    some = sorted(people)[:speakers]
    return {person: [read(path).mono for path in people[person]] for person in some}


def _single(speech: Path, data: str, role: str, speakers: int) -> Iterator[Samples]:
    """Yield pieces of one voice, from the first speech in each to the last, as they would be cut."""
    for readings in _readings(speech, data, role, speakers).values():
        for samples in readings:
            if found := find_speech(Audio(samples, RATE), VadSettings()):
                yield samples[found[0].start : found[-1].stop]


def _mixed(speech: Path, role: str, speakers: int) -> Iterator[tuple[str, Samples]]:
    """Yield a piece of two voices of each kind, of the same sex and of the other, for each speaker."""
    readings = _readings(speech, "verify", role, speakers)
    rng = np.random.default_rng(2)
    for person, own in readings.items():
        for sex in SEXES:
            others = [
                one for one in readings if one != person and (one[1] == person[1]) == (sex == "same sex")
            ]
            for kind in KINDS:
                other = readings[others[rng.integers(len(others))]]
                first, second = own[rng.integers(len(own))], other[rng.integers(len(other))]
                yield f"{kind}, {sex}", mixed(first, second, kind, rng)


def mixed(first: Samples, second: Samples, kind: str, rng: np.random.Generator) -> Samples:
    second = _at(second, first, rng.uniform(-6.0, 3.0))
    if kind in ("turn", "short turn"):
        part = first[-round(rng.uniform(1.5, 4.5) * RATE) :]
        low, high = (1.5, 4.5) if kind == "turn" else (0.6, 1.5)
        turns = [part, second[: round(rng.uniform(low, high) * RATE)]]
        if rng.random() < 0.5:
            turns.reverse()
        silence = np.zeros(round(rng.uniform(0.0, 0.3) * RATE), np.float32)
        return np.concatenate([turns[0], silence, turns[1]])
    size = min(first.size, second.size)
    if kind == "over":
        return np.asarray(first[:size] + second[:size])
    size = min(size, round(rng.uniform(1.0, 3.0) * RATE))
    at = int(rng.integers(0, first.size - size + 1))
    out = first.copy()
    out[at : at + size] += _at(second[:size], first, rng.uniform(-10.0, -3.0))
    return out


def _at(samples: Samples, beside: Samples, level_db: float) -> Samples:
    gain = np.sqrt(np.mean(beside**2) / np.mean(samples**2)) * 10 ** (level_db / 20)
    return np.asarray(samples * gain, np.float32)
