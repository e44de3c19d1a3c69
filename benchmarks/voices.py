"""Detection of a second voice in a piece, and what is released of it: two pitches at once, and a change of voice.

    DEIDENT_SPEECH=... python -m benchmarks voices [--encoder onnx:PATH] [--speakers 20]

Pieces of two voices are mixed from readings of people of the same sex and of the other: a turn (1.5 to 4.5 s of each,
0 to 0.3 s between them), a short turn (0.6 to 1.5 s of the second), back and forth (1.2 to 2.5 s of the first, the
second and the first again), all of one reading over another, and 1 to 3 s of one, 3 to 10 dB down, behind another.
Otherwise the second voice is 6 dB down to 3 dB up. A piece is found if anything of it is dropped; a snippet is of two
voices if it holds a tenth of a second of speech of each.

The thresholds are those of the speakers of the part dev_train, readings and non-native speech, of whose pieces each cue
finds three in 400, and an encoder two in 100: what is rare in so few people is less rare in others. They are printed,
to be written into `deident.segmentation.voices`, which is what is measured. The figures are of the speakers of
dev_trial, whom they do not know. Every speaker is of one recording, so that microphones change with voices, which
helps; silence between turns is digital."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fill import fill
from benchmarks.find import wilson
from benchmarks.record import record, recorded, speech_folder
from deident.audio import RATE, Audio, Samples, Segment
from deident.codec import read
from deident.segmentation.vad import VadSettings, find_speech
from deident.segmentation.voices import Encoder, change_of_voice, overlap, parts_of_one_voice

PAGE = Path(__file__).parents[1] / "docs" / "programme.md"
KINDS = ("turn", "short turn", "back and forth", "over", "behind")
DATA = {"verify": "one voice", "nonnative": "one voice, non-native"}
SEXES = ("same sex", "other sex")
WRONG = 0.0075  # of the pieces with one voice of the part dev_train, by each of the two cues
WRONG_BY_ENCODER = 0.02  # for which it finds most short turns
FRAME = RATE // 100
LOUD_DB = 30.0  # a frame further below a person's loudest is none of their speech
LEAST_FRAMES = 10  # of speech of somebody who is in a snippet
Person = tuple[str, str]  # speaker and sex
Row = dict[str, Any]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks voices", description=__doc__)
    parser.add_argument("--encoder", help="onnx:PATH, in place of the spectrum")
    parser.add_argument("--speakers", type=int, default=1_000, help="of each part")
    args = parser.parse_args(argv)
    speech = speech_folder(parser)
    encoder, name = None, "spectrum"
    if args.encoder:
        from deident.evaluation.encoders import encoder_named

        _, encoder = encoder_named(args.encoder)
        name = Path(args.encoder.partition(":")[2]).stem

    row = measure(encoder, speech, args.speakers)
    known = {**recorded("voices"), name: row}
    record("voices", known)
    for what, share in row.items():
        print(f"{name:<12}{what:<28}{share}")
    fill(PAGE, "voices", table(known))
    return 0


def measure(encoder: Encoder | None, speech: Path, speakers: int) -> Row:
    """Choose the thresholds of both cues on one part, and count what is found and released in the other."""
    single = [piece for data in DATA for piece in _single(speech, data, "dev_train", speakers)]
    chosen = {
        "change": [change_of_voice(piece, encoder).size for piece in single],
        "overlap": [overlap(piece) for piece in single],
    }
    wrong = {"overlap": WRONG, "change": WRONG_BY_ENCODER if encoder else WRONG}
    row: Row = {"speakers": len(_readings(speech, "verify", "dev_trial", speakers))}
    row |= {cue: round(float(np.quantile(sizes, 1 - wrong[cue])), 4) for cue, sizes in chosen.items()}
    for data, what in DATA.items():
        pieces = [np.stack([one, 0 * one]) for one in _single(speech, data, "dev_trial", speakers)]
        row[what] = _counts(pieces, encoder)
    by_kind: dict[str, list[Samples]] = {}
    for kind, voices in _mixed(speech, "dev_trial", speakers):
        by_kind.setdefault(kind, []).append(voices)
    return row | {kind: _counts(pieces, encoder) for kind, pieces in by_kind.items()}


def _counts(pieces: Sequence[Samples], encoder: Encoder | None) -> Row:
    """Count the pieces in which two voices are found, those of which they come out together, and seconds released.

    pieces : (2, samples) each, what is of each voice.
    """
    found, together, seconds, released = 0, 0, 0.0, 0.0
    for voices in pieces:
        parts = parts_of_one_voice(voices.sum(axis=0), encoder)
        kept = sum(map(len, parts)) / RATE
        found += kept < voices.shape[1] / RATE
        together += any(_is_of_two(voices, part) for part in parts)
        seconds, released = seconds + voices.shape[1] / RATE, released + kept
    return {
        "of": len(pieces),
        "found": found,
        "found_interval": wilson(found, len(pieces)),
        "together": together,
        "together_interval": wilson(together, len(pieces)),
        "released_of_seconds": round(released / seconds, 3),
    }


def _is_of_two(voices: Samples, part: Segment) -> bool:
    """Tell that a part holds speech of both voices, (2, samples)."""
    for voice in voices:
        frames = voice[: voice.size // FRAME * FRAME].reshape(-1, FRAME)
        power = np.square(frames).mean(axis=1)
        loud = power > power.max() * 10 ** (-LOUD_DB / 10)
        if loud[-(-part.start // FRAME) : part.stop // FRAME].sum() < LEAST_FRAMES:
            return False
    return True


def table(known: Mapping[str, Row]) -> list[list[str]]:
    """Lay out the shares in percent, with their intervals: three columns a comparison."""
    kinds = [kind for kind, row in next(iter(known.values())).items() if isinstance(row, dict)]
    out = [["%"]]
    for name, row in known.items():
        people = f"{name}, {row['speakers']} speakers a half"
        out[0] += [f"found ({people})", "two in a snippet", "seconds released"]
    for kind in kinds:
        out.append([kind])
        for row in known.values():
            own = row[kind]
            for count in ("found", "together"):
                low, high = own[f"{count}_interval"]
                out[-1].append(
                    ""
                    if count == "together" and kind in DATA.values()
                    else f"{100 * own[count] / own['of']:.0f} [{100 * low:.0f}, {100 * high:.0f}]"
                )
            out[-1].append(f"{100 * own['released_of_seconds']:.0f}")
    return out


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


def _mixed(speech: Path, role: str, speakers: int, seed: int = 2) -> Iterator[tuple[str, Samples]]:
    """Yield a piece of two voices of each kind, of the same sex and of the other, for each speaker: (2, samples)."""
    readings = _readings(speech, "verify", role, speakers)
    rng = np.random.default_rng(seed)
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
    """Place two readings in one piece, (2, samples): its sound is their sum."""
    second = _at(second, first, rng.uniform(-6.0, 3.0))
    if kind == "back and forth":
        sizes = [round(rng.uniform(1.2, 2.5) * RATE) for _ in range(3)]
        return _in_turn([(0, first[: sizes[0]]), (1, second[: sizes[1]]), (0, first[-sizes[2] :])], rng)
    if kind in ("turn", "short turn"):
        part = first[-round(rng.uniform(1.5, 4.5) * RATE) :]
        low, high = (1.5, 4.5) if kind == "turn" else (0.6, 1.5)
        turns = [(0, part), (1, second[: round(rng.uniform(low, high) * RATE)])]
        if rng.random() < 0.5:
            turns.reverse()
        return _in_turn(turns, rng)
    size = min(first.size, second.size)
    if kind == "over":
        return np.stack([first[:size], second[:size]])
    size = min(size, round(rng.uniform(1.0, 3.0) * RATE))
    at = int(rng.integers(0, first.size - size + 1))
    behind = np.zeros_like(first)
    behind[at : at + size] = _at(second[:size], first, rng.uniform(-10.0, -3.0))
    return np.stack([first, behind])


def _in_turn(turns: Sequence[tuple[int, Samples]], rng: np.random.Generator) -> Samples:
    """Place turns behind each other, (2, samples). turns : of voice 0 or 1, and their sound."""
    pauses = [0, *(round(rng.uniform(0.0, 0.3) * RATE) for _ in turns[1:])]
    out = np.zeros((2, sum(pauses) + sum(part.size for _, part in turns)), np.float32)
    at = 0
    for (voice, part), pause in zip(turns, pauses, strict=True):
        at += pause
        out[voice, at : at + part.size] = part
        at += part.size
    return out


def _at(samples: Samples, beside: Samples, level_db: float) -> Samples:
    gain = np.sqrt(np.mean(beside**2) / np.mean(samples**2)) * 10 ** (level_db / 20)
    return np.asarray(samples * gain, np.float32)
