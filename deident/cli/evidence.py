"""`deident report`: signed evidence that a store keeps its promises, and the check of it."""

from __future__ import annotations

import argparse
import sys

from deident.cli.keys import add_key_argument, linkage_of
from deident.errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPILOG = """\
examples:
  deident keygen operator.pem --signing
  deident report store --linkage links --key-file key --sign operator.pem --out evidence
  deident report store --linkage links --key-file key --check evidence --public operator.pem.pub
  deident report store --check receipt.json --public operator.pem.pub

Writes report.json, signed, and report.html, which follows from it: each promise, what keeps it, its figure in this
store, the test that guards it, and the measured protection of the disguise. Nothing in them says who. A check fails
on any change of either, and of the store. `deident run --report` is something else: a page about one run.

exit codes: 0 every promise is kept, 1 one is broken or the check failed, 2 wrong options or key"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("store", metavar="STORE", help="the store that `deident run` made")
    add("--linkage", metavar="FILE", help="the file that `run --linkage` wrote")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", metavar="FOLDER", help="a new folder, or one of earlier evidence")
    what.add_argument(
        "--check", metavar="PLACE", help="the folder of evidence, or the file of a receipt, to check"
    )
    add(
        "--sign",
        metavar="FILE",
        help="with --out: the operator's key, as `deident keygen --signing` makes it",
    )
    add("--public", metavar="FILE", help="with --check: the public half of that key")
    add("--max-seconds", type=float, default=10.0, metavar="S", help="every snippet is shorter (default 10)")
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    if args.check:
        return _check(args)
    from pathlib import Path

    from deident.cli.inputs import check_outside
    from deident.programme.evidence import JSON, PAGE, make
    from deident.programme.signing import read_signing_key
    from deident.store import Disk

    if not args.sign:
        raise SettingError("expected --sign FILE: a key that `deident keygen FILE --signing` makes")
    check_outside(args.out, args.store)
    folder = Path(args.out)
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {JSON, PAGE}):
        raise SettingError("expected --out as a new folder, or one with earlier evidence and nothing else")
    signer = read_signing_key(args.sign)
    statement, page, is_kept = make(args.store, *_linkage(args), signer, max_seconds=args.max_seconds)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in ((JSON, statement), (PAGE, page)):
        Disk().replace(folder / name, [data])
    sys.stdout.write("every promise is kept\n" if is_kept else "a promise is broken: the page says which\n")
    return 0 if is_kept else 1


def _check(args: argparse.Namespace) -> int:
    """Check the signature of a statement or receipt, and print what was signed."""
    from pathlib import Path

    from deident.programme.evidence import JSON, PAGE, check
    from deident.programme.signing import read_public_key, verified
    from deident.store.disk import plain_errors

    if not args.public:
        raise SettingError(
            "expected --public FILE: the public key of whoever signed, from them and not from the page"
        )
    public, place = read_public_key(args.public), Path(args.check)
    if place.is_file():
        with plain_errors("reading the receipt"):
            said = verified(place.read_bytes(), public)
        sys.stdout.write(f"signed: {said.get('kind')}, {said.get('day')}, {said.get('snippets')} snippets\n")
        return 0
    with plain_errors("reading the evidence"):
        statement, page = (place / JSON).read_bytes(), (place / PAGE).read_bytes()
    said = check(statement, page, public, args.store, *_linkage(args))
    is_kept = all(row["kept"] is not False for row in said["promises"])
    verdict = "every promise is kept" if is_kept else "a promise is broken"
    sys.stdout.write(f"signed on {said['day']}, and the store is as it was said: {verdict}\n")
    return 0 if is_kept else 1


def _linkage(args: argparse.Namespace) -> tuple[str, Any]:
    if not args.linkage:
        raise SettingError("expected --linkage FILE, which knows days, consent and speakers")
    return args.linkage, linkage_of(args)[1]
