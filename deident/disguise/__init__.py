"""Methods of disguise by name. To add one, write a module with a frozen dataclass, and its line here."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from deident.disguise.base import Disguise, Method
from deident.disguise.chain import Chain

__all__ = ["DISGUISES", "Chain", "Disguise", "Method"]

_MODULES = {
    "vocoder": "deident.disguise.vocoder:Vocoder",
    "psola": "deident.disguise.psola:Psola",
    "mcadams": "deident.disguise.mcadams:McAdams",
    "pitch_shift": "deident.disguise.pitch_shift:PitchShift",
}
DISGUISES: dict[str, type[Method[Any]]] = {name: resolve_name(place) for name, place in _MODULES.items()}
