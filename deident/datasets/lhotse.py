"""Lhotse manifests, read and written as the JSON lines they are.

https://lhotse.readthedocs.io/en/latest/corpus.html, .../cuts.html"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deident.datasets.items import Item, one_line
from deident.datasets.lines import json_lines, located
from deident.datasets.package import package
from deident.datasets.recordings import chosen, gather, segment_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import SLACK, Turn, Word

FIELDS = ("language", "gender")  # of a supervision; other labels are in its `custom`
CUTS = ("MonoCut", "MultiCut")


def read(place: str | os.PathLike[str], carry: Sequence[str] = ()) -> list[Recording]:
    """Read a folder with one file of recordings and one of supervisions, or a file of cuts; see
    `deident.datasets.Reader`.

    carry : "language", "gender", or names of fields of `custom`. The sound must lie in single files: commands are never
    run, addresses never fetched."""
    path = Path(place)
    try:
        turns = _from_folder(path, carry) if path.is_dir() else _from_cuts(path, carry)
        return gather(turns)
    except (KeyError, TypeError, AttributeError):
        raise SettingError("a line of the Lhotse manifest lacks what it must have") from None


def _from_folder(place: Path, carry: Sequence[str]) -> Iterator[tuple[str, str, Turn]]:
    recordings = {row["id"]: row for row in json_lines(_only(place, "recordings"))}
    for row in json_lines(_only(place, "supervisions")):
        if row["recording_id"] not in recordings:
            raise SettingError("a supervision is of a recording that is not there")
        turn = _turn(row, row["start"], row["start"] + row["duration"], carry)
        yield row["recording_id"], _file(recordings[row["recording_id"]], place), turn


def _only(place: Path, kind: str) -> Path:
    found = [path for path in place.glob(f"*{kind}*.jsonl*") if path.name.endswith((".jsonl", ".jsonl.gz"))]
    if len(found) != 1:
        raise SettingError(
            f"expected one file of {kind} (.jsonl or .jsonl.gz) in the folder; got {len(found)}: or name a file"
            " of cuts"
        )
    return found[0]


def _from_cuts(path: Path, carry: Sequence[str]) -> Iterator[tuple[str, str, Turn]]:
    for cut in json_lines(path):
        if cut.get("type") not in CUTS:
            raise SettingError(
                f"expected cuts of the types {' and '.join(CUTS)}: mixed ones hold several sounds"
            )
        where = _file(cut["recording"], path.parent)
        begin, end = cut["start"], cut["start"] + cut["duration"]
        for row in cut.get("supervisions") or [{"id": cut["id"], "start": 0.0, "duration": cut["duration"]}]:
            start = begin + row["start"]
            stop = start + row["duration"]
            if start < begin or stop > end:  # only a part of it is in the cut
                row = {**row, "text": None}
            turn = _turn(row, max(start, begin), min(stop, end), carry)
            yield cut["recording"]["id"], where, turn


def _turn(row: Mapping[str, Any], start: float, stop: float, carry: Sequence[str]) -> Turn:
    where = segment_of(start, stop)
    # Lhotse keeps the times of an alignment when it moves a cut: they count from the recording's start.
    words = [
        Word(segment_of(at, at + max(lasts, 0.01)), symbol)
        for symbol, at, lasts, *_ in (row.get("alignment") or {}).get("word", [])
    ]
    near = all(w.segment.start >= where.start - SLACK and w.segment.stop <= where.stop + SLACK for w in words)
    channel = row.get("channel")
    if isinstance(channel, list):
        channel = channel[0] if len(channel) == 1 else None
    known = {**(row.get("custom") or {}), **{name: row.get(name) for name in FIELDS}}
    return Turn(
        where,
        str(row["speaker"]) if row.get("speaker") not in (None, "") else None,
        row.get("text"),
        tuple(words)
        if near
        else (),  # elsewhere: somebody counts them otherwise, and no text can be cut by them
        channel,
        chosen(known, carry),
        row["id"],
    )


def _file(recording: Mapping[str, Any], base: Path) -> str:
    sources = recording["sources"]
    if len(sources) != 1 or sources[0]["type"] != "file" or recording.get("transforms"):
        raise SettingError(
            "expected recordings of one sound file each, without transforms: commands are never run, addresses"
            " never fetched; write the sound out first, as `CutSet.save_audios` does"
        )
    return located(sources[0]["source"], base)


def write(items: Iterable[Item], out: Path) -> int:
    """Write recordings.jsonl.gz, supervisions.jsonl.gz and cuts.jsonl.gz, sorted by id; the sound in `audio`.

    Sources begin with `out` as it was given. See `deident.datasets.Exporter`."""
    found = sorted(items, key=lambda item: item.id)
    with package(out) as folder:
        for item in found:
            folder.put(f"audio/{item.id}.{item.suffix}", item.read())
        recordings = [_recording(item, out) for item in found]
        supervisions = [_supervision(item) for item in found]
        cuts = [_cut(one, other) for one, other in zip(recordings, supervisions, strict=True)]
        for name, rows in (("recordings", recordings), ("supervisions", supervisions), ("cuts", cuts)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            folder.put(f"{name}.jsonl.gz", gzip.compress(lines.encode(), mtime=0))
    return len(found)


def _recording(item: Item, out: Path) -> dict[str, Any]:
    source = os.fspath(out / "audio" / f"{item.id}.{item.suffix}")
    return {
        "id": item.id,
        "sources": [{"type": "file", "channels": [0], "source": source}],
        "sampling_rate": item.rate,
        "num_samples": round(item.seconds * item.rate),
        "duration": item.seconds,
        "channel_ids": [0],
    }


def _supervision(item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": item.id, "recording_id": item.id, "start": 0.0, "duration": item.seconds, "channel": 0,
    }  # fmt: skip
    if item.text is not None:
        row["text"] = one_line(item.text)
    if item.speaker is not None:
        row["speaker"] = item.speaker
    row |= {name: item.labels[name] for name in FIELDS if name in item.labels}
    if custom := {name: value for name, value in item.labels.items() if name not in FIELDS}:
        row["custom"] = custom
    if item.words:
        words = [[word, start, round(stop - start, 3), None] for start, stop, word in item.words]
        row["alignment"] = {"word": words}
    return row


def _cut(recording: dict[str, Any], supervision: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": recording["id"], "start": 0.0, "duration": recording["duration"], "channel": 0,
        "supervisions": [supervision], "recording": recording, "type": "MonoCut",
    }  # fmt: skip
