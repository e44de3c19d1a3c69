"""Options of `deident run` for its inputs: files, folders, tables, data sets, and annotations of them."""

from __future__ import annotations

import argparse

from deident.datasets import READERS
from deident.errors import SettingError
from deident.segmentation.turns import CARRIED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from deident.recording import Recording


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name inputs."""
    what = parser.add_argument_group("what to read")
    for name, reader in READERS.items():
        what.add_argument(f"--{name}", metavar=reader.metavar, help=reader.help)
    what.add_argument("--segments", metavar="FILE", help="where speech is: RTTM, CSV, TSV or Kaldi segments")
    what.add_argument(
        "--turns", metavar="FILE", help="who speaks where: RTTM, or CSV, TSV or JSON with text too"
    )
    what.add_argument("--words", metavar="FILE", help="which word is where: CTM, or CSV, TSV or JSON")
    what.add_argument(
        "--mute",
        metavar="FILE",
        help="ranges to silence, and to leave out of texts: JSON, CSV, TSV, CTM or RTTM",
    )
    what.add_argument("--channels", metavar="C", help="mix (default), split, or the number of one channel")
    what.add_argument("--strict", action="store_true", help="refuse a recording whose end is missing")
    what.add_argument("--zero-nonfinite", action="store_true", help="read NaN and infinities as silence")
    what.add_argument(
        "--drop-overlap", action="store_true", help="leave out where two turns overlap, instead of refusing"
    )
    what.add_argument(
        "--whole-turns", action="store_true", help="drop a turn over the limit, instead of dividing it"
    )
    what.add_argument(
        "--mute-fill", choices=("silence", "tone"), help="what replaces what is muted (default silence)"
    )


def check_outside(place: str, store: str) -> None:
    """Raise `SettingError` when a place to write lies in the store that is read."""
    from deident.store.proof import is_inside

    if is_inside(place, store):
        raise SettingError("--out must lie outside the store, which holds released snippets and nothing else")


def carried_of(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Split --carry into text, words and speaker, and labels."""
    names = [name for name in (args.carry or "").split(",") if name]
    return [n for n in names if n in CARRIED], [n for n in names if n not in CARRIED]


def recordings_of(args: argparse.Namespace) -> list[Recording]:
    """Read the recordings that the options name, with their annotations."""
    from deident.datasets.annotations import read_annotations, with_mutes, with_turns, with_words
    from deident.datasets.recordings import expand, with_segments

    labels = carried_of(args)[1]
    if labels and not any(getattr(args, name) for name in READERS):
        raise SettingError("--carry names columns of a --table or data set")
    if args.segments and args.turns:
        raise SettingError("--turns say where speech is, too: give either those or --segments")
    found = list(expand(args.recordings))
    for name, reader in READERS.items():
        if getattr(args, name):
            found += reader(getattr(args, name), labels)
    if not found:
        came = "; got folders without any sound file" if args.recordings else ""
        came = "; got a table without rows" if args.table else came
        raise SettingError(f"expected recordings: files, folders that hold some, --table or a data set{came}")
    if args.segments:
        found = with_segments(found, args.segments)
    for name, attach in (("turns", with_turns), ("words", with_words), ("mute", with_mutes)):
        if getattr(args, name):
            try:
                found = attach(found, read_annotations(getattr(args, name)))
            except SettingError as error:
                raise SettingError(f"--{name}: {error}") from None
    return found
