"""`deident review collect`: the labels of reviewers, as a table of the snippets in a store."""

from __future__ import annotations

import argparse

from deident.cli.keys import add_key_argument, needed_key
from deident.errors import counted

EPILOG = """\
examples:
  deident review collect store ann.json bob.json --key-file key --out labels.csv
  deident review collect store labels/*.json --key-file key --out labels.csv --flagged flagged.txt
  deident erase store --linkage links --key-file key --snippets flagged.txt

Each JSON is the labels.json that a reviewer's page saved, or a JSON export of Label Studio. The table names snippets
as the store does, with round, reviewer, text, quality, flag and remark. To take flagged snippets out, erase the
recordings they came from."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("store", metavar="STORE", help="the store that the rounds were made from")
    parser.add_argument("labels", nargs="+", metavar="JSON", help="what reviewers sent back")
    parser.add_argument("--out", required=True, metavar="FILE", help="the CSV to write; a new file")
    parser.add_argument(
        "--flagged", metavar="FILE", help="write the names of flagged snippets, one a line; a new file"
    )
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    import csv
    import dataclasses
    import io
    from collections import Counter
    from pathlib import Path

    from deident.cli.inputs import check_new_file
    from deident.pages.page import write_private
    from deident.review import Label, collect
    from deident.store import FolderStore, folder_of

    check_new_file("--out", args.out)
    if args.flagged:
        check_new_file("--flagged", args.flagged)
    key = needed_key(args, "the list of rounds is sealed: give the key of the rounds")
    with FolderStore(folder_of(args.store), key=key, create=False) as store:
        labels, left_out = collect(store, key, args.labels)
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(field.name for field in dataclasses.fields(Label))
    rows.writerows(map(dataclasses.astuple, labels))
    write_private(Path(args.out), text.getvalue().encode())
    flagged = sorted({label.snippet for label in labels if label.flag})
    if args.flagged:
        write_private(Path(args.flagged), "".join(f"{name}\n" for name in flagged).encode())
    reviewers = len({label.reviewer for label in labels})
    print(f"{counted(len(labels), 'label')} of {counted(reviewers, 'reviewer')}")
    if left_out:
        print(
            f"left out: {counted(left_out, 'label')} of snippets that were erased since, or are past their last day"
        )
    for flag, count in sorted(Counter(label.flag for label in labels if label.flag).items()):
        print(f"flagged: {count}, {flag}")
    if flagged:
        names = args.flagged or "FILE"
        print(f"next: deident erase STORE --linkage FILE --snippets {names}")
    return 0
