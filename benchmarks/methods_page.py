"""Fill the tables of settings in docs/methods.md from the docstrings and fields of the methods.

`python -m benchmarks methods` rewrites what lies between the page's marks; a test compares them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.strength import fill
from deident.disguise import DISGUISES

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
HEAD = ("setting", "range", "default", "meaning")


class Setting(NamedTuple):
    """One entry of the section Parameters of a docstring."""

    name: str
    bounds: str
    meaning: str
    default: Any


def settings(kind: type[Any]) -> list[Setting]:
    """Read the settings of a method from its docstring."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n|\Z)", text, re.S | re.M)
    entries = re.findall(r"^(\w+) : (.+)\n((?:    .+\n?)+)", section[1] + "\n" if section else "", re.M)
    found = []
    for name, bounds, lines in entries:
        meaning, _, default = " ".join(lines.split()).rpartition(" Default ")
        found.append(Setting(name, bounds, meaning, ast.literal_eval(default.rstrip("."))))
    return found


def table(kind: type[Any]) -> list[Sequence[str]]:
    """Lay the settings of a method out in rows."""
    own = {field.name: field.default for field in dataclasses.fields(kind)}
    return [HEAD, *((f"`{s.name}`", s.bounds, _shown(own[s.name]), s.meaning) for s in settings(kind))]


def _shown(value: object) -> str:
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else str(value)


def main(argv: list[str] | None = None) -> int:
    for name, kind in DISGUISES.items():
        fill(PAGE, name, table(kind))
    return 0
