"""Fourier transforms of rows, in the precision of their input: those of scipy, loaded without the rest of it.

Importing `scipy.fft` loads all of scipy.special and more of numpy than is used here: 0.2 s of every process, which is a
third of a small run. The extension module of the transform alone loads in 3 ms. Where a version of scipy has no such
module, or another one, `scipy.fft` is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


_NAME = "scipy.fft._pocketfft.pypocketfft"


class Direct:
    """The functions of `scipy.fft` used here, by the extension module alone. Raises for another scipy."""

    def __init__(self) -> None:
        scipy = importlib.util.find_spec("scipy")
        folder = ((scipy and scipy.submodule_search_locations) or [""])[0]
        places = (Path(folder, "fft", "_pocketfft", f"pypocketfft{suffix}") for suffix in EXTENSION_SUFFIXES)
        path = str(next(place for place in places if place.exists()))
        loader = ExtensionFileLoader(_NAME, path)
        self._own: Any = importlib.util.module_from_spec(ModuleSpec(_NAME, loader, origin=path))
        loader.exec_module(self._own)
        sys.modules[_NAME] = self._own  # for scipy.fft: an extension that is loaded twice may end the process
        self._check()

    def _check(self) -> None:
        """Raise `ImportError` unless the extension's functions answer as numpy's do."""
        rows = np.arange(12, dtype=np.float32).reshape(2, 6)
        same = (
            np.allclose(self.rfft(rows, 8), np.fft.rfft(rows, 8), atol=1e-4)
            and np.allclose(self.fft(rows, 8), np.fft.fft(rows, 8), atol=1e-4)
            and np.allclose(self.irfft(self.rfft(rows), 6), rows, atol=1e-4)
            and (self.next_fast_len(13, real=True), self.next_fast_len(13)) == (15, 14)
        )
        if not same:
            raise ImportError

    def rfft(self, rows: Array, size: int | None = None) -> Array:
        spectra: Array = self._own.r2c(_padded(rows, size), (-1,), True, 0, None, 1)
        return spectra

    def irfft(self, spectra: Array, size: int) -> Array:
        rows: Array = self._own.c2r(spectra, (-1,), size, False, 2, None, 1)
        return rows

    def fft(self, rows: Array, size: int | None = None) -> Array:
        spectra: Array = self._own.c2c(_padded(rows, size), (-1,), True, 0, None, 1)
        return spectra

    def next_fast_len(self, size: int, real: bool = False) -> int:
        return int(self._own.good_size(size, real))


def _padded(rows: Array, size: int | None) -> Array:
    """Pad rows with zeros at their end."""
    if size is None or rows.shape[-1] == size:
        return rows
    out = np.zeros((*rows.shape[:-1], size), dtype=rows.dtype)
    out[..., : rows.shape[-1]] = rows
    return out


def transforms() -> Any:
    """Choose `Direct`, or `scipy.fft` where that fails or is loaded already."""
    if "scipy.fft" not in sys.modules:
        with contextlib.suppress(Exception):  # whatever another scipy does
            return Direct()
    import scipy.fft

    return scipy.fft


_own = transforms()
rfft: Callable[..., Array] = _own.rfft
irfft: Callable[[Array, int], Array] = _own.irfft
fft: Callable[..., Array] = _own.fft
next_fast_len: Callable[..., int] = _own.next_fast_len
