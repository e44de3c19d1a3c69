"""Results kept by content: a second run with one more method costs that method."""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import json
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.disguise.base import Foreign, Scoped
from deident.errors import SettingError
from deident.pages.page import write_private

Arrays = dict[str, npt.NDArray[Any]]


def digest(*parts: object) -> str:
    """64 hexadecimal digits that stand for these values (numbers, text, lists of such)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


@cache
def file_digest(path: str) -> str:
    """64 hexadecimal digits that stand for the content of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def source_digest(*modules: str) -> str:
    """Stands for the `sources` of imported modules: work done by other code is other work."""
    return digest(sorted(sources(*modules).items()))


def sources(*modules: str) -> dict[str, str]:
    """Source text of imported modules, and of what they import of this package's signal processing.

    Of disguises, too, where they are disguises themselves or from elsewhere: an encoder that can name a disguise works
    the same when one changes.
    """
    of_package = all(name.startswith("deident.evaluation.") for name in modules)
    followed = ("deident.dsp.",) if of_package else ("deident.dsp.", "deident.disguise.")
    seen: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in seen or not file or not file.endswith(".py"):
            continue
        seen[name] = Path(file).read_text(encoding="utf-8")
        nodes = ast.walk(ast.parse(seen[name]))
        imported = (str(node.module) for node in nodes if isinstance(node, ast.ImportFrom))
        waiting += [module for module in imported if module.startswith(followed)]
    return seen


def fingerprint(value: object) -> str:
    """Stands for a disguise, an encoder or a measure: its settings and the code it is made of.

    A `fingerprint` attribute decides where there is one. Otherwise the repr, which must tell every
    setting (a dataclass's does), and the source of the module of its class with what that imports.
    """
    if isinstance(value, Scoped):
        return digest(value.scope, fingerprint(value.inner))
    if isinstance(value, Foreign):
        return fingerprint(value.inner)
    own = getattr(value, "fingerprint", None)
    if isinstance(own, str):
        return own
    kind = value if inspect.isroutine(value) else type(value)
    module = getattr(kind, "__module__", "")
    says = repr(value)
    if " at 0x" in says:  # a default repr tells where the value is, not what it is
        says = f"{module}.{getattr(kind, '__qualname__', '')}"
    return digest(says, source_digest(module))


class Cache:
    """Arrays in a folder, by digest. Holds voice features of the originals: mode 0700, keep it as safe as them.

    A file that cannot be read counts as absent. `Cache(None)` remembers nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.found = self.made = 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, name: str) -> Arrays | None:
        if self.folder is None:
            return None
        try:
            with np.load(self.folder / name[:2] / f"{name[2:]}.npz", allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None
        self.found += 1
        return arrays

    def put(self, name: str, arrays: Arrays) -> None:
        self.made += 1
        if self.folder is None:
            return
        place = self.folder / name[:2] / f"{name[2:]}.npz"
        place.parent.mkdir(exist_ok=True, mode=0o700)
        data = io.BytesIO()
        np.savez(data, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
        write_private(place, data.getvalue())

    def file(self, name: str, suffix: str) -> Path:
        """The path of a file by its name, for a cache with a folder."""
        if self.folder is None:
            raise SettingError(
                "expected a cache with a folder for the weights of a network; got one that keeps nothing"
            )
        place = self.folder / name[:2] / f"{name[2:]}{suffix}"
        place.parent.mkdir(exist_ok=True, mode=0o700)
        return place

    def once(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of this name, made if they are not there."""
        arrays = self.get(name)
        if arrays is None:
            arrays = make()
            self.put(name, arrays)
        return arrays
