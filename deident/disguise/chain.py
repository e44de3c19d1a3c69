"""Several methods in a row, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deident.audio import Audio
from deident.disguise.base import Disguise, Method, apply_all, check_disguise, renewed
from deident.errors import SettingError


@dataclass(frozen=True)
class Chain(Method[tuple[Any, ...]]):
    """Apply methods one after another; a voice of the chain is a voice of each.

    Two weak methods do not make a strong one: measure a chain like any other method."""

    methods: tuple[Disguise[Any], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.methods, tuple | list):
            raise SettingError("expected the methods of a chain as a tuple; got one alone")
        if not self.methods:
            raise SettingError("a chain needs at least one method")
        for method in self.methods:
            check_disguise(method)

    @property
    def stretch(self) -> float:
        """How much longer than its input the output can be."""
        product = 1.0
        for method in self.methods:
            product *= getattr(method, "stretch", 1.0)
        return product

    @property
    def replaces_quiet(self) -> bool:  # type: ignore[override]  # a constant of other methods
        return any(getattr(method, "replaces_quiet", False) for method in self.methods)

    @property
    def hears_cuts(self) -> bool:  # type: ignore[override]  # a constant of other methods
        return any(getattr(method, "hears_cuts", False) for method in self.methods)

    @property
    def keeps_time(self) -> bool:
        """Whether what is said stays where it was."""
        return all(getattr(method, "keeps_time", False) for method in self.methods)

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(method.draw(rng) for method in self.methods)

    def renewed(self, voice: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(renewed(method, part, rng) for method, part in zip(self.methods, voice, strict=True))

    def apply(self, audio: Audio, voice: tuple[Any, ...]) -> Audio:
        for method, part in zip(self.methods, voice, strict=True):
            audio = method.apply(audio, part)
        return audio

    def apply_all(self, audios: Sequence[Audio], voices: Sequence[tuple[Any, ...]]) -> list[Audio]:
        out = list(audios)
        for number, method in enumerate(self.methods):
            out = apply_all(method, out, [voice[number] for voice in voices])
        return out
