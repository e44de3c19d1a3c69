"""Detection of a second voice in a piece, at 5 % of pieces with one voice wrongly dropped.

    DEIDENT_SPEECH=... python -m benchmarks voices [--encoder onnx:PATH] [--speakers 20]

Pieces of two voices are mixed from readings of people of the same sex and of the other: a turn (1.5 to 4.5 s of each,
0 to 0.3 s between them), a short turn (0.6 to 1.5 s of the second), all of one reading over another, and 1 to 3 s of
one, 3 to 10 dB down, behind another. Otherwise the second voice is 6 dB down to 3 dB up. The threshold is that of the
speakers of the part dev_train; the figures are of those of dev_trial, whom it does not know. Every speaker is of one
recording, so that microphones change with voices, which helps; silence between turns is digital."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.find import wilson
from deident.audio import RATE, Samples
from deident.codec import read
from deident.segmentation.voices import change_of_spectrum, likeness

RESULT = Path(__file__).parent / "results" / "voices.json"
KINDS = ("turn", "short turn", "over", "behind")
WRONG = 0.05
Person = tuple[str, str]  # speaker and sex


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
        name = Path(args.encoder).stem

        def change(samples: Samples) -> float:
            return -likeness(samples, encoder)

    speech = Path(folder)
    threshold = float(
        np.quantile([change(p) for p in _single(speech, "dev_train", args.speakers)], 1 - WRONG)
    )
    wrong = [change(piece) > threshold for piece in _single(speech, "dev_trial", args.speakers)]
    found: dict[str, list[bool]] = {}
    for kind, piece in _mixed(speech, "dev_trial", args.speakers):
        found.setdefault(kind, []).append(change(piece) > threshold)
    row = {"threshold": round(threshold, 3), "wrongly dropped": _share(wrong)}
    row |= {kind: _share(hits) for kind, hits in found.items()}
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps({**known, name: row}, indent=1) + "\n")
    for what, share in row.items():
        print(f"{name:<12}{what:<28}{share}")
    return 0


def _share(hits: list[bool]) -> dict[str, object]:
    return {
        "share": round(float(np.mean(hits)), 3),
        "of": len(hits),
        "interval": wilson(sum(hits), len(hits)),
    }


def _readings(speech: Path, role: str, speakers: int) -> dict[Person, list[Samples]]:
    people: dict[Person, list[Path]] = {}
    for line in (speech / "files.tsv").read_text().splitlines():
        place, speaker, sex, own = line.split("\t")[:4]
        if place.startswith("verify/") and own == role:
            people.setdefault((speaker, sex), []).append(speech / place)
    some = sorted(people)[:speakers]
    return {person: [read(path).mono for path in people[person]] for person in some}


def _single(speech: Path, role: str, speakers: int) -> Iterator[Samples]:
    for readings in _readings(speech, role, speakers).values():
        yield from readings


def _mixed(speech: Path, role: str, speakers: int) -> Iterator[tuple[str, Samples]]:
    """Yield a piece of two voices of each kind, of the same sex and of the other, for each speaker."""
    readings = _readings(speech, role, speakers)
    rng = np.random.default_rng(2)
    for person, own in readings.items():
        for sex in ("same sex", "other sex"):
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
