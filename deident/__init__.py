"""De-identify speech recordings: short, disguised, clean snippets for people to listen to.

The public names are loaded on first use, so that `import deident` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing would cost more time than the rest of this module

__version__ = "0.1.0"

_HOMES = {
    "Audio": "audio",
    "Segment": "segment",
    "Turn": "segmentation.turns",
    "Word": "segmentation.turns",
    "MuteSettings": "segmentation.mute",
    "Key": "keys",
    "DISGUISES": "disguise",
    "Augmentation": "disguise.augmentation",
    "Chain": "disguise",
    "Disguise": "disguise",
    "Method": "disguise",
    "Vocoder": "disguise.vocoder",
    "Psola": "disguise.psola",
    "McAdams": "disguise.mcadams",
    "PitchShift": "disguise.pitch_shift",
    "Policy": "policy",
    "VadSettings": "segmentation.vad",
    "CuttingSettings": "segmentation.cutting",
    "ProgrammeSettings": "policy",
    "Snippet": "pipeline",
    "Tally": "recording",
    "Recording": "recording",
    "Summary": "runs.run",
    "Outcome": "runs.worker",
    "read": "codec",
    "find_speech": "segmentation.vad",
    "cut": "segmentation.cutting",
    "deidentify": "pipeline",
    "stream": "pipeline",
    "run": "runs.run",
    "scan": "scanners",
    "DeidentError": "errors",
    "RecordingError": "errors",
    "SettingError": "errors",
    "KeyMaterialError": "errors",
    "StoreError": "errors",
    "ExtraMissingError": "errors",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from deident.audio import Audio as Audio
    from deident.codec import read as read
    from deident.disguise import DISGUISES as DISGUISES
    from deident.disguise import Chain as Chain
    from deident.disguise import Disguise as Disguise
    from deident.disguise import Method as Method
    from deident.disguise.augmentation import Augmentation as Augmentation
    from deident.disguise.mcadams import McAdams as McAdams
    from deident.disguise.pitch_shift import PitchShift as PitchShift
    from deident.disguise.psola import Psola as Psola
    from deident.disguise.vocoder import Vocoder as Vocoder
    from deident.errors import DeidentError as DeidentError
    from deident.errors import ExtraMissingError as ExtraMissingError
    from deident.errors import KeyMaterialError as KeyMaterialError
    from deident.errors import RecordingError as RecordingError
    from deident.errors import SettingError as SettingError
    from deident.errors import StoreError as StoreError
    from deident.keys import Key as Key
    from deident.pipeline import Snippet as Snippet
    from deident.pipeline import deidentify as deidentify
    from deident.pipeline import stream as stream
    from deident.policy import Policy as Policy
    from deident.policy import ProgrammeSettings as ProgrammeSettings
    from deident.recording import Recording as Recording
    from deident.recording import Tally as Tally
    from deident.runs.run import Summary as Summary
    from deident.runs.run import run as run
    from deident.runs.worker import Outcome as Outcome
    from deident.scanners import scan as scan
    from deident.segment import Segment as Segment
    from deident.segmentation.cutting import CuttingSettings as CuttingSettings
    from deident.segmentation.cutting import cut as cut
    from deident.segmentation.mute import MuteSettings as MuteSettings
    from deident.segmentation.turns import Turn as Turn
    from deident.segmentation.turns import Word as Word
    from deident.segmentation.vad import VadSettings as VadSettings
    from deident.segmentation.vad import find_speech as find_speech


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'deident' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"deident.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
