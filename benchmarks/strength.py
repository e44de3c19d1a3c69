"""The standing comparison of disguises: what each protects and what it costs, attacked in one run.

`python -m benchmarks strength` on the recordings in the folder that DEIDENT_SPEECH names (its `files.tsv`, snippets
under `verify/`, words under `digits/`, and `nonnative/files.tsv`); on synthetic voices, which say nothing of people,
without.
With the instruments of the README's table:

    python -m benchmarks strength --encoder onnx:campplus.onnx --attacker trained:campplus_cn_en_common.pt \\
        --recogniser whisper:whisper-base --fill"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fill import fill
from benchmarks.peers import pyworld
from deident.audio import RATE, Audio
from deident.cli.evaluate import Stages, add_tool_arguments, tools_of
from deident.disguise.naming import disguise_named
from deident.evaluation.cache import Cache
from deident.evaluation.corpus import Corpus, Utterance, joined
from deident.evaluation.layouts import read_corpus
from deident.evaluation.report import Report
from deident.evaluation.run import evaluate
from deident.evaluation.settings import Settings
from deident.evaluation.synthetic import synthetic_corpus

RESULTS = Path(__file__).parent / "results"
MEASURED = Path(__file__).parents[1] / "deident" / "disguise" / "strength.json"  # for `deident methods`
README = Path(__file__).parents[1] / "README.md"
EVALUATION = Path(__file__).parents[1] / "docs" / "evaluation.md"
STANDING = ("pitch_shift", "psola", "mcadams", "natural", "review", "strong", "training")


@dataclass(frozen=True)
class Offsets:
    """A pitch offset in semitones and a formant ratio, drawn evenly: what today's voice changers do."""

    semitones: float = 4.0
    formants: float = 1.18

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        ratio = np.exp(rng.uniform(-1.0, 1.0) * np.log(self.formants))
        return float(rng.uniform(-self.semitones, self.semitones)), float(ratio)


@dataclass(frozen=True)
class PraatChangeGender(Offsets):
    """Praat's "Change gender" (parselmouth): PSOLA after resampling."""

    def apply(self, audio: Audio, voice: tuple[float, float], rng: np.random.Generator) -> Audio:
        import parselmouth
        from parselmouth.praat import call

        sound = parselmouth.Sound(audio.mono.astype(np.float64), RATE)
        median = call(call(sound, "To Pitch", 0.0, 75, 500), "Get quantile", 0.0, 0.0, 0.5, "Hertz")
        target = median * 2.0 ** (voice[0] / 12.0) if np.isfinite(median) else 0.0
        out = call(sound, "Change gender", 75, 500, voice[1], target, 1.0, 1.0)
        return Audio(np.clip(out.values[0], -1.0, 1.0), RATE)


@dataclass(frozen=True)
class World(Offsets):
    """The WORLD vocoder (pyworld), F0 and envelope moved; its default, slow and careful, analysis."""

    def apply(self, audio: Audio, voice: tuple[float, float], rng: np.random.Generator) -> Audio:
        world = pyworld()
        samples = audio.mono.astype(np.float64)
        f0, at = world.dio(samples, RATE)
        f0 = world.stonemask(samples, f0, at, RATE)
        envelope = world.cheaptrick(samples, f0, at, RATE)
        noise = world.d4c(samples, f0, at, RATE)
        bins = np.arange(envelope.shape[1])
        source = np.minimum(bins / voice[1], bins[-1])
        low = source.astype(int)
        part, high = source - low, np.minimum(low + 1, bins[-1])
        moved = np.ascontiguousarray(envelope[:, low] * (1.0 - part) + envelope[:, high] * part)
        out = world.synthesize(f0 * 2.0 ** (voice[0] / 12.0), moved, noise, RATE)[: len(samples)]
        return Audio(np.clip(out, -1.0, 1.0), RATE)


PEERS = {"Praat change gender": ("parselmouth", PraatChangeGender), "WORLD offsets": ("pyworld", World)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks strength", description=__doc__)
    parser.add_argument("--statistics", action="store_true", help="no encoder, no recogniser")
    add_tool_arguments(parser)
    parser.add_argument("--methods", default=",".join(STANDING), help=f"default {','.join(STANDING)}")
    parser.add_argument("--no-peers", action="store_true", help="leave other people's methods out")
    parser.add_argument("--readers", action="store_true", help="LibriSpeech alone")
    parser.add_argument("--runs", type=int, default=1, help="times the speakers on trial are disguised")
    parser.add_argument("--enrol-draws", type=int, default=2, help="copies that enrolment averages")
    parser.add_argument("--no-channels", action="store_true", help="do not try to tell channels")
    parser.add_argument(
        "--fill", action="store_true", help="fill the tables of README.md and docs/evaluation.md"
    )
    parser.add_argument("--cache", help="keep work in this folder")
    parser.add_argument("--out", help="also write report.html there")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(argv)

    methods: dict[str, Any] = {name: disguise_named(name) for name in args.methods.split(",")}
    if not args.no_peers:
        methods |= {
            name: kind() for name, (package, kind) in PEERS.items() if importlib.util.find_spec(package)
        }
    corpus, words = material(args.readers)
    settings = Settings(runs=args.runs, enrol_draws=args.enrol_draws, channels=not args.no_channels)
    tools = tools_of(args)
    cache = Cache(Path(args.cache) if args.cache else None)
    started, progress = time.monotonic(), Stages()
    report = evaluate(
        corpus, methods, settings=settings, tools=tools, words=words,
        cache=cache, jobs=args.jobs, tick=progress,
    )  # fmt: skip
    progress.finish()
    print(report.table())
    took = {"seconds": round(time.monotonic() - started), "jobs": args.jobs, "from_cache": cache.found}
    print(f"{took['seconds']} s, {args.jobs} processes", file=sys.stderr)
    if args.fill:
        _fill(report)
        _write(report, took)
    if args.out:
        from deident.evaluation.report_html import write

        write(report, Path(args.out))
    return report.exit_code


def material(readers: bool = False) -> tuple[Corpus, Sequence[Utterance]]:
    """Speakers to tell apart, and single words to learn from; invented voices where no recordings are."""
    folder = os.environ.get("DEIDENT_SPEECH")
    if not folder:
        return synthetic_corpus(), ()
    speech = Path(folder)
    corpora = [read_corpus(speech / "files.tsv", "verify/")]
    if not readers and (speech / "nonnative" / "files.tsv").exists():
        corpora.append(read_corpus(speech / "nonnative" / "files.tsv"))
    return joined(corpora), read_corpus(speech / "files.tsv", "digits/").utterances


def _fill(report: Report) -> None:
    """The tables of README.md and docs/evaluation.md, and that of `deident methods`."""
    speed = len(report.summary()[0]) - 1  # the column that another benchmark measures better
    table = [row[:speed] for row in report.summary()]
    fill(README, "strength", table)
    MEASURED.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tables = {
        "attacks": report.attacks(),
        "risks": report.risks(),
        "effort": report.effort(),
        "groups": report.groups(),
        "words": report.words(),
        "channels": report.channels(),
    }
    for name, rows in tables.items():
        fill(EVALUATION, name, rows)


def _write(report: Report, took: dict[str, int]) -> None:
    """The report without its thousands of scores, which a repository need not carry."""
    whole = {**json.loads(report.to_json()), "took": took}
    for verdict in whole["verdicts"].values():
        del verdict["scores"]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "strength.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
