"""`deident erase`: remove what came from a recording, a speaker, or a time long past."""

from __future__ import annotations

import argparse
import re
import sys

from deident.cli.keys import add_key_argument, linkage_of
from deident.errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from deident.review import Copy
    from deident.store import Link

EPILOG = """\
examples:
  deident erase store --linkage links --key-file key --source call.wav
  deident erase store --linkage links --key-file key --speaker 17
  deident erase store --linkage links --key-file key --older-than 30d
  deident erase store --linkage links --key-file key --snippets flagged.txt

What is erased is not released again by a later run, `--again` or not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("store", metavar="STORE", help="the store that `deident run` made")
    parser.add_argument(
        "--linkage", required=True, metavar="FILE", help="the file that `run --linkage` wrote"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--source", metavar="PATH-OR-ID", help="a recording, or the pseudonym of one in a message"
    )
    which.add_argument("--speaker", metavar="ID", help="as the table of the run named them")
    which.add_argument(
        "--snippets",
        metavar="FILE",
        help="the recordings of these snippets, a name a line, as `review collect --flagged` writes them",
    )
    which.add_argument("--older-than", metavar="DAYS", help="released at least so many days ago, such as 30d")
    parser.add_argument(
        "--receipt", metavar="FILE", help="write what was erased, and the copies to withdraw, as JSON"
    )
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    from deident.cli.inputs import check_new_file
    from deident.cli.progress import counted
    from deident.review import copies
    from deident.store import FolderStore, open_store

    if args.receipt:
        check_new_file("--receipt", args.receipt)
    wanted = _selector(args)
    linkage, key = linkage_of(args)
    with open_store(args.store, key=key, create=False) as store:
        linkage.attach(store)
        known = [link for link in linkage.links() if link.store == store.id]
        links = {link for link in known if wanted(link)}
        if args.older_than is None:
            links |= _elsewhere(known, links)
        names = {name for link in links for name in link.names}
        given = copies(store, key, names) if isinstance(store, FolderStore) else []
        store.erase(((bytes.fromhex(link.place), bytes.fromhex(link.content)) for link in links), names)
        linkage.remove(links.__contains__)
        store.recover()  # with the linkage as it is now
    recordings = len({link.place for link in links})
    print(f"erased {counted(len(names), 'snippet')} of {counted(recordings, 'recording')}")
    for copy in given:
        print(f"withdraw: {copy.round}/{copy.reviewer}/{copy.file}")
    if args.receipt:
        write_receipt(args, len(names), recordings, given)
    if not links:
        print(
            "nothing in the linkage matches: give the recording or speaker as the run was given it",
            file=sys.stderr,
        )
    return 0 if links else 1


def write_receipt(args: argparse.Namespace, snippets: int, recordings: int, given: list[Copy]) -> None:
    import dataclasses
    import json
    from pathlib import Path

    from deident.pages.page import write_private
    from deident.review import today_text

    kinds = {
        "source": args.source,
        "speaker": args.speaker,
        "snippets": args.snippets,
        "older-than": args.older_than,
    }
    receipt = {
        "kind": next(kind for kind, value in kinds.items() if value is not None),
        "day": today_text(),
        "recordings": recordings,
        "snippets": snippets,
        "withdraw": [dataclasses.asdict(copy) for copy in given],
    }
    text = json.dumps(receipt, indent=1) + "\n"
    write_private(Path(args.receipt), text.encode())


def _elsewhere(known: list[Link], wanted: set[Link]) -> set[Link]:
    """The same sound from other places, which is the same person's: but not of those who spoke with them."""
    contents = {link.content for link in wanted}
    places = {link.place for link in wanted}
    others = {link.speaker for link in known if link.place in places and link not in wanted}
    return {link for link in known if link.content in contents and link.speaker not in others}


def _selector(args: argparse.Namespace) -> Callable[[Link], bool]:
    from deident.cli.inputs import lines_of_option
    from deident.store import today
    from deident.uris import location

    if args.speaker is not None:
        return lambda link: link.speaker == args.speaker
    if args.older_than is not None:
        days = re.fullmatch(r"(\d{1,6})d?", args.older_than)
        if not days:
            raise SettingError("expected --older-than as a number of days, such as 30d")
        last = today() - int(days[1])
        return lambda link: link.day <= last
    if args.snippets is not None:
        wanted = set(lines_of_option("--snippets", args.snippets))
        return lambda link: not wanted.isdisjoint(link.names)
    path = location(args.source)
    return lambda link: args.source == link.recording or path == link.path
