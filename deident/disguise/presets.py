"""Presets: methods with a scope, named after their purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deident.disguise.base import Method, Scope
from deident.disguise.psola import Psola
from deident.disguise.vocoder import Vocoder


@dataclass(frozen=True)
class Preset:
    """A disguise and a scope.

    Attributes
    ----------
    disguise : Method
    scope : "snippet", "recording" or "speaker"
        How long one voice is kept.
    """

    disguise: Method[Any]
    scope: Scope


PRESETS = {
    "review": Preset(Vocoder(), "snippet"),
    "natural": Preset(Psola(), "snippet"),
    "training": Preset(Vocoder(), "speaker"),
}
