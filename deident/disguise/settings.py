"""The settings of a method, as its docstring documents them."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, NamedTuple

from deident.errors import SettingError


class Setting(NamedTuple):
    """One entry of the section Parameters of a docstring."""

    name: str
    bounds: str
    meaning: str
    default: Any


def settings(kind: type[Any]) -> list[Setting]:
    """Read the settings of a method from its docstring. Raises `SettingError` for one that is written otherwise."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n|\Z)", text, re.S | re.M)
    entries = re.findall(r"^(\w+) : (.+)\n((?:    .+\n?)+)", section[1] + "\n" if section else "", re.M)
    found = []
    for name, bounds, lines in entries:
        meaning, _, default = " ".join(lines.split()).rpartition(" Default ")
        try:
            value = ast.literal_eval(default.rstrip("."))
        except (SyntaxError, ValueError):
            raise SettingError(
                f"expected the docstring of {kind.__name__} to say of every setting `name : range`, its meaning, and at"
                f' the end "Default VALUE."; it does not of {name}'
            ) from None
        found.append(Setting(name, bounds, meaning, value))
    return found


def shown(value: object) -> str:
    """Write the value of a setting for a person."""
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else str(value)
