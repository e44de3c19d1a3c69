"""`deident scan`: list what recordings hold besides sound."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections import Counter

from deident.errors import RecordingError
from deident.scanners import scan
from deident.uris import is_uri, local_path, open_uri

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from deident.scanners import Finding

EPILOG = """\
examples:
  deident scan interview.mp3
  deident scan --values interview.mp3      what the tags say, too
  deident scan --json calls/*.wav
  deident scan s3://calls/interview.mp3
  deident scan calls/                      every recording in a folder and below

Files are named by their number on the command line, and in a folder by another one.
docs/metadata.md says what is looked for and what is not.
exit codes: 0 nothing but sound, 1 something else or a file that cannot be read, 2 wrong options"""
SHOWN = 200  # characters of a value on a line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="recordings of any format, folders to look through, or their URIs",
    )
    parser.add_argument("--follow-links", action="store_true", help="read through symbolic links in folders")
    parser.add_argument("--values", action="store_true", help="show what the tags say: names, places, times")
    parser.add_argument("--json", action="store_true", help="findings as JSON on standard output")
    parser.add_argument("--show-paths", action="store_true", help="name files by their paths")


def run(args: argparse.Namespace) -> int:
    """Scan and print; returns the exit code."""
    answers = []
    passed_over: Counter[str] = Counter()
    for name, path in _named(args, passed_over):
        answer = _scanned(path, path if args.show_paths else name, args.values)
        answers.append(answer)
        if not args.json:
            sys.stdout.write(_text(answer))
    if passed_over and not args.json:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(passed_over.items()))
        sys.stdout.write(f"passed over: {counts}\n")
    if args.json:
        sys.stdout.write(json.dumps({"files": answers}, indent=1) + "\n")
    return 1 if any(answer["findings"] or "error" in answer for answer in answers) else 0


def _named(args: argparse.Namespace, passed_over: Counter[str]) -> Iterator[tuple[str, str]]:
    """Give the files to scan, with numbers for names."""
    from deident.datasets.recordings import expand

    for number, place in enumerate(args.files, 1):
        if not is_uri(local_path(place)) and not os.path.isdir(local_path(place)):
            yield f"file {number}", place
            continue
        found = [r.path for r in expand(place, follow_links=args.follow_links, passed_over=passed_over)]
        for below, path in enumerate(found, 1):
            yield f"file {number}" if path == place else f"file {number}.{below}", path


def _scanned(path: str, name: str, values: bool) -> dict[str, Any]:
    """Scan one file, and return findings or an error as plain values."""
    try:
        with open_uri(path) if is_uri(path) else contextlib.nullcontext(path) as source:
            findings = scan(source)
    except RecordingError as error:
        return {"file": name, "findings": [], "error": str(error)}
    except OSError as error:  # of a URI; it names no place
        missing = isinstance(error, FileNotFoundError)
        return {"file": name, "findings": [], "error": "no such file" if missing else "cannot be read"}
    return {"file": name, "findings": [_entry(finding, values) for finding in findings]}


def _entry(finding: Finding, values: bool) -> dict[str, Any]:
    entry = {"kind": finding.kind, "where": finding.where, "size": finding.size, "what": finding.what}
    return entry | ({"value": printable(finding.value)} if values else {})


def _text(answer: dict[str, Any]) -> str:
    findings = answer["findings"]
    if "error" in answer:
        return f"{answer['file']}: {answer['error']}\n"
    if not findings:
        return f"{answer['file']}: nothing but sound\n"
    lines = [f"{answer['file']}: {len(findings)} besides sound"]
    for entry in findings:
        lines.append(f"{entry['where']:12d} {entry['size']:10d}  {entry['kind']:22s} {entry['what']}")
        if "value" in entry:
            lines.append(f"{'':25s}{entry['value'][:SHOWN]}")
    return "\n".join(lines) + "\n"


def printable(value: bytes) -> str:
    """Keep the readable characters of a value; a dot for runs of others, which could give orders to a terminal."""
    text = value.decode("utf-8", "replace").replace("\0", "")
    shown = "".join(c if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}" else "\n" for c in text)
    return " · ".join(part for part in shown.split("\n") if part)
