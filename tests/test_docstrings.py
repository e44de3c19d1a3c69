"""Public names are documented by the numpydoc rules, and their examples run."""

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import deident
from deident.disguise.base import Disguise

numpydoc = pytest.importorskip("numpydoc.validate")

# The rules of numpydoc that hold here: a summary that is a sentence, every parameter with its type, the returned value.
# Those on layout are ruff's. A parameter or result whose type says all needs no further sentence.
RULES = {
    "GL06", "GL07", "GL08", "SS01", "SS02", "SS03", "SS04", "SS05",
    "PR01", "PR02", "PR03", "PR04", "PR05", "RT01", "YD01",
}  # fmt: skip
# Seams that are no names of the package itself: what others implement, and what reaches across packages.
SEAMS = [
    "deident.codec.decode",
    "deident.codec.Decoding",
    "deident.containers.CONTAINERS",
    "deident.datasets.export",
    "deident.datasets.items.read_items",
    "deident.datasets.recordings.expand",
    "deident.disguise.base.Disguise.apply",
    "deident.disguise.base.Disguise.draw",
    "deident.disguise.naming.disguise_named",
    "deident.evaluation.attack.Attacker",
    "deident.pages.preview.preview",
    "deident.review.make_round",
    "deident.segmentation.streaming.StreamSegmenter",
    "deident.store.Store",
    "deident.store.open_store",
]


def public() -> Iterator[str]:
    """Dotted names of everything in `deident.__all__`, and of the public methods that its classes do not inherit.

    Exceptions have the parameters of `DeidentError`, and a method that overrides another has its description."""
    for name in deident.__all__:
        value = getattr(deident, name)
        if inspect.isclass(value):
            if not (issubclass(value, deident.DeidentError) and "__init__" not in vars(value)):
                yield f"{value.__module__}.{name}"
            for method, function in vars(value).items():
                inherited = any(hasattr(base, method) for base in (*value.__mro__[1:], Disguise))
                is_known = inspect.isroutine(function) or isinstance(function, property)
                if not method.startswith("_") and is_known and not inherited:
                    yield f"{value.__module__}.{name}.{method}"
        elif inspect.isroutine(value):
            yield f"{value.__module__}.{name}"


def faults(name: str) -> list[str]:
    found = numpydoc.validate(name)
    # Fields that callers read, and do not set, are listed as attributes; settings are grouped by what they do.
    free = {"PR01"} if "\nAttributes\n" in found["docstring"] else set()
    free |= {"PR03"} if found["type"] == "type" else set()
    free |= {"PR01"} if name.endswith(".Disguise") else set()  # a protocol is not made
    return [f"{code} {text}" for code, text in found["errors"] if code in RULES - free]


@pytest.mark.parametrize("name", [*public(), *(seam for seam in SEAMS if not seam.endswith("CONTAINERS"))])
def test_a_public_name_is_documented(name: str) -> None:
    assert faults(name) == []


def modules() -> list[str]:
    return [
        found.name
        for found in pkgutil.walk_packages(deident.__path__, "deident.")
        if "__main__" not in found.name
    ]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError:
        pytest.skip("its extra is not installed")
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).failed == 0
