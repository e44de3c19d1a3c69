"""Options of `deident run` for its inputs: files, folders, tables, data sets, and annotations of them."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager

from deident.datasets import READERS
from deident.errors import SettingError
from deident.segmentation.turns import CARRIED
from deident.uris import check_outside_stores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from deident.recording import Recording

ANNOTATIONS = "CSV, TSV, JSON, RTTM, CTM, TextGrid"
LINKS = "links"


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name recordings: files, folders, tables and data sets."""
    what = parser.add_argument_group("what to read")
    for name, reader in READERS.items():
        what.add_argument(f"--{name}", metavar=reader.metavar, help=reader.help)
    what.add_argument(
        "--base", metavar="PLACE", help="folder or URI of the sound that a table or data set names"
    )
    what.add_argument("--follow-links", action="store_true", help="read through symbolic links")
    what.add_argument(
        "--speaker-from",
        choices=("folder",),
        help="folder: recordings lie in folders named after their speakers",
    )


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name recordings, their annotations, and how to read them."""
    add_place_arguments(parser)
    what = parser.add_argument_group("annotations")
    what.add_argument(
        "--segments", metavar="FILE", help=f"segments with speech: {ANNOTATIONS}, or Kaldi's segments"
    )
    what.add_argument(
        "--turns",
        metavar="FILE",
        help=f"turns with speakers and text: {ANNOTATIONS}, as recognisers write it too",
    )
    what.add_argument(
        "--words", metavar="FILE", help=f"words with times: {ANNOTATIONS}, as recognisers write it too"
    )
    what.add_argument(
        "--phones", metavar="FILE", help=f"phones with times, as a forced aligner gives them: {ANNOTATIONS}"
    )
    what.add_argument(
        "--mute", metavar="FILE", help=f"ranges to silence, and to leave out of texts: {ANNOTATIONS}"
    )
    what = parser.add_argument_group("how to read it")
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


def check_outside(place: str, store: str, what: str = "--out") -> None:
    """Raise `SettingError` when a place to write lies in a store."""
    from deident.store.proof import is_inside

    if is_inside(place, store):
        raise SettingError(
            f"{what} must lie outside the store, which holds released snippets and nothing else"
        )


def check_new_file(option: str, place: str) -> None:
    """Raise `SettingError` unless a file may be made there."""
    check_outside_stores(option, place)
    if os.path.lexists(place) or not os.path.isdir(os.path.dirname(os.path.abspath(place))):
        raise SettingError(f"expected {option} as a new file in a folder that exists")


def lines_of_option(option: str, path: str) -> list[str]:
    """Read the lines of a file that an option names, without blank ones."""
    from deident.datasets.text_files import read_text

    with _errors_of(option):
        return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def carried_of(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Split --carry into text, words, phones and speaker, and labels."""
    names = [name for name in (args.carry or "").split(",") if name]
    return [n for n in names if n in CARRIED], [n for n in names if n not in CARRIED]


def recordings_of(args: argparse.Namespace, passed_over: Counter[str] | None = None) -> list[Recording]:
    """Read the recordings that the options name, with their annotations, and count the files passed over."""
    from deident.datasets.annotation_files import read_annotations
    from deident.datasets.annotations import with_mute, with_phones, with_segments, with_turns, with_words

    if args.segments and args.turns:
        raise SettingError("--turns say where speech is, too: give either those or --segments")
    found = places_of(args, carried_of(args)[1], passed_over)
    given = {
        "segments": with_segments, "turns": with_turns, "words": with_words, "phones": with_phones,
        "mute": with_mute,
    }  # fmt: skip
    for name, attach in given.items():
        if getattr(args, name):
            with _errors_of(f"--{name}"):
                own = read_annotations(getattr(args, name), may_be_empty=name == "mute", tier=name)
                found = attach(found, own)
    return found


def places_of(
    args: argparse.Namespace, labels: Sequence[str] = (), passed_over: Counter[str] | None = None
) -> list[Recording]:
    """Read the recordings that the options name, without annotations."""
    from deident.datasets.recordings import collect, with_folder_speakers

    if labels and not any(getattr(args, name) for name in READERS):
        raise SettingError("--carry names columns of a --table or data set")
    check_paths(args.recordings)
    found = []
    for number, place in enumerate(args.recordings, 1):
        own = collect(place, follow_links=args.follow_links, passed_over=passed_over)
        if [(r.path, r.size, r.version) for r in own] == [(place, 0, "")]:
            raise SettingError(f"recording {number} on the command line is not there")
        found += with_folder_speakers(own, place) if args.speaker_from else own
    for name, reader in READERS.items():
        if getattr(args, name):
            with _errors_of(f"--{name}"):
                found += reader(getattr(args, name), labels, args.base)
    if not found:
        came = "; got folders without any sound file" if args.recordings else ""
        came = "; got a table without rows" if args.table else came
        links = (
            "; links were passed over: --follow-links reads them"
            if passed_over and passed_over[LINKS]
            else ""
        )
        raise SettingError(
            f"expected recordings: files, folders that hold some, --table or a data set{came}{links}"
        )
    return collect(found, follow_links=args.follow_links)


def check_paths(places: Sequence[str]) -> None:
    """Raise `SettingError` for a place on the command line that does not exist, by its number."""
    from deident.uris import is_uri, local_path

    for number, place in enumerate(places, 1):
        if not is_uri(place := local_path(place)) and not os.path.lexists(place):
            raise SettingError(
                f"recording {number} on the command line is not there: expected a file or folder"
            )


def lacking(args: argparse.Namespace, carry: Sequence[str], recordings: Sequence[Recording]) -> list[str]:
    """Name what --carry names and no recording has: text, words and speaker, and labels by number."""
    has = set()
    for recording in recordings:
        has |= {"speaker"} if recording.speaker is not None else set()
        has |= {name for name, value in recording.labels.items() if value}
        for turn in recording.turns:
            has |= {name for name, value in turn.labels.items() if value}
            has |= {"speaker"} if turn.speaker is not None else set()
            has |= {"text", "words"} if turn.words else {"text"} if turn.text is not None else set()
            has |= {"phones"} if turn.phones else set()
    labels = enumerate(carried_of(args)[1], 1)
    return [n for n in carry if n not in has] + [f"label {k}" for k, name in labels if name not in has]


@contextmanager
def _errors_of(option: str) -> Iterator[None]:
    """Name the option in the `SettingError`s of its file."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f"{option}: {error}") from None
