"""`deident export`: the snippets of a store as a data set for other tools."""

from __future__ import annotations

import argparse
import sys

from deident.cli.keys import add_key_argument, linkage_of
from deident.datasets import EXPORTERS
from deident.errors import SettingError, StoreError, counted, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPILOG = """\
examples:
  deident export store --to parquet --out dataset
  deident run calls/ --out store --json > run.json && deident export store --to parquet --out dataset --summary run.json
  deident export store --to kaldi --out data/train_anon
  deident export store --to kaldi --out data/dev_anon --keep-ids --linkage links --key-file key

The text, words, speakers and labels in it are those that `deident run --carry` put into the manifest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("store", metavar="STORE", help="the store that `deident run` made")
    parser.add_argument(
        "--to", required=True, metavar="FORMAT", help=f"{', '.join(EXPORTERS)}, or package.module:NAME"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument(
        "--keep-ids",
        action="store_true",
        help="kaldi: keep the ids and speakers of the source, for trials; this names everybody",
    )
    parser.add_argument(
        "--summary", metavar="FILE", help="what `run --json` printed: its settings, for the card (README.md)"
    )
    parser.add_argument("--linkage", metavar="FILE", help="for --keep-ids: what `run --linkage` wrote")
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    from deident.cli.inputs import check_outside
    from deident.datasets import export, exporter_named
    from deident.datasets.card import read_summary
    from deident.datasets.items import read_items, with_ids

    exporter_named(args.to)
    summary = read_summary(args.summary) if args.summary else None
    if args.to == "parquet":
        require("interop", "Parquet", "pyarrow")
    check_outside(args.out, args.store)
    items = read_items(args.store)
    if args.keep_ids:
        if args.to != "kaldi" or not args.linkage:
            raise SettingError("--keep-ids is for --to kaldi, and needs the --linkage of the run")
        linkage, _ = linkage_of(args)
        items = with_ids(items, linkage.links())
    count = export(items, args.to, args.out, summary=summary, names_people=args.keep_ids)
    sys.stdout.write(f"{counted(count, 'snippet')}\n")
    return 0 if count else 1


def check_kaldi(args: argparse.Namespace) -> None:
    """Raise, before a run, when its --to-kaldi cannot be written."""
    from pathlib import Path

    from deident.uris import is_uri

    if args.keep_ids and not (args.to_kaldi and args.linkage):
        raise SettingError("--keep-ids is for --to-kaldi, and needs a --linkage to know the ids by")
    if args.to_kaldi and args.dry_run:
        raise SettingError("a dry run writes nothing; drop --to-kaldi")
    if args.to_kaldi and is_uri(args.out):
        raise SettingError("--to-kaldi writes from a store in a folder: give --out a path, not a URI")
    if args.to_kaldi and Path(args.to_kaldi).is_dir() and any(Path(args.to_kaldi).iterdir()):
        raise StoreError("the folder of --to-kaldi is not empty: expected a new or empty one")


def to_kaldi(args: argparse.Namespace, asked: set[str], facts: dict[str, Any]) -> None:
    """Write the store of a run as a Kaldi folder.

    asked : the ids of the utterances that were read.   facts : the summary, as --json prints it.
    """
    from pathlib import Path

    from deident.datasets import card, kaldi
    from deident.datasets.items import read_items, with_ids

    items = read_items(args.out)
    lists = {}
    if args.keep_ids:
        items = with_ids(items, linkage_of(args)[0].links())
        lists = kaldi.read_lists(args.kaldi) if args.kaldi else {}
    lists[card.NAME] = card.card(items, facts, names_people=args.keep_ids).encode()
    kaldi.write(items, Path(args.to_kaldi), lists)
    missing = len(asked - {item.id for item in items}) if args.keep_ids else 0
    if not args.quiet:
        lost = f"; {missing} of the {len(asked)} that were read are missing" if missing else ""
        sys.stderr.write(f"deident: {counted(len(items), 'utterance')} in the Kaldi folder{lost}\n")
