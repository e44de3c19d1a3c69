"""The protection that was measured for methods and presets, as the package brings it along."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources


def measured(name: str) -> list[tuple[str, str]]:
    """Look up what was measured of a method or preset: (figure, value) pairs, none where nothing was."""
    head, *rows = _table()
    return [pair for row in rows if row[0] == name for pair in zip(head[1:], row[1:], strict=True)]


@cache
def _table() -> list[list[str]]:
    text = resources.files("deident.disguise").joinpath("strength.json").read_text(encoding="utf-8")
    table: list[list[str]] = json.loads(text)
    return table
