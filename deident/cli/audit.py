"""`deident audit`: prove a store."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys

from deident.cli.keys import add_key_argument, linkage_of
from deident.errors import SettingError, counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from deident.audit import Problem

EPILOG = """\
examples:
  deident audit store
  deident audit store --max-seconds 8
  deident audit store --linkage links --key-file key
  deident audit store --quick              names, modes, times, sizes and headers, without reading all sound

exit codes: 0 every promise holds, 1 one is broken or cannot be proved, 2 wrong options"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("store", metavar="STORE", help="the folder that `deident run` made, or its URI")
    parser.add_argument(
        "--max-seconds", type=float, default=10.0, metavar="S", help="every snippet is shorter (default 10)"
    )
    parser.add_argument("--quick", action="store_true", help="do not read all sound or verify checksums")
    parser.add_argument("--linkage", metavar="FILE", help="also prove that it and the store agree")
    add_key_argument(parser)
    parser.add_argument("--json", action="store_true", help="the report as JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Audit and print; returns the exit code."""
    from deident.audit.place import audit_store

    if not (args.max_seconds > 0 and math.isfinite(args.max_seconds)):
        raise SettingError("expected --max-seconds above 0")
    report = audit_store(args.store, max_seconds=args.max_seconds, deep=not args.quick)
    if args.linkage is not None:
        report = dataclasses.replace(report, problems=(*report.problems, *_of_linkage(args)))
    if args.json:
        problems = [
            {"code": p.code, "message": p.message, **({"name": p.name} if p.name else {})}
            for p in report.problems
        ]
        answer = {
            "clean": report.clean,
            "files": report.files,
            "seconds": report.seconds,
            "problems": problems,
        }
        sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{problem}\n" for problem in report.problems)
        proved = "looked at" if args.quick else "proved"
        verdict = "every promise holds" if report.clean else counted(len(report.problems), "problem")
        files = counted(report.files, "snippet")
        sys.stdout.write(f"{files} {proved}, {report.seconds:.1f} s of sound: {verdict}\n")
    if report.has_programme and args.linkage is None:
        sys.stderr.write(
            "deident: consent, share and days were not looked at: give --linkage and --key-file\n"
        )
    return 0 if report.clean else 1


def _of_linkage(args: argparse.Namespace) -> list[Problem]:
    from deident.store import audit_linkage

    _, key = linkage_of(args)
    return audit_linkage(args.store, args.linkage, key)
