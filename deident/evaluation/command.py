"""`deident evaluate`: attack disguises, and say what they protect and what they cost."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deident.errors import SettingError, require

if TYPE_CHECKING:
    from deident.evaluation.corpus import Utterance
    from deident.evaluation.run import Tools

DEFAULT = "review,natural,mcadams"
EPILOG = """\
examples:
  deident evaluate --statistics                                   on invented voices: does it work here?
  deident evaluate speech/ --out report/
  deident evaluate speech/ --disguise review,mcadams:alpha=0.8..0.9 --out report/ --compare old/report.json

exit codes: 0 done, 2 wrong options, 3 a number must not be trusted; the table says which and why"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("originals", nargs="?", help="undisguised speech: a folder of speaker/utterance files, a .tsv or .csv "
        "table (path, speaker, sex, transcript, role), a Kaldi, LibriSpeech or VCTK folder; synthetic voices "
        "when not given")  # fmt: skip
    add("--only", default="", metavar="PREFIX", help="keep the utterances whose path begins with this")
    add("--disguise", action="append", metavar="NAMES", help=f"presets or methods, separated by commas; "
        f"name:setting=value, one+other, package.module:NAME (default {DEFAULT})")  # fmt: skip
    add(
        "--out",
        metavar="FOLDER",
        help="write report.html, report.json and scores.npz there, and keep the cache there",
    )
    add("--cache", metavar="FOLDER", help="keep work there instead; it holds voice features of the originals")
    add("--compare", metavar="REPORT", help="say what changed since this report.json")
    add("--encoder", action="append", default=[], metavar="MODULE:NAME",
        help="also attack with this callable, from samples at 16 kHz to an embedding")  # fmt: skip
    add(
        "--recogniser", metavar="MODULE:NAME", help="count word errors of this callable, from samples to text"
    )
    add("--statistics", action="store_true", help="attack by statistics alone, and recognise no words: quick")
    add(
        "--words",
        metavar="TABLE",
        help="single spoken words of several speakers: measure use as training data",
    )
    add("--words-only", default="", metavar="PREFIX", help="keep the words whose path begins with this")
    add("--runs", type=int, default=2, help="times the speakers on trial are disguised (default 2)")
    add("--train-copies", type=int, default=4, help="disguised copies of each training utterance (default 4)")
    add("--most", type=int, default=12, help="utterances kept per speaker (default 12)")
    add("--spoken", type=int, default=2, help="of these, how many the recogniser hears (default 2)")
    add("--seed", type=int, default=0, help="of every draw (default 0)")
    add("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="processes (default: up to 4)")
    add("--json", action="store_true", help="print the report as JSON instead of the table")
    add("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, write. Returns 0, or 3 when a check failed that makes a number untrustworthy."""
    from deident.disguise.naming import disguise_named
    from deident.evaluation.cache import Cache
    from deident.evaluation.layouts import read_corpus
    from deident.evaluation.run import Settings, evaluate
    from deident.evaluation.synthetic import synthetic_corpus

    if args.out:
        require("evaluate", "the report", "matplotlib")
    names = [name for text in args.disguise or [DEFAULT] for name in text.split(",") if name]
    disguises = {name: disguise_named(name) for name in names}
    before = _earlier(args.compare) if args.compare else None
    settings = Settings(args.seed, args.runs, args.train_copies, most=args.most, spoken=args.spoken)
    corpus = read_corpus(Path(args.originals), args.only) if args.originals else synthetic_corpus()
    words: tuple[Utterance, ...] = ()
    if args.words:
        words = read_corpus(Path(args.words), args.words_only).utterances
    out = Path(args.out) if args.out else None
    folder = Path(args.cache) if args.cache else out / "cache" if out else None
    progress = Progress(quiet=args.quiet)
    report = evaluate(
        corpus, disguises, settings=settings, tools=_tools(args), words=words, cache=Cache(folder),
        jobs=args.jobs, tick=progress,
    )  # fmt: skip
    progress.finish()
    print(report.to_json() if args.json else report.table())
    if before is not None:
        print(
            "\nsince the earlier report:\n" + report.compare(before), file=sys.stderr if args.json else None
        )
    if out:
        from deident.evaluation.report_html import write

        write(report, out)
    return report.exit_code


def _tools(args: argparse.Namespace) -> Tools:
    from dataclasses import replace

    from deident.disguise.naming import object_named
    from deident.evaluation.encoders import Equalised
    from deident.evaluation.run import Tools

    if args.statistics:
        return Tools(
            lacking=("attacked by statistics alone: a speaker encoder would make the attackers stronger",)
        )
    tools = Tools.installed()
    own = {name.partition(":")[2]: object_named(name) for name in args.encoder}
    flat = {f"{name}, equalised": Equalised(encoder) for name, encoder in own.items()}
    tools = replace(tools, encoders={**tools.encoders, **own, **flat})
    return replace(tools, recogniser=object_named(args.recogniser)) if args.recogniser else tools


def _earlier(place: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(place).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SettingError("the report to compare with cannot be read: expected a report.json") from None
    return found if isinstance(found, dict) else {}


class Progress:
    """One line on stderr that says what is being worked on: redrawn on a terminal, now and then in a log."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._terminal = quiet, sys.stderr.isatty()
        self._started = self._told = time.monotonic()
        self._stage, self._width = "", 0

    def __call__(self, stage: str, done: int, of: int) -> None:
        now = time.monotonic()
        fresh = stage != self._stage
        if self._quiet or (not fresh and now - self._told < (0.2 if self._terminal else 15.0)):
            return
        self._stage, self._told = stage, now
        line = f"{stage}: {done} of {of}, {now - self._started:.0f} s"
        if self._terminal:
            sys.stderr.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def finish(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
