"""`deident run`: recordings to a store."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from deident import __version__
from deident.cli.find import add_run_arguments, check_find, with_found
from deident.cli.inputs import LINKS, add_input_arguments, lacking, recordings_of
from deident.cli.keys import add_key_argument, key_of
from deident.cli.policy import add_cutting_arguments, policy_of
from deident.cli.report import check_report, write_report
from deident.errors import SettingError, counted, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from deident.cli.progress import Progress
    from deident.policy import Policy
    from deident.recording import Recording
    from deident.runs.run import Summary

ONE = {
    "links": "link", "files of other kinds": "file of another kind", "hidden files": "hidden file",
    "hidden folders": "hidden folder", "stores": "store",
}  # fmt: skip
EPILOG = """\
examples:
  deident run calls/ --out store
  deident run call.wav --out store --channels split
  deident run --table corpus.tsv --carry language --scope speaker --key-file key --out store
  deident run calls/ --out store --mute names.json --words words.ctm --carry text
  deident run --kaldi data/dev --carry text --scope speaker --key-file key --out store --to-kaldi data/dev_anon
  deident run calls/ --out store --find --find-model whisper-base --verify
  deident run calls/ --out store --report run.html
  deident run calls/ --out store --disguise psola:semitones=2..4+mine:Robot
  deident run meeting.flac --segments meeting.rttm --out store --policy strict.toml
  deident run s3://bucket/calls --out s3://bucket/store --dask tls://scheduler:8786

Messages name recordings by pseudonyms; `deident which` tells which recording it was."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("recordings", nargs="*", metavar="RECORDING", help="files, and folders to look through")
    add("--out", metavar="STORE", help="the store: a new folder, or one of an earlier run to go on with")
    add_input_arguments(parser)
    how = parser.add_argument_group("what to make of it")
    add_cutting_arguments(how)
    how.add_argument("--preset", metavar="NAME", help="review (default), strong, natural or training")
    how.add_argument(
        "--disguise",
        dest="chain",
        metavar="METHOD[+...]",
        help="a method as `evaluate` takes it; a+b applies two in turn",
    )
    how.add_argument(
        "--scope",
        choices=("snippet", "recording", "speaker"),
        help="how long one voice is kept",
    )
    how.add_argument("--detector", metavar="NAME", help="silero, the network of the extra silero")
    how.add_argument("--one-voice", action="store_true", help="cut where the voice changes, drop two at once")
    how.add_argument(
        "--voice-encoder",
        metavar="NAME",
        help="find it by a speaker encoder, as `evaluate --encoder` takes it, and drop it",
    )
    how.add_argument(
        "--max-per-recording", type=int, metavar="N", help="release at most N per recording, chosen at random"
    )
    how.add_argument("--format", choices=("wav", "flac"), help="of the snippets (default wav)")
    how.add_argument("--repeatable", action="store_true", help="same key and input, same bytes; needs a key")
    how.add_argument("--again", action="store_true", help="release anew what was released before")
    how.add_argument("--linkage", metavar="FILE", help="remember what came from where, sealed under the key")
    how.add_argument(
        "--carry",
        metavar="NAME,...",
        help="show in the manifest: text, words, phones, speaker (a pseudonym), and labels of the table or data set",
    )
    how.add_argument("--to-kaldi", metavar="DIR", help="also write the store as a Kaldi data folder")
    how.add_argument(
        "--keep-ids",
        action="store_true",
        help="with --to-kaldi: keep the ids and speakers of the source, for trials; this names everybody",
    )
    add_key_argument(how)
    add_run_arguments(parser.add_argument_group("spoken names and numbers"))
    _add_running_arguments(parser)


