"""De-identify speech recordings: short, disguised, clean snippets for people to listen to.

The names below are the library. They are loaded on first use, so that `import deident` costs nothing."""

from __future__ import annotations

TYPE_CHECKING = False  # typing would cost more time than the rest of this module

__version__ = "0.1.0"

_HOMES = {
    "Audio": "audio",
    "Segment": "segment",
    "Turn": "turns",
    "Word": "turns",
    "Muting": "mute",
    "Key": "secret",
    "DISGUISES": "disguise",
    "Chain": "disguise",
    "Disguise": "disguise",
    "Policy": "policy",
    "Speech": "vad",
    "Cutting": "snippets",
    "Snippet": "pipeline",
    "Tally": "pipeline",
    "Recording": "sources",
    "Summary": "batch",
    "Outcome": "work",
    "read": "codec",
    "find_speech": "vad",
    "cut": "snippets",
    "deidentify": "pipeline",
    "run": "batch",
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
    from deident.batch import Summary as Summary
    from deident.batch import run as run
    from deident.codec import read as read
    from deident.disguise import DISGUISES as DISGUISES
    from deident.disguise import Chain as Chain
    from deident.disguise import Disguise as Disguise
    from deident.errors import DeidentError as DeidentError
    from deident.errors import ExtraMissingError as ExtraMissingError
    from deident.errors import KeyMaterialError as KeyMaterialError
    from deident.errors import RecordingError as RecordingError
    from deident.errors import SettingError as SettingError
    from deident.errors import StoreError as StoreError
    from deident.mute import Muting as Muting
    from deident.pipeline import Snippet as Snippet
    from deident.pipeline import Tally as Tally
    from deident.pipeline import deidentify as deidentify
    from deident.policy import Policy as Policy
    from deident.scanners import scan as scan
    from deident.secret import Key as Key
    from deident.segment import Segment as Segment
    from deident.snippets import Cutting as Cutting
    from deident.snippets import cut as cut
    from deident.sources import Recording as Recording
    from deident.turns import Turn as Turn
    from deident.turns import Word as Word
    from deident.vad import Speech as Speech
    from deident.vad import find_speech as find_speech
    from deident.work import Outcome as Outcome


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'deident' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"deident.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
