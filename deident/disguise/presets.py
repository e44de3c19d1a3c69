"""Presets: a method and how long a voice is kept, by the name of what they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deident.disguise.base import Method, Scope
from deident.disguise.psola import Psola
from deident.disguise.vocoder import Vocoder


@dataclass(frozen=True)
class Preset:
    """A disguise and its scope: what keeps one voice."""

    disguise: Method[Any]
    scope: Scope


PRESETS = {
    "review": Preset(Vocoder(), "snippet"),
    "natural": Preset(Psola(), "snippet"),
    "training": Preset(Vocoder(), "speaker"),
}
