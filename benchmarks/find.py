"""Recall of the search for spoken names and numbers, at known times in readings.

    DEIDENT_SPEECH=... python -m benchmarks find --model FOLDER [--verify 5] [--part tune] [--conditions clean16 ...]

Into the readings of each speaker, strings of four to nine spoken digits, listed names and spelled e-mail addresses
(both by espeak-ng) are spliced between sentences, at the level of the reading. An item is silenced if all of it lies in
found ranges with the default margin of `--mute`; the milliseconds that do not are missed. A region is false if it
overlaps no item, and is no person or place by Presidio: readings name many, and these are counted apart. Far is the
share of the sound more than a second from any item that is silenced, which a few long regions can make large. The list
has twenty more names than are said. Settings were chosen on the part `tune`; speakers, digits, names and voices of the
part `test` are others. Some of what the first 23 of its speakers showed was mended too: `--skip 23` leaves them out.

`--verify` disguises readings with nothing muted, so that there is something to find, and searches what `--verify` of a
run would release once more: by beam search with silence that it does not put there, and by another model. A find is one
of the kinds that are searched for, whether it was said or not.

Of the reading without noise, 38 speakers are read, and 20 of them in the other conditions. What was recognised is kept
in build/recognised, so that a second run, or one after a change of the search, takes a minute."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

from benchmarks.fill import fill
from benchmarks.record import record, recorded, speech_folder
from benchmarks.spliced import CONDITIONS, NAMES, NOT_SAID, ROLES, Item, tracks
from deident.audio import RATE, Audio, Samples
from deident.keys import Key
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.programme.finding import Finder, Found
from deident.programme.recognising import BEAM_SIZE, SpokenWord, WhisperWords
from deident.programme.spoken import ListedNames, Presidio
from deident.segmentation.mute import Mute, MuteSettings

PAGE = Path(__file__).parents[1] / "docs" / "programme.md"
CLEAN = "clean16"
VERIFIED = f"{CLEAN} verify"
KINDS = ("digits", "name", "spelled")
LOOK_SECONDS = 0.7  # of silence before a snippet that is looked at again
REPEATABLE = Policy(repeatable=True)  # so that what was recognised can be kept
FAR = RATE  # samples; nearer to an item, a margin is to be silenced
Row = dict[str, Any]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks find", description=__doc__)
    parser.add_argument("--model", required=True, help="folder of a Whisper model")
    parser.add_argument(
        "--spacy", default="none", help="pipeline for presidio-analyzer (default none: without it)"
    )
    parser.add_argument("--part", choices=ROLES, default="test")
    parser.add_argument("--speakers", type=int, default=38, help=f"of {CLEAN}")
    parser.add_argument("--others", type=int, default=20, help="speakers of the other conditions")
    parser.add_argument("--skip", type=int, default=0, help="of the speakers, the first")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--conditions", nargs="*", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument(
        "--verify",
        type=int,
        default=0,
        metavar="SPEAKERS",
        help="disguise these too, and search what is released",
    )
    parser.add_argument("--look-model", help="folder of another model, for one more look at what is released")
    parser.add_argument("--cache", default="build/recognised", help="folder to keep recognised words in")
    args = parser.parse_args(argv)
    speech = speech_folder(parser)
    names, cache = NAMES[args.part] + NOT_SAID, Path(args.cache)
    searches = (ListedNames(names), *(() if args.spacy == "none" else (Presidio(args.spacy),)))

    def reading(beam_size: int) -> tuple[Cached, ...]:
        whisper = WhisperWords(args.model, beam_size=beam_size)
        return tuple(Cached(one, cache) for one in (whisper, *whisper.expecting(names)))

    (recognise, *expecting), again = reading(1), reading(BEAM_SIZE)
    finder = Finder(recognise, searches, passes=args.passes, expecting=tuple(expecting), again=again)
    setting = {"passes": args.passes, "spacy": args.spacy, "model": Path(args.model).name}
    print(
        f"{'':<10}{'digits':>16}{'name':>16}{'spelled':>16}{'ms missed':>11}{'false/h':>9}{'far':>7}  by kind"
    )
    for condition in args.conditions:
        speakers = args.speakers if condition == CLEAN else args.others
        read = islice(tracks(speech, args.part, speakers, condition), args.skip, None)
        row = measure(finder, read)
        name = f"{args.part} {condition}" + (f" from {args.skip}" if args.skip else "")
        keep(name, {**row, "speakers": speakers - args.skip, **setting})
        _draw(condition, row)
    if args.verify:
        looks = [Look(finder, again, LOOK_SECONDS)]
        if args.look_model:
            other = Cached(WhisperWords(args.look_model, beam_size=BEAM_SIZE), cache)
            looks.append(Look(finder, (other,)))
        read = islice(tracks(speech, args.part, args.skip + args.verify, CLEAN), args.skip, None)
        counts = verified(finder, looks, read)
        keep(f"{args.part} {VERIFIED}", {**counts, "speakers": args.verify, **setting})
        print(counts)
    if args.part == "test":
        known = recorded("find")
        fill(PAGE, "find", table(known))
        if row := known.get(f"test {VERIFIED}"):
            fill(PAGE, "verify", verify_table(row))
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


def keep(name: str, row: Row) -> None:
    """Keep a row of the results."""
    record("find", {**recorded("find"), name: row})


def measure(finder: Finder, read: Iterable[tuple[Samples, list[Item]]]) -> Row:
    """Count what was silenced, missed and falsely silenced in readings with items."""
    given, silenced, kinds = Counter[str](), Counter[str](), Counter[str]()
    missed: list[float] = []
    seconds, regions, far, far_silenced = 0.0, 0, 0, 0
    for samples, items in read:
        found = finder.in_samples(samples)
        mute = Mute([one.segment for one in found], MuteSettings())
        for item in items:
            covered = sum(map(len, mute.within(item.segment)))
            given[item.kind] += 1
            silenced[item.kind] += covered == len(item.segment)
            missed.append(1_000 * (len(item.segment) - covered) / RATE)
        for own in false_regions(mute, found, items):
            kinds.update(own)
            regions += not own <= {"PERSON", "LOCATION"}
        seconds += samples.size / RATE
        away, silent = far_from(items, mute, samples.size)
        far, far_silenced = far + away, far_silenced + silent
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


def false_regions(mute: Mute, found: list[Found], items: list[Item]) -> list[set[str]]:
    """Return the kinds of each silenced range that no item overlaps."""
    return [
        {one.kind for one in found if one.segment.overlap(region)}
        for region in mute.ranges
        if not any(region.overlap(item.segment) for item in items)
    ]


def far_from(items: list[Item], mute: Mute, size: int) -> tuple[int, int]:
    """Count the samples far from any item, and those of them that are silenced."""
    is_far, is_silenced = np.ones(size, np.bool_), np.zeros(size, np.bool_)
    for item in items:
        is_far[max(0, item.segment.start - FAR) : item.segment.stop + FAR] = False
    for region in mute.ranges:
        is_silenced[region.start : region.stop] = True
    return int(is_far.sum()), int((is_far & is_silenced).sum())


def verified(finder: Finder, looks: Sequence[Look], read: Iterable[tuple[Samples, list[Item]]]) -> Row:
    """Count snippets, those that `--verify` drops, and the others in which a second look finds something, by kind.

    Nothing is muted, so that there is something to find.
    """
    counts, kinds = Counter[str](snippets=0, dropped=0, released=0, left=0), Counter[str]()
    for number, (samples, _) in enumerate(read):
        for snippet in deidentify(Audio(samples, RATE), REPEATABLE, key=Key(number.to_bytes(32))):
            counts["snippets"] += 1
            if not finder.is_clean(snippet.samples, RATE):
                counts["dropped"] += 1
                continue
            counts["released"] += 1
            left = {kind for look in looks for kind in look(snippet.samples)}
            counts["left"] += bool(left)
            kinds.update(left)
        print(dict(counts), dict(kinds), flush=True)
    return {
        **counts,
        "left_kinds": dict(kinds),
        "interval": wilson(counts["left"], max(1, counts["released"])),
    }


class Look(NamedTuple):
    """A second look at a snippet: a finder, with other recognisers, and seconds of silence before it."""

    finder: Finder
    recognisers: tuple[Cached, ...]
    seconds: float = 0.0

    def __call__(self, samples: Samples) -> Iterator[str]:
        """Yield the kinds of what is found."""
        padded = np.pad(samples, (round(self.seconds * RATE), 0))
        return self.finder.kinds_in(padded, self.recognisers)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Wilson (1927)."""
    found = binomtest(hits, of).proportion_ci(method="wilson")
    return round(float(found.low), 3), round(float(found.high), 3)


