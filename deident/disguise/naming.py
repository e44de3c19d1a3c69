"""Disguises and attackers by what a person types."""

from __future__ import annotations

import ast
import importlib
from typing import Any

from deident.disguise import DISGUISES, Chain
from deident.disguise.base import Method, Scoped, as_method
from deident.disguise.presets import PRESETS
from deident.errors import SettingError


def disguise_named(text: str) -> Method[Any]:
    """The disguise that a word means.

    A preset (`review`), a method (`mcadams`), a method with settings (`mcadams:alpha=0.6..0.8:...`, a range
    as lower..upper), several in a row (`psola+mcadams`), or your own (`package.module:NAME`, an object with
    `draw` and `apply`). Raises `SettingError` for anything else."""
    if "+" in text:
        return Chain(tuple(disguise_named(part) for part in text.split("+")))
    if text in PRESETS:
        preset = PRESETS[text]
        return preset.disguise if preset.scope == "snippet" else Scoped(preset.disguise, preset.scope)
    name, *settings = text.split(":")
    if name in DISGUISES:
        method: Method[Any] = _with_settings(DISGUISES[name], settings)
        return method
    if len(settings) == 1 and "=" not in settings[0]:
        found = object_named(text)
        if isinstance(found, type):
            found = found()
        return as_method(found)
    known = ", ".join((*PRESETS, *DISGUISES))
    raise SettingError(f"expected a disguise of {known}, or package.module:NAME")


def _with_settings(method: Any, settings: list[str]) -> Any:
    values = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in getattr(method, "__dataclass_fields__", {}):
            fields = ", ".join(getattr(method, "__dataclass_fields__", {}))
            raise SettingError(f"expected one of the settings {fields}, as name=value")
        values[name] = _value(text)
    return method(**values)


def _value(text: str) -> Any:
    if ".." in text:
        low, high = text.split("..", 1)
        return (_value(low), _value(high))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise SettingError("expected a number, True, False or lower..upper") from None


def object_named(text: str) -> Any:
    """The object at `package.module:NAME`. Raises `SettingError` when it is not there."""
    module, colon, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name) if colon else None
    except (ImportError, AttributeError):
        found = None
    if found is None:
        raise SettingError(
            "expected something that can be imported, as package.module:NAME (from the current folder, set"
            " PYTHONPATH=.)"
        )
    return found
