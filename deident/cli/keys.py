"""The key that a command works with: from a file or from the environment, never from an argument."""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from deident.secret import Key

VARIABLE = "DEIDENT_KEY"


def add_key_argument(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help=f"the key made by `deident keygen`; or set {VARIABLE} to its digits",
    )


def key_of(args: argparse.Namespace) -> Key | None:
    from deident.secret import Key

    if args.key_file:
        return Key.read(args.key_file)
    if text := os.environ.get(VARIABLE):
        return Key.from_hex(text)
    return None
