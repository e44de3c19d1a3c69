"""Presets: a method and how long a voice is kept, by the name of what they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from deident.disguise.base import Disguise
from deident.disguise.psola import Psola
from deident.disguise.vocoder import Vocoder


@dataclass(frozen=True)
class Preset:
    """A disguise and its scope: what keeps one voice."""

    disguise: Disguise[Any]
    scope: Literal["snippet", "recording", "speaker"]


PRESETS = {
    "review": Preset(Vocoder(), "snippet"),
    "natural": Preset(Psola(), "snippet"),
    "training": Preset(Vocoder(), "speaker"),
}