def _add_running_arguments(parser: argparse.ArgumentParser) -> None:
    doing = parser.add_argument_group("how to go about it")
    doing.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core)")
    doing.add_argument(
        "--dask", metavar="WHERE", help="local, or the address of a scheduler: see docs/cluster.md"
    )
    doing.add_argument("--dry-run", action="store_true", help="say what would come out; write nothing")
    doing.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    doing.add_argument(
        "--report", metavar="FILE.html", help="audit the store, and write a page about the run"
    )
    doing.add_argument(
        "--log",
        choices=("text", "json"),
        default="text",
        help="messages and progress as text, or as JSON lines",
    )
    doing.add_argument("--quiet", action="store_true", help="no progress and no messages")
    doing.add_argument("--show-paths", action="store_true", help="name recordings by their paths in messages")


def run(args: argparse.Namespace) -> int:
    from deident.cli.export import check_kaldi, to_kaldi
    from deident.cli.progress import JsonLog, Progress
    from deident.runs.worker import warm_up

    if not args.out and not args.dry_run:
        raise SettingError("expected --out STORE, a new folder for the result (or --dry-run)")
    if args.dask:
        require("dask", "a cluster", "distributed", "cloudpickle")
    check_report(args)
    if args.jobs is not None and args.jobs < 1:
        raise SettingError(f"expected --jobs of at least 1; got {args.jobs}")
    check_kaldi(args)
    finder = check_find(args)
    policy = policy_of(args)
    from deident.segmentation.turns import TIMED

    timed = [name for name in TIMED if name in policy.carry]
    if timed and not policy.disguise.keeps_time:
        raise SettingError(
            f"--carry {','.join(timed)}: this disguise changes the timing, so that times of words would be wrong: take"
            " --preset training or natural, or a method that keeps it, or carry text alone"
        )
    passed_over: Counter[str] = Counter()
    recordings = recordings_of(args, passed_over)
    if missing := lacking(args, policy.carry, recordings):
        # What is released is not released again, so a run without the texts could not be repeated with them.
        raise SettingError(
            f"--carry: no recording has any {', '.join(missing)}, and nothing was released: supply it (by a table, a"
            " data set, --turns, --words or --phones), or leave it out of --carry"
        )
    if finder:
        recordings, policy = with_found(args, recordings, policy, finder)
    warm_up()
    shown: dict[str, Any] = {"show_paths": args.show_paths, "quiet": args.quiet}
    log = JsonLog(len(recordings), policy.fingerprint(), **shown) if args.log == "json" else None
    progress = log or Progress(len(recordings), **shown)
    try:
        summary = _summary(args, recordings, policy, progress)
    finally:
        progress.finish()
    summary.passed_over = dict(passed_over)
    if log:
        log.end(summary)
    facts = {
        **summary.to_mapping(),
        "version": __version__,
        "policy": policy.fingerprint(),
        "settings": policy.to_mapping(),
        "problems": progress.problems,
    }
    _print(summary, facts, args, policy)
    if args.to_kaldi:
        to_kaldi(args, {turn.id for recording in recordings for turn in recording.turns}, facts)
    is_clean = write_report(args, summary, policy)
    return 0 if summary.fine and is_clean else 1


def _summary(
    args: argparse.Namespace, recordings: list[Recording], policy: Policy, progress: Progress
) -> Summary:
    """De-identify the recordings, or tally what would come out."""
    from deident.runs.run import dry_run
    from deident.runs.run import run as run_batch

    settings: dict[str, Any] = {"key": key_of(args), "jobs": args.jobs, "on_read": progress.add_read}
    if args.dry_run:
        return dry_run(recordings, policy, progress=progress, **settings)
    with _executor(args) as executor:
        return run_batch(
            recordings, args.out, policy, executor=executor, again=args.again, linkage=args.linkage,
            progress=progress, **settings,
        )  # fmt: skip


def _executor(args: argparse.Namespace) -> Any:
    """Return a context with the cluster of --dask, or with None."""
    from contextlib import nullcontext

    from deident.runs.local import available_cores

    if not args.dask:
        return nullcontext()
    if args.dask != "local" and args.jobs:
        raise SettingError("--jobs is for this machine: on a cluster, start more workers")
    from deident.runs.dask import connected

    return connected(args.dask, args.jobs or available_cores())


