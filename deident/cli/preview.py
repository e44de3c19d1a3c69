"""`deident preview`: a page that shows and plays one recording before a run."""

from __future__ import annotations

import argparse
import os
import sys

from deident.cli.inputs import ANNOTATIONS, check_paths
from deident.cli.policy import add_cutting_arguments, policy_of
from deident.errors import SettingError, counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from deident.disguise.base import Method

EPILOG = """\
examples:
  deident preview call.wav --channels split
  deident preview meeting.flac --out meeting.html --disguise vocoder,psola:semitones=2..4,mine:Robot
  deident preview meeting.flac --start 600 --seconds 120
  deident preview call.wav --include-original            to compare before and after; keep the page safe

The page opens in any browser, without a network. Its voices are drawn for it alone: nothing is released, and
a run draws others."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("recording", metavar="RECORDING", help="a file")
    add("--out", default="preview.html", metavar="FILE", help="the page (default preview.html), mode 0600")
    add(
        "--disguise",
        metavar="METHOD,...",
        help="methods to compare, as `evaluate` takes them (default vocoder,psola,mcadams)",
    )
    add("--include-original", action="store_true", help="put the original voice in, to compare with")
    what = parser.add_argument_group("which part")
    what.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds into the recording")
    what.add_argument("--seconds", type=float, default=300.0, metavar="S", help="how much (default 300)")
    what.add_argument("--snippets", type=int, default=20, metavar="N", help="to play, at most (default 20)")
    how = parser.add_argument_group("as a run would do it")
    add_cutting_arguments(how)
    how.add_argument("--channels", metavar="C", help="mix (default), split, or the number of one channel")
    how.add_argument("--follow-links", action="store_true", help="read through a symbolic link")
    how.add_argument(
        "--segments", metavar="FILE", help=f"segments with speech: {ANNOTATIONS}, or Kaldi's segments"
    )
    how.add_argument("--mute", metavar="FILE", help=f"ranges to silence: {ANNOTATIONS}")
    parser.add_argument("--show-paths", action="store_true", help="name the recording in the page")


def run(args: argparse.Namespace) -> int:
    from deident.datasets.annotation_files import read_annotations
    from deident.datasets.annotations import with_mute, with_segments
    from deident.pages.page import check_place, write_page
    from deident.pages.preview import Part, preview
    from deident.recording import Recording

    check_paths([args.recording])
    path = check_place(args.out)
    part = Part(args.start, args.seconds, args.snippets)
    policy = policy_of(args)
    recording = Recording(args.recording)
    if args.segments:
        [recording] = with_segments([recording], read_annotations(args.segments))
    if args.mute:
        [recording] = with_mute([recording], read_annotations(args.mute))
    title = f"Preview of {os.path.basename(args.recording)}" if args.show_paths else "Preview of a recording"
    made = preview(
        recording.path,
        policy,
        disguises=_disguises(args, policy.disguise),
        include_original=args.include_original,
        part=part,
        segments=recording.segments,
        turns=recording.turns,
        mute=recording.mute,
        follow_links=args.follow_links,
        title=title,
    )
    write_page(path, made.html)
    if args.include_original:
        _say("the page holds the original voice: keep it as safe as the recording")
    else:
        _say("the original is left out; --include-original puts it in, to compare with")
    more = f"; {made.without_player} more have no player (--snippets, --start)" if made.without_player else ""
    size = f"{len(made.html) / 1e6:.1f} MB"
    sys.stdout.write(
        f"{counted(made.snippets, 'snippet')}, {size}{more}\nnext: open {args.out} in a browser\n"
    )
    return 0


def _disguises(args: argparse.Namespace, own: Method[Any]) -> dict[str, Method[Any]]:
    """Name the disguises as the page shows them; a policy file's own comes first."""
    from deident.disguise.naming import disguise_named
    from deident.pages.preview import METHODS

    names = args.disguise.split(",") if args.disguise else METHODS
    if len(names) > 8:
        raise SettingError(f"expected at most 8 disguises to compare; got {len(names)}")
    chosen = {name: disguise_named(name) for name in names}
    if args.policy:
        return {"policy": own, **{name: disguise for name, disguise in chosen.items() if disguise != own}}
    return chosen


def _say(message: str) -> None:
    sys.stderr.write(f"deident: {message}\n")
