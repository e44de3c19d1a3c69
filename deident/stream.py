"""Random numbers from 256 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence


class _Bits(ISeedSequence):
    """The state of a generator, as it is: bits of a system's generator, or of a keyed hash, need no mixing."""

    def __init__(self, seed: bytes) -> None:
        self._words = np.frombuffer(seed, dtype="<u8")

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> npt.NDArray[Any]:
        if n_words != len(self._words) or np.dtype(dtype) != np.uint64:
            raise ValueError(f"expected {8 * n_words} bytes; got {8 * len(self._words)}")
        return self._words.astype(np.uint64)


def stream(seed: bytes) -> np.random.Generator:
    """The generator whose state these 32 bytes are, PCG64 DXSM (O'Neill, 2014): all bits but one count.

    They must be as good as random: numpy's own seeding, which mixes any, costs four times as much."""
    return np.random.Generator(np.random.PCG64DXSM(_Bits(seed)))  # type: ignore[arg-type]  # numpy's are too narrow
