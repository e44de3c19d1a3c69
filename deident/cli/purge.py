"""`deident purge`: erase what was kept for as long as the programme allows."""

from __future__ import annotations

import argparse

from deident.cli.erase import add_erasure_arguments, check_receipt, finish
from deident.cli.keys import linkage_of
from deident.errors import counted

EPILOG = """\
examples:
  deident purge store --linkage links --key-file key
  deident purge store --linkage links --key-file key --receipt purged.json

Erases every snippet that is as many days old as [programme] keep_days of the store's policy says, in the store, its
ledger, its linkage and the lists of its rounds, and names the copies in rounds whose last day has passed. Run it every
day, by cron: a second time on the same day it changes nothing, and after a stop it goes on where that was.
`deident audit --linkage` fails on a snippet that is a day over.

What is erased is not released again by a later run, `--again` or not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_erasure_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from deident.programme.erasure import purge
    from deident.store import open_store

    check_receipt(args)
    linkage, key = linkage_of(args)
    with open_store(args.store, key=key, create=False) as store:
        erased = purge(store, linkage, key, is_due=bool(args.receipt))
        print(f"purged {counted(erased.snippets, 'snippet')} of {counted(erased.recordings, 'recording')}")
        finish(args, "purge", erased, store)
    return 0
