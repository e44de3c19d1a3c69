"""The processing of one recording: decode, detect speech, cut, disguise, finish.

| module | holds |
|---|---|
| `journey` | `deidentify`, `stream` and `plan`: one recording's whole way |
| `pieces` | decode, detect speech, cut and sample |
| `draws` | pieces, and the voices, noise and names drawn for them |
| `disguising` | disguise and finish |
| `snippet` | what is released |
"""

from deident.pipeline.disguising import EDGE, TOGETHER, disguiser
from deident.pipeline.journey import deidentify, plan, snippets_of, stream
from deident.pipeline.pieces import cut_section, decode, segmenters_for
from deident.pipeline.snippet import Snippet

__all__ = [
    "EDGE",
    "TOGETHER",
    "Snippet",
    "cut_section",
    "decode",
    "deidentify",
    "disguiser",
    "plan",
    "segmenters_for",
    "snippets_of",
    "stream",
]