def _print(summary: Summary, facts: dict[str, Any], args: argparse.Namespace, policy: Policy) -> None:
    """Print the summary as JSON or text, with the next command."""
    from deident.runs.gate import LEFT_OUT

    if args.json:
        import json

        text = json.dumps(facts, indent=2, default=repr)
    elif args.quiet:
        return
    else:
        text = describe(summary, dry=args.dry_run)
        if summary.snippets and not args.dry_run:
            seconds = policy.cutting.max_seconds
            limit = "" if seconds == 10.0 else f" --max-seconds {seconds:g}"  # 10 is the audit's own
            text += f"\n{'next':<14}deident audit {args.out}{limit}"
        if facts["problems"] and not args.show_paths:
            text += f"\n{'next':<14}{_which(args, facts['problems'])}"
        left_out = sum(summary.codes.get(code, 0) for code in LEFT_OUT)
        if summary.states["skipped"] > left_out and not args.again:
            text += (
                f"\n{'skipped':<14}done before, perhaps with other settings; for new ones, give a new --out"
            )
    sys.stdout.write(text + "\n")


def _which(args: argparse.Namespace, problems: list[dict[str, str]]) -> str:
    """Say how to find the recording that a message names by a pseudonym."""
    if args.dry_run:
        return "--show-paths names recordings by their paths, as `deident which` does after a run"
    return f"deident which {problems[0]['recording']} RECORDING... --store {args.out}   names that recording"


def describe(summary: Summary, *, dry: bool = False) -> str:
    """Put a summary into a few lines for a person."""
    from deident.cli.progress import clock

    states = ", ".join(f"{count} {state}" for state, count in summary.states.items() if count)
    drops = ", ".join(
        f"{seconds:.1f} s {reason.replace('_', ' ')}"
        for reason, seconds in sorted(summary.dropped_seconds.items())
    )
    found = f"{clock(summary.read_seconds)} of audio, {summary.speech_seconds:.1f} s of speech found"
    released = f"{counted(summary.snippets, 'snippet')}, {summary.released_seconds:.1f} s"
    if summary.shortened_seconds >= 0.05:
        released += f" ({summary.shortened_seconds:.1f} s of pauses taken out)"
    took = f"{summary.elapsed_seconds:.1f} s"
    if summary.read_seconds:
        took += f", {summary.times_real_time:.0f} × real time"
    passed = ", ".join(
        (f"{count} {ONE.get(kind, kind)}" if count == 1 else f"{count} {kind}")
        + (" (--follow-links reads them)" if kind == LINKS else "")
        for kind, count in sorted(summary.passed_over.items())
        if count
    )
    codes = ", ".join(f"{count} {code}" for code, count in sorted(summary.codes.items()))
    cancelled = (
        f"the channels of {counted(summary.cancelled, 'recording')} cancel each other, for "
        f"{summary.cancelled_seconds:.1f} s: the louder one was taken"
    )
    rows = {
        "recordings": f"{summary.recordings}: {states or 'none'}",
        "read": found,
        "would release" if dry else "released": released,
        "dropped": drops or "nothing",
        **({"passed over": passed} if passed else {}),
        **({"because": codes} if codes else {}),
        **({"cancelled": cancelled} if summary.cancelled else {}),
        **_remarks(summary),
        "took": took,
    }
    return "\n".join(f"{name:<14}{value}" for name, value in rows.items())


def _remarks(summary: Summary) -> dict[str, str]:
    """Point out what may be wrong with the settings."""
    remarks = {}
    if summary.gated_seconds > max(1.0, 0.25 * summary.speech_seconds):
        remarks["gated"] = f"{summary.gated_seconds:.1f} s of noise, or speech in noise: see [vad] gate_db"
    if count := summary.texts_left_out:
        remarks["texts"] = (
            f"no snippet has {counted(count, 'text')}: dropped, muted, or divided without word times"
        )
    if count := summary.separate_channels:
        several = "a recording has" if count == 1 else f"{count} recordings have"
        remarks["channels"] = f"{several} a person on each channel: --channels split keeps them apart"
    return remarks
