"""The data card of an export: what is in it, how it was made, what was dropped, and what it protects."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from deident import __version__
from deident.datasets.items import Item
from deident.disguise import DISGUISES
from deident.disguise.presets import PRESETS
from deident.disguise.strength import measured
from deident.errors import SettingError
from deident.policy import Policy
from deident.segmentation.turns import TIMED

NAME = "README.md"
LIMITS = """\
The speech is pseudonymised, not anonymous. Names that are spoken, what is said, how it is said, and what acquaintances
recognise, are still there. Do not try to find out who speaks.
"""
_COUNTS = {
    "recordings": "recordings read",
    "read_seconds": "seconds read",
    "speech_seconds": "seconds of speech found",
    "released_seconds": "seconds released",
    "shortened_seconds": "seconds of pauses taken out",
    "gated_seconds": "seconds of noise, or speech in noise, refused",
    "texts_left_out": "texts that no snippet has",
}


def _rounded(number: float) -> str:
    """Write a count or seconds to a tenth; what is left of rounding is nothing, and no minus."""
    return f"{round(number, 1) + 0.0:,.1f}".removesuffix(".0")


def read_summary(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the output of `deident run --json`. Raises `SettingError` for anything else."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise SettingError(f"the summary cannot be read: {error.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"version", "settings", "dropped_seconds"} <= found.keys():
        raise SettingError("expected as summary the output of `deident run --json`")
    return found


def card(
    items: Sequence[Item], summary: Mapping[str, Any] | None = None, *, names_people: bool = False
) -> str:
    """Write the card of snippets, in Markdown.

    items : of the export.   summary : of the run, as `deident run --json` prints it.   names_people : ids and speakers
    are those of the source.
    """
    parts = ["# De-identified speech\n", LIMITS]
    if names_people:
        parts.append(
            "**Ids and speakers are those of the source: this folder names everybody, and is not to be given away.**\n"
        )
    parts += ["## What is in it\n", _table(_contents(items))]
    if summary is None:
        parts.append("## How it was made\n")
        parts.append(f"By deident {__version__}. Its settings were not given at the export (`--summary`).\n")
        return "\n".join(parts)
    settings = summary["settings"]
    parts += [
        "## How it was made\n",
        f"By deident {summary['version']}, under the policy {summary.get('policy', '')}:\n",
        f"```json\n{json.dumps(settings, indent=2, sort_keys=True)}\n```\n",
        "## What was dropped\n",
        "Of the last run into the store:\n",
        _table({title: _rounded(summary[name]) for name, title in _COUNTS.items() if name in summary}),
        _table(
            {
                f"dropped: {why.replace('_', ' ')}": f"{seconds:.1f} s"
                for why, seconds in summary["dropped_seconds"].items()
            }
        ),
        "## What it protects\n",
        _protection(settings),
    ]
    return "\n".join(parts)


def _contents(items: Sequence[Item]) -> dict[str, str]:
    """Describe the snippets of a data set by name and value."""
    total = sum(item.seconds for item in items)
    speakers = {item.speaker for item in items if item.speaker is not None}
    columns = [name for name in ("text", "speaker") if any(getattr(item, name) is not None for item in items)]
    columns += [name for name in TIMED if any(getattr(item, name) for item in items)]
    columns += sorted({name for item in items for name in item.labels})
    found = {
        "snippets": str(len(items)),
        "hours": f"{total / 3_600:.2f}",
        "longest": f"{max((item.seconds for item in items), default=0.0):.2f} s",
        "sample rate": ", ".join(f"{rate} Hz" for rate in sorted({item.rate for item in items})),
        "container": ", ".join(sorted({item.suffix for item in items})),
        "speakers": f"{len(speakers)}, by pseudonym" if speakers else "not told",
        "carried along": ", ".join(columns) or "nothing",
    }
    return {name: value for name, value in found.items() if value}


def _protection(settings: Mapping[str, Any]) -> str:
    """Show what was measured of the preset or method, where its settings are those measured."""
    known = {name: (preset.disguise, preset.scope) for name, preset in PRESETS.items()}
    known |= {name: (kind(), kind().scope) for name, kind in DISGUISES.items()}
    for name, (disguise, scope) in known.items():
        plain = json.loads(json.dumps(Policy(disguise=disguise).to_mapping()["disguise"]))
        if (plain, scope) == (settings.get("disguise"), settings.get("scope")) and (rows := measured(name)):
            return (
                f"Measured for `{name}`; an equal error rate (EER) of 50 % is chance, 0 recognises everybody:\n\n"
                + _table(dict(rows))
            )
    return "Nothing was measured of these settings: `deident evaluate` does it.\n"


def _table(rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    return "".join(["| | |\n|---|---|\n", *(f"| {name} | {value} |\n" for name, value in rows.items())])
