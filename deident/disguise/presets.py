"""Presets: methods with a scope, named after their purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deident.disguise.base import Method, Scope
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


STRONG = Vocoder(tract=(0.8, 1.25), warp=0.32, colour=0.6)
NATURAL = Vocoder(
    spread=0.5,
    context=0.0,
    floor_db=40.0,
    gate_db=60.0,
    noise=0.0,
    f0_octaves=(0.15, 0.3),
    warp=0.13,
    tract=(0.9, 1.12),
    pause_seconds=(10.0, 10.0),
)

PRESETS = {
    "review": Preset(Vocoder(), "snippet"),
    "strong": Preset(STRONG, "snippet"),
    "natural": Preset(NATURAL, "snippet"),
    "training": Preset(Vocoder().keeping_time(), "speaker"),
}
