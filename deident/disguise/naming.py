"""Disguises by name: as typed on a command line, or as plain values of a policy file."""

from __future__ import annotations

import ast
import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping
from pkgutil import resolve_name
from typing import Any

from deident.disguise import DISGUISES, Chain
from deident.disguise.base import Method, Scoped, as_method
from deident.disguise.presets import PRESETS
from deident.errors import SettingError, did_you_mean


def disguise_named(value: object, *, presets: bool = True) -> Method[Any]:
    """Build the disguise that a name or a table of settings describes.

    Parameters
    ----------
    value : str, mapping or list
        A preset (`review`), a method (`mcadams`), a method with settings (`mcadams:alpha=0.6..0.8`, a range as
        lower..upper), several in a row (`psola+mcadams`), or an object of your own (`package.module:NAME`, and
        settings behind it where it is a class).
        A mapping has the name at "method", and the settings beside it. A list is a chain.
    presets : bool
        Accept the name of a preset, and give its disguise the preset's scope.

    Returns
    -------
    Method

    Raises
    ------
    SettingError
        For anything else.

    Examples
    --------
    >>> disguise_named("mcadams:alpha=0.6..0.8")
    McAdams(alpha=(0.6, 0.8))
    >>> disguise_named("psola+mcadams") == disguise_named(["psola", {"method": "mcadams"}])
    True
    """
    if isinstance(value, str):
        return _parsed(value, presets)
    if isinstance(value, Mapping) and isinstance(value.get("method"), str):
        return _method(value["method"], {k: v for k, v in value.items() if k != "method"})
    if isinstance(value, list | tuple) and value:
        return Chain(tuple(disguise_named(part, presets=presets) for part in value))
    raise SettingError('expected disguise as a name, a table with "method", or a list of those')


def _parsed(text: str, presets: bool) -> Method[Any]:
    """Build a disguise from its name as typed."""
    if "+" in text:
        return Chain(tuple(_parsed(part, presets) for part in text.split("+")))
    if text in PRESETS:
        if not presets:
            raise SettingError(f"{text} is a preset (a method with a scope): give it as --preset {text}")
        preset = PRESETS[text]
        return preset.disguise if preset.scope == "snippet" else Scoped(preset.disguise, preset.scope)
    name, *settings = text.split(":")
    if name in DISGUISES or not settings or "=" in settings[0]:
        return _method(name, dict(_setting(setting) for setting in settings), PRESETS if presets else ())
    found = object_named(f"{name}:{settings.pop(0)}")
    if isinstance(found, type):
        return as_method(build(found, dict(map(_setting, settings)), "the disguise") if settings else found())
    if settings:
        raise SettingError("settings go with a class of disguises; that is one with its settings")
    return as_method(found)


def _method(name: str, settings: Mapping[str, Any], others: Iterable[str] = ()) -> Method[Any]:
    if name not in DISGUISES:
        known = ", ".join((*others, *DISGUISES))
        raise SettingError(f"expected a disguise of {known}, or package.module:NAME")
    method: Method[Any] = build(DISGUISES[name], settings, f"disguise {name}")
    return method


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingError("expected the settings of a disguise as name=value")
    return name, _value(value)


def _value(text: str) -> Any:
    """Parse a setting: lower..upper as a pair, else a Python literal."""
    if ".." in text:
        low, high = text.split("..", 1)
        return (_value(low), _value(high))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise SettingError("expected a number, True, False or lower..upper") from None


def build(kind: type[Any], settings: object, where: str) -> Any:
    """Make a dataclass of a mapping from its fields' names to plain values. Raises `SettingError` for others."""
    if not isinstance(settings, Mapping):
        raise SettingError(f"expected {where} as a table of settings")
    if not dataclasses.is_dataclass(kind):
        raise SettingError(f"expected {where} as a dataclass, whose fields are its settings")
    check_names(where, settings, [f.name for f in dataclasses.fields(kind) if f.init])
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    try:
        return kind(**values)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from None
    except TypeError:
        raise SettingError(f"a setting of {where} has the wrong type; see docs/settings.md") from None


def check_names(where: str, settings: Mapping[str, Any], names: list[str]) -> None:
    """Raise `SettingError` for a name in settings that is not among names; it is told by its number."""
    for number, name in enumerate(settings, 1):
        if name not in names:
            hint = did_you_mean(str(name), names) or f"; it has {', '.join(names)}"
            raise SettingError(
                f"{where} has no setting of that name: see number {number} of {len(settings)}{hint}"
            )


def object_named(text: str) -> Any:
    """Import the object at `package.module:NAME`, from the current folder too.

    Raises `SettingError` when it is not there.
    """
    if ":" in text and (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # behind everything else, so that nothing there takes another module's place
    try:
        found = resolve_name(text) if ":" in text else None
    except (ImportError, AttributeError, ValueError):
        found = None
    if found is None:
        raise SettingError(
            "expected something that can be imported, as package.module:NAME, from the current folder or an"
            " installed package"
        )
    return found
