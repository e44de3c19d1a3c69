"""Errors whose messages are safe to print anywhere.

    DeidentError
    ├── RecordingError      this recording cannot be used; others can
    ├── SettingError        a setting or argument is outside its range; a ValueError too
    ├── KeyMaterialError    a key is missing, malformed or not the right one
    ├── StoreError          the store cannot be written, or does not hold what it should
    └── ExtraMissingError   an optional package is needed; an ImportError too

Every message says what was expected, what came and what to do. None contains a path, a name, a tag or a
sample of an input, because messages end up in logs.
"""

from __future__ import annotations

import numbers
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import UnionType


class DeidentError(Exception):
    """The base of every error that this library raises.

    Parameters
    ----------
    message : str
        The text for people.
    code : str, optional
        A short, stable word for programs; by default that of the class.

    Attributes
    ----------
    code : str
        The short, stable word.
    """

    code = "error"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.code)


class RecordingError(DeidentError):
    """A recording cannot be used. Others can; a run goes on with them."""

    code = "refused"


class SettingError(DeidentError, ValueError):
    """A setting of a run, a method or a call is outside its range. It is a `ValueError` too."""

    code = "setting"


class KeyMaterialError(DeidentError):
    """A key is missing, malformed or not the right one."""

    code = "key"


class StoreError(DeidentError):
    """A store cannot be written, or does not contain what it should."""

    code = "store"


class ExtraMissingError(DeidentError, ImportError):
    """An optional package is not installed. It is an `ImportError` too."""

    code = "extra"

    @classmethod
    def of(cls, extra: str, purpose: str) -> ExtraMissingError:
        """Make the error that names the extra to install.

        Parameters
        ----------
        extra : str
            An extra of this package, such as "av".
        purpose : str
            The subject of the sentence: it "needs an optional package".

        Returns
        -------
        ExtraMissingError
        """
        return cls(f"{purpose} needs an optional package: pip install 'deident[{extra}]'")


def between(name: str, value: object, low: float, high: float) -> None:
    """Raise `SettingError` unless value is a number and low <= value <= high."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingError(f"expected {name} as a number; got {kind_of(value)}")
    number = float(value)
    if not low <= number <= high:
        raise SettingError(f"expected {name} between {low:g} and {high:g}; got {number:g}")


def truth(name: str, value: object) -> None:
    """Raise `SettingError` unless value is True or False: the text "no" would count as true."""
    if not isinstance(value, bool):
        raise SettingError(f"expected {name} as true or false; got {kind_of(value)}")


def all_of(kind: type | UnionType, name: str, values: Iterable[object], how: str) -> None:
    """Raise `SettingError` unless every value is of a type; `how` says in words how one is written."""
    for value in values:
        if not isinstance(value, kind):
            raise SettingError(f"expected {name} as {how}; got {kind_of(value)}")


def kind_of(value: object) -> str:
    """Name the type of a value; the value itself may be a path or a sample, and must not be in a message."""
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    return f"the class {kind} itself" if isinstance(value, type) else f"a value of type {kind}"


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Suggest the known word nearest to one that was typed, as the end of a message; "" when none is near."""
    import difflib

    near = difflib.get_close_matches(word, list(known), 1, likeness)
    return f"; did you mean {near[0]}?" if near else ""


DEBUG_HINT = "DEIDENT_DEBUG=1 shows where"


def debug_traceback() -> None:
    """Print the traceback of the current exception on stderr if DEIDENT_DEBUG is set. It may name recordings."""
    if os.environ.get("DEIDENT_DEBUG"):
        import sys
        import traceback

        said = "deident: DEIDENT_DEBUG is set; this traceback may name recordings and hold parts of them\n"
        sys.stderr.write(said + traceback.format_exc())
        sys.stderr.flush()


def require(extra: str, purpose: str, *modules: str) -> None:
    """Raise `ExtraMissingError` unless all modules of an extra are installed. Loads none of them.

    Parameters
    ----------
    extra : str
        As in `pip install 'deident[extra]'`.
    purpose : str
        What needs it, in words.
    *modules : str
        Names to import.
    """
    import sys
    from importlib.util import find_spec

    for module in modules:
        top = module.partition(".")[0]
        # A folder of that name on the path is a package without an origin.
        missing = (
            (sys.modules[top] is None)
            if top in sys.modules
            else getattr(find_spec(top), "origin", None) is None
        )
        if missing:
            raise ExtraMissingError.of(extra, purpose)


def counted(count: int, noun: str) -> str:
    """Say how many: "1 snippet", "2,000 snippets"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
