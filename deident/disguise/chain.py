"""A chain of methods as one method."""

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

    Two weak methods do not make a strong one: measure a chain like any other method.

    Parameters
    ----------
    methods : tuple of Method
        In the order of their use. The chain keeps time if all do; it replaces what is quiet, or needs fades, if any
        does; their stretches multiply.

    Raises
    ------
    SettingError
        Without a method, or with anything that is none.

    Examples
    --------
    >>> from deident.disguise import DISGUISES
    >>> Chain((DISGUISES["psola"](), DISGUISES["mcadams"]())).keeps_time
    True
    """

    methods: tuple[Method[Any], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.methods, tuple | list):
            raise SettingError("expected the methods of a chain as a tuple; got one alone")
        if not self.methods:
            raise SettingError("a chain needs at least one method")
        object.__setattr__(self, "methods", tuple(as_method(method) for method in self.methods))
        traits = {
            "stretch": math.prod(method.stretch for method in self.methods),
            "keeps_time": all(method.keeps_time for method in self.methods),
            "replaces_quiet": any(method.replaces_quiet for method in self.methods),
            "needs_fades": any(method.needs_fades for method in self.methods),
        }
        for name, value in traits.items():
            object.__setattr__(self, name, value)

    def keeping_time(self) -> Chain:
        """Give the chain of the methods by their own `keeping_time`."""
        return Chain(tuple(method.keeping_time() for method in self.methods))

    def draw(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draw a voice; see `Disguise.draw`."""
        return tuple(method.draw(rng) for method in self.methods)

    def apply(self, audio: Audio, voice: tuple[Any, ...], rng: np.random.Generator) -> Audio:
        """Disguise one snippet; see `Disguise.apply`."""
        for method, part in zip(self.methods, voice, strict=True):
            audio = method.apply(audio, part, rng)
        return audio

    def apply_all(
        self,
        audios: Sequence[Audio],
        voices: Sequence[tuple[Any, ...]],
        rngs: Sequence[np.random.Generator],
    ) -> list[Audio]:
        """Disguise several snippets, method by method."""
        out = list(audios)
        for number, method in enumerate(self.methods):
            out = apply_all(method, out, [voice[number] for voice in voices], rngs)
        return out
