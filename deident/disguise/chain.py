"""Several methods in a row, as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deident.audio import Audio
from deident.disguise.base import Method, apply_all, as_method
from deident.errors import SettingError


@dataclass(frozen=True)
class Chain(Method[tuple[Any, ...]]):
    """Apply methods one after another; a voice of the chain is a voice of each.

    Two weak methods do not make a strong one: measure a chain like any other method."""

    methods: tuple[Method[Any], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.methods, tuple | list):
            raise SettingError("expected the methods of a chain as a tuple; got one alone")
        if not self.methods:
            raise SettingError("a chain needs at least one method")
        object.__setattr__(self, "methods", tuple(as_method(method) for method in self.methods))

    @property
    def stretch(self) -> float:
        """How much longer than its input the output can be."""
        return math.prod(method.stretch for method in self.methods)

    @property
    def replaces_quiet(self) -> bool:  # type: ignore[override]  # a constant of other methods
        return any(method.replaces_quiet for method in self.methods)

    @property
    def needs_fades(self) -> bool:  # type: ignore[override]  # a constant of other methods
        return any(method.needs_fades for method in self.methods)

    @property
    def keeps_time(self) -> bool:  # type: ignore[override]  # a constant of other methods
        return all(method.keeps_time for method in self.methods)

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(method.draw(rng) for method in self.methods)

    def apply(self, audio: Audio, voice: tuple[Any, ...], rng: np.random.Generator) -> Audio:
        for method, part in zip(self.methods, voice, strict=True):
            audio = method.apply(audio, part, rng)
        return audio

    def apply_all(
        self,
        audios: Sequence[Audio],
        voices: Sequence[tuple[Any, ...]],
        rngs: Sequence[np.random.Generator],
    ) -> list[Audio]:
        out = list(audios)
        for number, method in enumerate(self.methods):
            out = apply_all(method, out, [voice[number] for voice in voices], rngs)
        return out
