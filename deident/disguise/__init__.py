"""Methods of disguise by name. To add one, write a frozen dataclass with `draw` and `apply`, and an entry here."""

from __future__ import annotations

from typing import Any

from deident.disguise.base import Disguise, Method
from deident.disguise.chain import Chain
from deident.disguise.mcadams import McAdams
from deident.disguise.pitch_shift import PitchShift
from deident.disguise.psola import Psola
from deident.disguise.vocoder import Vocoder

__all__ = ["DISGUISES", "Chain", "Disguise", "Method"]

DISGUISES: dict[str, type[Method[Any]]] = {
    "vocoder": Vocoder,
    "psola": Psola,
    "mcadams": McAdams,
    "pitch_shift": PitchShift,
}
