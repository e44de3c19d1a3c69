"""`deident find`: ranges in which names and numbers are spoken, for `deident run --mute`."""

from __future__ import annotations

import argparse
import sys

from deident.errors import SettingError, counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from deident.policy import Policy
    from deident.programme.finding import Finder, Tried
    from deident.recording import Recording

EPILOG = """\
examples:
  deident find calls/ --model whisper-base --out mute.json
  deident find calls/ --model whisper-base --names customers.txt --out mute.json
  deident run calls/ --out store --mute mute.json
  deident run calls/ --out store --find --find-model whisper-base --verify

Recognises words, on every channel, and searches them for strings of digits and letters, e-mail, addresses, names of a
list as they sound, and the kinds of presidio-analyzer. The file has ranges with kinds, and never the words. Speech that
cannot be read counts as found, and a recording that cannot be searched is written so that a run with the file refuses
it. What is missed is measured (docs/programme.md); that nothing is left is not promised."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from deident.cli.inputs import add_place_arguments

    parser.epilog = EPILOG
    parser.add_argument(
        "recordings", nargs="*", metavar="RECORDING", help="files, and folders to look through"
    )
    parser.add_argument("--out", required=True, metavar="FILE.json", help="a new file, for `run --mute`")
    add_place_arguments(parser)
    add_find_arguments(parser.add_argument_group("how to search"), "--")


def add_find_arguments(parser: argparse._ActionsContainer, start: str) -> None:
    """Add the options of a search. start : of their names, "--" or "--find-"."""

    def add(name: str, **settings: Any) -> None:
        parser.add_argument(f"{start}{name}", dest=f"find_{name.replace('-', '_')}", **settings)

    add(
        "model",
        metavar="MODEL",
        help="folder of a Whisper model in CTranslate2's format, or a name it is known by",
    )
    add("language", default="en", metavar="CODE", help="of the recordings (default en)")
    add("names", metavar="FILE", help="names to look for, such as customers', one a line")
    add("spacy", metavar="PACKAGE", help="spaCy's pipeline for presidio-analyzer (default en_core_web_sm)")
    add("recogniser", metavar="PACKAGE:NAME", help="your own recogniser in place of Whisper")
    add("searcher", metavar="PACKAGE:NAME", help="your own search in place of presidio-analyzer")
    add("passes", type=int, choices=(1, 2), default=2, help="1 is twice as fast, and misses more (default 2)")


def finder_of(args: argparse.Namespace) -> Finder:
    """Make the finder that the options ask for. Raises `SettingError` before anything is read."""
    import dataclasses

    from deident.cli.inputs import lines_of_option
    from deident.disguise.naming import object_named
    from deident.programme.finding import Finder
    from deident.programme.recognising import BEAM_SIZE, WhisperWords
    from deident.programme.spoken import PRESIDIO_MODEL, ListedNames, Presidio

    if not args.find_model and not args.find_recogniser:
        start = "--find-" if "find" in vars(args) else "--"
        raise SettingError(f"expected {start}model, the folder of a Whisper model, or {start}recogniser")
    names = lines_of_option("the list of names", args.find_names) if args.find_names else []
    expecting: tuple[Any, ...] = ()
    again: tuple[Any, ...] = ()
    if args.find_recogniser:
        recognise = object_named(args.find_recogniser)
    else:
        recognise = WhisperWords(args.find_model, args.find_language)
        expecting = tuple(recognise.expecting(names))
        beam = dataclasses.replace(recognise, beam_size=BEAM_SIZE)
        again = (beam, *beam.expecting(names))
    searches: list[Any] = [ListedNames(tuple(names))] if names else []
    if args.find_searcher:
        searches.append(object_named(args.find_searcher))
    elif not args.find_recogniser or args.find_spacy:
        searches.append(Presidio(args.find_spacy or PRESIDIO_MODEL, args.find_language))
    finder = Finder(recognise, tuple(searches), passes=args.find_passes, expecting=expecting, again=again)
    finder.warm_up()
    return finder


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from deident.cli.inputs import check_new_file, places_of
    from deident.pages.page import write_private
    from deident.programme.finding import annotations_of

    if not args.out.endswith(".json"):
        raise SettingError("expected --out as a file that ends in .json")
    check_new_file("--out", args.out)
    finder = finder_of(args)
    tried = searched(places_of(args), finder)
    write_private(Path(args.out), annotations_of(tried.found))
    sys.stdout.write(_said(tried))
    if tried.failed:
        failed = counted(tried.failed, "recording")
        sys.stderr.write(f"deident: {failed} could not be searched: a run with this file refuses them\n")
    return 1 if tried.failed else 0


def add_run_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the options of a run that searches its recordings first."""
    parser.add_argument(
        "--find", action="store_true", help="search as `deident find` does, and mute what is found"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="search every snippet in its new voice again, and drop it if any is left",
    )
    add_find_arguments(parser, "--find-")


def check_find(args: argparse.Namespace) -> Finder | None:
    """Return the finder of a run, None where it searches nothing."""
    return finder_of(args) if args.find or args.verify else None


def with_found(
    args: argparse.Namespace, recordings: list[Recording], policy: Policy, finder: Finder
) -> tuple[list[Recording], Policy]:
    """Search the recordings of a run, and let its policy verify snippets, as far as the options ask for it."""
    import dataclasses

    if args.verify:
        policy = dataclasses.replace(policy, verify=finder.is_clean)
    if not args.find:
        return recordings, policy
    tried = searched(recordings, finder)
    if not args.quiet:
        sys.stderr.write(f"deident: {_said(tried)}")
    return tried.recordings, policy


def _said(tried: Tried) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tried.kinds.items())) or "nothing"
    return f"searched {counted(len(tried.recordings), 'recording')}, and found {kinds}\n"


def searched(recordings: list[Recording], finder: Finder) -> Tried:
    """Search recordings, with a line on a terminal."""
    from deident.programme.finding import find_in

    done = 0

    def show() -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            end = "\n" if done == len(recordings) else ""
            sys.stderr.write(f"\rsearched {done} of {len(recordings)}{end}")

    return find_in(recordings, finder, show)
