"""The key of a command: from a file or from the environment, never from an argument."""

from __future__ import annotations

import argparse
import os

from deident.errors import SettingError
from deident.process import KEY_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from deident.keys import Key
    from deident.store import Linkage


def add_key_argument(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help=f"the key made by `deident keygen`; or set {KEY_VARIABLE} to its digits",
    )


def key_of(args: argparse.Namespace) -> Key | None:
    """Return the key of the file that was named, else of the environment, else None."""
    from deident.keys import Key

    if args.key_file:
        return Key.read(args.key_file)
    if text := os.environ.get(KEY_VARIABLE):
        return Key.from_hex(text)
    return None


def needed_key(args: argparse.Namespace, why: str) -> Key:
    """Return the key that was named. Raises `SettingError` where there is none. why : and whose key to give."""
    key = key_of(args)
    if key is None:
        raise SettingError(f"{why} with --key-file or DEIDENT_KEY")
    return key


def linkage_of(args: argparse.Namespace) -> tuple[Linkage, Key]:
    """Open the linkage of --linkage, with the key that seals it. Raises `SettingError` without either."""
    from deident.store import Linkage

    key = needed_key(args, "the linkage is sealed: give the key of the run")
    if not os.path.exists(args.linkage):
        raise SettingError(
            "the file of --linkage does not exist: expected the file that `deident run --linkage FILE` wrote"
        )
    return Linkage(args.linkage, key), key
