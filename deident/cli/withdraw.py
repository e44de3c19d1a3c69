"""`deident review withdraw`: the files of all rounds that reviewers must delete."""

from __future__ import annotations

import argparse
import sys

from deident.cli.keys import add_key_argument, needed_key

EPILOG = """\
examples:
  deident review withdraw store --key-file key                    of all reviewers
  deident review withdraw store --key-file key --reviewer ann     the list to send to one

Each line is ROUND/REVIEWER/FILE: a copy of a snippet that is not in the store any more, because it was erased,
or one whose last day in its round has passed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("store", metavar="STORE", help="the store that the rounds were made from")
    parser.add_argument("--reviewer", metavar="NAME", help="list the files of this reviewer alone")
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    from deident.review import copies
    from deident.store import FolderStore, folder_of

    key = needed_key(args, "the list of rounds is sealed: give the key of the rounds")
    with FolderStore(folder_of(args.store), key=key, create=False) as store:
        found = copies(store, key)
    for copy in found:
        if args.reviewer in (None, copy.reviewer):
            sys.stdout.write(f"{copy.round}/{copy.reviewer}/{copy.file}\n")
    return 0
