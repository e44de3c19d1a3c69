"""`deident methods`: the disguises, their settings, and what they protect."""

from __future__ import annotations

import argparse
import sys

from deident.errors import SettingError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

EPILOG = """\
examples:
  deident methods
  deident methods psola
  deident methods natural
  deident run calls/ --out store --disguise psola:semitones=2..4

A range such as "(lower, upper), 1 to 12" is a setting of two values within these bounds, from which every voice draws.
What is measured: how well attackers who know the method still recognise speakers (equal error rate, EER: 50 is chance,
0 recognises everybody), and how many words a recogniser gets wrong, relative to the undisguised recordings. The
README says which attackers were used, and which are stronger."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "method",
        nargs="?",
        metavar="METHOD",
        help="show this method or preset alone, or a method of your own as package.module:NAME",
    )


def run(args: argparse.Namespace) -> int:
    from deident.disguise import DISGUISES
    from deident.disguise.presets import PRESETS

    if args.method in PRESETS:
        sys.stdout.writelines(f"{line}\n" for line in describe_preset(args.method))
        return 0
    kinds: dict[str, type[Any]] = dict(DISGUISES)
    if args.method is not None and args.method not in DISGUISES:
        from deident.disguise.naming import object_named

        if ":" not in args.method:
            near = did_you_mean(args.method, (*DISGUISES, *PRESETS))
            raise SettingError(
                f"expected a method of {', '.join(DISGUISES)}, a preset of {', '.join(PRESETS)},"
                f" or package.module:NAME{near}"
            )
        found = object_named(args.method)
        kinds = {args.method: found if isinstance(found, type) else type(found)}
    for name in [args.method] if args.method else DISGUISES:
        sys.stdout.writelines(f"{line}\n" for line in describe(name, kinds[name]))
    return 0


def describe(name: str, kind: type[Any]) -> Iterator[str]:
    """Yield the lines about a method: summary, presets, measured protection, settings."""
    import inspect
    import textwrap

    from deident.disguise.presets import PRESETS
    from deident.disguise.settings import settings, shown

    paragraphs = (inspect.getdoc(kind) or "").partition("\nParameters\n")[0].strip().split("\n\n")
    yield name
    for paragraph in paragraphs:
        yield from textwrap.wrap(
            " ".join(paragraph.split()), 100, initial_indent="  ", subsequent_indent="  "
        )
    presets = {key: preset for key, preset in PRESETS.items() if type(preset.disguise) is kind}
    if presets:
        shown_presets = ", ".join(f"{key} (one voice a {preset.scope})" for key, preset in presets.items())
        yield f"  presets: {shown_presets}"
    for measured_name in (name, *presets):
        yield from _measured(measured_name)
    cells = [("setting", "range", "default", "meaning")]
    cells += [(s.name, s.bounds, shown(s.default), s.meaning) for s in settings(kind)]
    wide = [max(len(row[column]) for row in cells) for column in range(3)]
    for row in cells:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, (*wide, 0), strict=True))
    yield ""


def describe_preset(name: str) -> Iterator[str]:
    """Yield the lines about a preset: its method, scope, the settings that are not the method's, and protection."""
    from deident.disguise import DISGUISES
    from deident.disguise.presets import PRESETS
    from deident.disguise.settings import shown

    preset = PRESETS[name]
    method = next(key for key, kind in DISGUISES.items() if type(preset.disguise) is kind)
    defaults = vars(DISGUISES[method]())
    yield name
    yield f"  {method}, one voice a {preset.scope}"
    for key, value in vars(preset.disguise).items():
        if value != defaults[key]:
            yield f"    {key} {shown(value)}, in place of {shown(defaults[key])}"
    yield from _measured(name)
    yield f"  deident methods {method}   explains the settings"


def _measured(name: str) -> Iterator[str]:
    """Yield the lines about what was measured of a method or preset."""
    from deident.disguise.strength import measured

    if rows := measured(name):
        yield f"  measured, {name}:"
        yield from (f"    {figure}: {value}" for figure, value in rows)
