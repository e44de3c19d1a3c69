"""`deident keygen`: make a key."""

from __future__ import annotations

import argparse

EPILOG = """\
examples:
  deident keygen team-key
  deident keygen operator.pem --signing
  deident run calls/ --out store --key-file team-key --linkage links"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "--signing",
        action="store_true",
        help="a key that signs evidence and receipts, with its public half beside it, ending in .pub",
    )
    parser.add_argument("file", metavar="FILE", help="the new file, mode 0600; it must not exist")


def run(args: argparse.Namespace) -> int:
    if args.signing:
        from deident.programme.signing import PUBLIC, make_signing_key

        make_signing_key(args.file)
        print(
            f"made a signing key. Publish the file that ends in {PUBLIC}: who has that, can check what you sign"
        )
        return 0
    from deident.keys import Key
    from deident.uris import check_outside_stores

    check_outside_stores("a key", args.file)
    Key.fresh().write(args.file)
    print(
        "made a key. Keep it apart from the store, and keep a copy: without it, nothing can be traced or erased"
    )
    return 0