def table(known: Mapping[str, Row]) -> list[list[str]]:
    """Lay out the rows of the part test."""
    out = [
        [
            "readings",
            "digits, 4 to 9",
            "listed names",
            "spelled addresses",
            "missed, mean",
            "false an hour",
            "far",
        ]
    ]
    for name, row in known.items():
        part, _, condition = name.partition(" ")
        if part != "test" or condition not in CONDITIONS:
            continue
        cells = []
        for kind in KINDS:
            low, high = row["interval"][kind]
            cells.append(
                f"{row['silenced'][kind]} of {row['items'][kind]} [{100 * low:.0f}, {100 * high:.0f} %]"
            )
        rate, snr = CONDITIONS[condition]
        label = f"{rate // 1_000} kHz, {'clean' if snr is None else f'{snr:g} dB'} ({row['seconds']:.0f} s)"
        missed = f"{row['ms_missed_mean']:.0f} ms"
        far = f"{row['silenced_far_from_items']:.0%}".replace("%", " %")
        out.append([label, *cells, missed, f"{row['false_regions_an_hour']:g}", far])
    return out


def verify_table(row: Row) -> list[list[str]]:
    """Lay out what is left behind `--verify`."""
    low, high = row["interval"]
    counts = [str(row[name]) for name in ("snippets", "dropped", "released")]
    left = f"{row['left']} [{100 * low:.0f}, {100 * high:.1f} %]"
    return [["snippets", "dropped", "released", "found at a second look"], [*counts, left]]


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
