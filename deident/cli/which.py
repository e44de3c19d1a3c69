"""`deident which`: find the recording that a message spoke of by its pseudonym."""

from __future__ import annotations

import argparse
import sys

from deident.cli.inputs import add_place_arguments, places_of
from deident.cli.keys import add_key_argument, key_of

EPILOG = """\
examples:
  deident which 3f09c21bd5a4 calls/ --store store"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", help="the 12 digits in the message")
    parser.add_argument(
        "recordings", nargs="*", metavar="RECORDING", help="the files and folders that the run was given"
    )
    add_place_arguments(parser)
    parser.add_argument("--store", required=True, metavar="STORE", help="the store of that run")
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    from deident.runs.commit import pseudonym
    from deident.store import open_store

    with open_store(args.store, key=key_of(args), create=False) as store:
        key = store.key
    found = [r.path for r in places_of(args) if pseudonym(key, r.path) == args.id]
    for path in found:
        print(path)
    if not found:
        print("deident: none of these recordings has that pseudonym in this store", file=sys.stderr)
    return 0 if found else 1
