"""Lhotse manifests, read and written as the JSON lines they are.

https://lhotse.readthedocs.io/en/latest/corpus.html, .../cuts.html
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deident.datasets.durations import Timed, check_durations
from deident.datasets.entries import Entry, chosen, gather, located, segment_of, text_of
from deident.datasets.items import Item, one_line
from deident.datasets.package import package
from deident.datasets.text_files import Row, errors_at, read_json_lines, seconds_of
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import SLACK, Turn, Word

FIELDS = ("language", "gender")  # of a supervision; other labels are in its `custom`
CUTS = ("MonoCut", "MultiCut")
ALIGNMENTS = ("word", "phone")


def read(
    place: str | os.PathLike[str], carry: Sequence[str] = (), base: str | Path | None = None
) -> list[Recording]:
    """Read a folder with one file of recordings and one of supervisions, or a file of cuts; see
    `deident.datasets.Reader`.

    carry : "language", "gender", or names of fields of `custom`. The sound must lie in single files: commands are never
    run, addresses never fetched.
    """
    path = Path(place)
    rows = _supervisions(path) if path.is_dir() else _cuts(path)
    folder = path if path.is_dir() else path.parent
    return gather(_entry(row, carry, base, folder) for row in rows)


@contextmanager
def _fields(row: Row) -> Iterator[None]:
    """Name the line of a field that is missing or of another kind."""
    with errors_at(row.place):
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            if isinstance(error, SettingError):
                raise
            raise SettingError("a line of the Lhotse manifest lacks what it must have") from None


def _supervisions(place: Path) -> Iterator[Row]:
    """Give the supervisions of a folder, each with its recording."""
    recordings: dict[str, Any] = {}
    for row in read_json_lines(_only(place, "recordings"), "Lhotse's recordings"):
        with _fields(row):
            if recordings.setdefault(_id(row.values), row.values) is not row.values:
                raise SettingError("this recording is there twice")
    timed: list[Timed] = []
    for row in read_json_lines(_only(place, "supervisions"), "Lhotse's supervisions"):
        with _fields(row):
            recording = _id(row.values, "recording_id")
            if recording not in recordings:
                raise SettingError("a supervision is of a recording that is not there")
            timed += _timed(row.place, recording, row.values)
            yield Row(row.place, {**row.values, "recording": recordings[recording]})
    check_durations(timed)


def _timed(place: str, sound: str, values: Mapping[str, Any]) -> Iterator[Timed]:
    """Give the time of a cut or supervision; none of one that begins before its cut."""
    if values["start"] >= 0.0:
        stop = values["start"] + seconds_of(values["duration"])
        of_channel = (sound, str(values.get("channel")))
        yield Timed(place, of_channel, text_of(values, "speaker"), segment_of(values["start"], stop))


def _id(values: Mapping[str, Any], name: str = "id") -> str:
    """Read the name of a recording, cut or supervision. Raises `SettingError` when there is none."""
    found = text_of(values, name)
    if found is None:
        raise SettingError(f"expected {name} as text")
    return found


def _only(place: Path, kind: str) -> Path:
    """Find the one file of recordings or supervisions in a folder."""
    found = [path for path in place.glob(f"*{kind}*.jsonl*") if path.name.endswith((".jsonl", ".jsonl.gz"))]
    if len(found) != 1:
        raise SettingError(
            f"expected one file of {kind} (.jsonl or .jsonl.gz) in the folder; got {len(found)}: or name a file"
            " of cuts"
        )
    return found[0]


def _cuts(path: Path) -> Iterator[Row]:
    """Give the supervisions of cuts, each with its recording and at its time there."""
    of_cuts: list[Timed] = []
    of_supervisions: list[Timed] = []
    for row in read_json_lines(path, "Lhotse's cuts"):
        with _fields(row):
            cut = row.values
            if cut.get("type") not in CUTS:
                raise SettingError(
                    f"expected cuts of the types {' and '.join(CUTS)}: mixed ones hold several sounds"
                )
            _channel(cut.get("channel"))
            begin, duration = seconds_of(cut["start"]), seconds_of(cut["duration"])
            whole = {"id": _id(cut), "start": 0.0, "duration": duration}
            of_cuts += _timed(row.place, _id(cut["recording"]), cut)
            for supervision in cut.get("supervisions") or [whole]:
                of_supervisions += _timed(row.place, row.place, supervision)
                start = begin + supervision["start"]
                stop = start + seconds_of(supervision["duration"])
                if start < begin or stop > begin + duration:  # only a part of it is in the cut
                    supervision = {**supervision, "text": None}
                first, last = max(start, begin), min(stop, begin + duration)
                times = {"start": first, "duration": last - first, "recording": cut["recording"]}
                yield Row(row.place, {**supervision, **times})
    check_durations(of_cuts)
    check_durations(of_supervisions)


def _entry(row: Row, carry: Sequence[str], base: str | Path | None, folder: Path) -> Entry:
    with _fields(row):
        recording = row.values["recording"]
        return Entry(row.place, _id(recording), _file(recording, base, folder), turn_of(row.values, carry))


def turn_of(row: Mapping[str, Any], carry: Sequence[str]) -> Turn:
    """Make a turn of a supervision, with its start counted from the start of the recording."""
    where = segment_of(row["start"], row["start"] + seconds_of(row["duration"]))
    # Lhotse keeps the times of an alignment when it moves a cut: they count from the recording's start.
    alignment = row.get("alignment") or {}
    words, phones = (
        [
            Word(segment_of(at, at + max(lasts, 0.01)), symbol)
            for symbol, at, lasts, *_ in alignment.get(kind, [])
        ]
        for kind in ALIGNMENTS
    )
    near = all(
        w.segment.start >= where.start - SLACK and w.segment.stop <= where.stop + SLACK
        for w in (*words, *phones)
    )
    known = {**(row.get("custom") or {}), **{name: row.get(name) for name in FIELDS}}
    return Turn(
        where,
        text_of(row, "speaker"),
        text_of(row),
        tuple(words)
        if near
        else (),  # elsewhere: somebody counts them otherwise, and no text can be cut by them
        _channel(row.get("channel")),
        chosen(known, carry),
        _id(row),
        phones=tuple(phones) if near else (),
    )


def _channel(value: Any) -> int | None:
    """Return the one channel of a cut or supervision, None for several. Raises `SettingError` for anything else."""
    channels = value if isinstance(value, list) else [value]
    if not all(channel is None or (type(channel) is int and channel >= 0) for channel in channels):
        raise SettingError("expected a channel as a number from 0")
    return channels[0] if len(channels) == 1 else None


def _file(recording: Mapping[str, Any], base: str | Path | None, folder: Path) -> str:
    """Return the path of a recording that is one plain file."""
    sources = recording["sources"]
    if len(sources) != 1 or sources[0]["type"] != "file" or recording.get("transforms"):
        raise SettingError(
            "expected recordings of one sound file each, without transforms: commands are never run, addresses"
            " never fetched; write the sound out first, as `CutSet.save_audios` does"
        )
    return located(sources[0]["source"], base, Path(), folder)


def write(items: Iterable[Item], out: Path) -> int:
    """Write recordings.jsonl.gz, supervisions.jsonl.gz and cuts.jsonl.gz, sorted by id; the sound in `audio`.

    Sources begin with `out` as it was given. See `deident.datasets.Exporter`.
    """
    found = sorted(items, key=lambda item: item.id)
    with package(out) as folder:
        for item in found:
            folder.put(f"audio/{item.file}", item.read())
        recordings = [_recording(item, out) for item in found]
        supervisions = [_supervision(item) for item in found]
        cuts = [_cut(one, other) for one, other in zip(recordings, supervisions, strict=True)]
        for name, rows in (("recordings", recordings), ("supervisions", supervisions), ("cuts", cuts)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            folder.put(f"{name}.jsonl.gz", gzip.compress(lines.encode(), mtime=0))
    return len(found)


def _recording(item: Item, out: Path) -> dict[str, Any]:
    source = os.fspath(out / "audio" / item.file)
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
    alignment = {
        kind: [[symbol, start, round(stop - start, 5), None] for start, stop, symbol in timed]
        for kind, timed in zip(ALIGNMENTS, (item.words, item.phones), strict=True)
        if timed
    }
    if alignment:
        row["alignment"] = alignment
    return row


def _cut(recording: dict[str, Any], supervision: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": recording["id"], "start": 0.0, "duration": recording["duration"], "channel": 0,
        "supervisions": [supervision], "recording": recording, "type": "MonoCut",
    }  # fmt: skip
