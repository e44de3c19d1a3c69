"""Fill the tables of settings in docs/methods.md from the docstrings and fields of the methods.

`python -m benchmarks methods` rewrites what lies between the page's marks, and adds a section for a new method; a test
compares them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fill import fill
from deident.disguise import DISGUISES
from deident.disguise.settings import settings, shown

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
HEAD = ("setting", "range", "default", "meaning")


def table(kind: type[Any]) -> list[Sequence[str]]:
    """Lay the settings of a method out in rows."""
    own = {field.name: field.default for field in dataclasses.fields(kind)}
    return [HEAD, *((f"`{s.name}`", s.bounds, shown(own[s.name]), s.meaning) for s in settings(kind))]


def main(argv: list[str] | None = None) -> int:
    for name, kind in DISGUISES.items():
        text = PAGE.read_text(encoding="utf-8")
        if f"<!-- {name} -->" not in text:
            before, presets, after = text.partition("## Presets\n")
            section = f"## {name}\n\n<!-- {name} -->\n<!-- end of {name} -->\n\n"
            PAGE.write_text(before + section + presets + after, encoding="utf-8")
        fill(PAGE, name, table(kind))
    return 0
