"""NeMo manifests: an utterance a line, in JSON.

https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deident.datasets.items import Item, one_line
from deident.datasets.lines import json_lines, located
from deident.datasets.package import package
from deident.datasets.recordings import chosen, gather, segment_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import WHOLE, Turn


def read(path: str | os.PathLike[str], carry: Sequence[str] = ()) -> list[Recording]:
    """Read the recordings of a manifest, with its entries as turns; see `deident.datasets.Reader`.

    carry : names of further fields. Entries without an offset are whole files."""
    place = Path(path)
    try:
        return gather(
            (
                "",
                located(row["audio_filepath"], place.parent),
                Turn(
                    segment_of(row["offset"], row["offset"] + row["duration"])
                    if row.get("offset") is not None
                    else WHOLE,
                    str(row["speaker"]) if row.get("speaker") not in (None, "") else None,
                    row.get("text"),
                    labels=chosen(row, carry),
                ),
            )
            for row in json_lines(place)
        )
    except (KeyError, TypeError):
        raise SettingError(
            "expected audio_filepath on every line of the NeMo manifest, and a duration where there is an offset"
        ) from None


def write(items: Iterable[Item], out: Path) -> int:
    """Write manifest.json, sorted by id, with paths from its folder; the sound in `audio`. See
    `deident.datasets.Exporter`."""
    found = sorted(items, key=lambda item: item.id)
    with package(out) as folder:
        for item in found:
            folder.put(f"audio/{item.id}.{item.suffix}", item.read())
        folder.put_lines("manifest.json", [json.dumps(_row(item), ensure_ascii=False) for item in found])
    return len(found)


def _row(item: Item) -> dict[str, object]:
    row: dict[str, object] = {
        **item.labels,
        "audio_filepath": f"audio/{item.id}.{item.suffix}",
        "duration": item.seconds,
    }
    if item.text is not None:
        row["text"] = one_line(item.text)
    if item.speaker is not None:
        row["speaker"] = item.speaker
    return row
