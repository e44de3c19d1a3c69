"""`deident erase`: remove what came from a recording, a speaker, or a time long past."""

from __future__ import annotations

import argparse
import re
import sys

from deident.cli.keys import add_key_argument, linkage_of
from deident.errors import SettingError, counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from deident.programme.erasure import Erased
    from deident.store import Link, Store

EPILOG = """\
examples:
  deident erase store --linkage links --key-file key --source call.wav
  deident erase store --linkage links --key-file key --speaker 17
  deident erase store --linkage links --key-file key --withdrawn withdrawn.txt
  deident erase store --linkage links --key-file key --older-than 30d
  deident erase store --linkage links --key-file key --snippets flagged.txt

What is erased is not released again by a later run, `--again` or not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_erasure_arguments(parser)
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
    which.add_argument(
        "--withdrawn",
        metavar="LIST",
        help="everybody on a list, a speaker, path or pseudonym a line, who are kept out from now on too",
    )
    which.add_argument("--older-than", metavar="DAYS", help="released at least so many days ago, such as 30d")


def add_erasure_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store, its linkage and key, and the receipt."""
    parser.add_argument("store", metavar="STORE", help="the store that `deident run` made")
    parser.add_argument(
        "--linkage", required=True, metavar="FILE", help="the file that `run --linkage` wrote"
    )
    parser.add_argument(
        "--receipt", metavar="FILE", help="write what was erased, and the copies to withdraw, as JSON"
    )
    parser.add_argument(
        "--sign", metavar="FILE", help="sign the receipt with the key of `deident keygen --signing`"
    )
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    from deident.programme.erasure import erase, withdrawal_marks
    from deident.store import open_store

    check_receipt(args)
    withdrawn = _listed(args.withdrawn) if args.withdrawn else frozenset()
    kinds = ("source", "speaker", "snippets", "withdrawn", "older_than")
    kind = next(kind for kind in kinds if getattr(args, kind) is not None).replace("_", "-")
    wanted = _selector(args, withdrawn)
    linkage, key = linkage_of(args)
    with open_store(args.store, key=key, create=False) as store:
        linkage.attach(store)
        known = [link for link in linkage.links() if link.store == store.id]
        links = {link for link in known if wanted(link)}
        if args.older_than is None:
            links |= _elsewhere(known, links)
        marks, request = withdrawal_marks(store, withdrawn), _request(args, withdrawn)
        erased = erase(store, linkage, key, links, kind, marks, request=request, is_due=bool(args.receipt))
        print(f"erased {counted(erased.snippets, 'snippet')} of {counted(erased.recordings, 'recording')}")
        if withdrawn:
            entries = counted(len(withdrawn), "entry").replace("entrys", "entries")
            print(f"kept out from now on: {entries} of the list")
        finish(args, kind, erased, store)
    is_done = bool(erased.recordings or withdrawn)
    if not is_done:
        print(
            "nothing in the linkage matches: give the recording or speaker as the run was given it",
            file=sys.stderr,
        )
    return 0 if is_done else 1


def check_receipt(args: argparse.Namespace) -> None:
    """Raise `SettingError`, before anything is erased, when the receipt could not be written."""
    from deident.cli.inputs import check_new_file

    if args.receipt:
        check_new_file("--receipt", args.receipt)
    if args.sign:
        from deident.programme.signing import read_signing_key

        if not args.receipt:
            raise SettingError("--sign signs a receipt: name its file with --receipt")
        read_signing_key(args.sign)


def finish(args: argparse.Namespace, kind: str, erased: Erased, store: Store) -> None:
    """Print the copies to withdraw, and write the receipt that was asked for."""
    import json
    from pathlib import Path

    from deident.pages.page import write_private
    from deident.programme.erasure import receipt, settle

    for copy in erased.withdraw:
        print(f"withdraw: {copy.round}/{copy.reviewer}/{copy.file}")
    if args.receipt:
        said = receipt(kind, erased)
        data = (json.dumps(said, indent=1) + "\n").encode()
        if args.sign:
            from deident.programme.signing import read_signing_key, signed

            data = signed(said, read_signing_key(args.sign))
        write_private(Path(args.receipt), data)
        settle(store)
    elif erased.earlier:
        print(
            f"{counted(len(erased.earlier), 'erasure')} before this one had been stopped and can be receipted now: give"
            " --receipt FILE, which gets those receipts too",
            file=sys.stderr,
        )


def _request(args: argparse.Namespace, withdrawn: frozenset[str]) -> str:
    """Return what was asked for as one text, the same for a repeat of the same command."""
    from deident.cli.inputs import lines_of_option
    from deident.uris import location

    if args.source is not None:
        return location(args.source)
    lines = lines_of_option("--snippets", args.snippets) if args.snippets is not None else withdrawn
    return args.speaker or args.older_than or "\n".join(sorted(lines))


def _listed(path: str) -> frozenset[str]:
    """Read the lines of --withdrawn."""
    from deident.cli.inputs import lines_of_option

    lines = frozenset(lines_of_option("--withdrawn", path))
    if not lines:
        raise SettingError("--withdrawn: the list is empty: expected a speaker, path or pseudonym a line")
    return lines


def _elsewhere(known: list[Link], wanted: set[Link]) -> set[Link]:
    """The same sound from other places, which is the same person's: but not of those who spoke with them."""
    contents = {link.content for link in wanted}
    places = {link.place for link in wanted}
    others = {link.speaker for link in known if link.place in places and link not in wanted}
    return {link for link in known if link.content in contents and link.speaker not in others}


def _selector(args: argparse.Namespace, withdrawn: frozenset[str]) -> Callable[[Link], bool]:
    """Return a function that tells which links of the linkage are to be erased."""
    from deident.cli.inputs import lines_of_option
    from deident.segmentation.turns import one_form
    from deident.store import today
    from deident.uris import location

    if withdrawn:
        places = {one_form(name) for line in withdrawn for name in (line, location(line))}
        return lambda link: (
            not places.isdisjoint({one_form(link.path), one_form(link.speaker or ""), link.recording})
        )

    if args.speaker is not None:
        return lambda link: one_form(link.speaker or "") == one_form(args.speaker)
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
