"""NeMo manifests: an utterance a line, in JSON.

https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deident.datasets.durations import Timed, check_durations
from deident.datasets.entries import Entry, chosen, gather, located, segment_of, text_of
from deident.datasets.items import Item, one_line
from deident.datasets.package import package
from deident.datasets.text_files import Row, check_names, errors_at, read_json_lines, seconds_of, with_columns
from deident.errors import SettingError
from deident.recording import Recording
from deident.segment import Segment
from deident.segmentation.turns import WHOLE, Turn
from deident.uris import location

FIELDS = ("offset", "duration")


def read(
    path: str | os.PathLike[str], carry: Sequence[str] = (), base: str | Path | None = None
) -> list[Recording]:
    """Read the recordings of a manifest, with its entries as turns; see `deident.datasets.Reader`.

    carry : names of further fields. Entries without an offset begin at the start of their files; without a duration
    either, they are whole files.
    """
    rows = [_named(row, carry) for row in read_json_lines(path, "the NeMo manifest")]
    known = {name for row in rows if "offset" in row.values for name in row.values}
    is_timed = any(row.values.get(name) is not None for row in rows for name in FIELDS)
    entries = [_entry(row, Path(path).parent, carry, base, known, is_timed) for row in rows]
    _check_offsets(rows, entries)
    check_durations(
        Timed(entry.place, location(entry.path), entry.turn.speaker, entry.turn.segment)
        for entry in entries
        if not entry.turn.is_whole_recording
    )
    return gather(entries)


def _named(row: Row, carry: Sequence[str]) -> Row:
    with errors_at(row.place):
        return Row(
            row.place, with_columns(row.values, {*FIELDS, "audio_filepath", "text", "speaker"} - {*carry})
        )


def _check_offsets(rows: Sequence[Row], entries: Sequence[Entry]) -> None:
    """Raise `SettingError` where a lacking offset may be one that was lost: in a file with several entries, unless the
    next one begins where this one ends.
    """
    own: dict[str, list[tuple[Row, Segment]]] = {}
    for row, entry in zip(rows, entries, strict=True):
        own.setdefault(location(entry.path), []).append((row, entry.turn.segment))
    for of_file in own.values():
        starts = {segment.start for row, segment in of_file if row.values.get("offset") is not None}
        lacking = [(row, segment) for row, segment in of_file if row.values.get("offset") is None]
        if lacking and len(of_file) > 1 and (len(lacking) > 1 or lacking[0][1].stop not in starts):
            raise SettingError(
                f"{lacking[-1][0].place}: expected an offset, as its file has several entries: 0 if it begins with it"
            )


def _entry(
    row: Row, folder: Path, carry: Sequence[str], base: str | Path | None, known: set[str], is_timed: bool
) -> Entry:
    """Check a line of a manifest, and make an entry of it."""
    values, where = row.values, WHOLE
    with errors_at(row.place):
        check_names(list(values), (*FIELDS, *carry))
        lacks_duration = values.get("duration") is None and (
            "offset" in values or (is_timed and len(values) > 1)
        )
        if "audio_filepath" not in values or lacks_duration:
            raise SettingError(
                "expected audio_filepath, and a duration where there is an offset, or other entries have one"
            )
        strange = (value for name, value in values.items() if name not in {*known, *carry})
        if known and "offset" not in values and any(isinstance(value, int | float) for value in strange):
            raise SettingError(
                "expected an offset, as other lines have one in place of a number of another name"
            )
        if values.get("duration") is not None:
            offset = values.get("offset")
            start = 0.0 if offset is None else seconds_of(offset)
            where = segment_of(start, start + seconds_of(values["duration"]))
        turn = Turn(where, text_of(values, "speaker"), text_of(values), labels=chosen(values, carry))
        return Entry(row.place, "", located(values["audio_filepath"], base, Path(), folder), turn)


def write(items: Iterable[Item], out: Path) -> int:
    """Write manifest.json, sorted by id, with paths from its folder; the sound in `audio`. See
    `deident.datasets.Exporter`.
    """
    found = sorted(items, key=lambda item: item.id)
    with package(out) as folder:
        for item in found:
            folder.put(f"audio/{item.file}", item.read())
        folder.put_lines("manifest.json", [json.dumps(_row(item), ensure_ascii=False) for item in found])
    return len(found)


def _row(item: Item) -> dict[str, object]:
    row: dict[str, object] = {
        **item.labels,
        "audio_filepath": f"audio/{item.file}",
        "duration": item.seconds,
    }
    if item.text is not None:
        row["text"] = one_line(item.text)
    if item.speaker is not None:
        row["speaker"] = item.speaker
    return row
