"""`deident review`: a round of snippets for reviewers."""

from __future__ import annotations

import argparse

from deident.cli.keys import add_key_argument, linkage_of
from deident.errors import counted
from deident.uris import location

EPILOG = """\
examples:
  deident review store --linkage links --key-file key --out rounds --reviewers 5 --per-reviewer 50
  deident review store --linkage links --key-file key --out rounds --reviewers ann,bob --share 0.02 --tar
  deident review store --linkage links --key-file key --out rounds --reviewers ann,bob --days 14 --recipients keys.txt

No reviewer ever gets two snippets of one recording, or of one speaker where speakers are known. For that the command
needs the linkage of the runs, which knows the snippets of each recording. `deident review collect` reads labels back,
and `deident review withdraw` lists the files that reviewers must delete after an erasure."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("store", metavar="STORE", help="the store that `deident run` made")
    add("--linkage", required=True, metavar="FILE", help="the file that `run --linkage` wrote")
    add(
        "--out",
        required=True,
        metavar="FOLDER",
        help="the folder of all rounds and their log, new or of an earlier round",
    )
    add("--reviewers", required=True, metavar="N|NAME,...", help="how many, or their names")
    add("--per-reviewer", type=int, default=50, metavar="N", help="snippets each, at most (default 50)")
    add(
        "--max-per-recording",
        type=int,
        default=1,
        metavar="N",
        help="snippets of one recording in the whole round (default 1)",
    )
    add(
        "--share",
        type=float,
        default=1.0,
        metavar="S",
        help="share of the recordings or speakers to draw, 0 to 1 (default 1)",
    )
    add("--round", metavar="NAME", help="default: today's date; each round draws others")
    add("--opt-out", metavar="FILE", help="speakers, paths or pseudonyms that take no part, one a line")
    add("--days", type=int, metavar="N", help="reviewers must delete their parts after N days")
    add("--tar", action="store_true", help="a tar for each reviewer instead of a folder")
    add(
        "--recipients",
        metavar="FILE",
        help="encrypt each part with age: a reviewer's name and public key (age1...) a line",
    )
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from deident.cli.inputs import check_outside, lines_of_option
    from deident.review import RoundSettings, make_round
    from deident.review.sealing import recipients_in
    from deident.store import FolderStore, folder_of

    check_outside(args.out, args.store)
    names = args.reviewers.split(",")
    if args.reviewers.isdecimal():
        names = [f"reviewer-{number + 1}" for number in range(int(args.reviewers))]
    name = {"name": args.round} if args.round else {}
    settings = RoundSettings(
        tuple(names), args.per_reviewer, args.max_per_recording, args.share, days=args.days, **name
    )
    lines = lines_of_option("--recipients", args.recipients) if args.recipients else []
    recipients = recipients_in(lines)
    opted_out = frozenset(lines_of_option("--opt-out", args.opt_out)) if args.opt_out else frozenset()
    opted_out |= frozenset(map(location, opted_out))
    linkage, key = linkage_of(args)
    with FolderStore(folder_of(args.store), key=key, create=False) as store:
        parts = make_round(
            store, linkage, key, settings, Path(args.out), opted_out=opted_out, pack=args.tar, recipients=recipients
        )  # fmt: skip
    for part in parts:
        print(f"{part.reviewer}: {counted(len(part.files), 'snippet')}")
    print(
        "next: give each reviewer their own part and no other; its index.html plays the snippets and saves notes"
    )
    return 0 if any(part.files for part in parts) else 1
