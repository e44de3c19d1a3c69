"""`deident demo`: `run` on a recording that comes with the package."""

from __future__ import annotations

import argparse
import sys

from deident.cli.run import describe
from deident.errors import SettingError

RECORDING = "demo.opus"


EPILOG = """\
examples:
  deident demo
  deident demo --out somewhere-else"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--out", default="deident-demo", metavar="FOLDER", help="default: deident-demo")


def run(args: argparse.Namespace) -> int:
    from importlib import resources
    from pathlib import Path

    from deident.pages.page import write_private
    from deident.runs.run import run as run_batch
    from deident.uris import check_outside_stores

    check_outside_stores("--out", str(Path(args.out, "store")))
    folder = Path(args.out)
    original, store = folder / f"original-{RECORDING}", folder / "store"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_private(original, resources.files("deident.cli").joinpath(RECORDING).read_bytes())
    except OSError as error:
        raise SettingError(f"the folder of the demo cannot be written: {error.strerror}") from None
    summary = run_batch([original], store, again=True, jobs=1)
    sys.stdout.write(
        f"{describe(summary)}\n\n"
        f"before: {original} (synthetic voices)\n"
        f"after:  {store}/*.wav, in shuffled order, each in a voice of its own\n"
        f"next:   deident audit {store}\n"
    )
    return 0 if summary.fine else 1
