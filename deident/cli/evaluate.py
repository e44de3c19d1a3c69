"""`deident evaluate`: attack disguises, and say what they protect and what they cost."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deident.cli.progress import DRAW_SECONDS, LOG_SECONDS, Progress, clock
from deident.errors import SettingError
from deident.uris import check_outside_stores

if TYPE_CHECKING:
    from deident.evaluation.corpus import Corpus, Utterance
    from deident.evaluation.settings import Tools

DEFAULT = "review,natural,mcadams"
QUICK_SPEAKERS = 24
EPILOG = """\
examples:
  deident evaluate --statistics                                   on invented voices: does it work here?
  deident evaluate speech/ --out report/
  deident evaluate speech/ --disguise review,mcadams:alpha=0.8..0.9 --out report/ --compare old/report.json
  deident evaluate --rank mine/report.json yours/report.json

exit codes: 0 done, 2 wrong options, 3 a number must not be trusted; the table says which and why"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("originals", nargs="*", help="undisguised speech, one corpus or several: a folder of speaker/utterance files, "
        "a .tsv or .csv table (path, speaker, sex, group, transcript, role, recording), a Kaldi, LibriSpeech or VCTK "
        "folder, through links too; synthetic voices when none is given")  # fmt: skip
    add("--only", default="", metavar="PREFIX", help="keep the utterances whose path begins with this")
    add("--disguise", action="append", metavar="NAMES", help=f"presets or methods, separated by commas; "
        f"name:setting=value, one+other, package.module:NAME (default {DEFAULT})")  # fmt: skip
    out_help = "write report.html, report.json and scores.npz there, and keep the cache there"
    add("--out", metavar="FOLDER", help=out_help)
    add("--cache", metavar="FOLDER", help="keep work there instead; it holds voice features of the originals")
    add("--compare", metavar="REPORT", help="say what changed since this report.json")
    add(
        "--rank",
        nargs="+",
        metavar="REPORT",
        help="print a leaderboard of these report.json, and measure nothing",
    )
    add_tool_arguments(parser)
    add("--statistics", action="store_true", help="attack by statistics alone, and recognise no words: quick")
    add("--quick", action="store_true",
        help="see that all parts work, in a minute: one run, 24 speakers, three snippets each, no encoder or "
        "recogniser but those that are named; its numbers are rough")  # fmt: skip
    words_help = "single spoken words of several speakers: measure use as training data"
    add("--words", metavar="TABLE", help=words_help)
    add("--words-only", default="", metavar="PREFIX", help="keep the words whose path begins with this")
    add("--runs", type=int, default=2, help="times the speakers on trial are disguised (default 2)")
    add("--train-draws", type=int, default=3, help="disguised copies of each training utterance (default 3)")
    add("--enrol-draws", type=int, default=2,
        help="disguised copies of each enrolment utterance that are averaged (default 2)")  # fmt: skip
    add("--same-recording", action="store_true",
        help="let enrolment share the recording of the trial, where a speaker has several")  # fmt: skip
    add("--no-channels", action="store_true", help="do not try to tell the channel of a recording")
    add("--most", type=int, default=12, help="utterances kept per speaker (default 12)")
    add("--spoken", type=int, default=2, help="of these, how many recognisers get (default 2)")
    add("--seed", type=int, default=0, help="of every draw (default 0)")
    add("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="processes (default: up to 4)")
    add("--json", action="store_true", help="print the report as JSON instead of the table")
    add("--quiet", action="store_true", help="no progress")


def add_tool_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `tools_of`."""
    add = parser.add_argument
    add("--encoder", action="append", default=[], metavar="NAME",
        help="attack with this speaker encoder: onnx:PATH; resemblyzer; package.module:NAME, a callable from samples "
        "at 16 kHz to an embedding; equalised: before any of them takes out what colour was drawn; several count "
        "together (default: resemblyzer, where it is installed)")  # fmt: skip
    attacker_help = (
        "also attack with this: trained, or trained:PATH.pt; content:RECOGNISER; package.module:NAME, a subclass of "
        "deident.evaluation.attack.Attacker"
    )
    add("--attacker", action="append", default=[], metavar="NAME", help=attacker_help)
    recogniser_help = (
        "count the word errors of this: whisper:PATH; pocketsphinx; package.module:NAME, a callable from samples at "
        "16 kHz to text"
    )
    add("--recogniser", action="append", default=[], metavar="NAME", help=recogniser_help)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, write. Returns 0, or 3 when a check failed that makes a number untrustworthy."""
    from deident.evaluation.ranking import compare, read_report

    if args.rank:
        return _rank([read_report(Path(place)) for place in args.rank])

    for option, place in (("--out", args.out), ("--cache", args.cache)):
        if place:
            check_outside_stores(option, place)

    from deident.disguise.naming import disguise_named
    from deident.evaluation import report_html
    from deident.evaluation.cache import Cache
    from deident.evaluation.forecast import forecast
    from deident.evaluation.layouts import read_corpus
    from deident.evaluation.run import evaluate
    from deident.evaluation.settings import Settings

    # Everything that can be missing or wrong is found before the first second of work.
    names = [name for text in args.disguise or [DEFAULT] for name in text.split(",") if name]
    disguises = {name: disguise_named(name) for name in names}
    tools = tools_of(args)
    before = read_report(Path(args.compare)) if args.compare else None
    if args.out:
        report_html.check_extras()
    settings = Settings(
        args.seed, args.runs, args.train_draws, args.enrol_draws, most=args.most, spoken=args.spoken,
        across=not args.same_recording, channels=not (args.statistics or args.no_channels),
    )  # fmt: skip
    if args.quick:
        settings = replace(
            settings, runs=1, train_draws=2, enrol_draws=1, bootstrap=50, most=3, spoken=1, channels=False
        )
    words: tuple[Utterance, ...] = ()
    if args.words:
        words = read_corpus(Path(args.words), args.words_only).utterances
    out = Path(args.out) if args.out else None
    folder = Path(args.cache) if args.cache else out / "cache" if out else None
    corpus, progress = _corpus(args), Stages(quiet=args.quiet)
    if not args.quiet:
        seconds = forecast(corpus, disguises, settings, tools) / args.jobs
        hint = "" if args.quick else "; a quick look: --quick"
        print(f"deident: takes {_about(seconds)} where nothing is cached{hint}", file=sys.stderr)
    report = evaluate(
        corpus, disguises, settings=settings, tools=tools, words=words, cache=Cache(folder), jobs=args.jobs,
        tick=progress,
    )  # fmt: skip
    progress.finish()
    print(report.to_json() if args.json else report.table())
    if before is not None:
        changes = "\nsince the earlier report:\n" + compare(report, before)
        print(changes, file=sys.stderr if args.json else None)
    if out:
        report_html.write(report, out)
    return report.exit_code


def _about(seconds: float) -> str:
    return f"about {round(seconds / 60.0)} minutes" if seconds > 90.0 else "a minute or less"


def _rank(reports: list[Any]) -> int:
    """Print reports side by side, ranked."""
    from deident.evaluation.ranking import rank
    from deident.evaluation.report import aligned

    table, notes = rank(reports)
    print("\n".join((*notes, aligned(table))))
    return 0


def _corpus(args: argparse.Namespace) -> Corpus:
    """Read the corpora that were named, or synthesise one."""
    from deident.evaluation.corpus import few_speakers, joined
    from deident.evaluation.layouts import read_corpus
    from deident.evaluation.synthetic import synthetic_corpus

    if not args.originals:
        return synthetic_corpus(16, 3) if args.quick else synthetic_corpus()
    corpus = joined([read_corpus(Path(place), args.only) for place in args.originals])
    return few_speakers(corpus, QUICK_SPEAKERS) if args.quick else corpus


def tools_of(args: argparse.Namespace) -> Tools:
    """The attackers, encoders and recognisers that were named; those that are installed where none was."""
    from deident.evaluation.attackers import with_attackers
    from deident.evaluation.content import Content
    from deident.evaluation.encoders import encoder_named
    from deident.evaluation.network import attacker_named
    from deident.evaluation.settings import NO_ENCODER, NO_RECOGNISER, Tools
    from deident.evaluation.words import recogniser_named

    def attacker(text: str) -> tuple[str, object]:
        kind, _, rest = text.partition(":")
        return (kind, Content(recogniser_named(rest)[1])) if kind == "content" else attacker_named(text)

    attackers = with_attackers(dict(attacker(text) for text in args.attacker))
    if args.statistics:
        if args.encoder or args.recogniser:
            raise SettingError(
                "expected --statistics, or --encoder and --recogniser; got both: leave one out"
            )
        alone = "attacked by statistics alone: a speaker encoder would make the attackers stronger"
        return Tools(attackers=attackers, lacking=(alone,))
    encoders = dict(encoder_named(text) for text in args.encoder)
    recognisers = dict(recogniser_named(text) for text in args.recogniser)
    if vars(args).get("quick"):
        return Tools(encoders, recognisers, attackers, ("a quick look: every number is rough",))
    found = Tools() if encoders and recognisers else Tools.installed()
    given = {NO_ENCODER: encoders, NO_RECOGNISER: recognisers}
    return Tools(
        encoders or found.encoders, recognisers or found.recognisers, attackers,
        tuple(remark for remark in found.lacking if not given[remark]),
    )  # fmt: skip


class Stages(Progress):
    """One line on stderr that says what is being worked on: redrawn on a terminal, now and then in a log."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(0, quiet=quiet)
        self._stage = ""

    def __call__(self, stage: str, done: int, of: int) -> None:  # type: ignore[override]  # stages, no recordings
        now = time.monotonic()
        is_new = stage != self._stage
        if self._quiet or (
            not is_new and now - self._shown < (DRAW_SECONDS if self._terminal else LOG_SECONDS)
        ):
            return
        self._stage, self._shown = stage, now
        line = f"{stage}: {done} of {of}, {clock(now - self._started)}"
        if not self._terminal:
            self._write(f"deident: {line}\n")
            return
        line = line[: self._columns() - 1]
        self._write("\r" + line.ljust(self._width))
        self._width = len(line)
