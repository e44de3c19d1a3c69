"""Protection and cost of each stage of the vocoder: the default with one setting changed, attacked.

`python -m benchmarks ablation` on the recordings in the folder that DEIDENT_SPEECH names. The first rows take
something away; the last erase or draw more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.fill import fill
from benchmarks.record import record
from benchmarks.strength import material
from deident.cli.evaluate import Stages, add_tool_arguments, tools_of
from deident.disguise.vocoder import Vocoder
from deident.evaluation.cache import Cache
from deident.evaluation.run import evaluate
from deident.evaluation.settings import Settings

VARIANTS: dict[str, dict[str, Any]] = {
    "the default": {},
    "no learned map": {"context": 0.0},
    "no drawn tract": {"tract": (1.0, 1.0)},
    "no drawn warp": {"warp": 0.0},
    "no colour": {"colour": 0.0},
    "noise kept": {"noise": 0.0, "gate_db": 60.0},
    "own tract": {"tract_norm": 0.0},
    "own spread": {"spread": 0.0},
    "own mean": {"mean": 0.0},
    "flat melody": {"f0_octaves": (0.0, 0.06)},
    "lively melody": {"f0_octaves": (0.2, 0.35)},  # as docs/methods.md has it for tonal languages
}
PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"
COLUMNS = ("variant", "strongest", "by", "statistics", "top-1", "words added")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ablation", description=__doc__)
    parser.add_argument("--only", help="names of variants, separated by commas; the record stays as it is")
    parser.add_argument("--cache", help="keep work in this folder")
    parser.add_argument("--jobs", type=int, default=2)
    add_tool_arguments(parser)
    parser.set_defaults(statistics=False)
    args = parser.parse_args(argv)
    corpus, _ = material()
    chosen = args.only.split(",") if args.only else list(VARIANTS)
    progress = Stages()
    report = evaluate(
        corpus,
        {name: Vocoder(**VARIANTS[name]) for name in chosen},
        settings=Settings(runs=1, invert=False, channels=False),
        tools=tools_of(args),
        cache=Cache(Path(args.cache) if args.cache else None),
        jobs=args.jobs,
        tick=progress,
    )
    progress.finish()
    rows = [{"variant": name, "changed": VARIANTS[name], **_row(report, name)} for name in chosen]
    table = [COLUMNS, *([_text(row[column]) for column in COLUMNS] for row in rows)]
    print("\n".join(" | ".join(cells) for cells in table))
    if chosen == list(VARIANTS):  # a part would take the place of the whole
        record("ablation", rows)
        fill(PAGE, "ablation", table)
    return report.exit_code


def _row(report: Any, name: str) -> dict[str, Any]:
    verdict = report.verdicts[name]

    def percent(result: Any) -> list[float]:
        return [round(100.0 * value, 1) for value in (result.eer, result.low, result.high)]

    recogniser = next(iter(verdict.utility.words), None)
    words = verdict.utility.words[recogniser].added.scaled(100.0) if recogniser else None
    return {
        "strongest": percent(verdict.headline),
        "by": verdict.strongest,
        "statistics": percent(verdict.attacks["semi-informed/statistics"]),
        "top-1": round(verdict.identification.top_1.value, 2),
        "words added": [round(value, 1) for value in (words.value, words.low, words.high)] if words else None,
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]} [{value[1]}, {value[2]}]"
    return "-" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
