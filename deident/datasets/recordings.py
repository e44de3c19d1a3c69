"""Recordings from files, folders, URIs and tables, with their speakers and segments."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deident import uris
from deident.containers import SUFFIXES
from deident.errors import SettingError, kind_of
from deident.recording import Labels, Recording
from deident.segment import RATE, Segment
from deident.segmentation.turns import OPEN, WHOLE, Turn


def expand(
    paths: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
) -> Iterator[Recording]:
    """Find the recordings in files and folders.

    Parameters
    ----------
    paths : path, URI or Recording, or an iterable of such
        Of a folder, the files below it with a sound file's suffix are taken, sorted; links, hidden files and stores in
        it are passed over. A named file is taken whatever its suffix.

    Yields
    ------
    Recording

    Raises
    ------
    SettingError
        If a value is of another type."""
    if isinstance(paths, str | os.PathLike | Recording):
        paths = [paths]  # text is an iterable too: of letters, and "/" is a folder
    if not isinstance(paths, Iterable):
        raise SettingError(f"expected recordings as a list of paths; got {kind_of(paths)}")
    for path in paths:
        if not isinstance(path, str | os.PathLike | Recording):
            raise SettingError(
                f"expected recordings as paths, URIs or deident.Recording; got {kind_of(path)}:"
                " deident.deidentify takes open files and samples"
            )
        if isinstance(path, Recording):
            yield _looked_at(replace(path, path=uris.local_path(path.path)))
            continue
        place = uris.local_path(path)
        if uris.is_uri(place):
            yield from _below(place)
        elif os.path.isdir(place):  # False also for what cannot be looked at: reading it will tell
            yield from (Recording(found) for found in _walk(place))
        else:
            yield Recording(place)


def _below(uri: str) -> Iterator[Recording]:
    found = uris.find_files(uri)
    if not found:
        yield Recording(uri, size=0)  # reading it will tell that it is missing
    start = len(uri.partition("::")[0])
    inside = [f"/{item.uri.partition('::')[0][start:].lstrip('/')}" for item in found]
    marks = [f"/{mark}" for mark in uris.STORE_MARKS]
    found_stores = {name.removesuffix(mark) for name in inside for mark in marks if name.endswith(mark)}
    stores = tuple(f"{store}/" for store in found_stores if store)  # what is named itself is meant
    for item, name in zip(found, inside, strict=True):
        is_hidden = "/." in name or name.startswith(stores)
        if item.uri == uri or (_has_sound(name) and not is_hidden):
            yield Recording(item.uri, size=item.size, version=item.version)


def _looked_at(recording: Recording) -> Recording:
    """Add the size and version of the file at a URI."""
    if recording.size is not None or not uris.is_uri(recording.path):
        return recording
    found = uris.find_file(recording.path)
    return replace(recording, size=found.size if found else 0, version=found.version if found else "")


def _has_sound(name: str) -> bool:
    return name.rpartition(".")[2].lower() in SUFFIXES


def _walk(folder: str) -> Iterator[str]:
    closed: list[str] = []  # folders that cannot be looked into: reading one will tell
    for place, folders, files in os.walk(
        folder, followlinks=False, onerror=lambda e: closed.append(e.filename)
    ):
        if place != folder and uris.PRIVATE in folders and _is_store(place):
            folders.clear()  # what is in there has been disguised already
            continue
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            path = os.path.join(place, name)
            if _has_sound(name) and not name.startswith(".") and not os.path.islink(path):
                yield path
    yield from closed


def _is_store(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, mark)) for mark in uris.STORE_MARKS)


def read_table(path: str | os.PathLike[str], carry: Sequence[str] = ()) -> list[Recording]:
    """Recordings from a CSV or TSV with the columns `path` (relative to the table, or a URI) and, if wanted, `speaker`.

    With a column `text`, or `start` and `stop` in seconds, every row is a turn of its recording.
    carry : columns whose values go into the manifest with every snippet. What they say is then public:
    nothing in them may tell who speaks.   Raises `SettingError` for a table without these columns."""
    rows = rows_of(path, {"path", *carry})
    base = Path(path).parent
    places = [row["path"] if uris.is_uri(row["path"]) else str(base / row["path"]) for row in rows]
    if rows and {"text", "start"} & rows[0].keys():
        return gather(("", place, _turn(row, carry)) for place, row in zip(places, rows, strict=True))
    return [
        Recording(
            place,
            speaker=row.get("speaker") or None,
            labels={name: row[name] for name in carry},
        )
        for place, row in zip(places, rows, strict=True)
    ]


def _turn(row: Mapping[str, str], carry: Sequence[str]) -> Turn:
    stop = row.get("stop") or row.get("end") or ""
    where = segment_of(row["start"], stop) if row.get("start") else WHOLE
    labels = {name: row[name] for name in carry}
    return Turn(
        where, row.get("speaker") or None, row.get("text") or None, labels=labels, id=row.get("id", "")
    )


def gather(turns: Iterable[tuple[str, str, Turn]]) -> list[Recording]:
    """Recordings, in the order of their first turns, from (id of the recording, path, turn).

    Raises `SettingError` when there are none."""
    found: dict[str, tuple[str, list[Turn]]] = {}
    for id, path, turn in turns:
        same = path if "://" in path else os.path.normpath(path)
        found.setdefault(same, (id, []))[1].append(turn)
    if not found:
        raise SettingError("the data set has no entries")
    return [Recording(path, turns=tuple(own), id=id) for path, (id, own) in found.items()]


def chosen(known: Mapping[str, Any], carry: Sequence[str]) -> Labels:
    """The labels to carry, of those that an entry has."""
    return {
        name: value if isinstance(value, str) else repr(value)
        for name in carry
        if isinstance(value := known.get(name), str | int | float) and value != ""
    }


def segment_of(start: Any, stop: Any) -> Segment:
    """From seconds, as text or numbers. Raises `SettingError`."""
    try:
        if isinstance(start, bool) or isinstance(stop, bool):
            raise ValueError
        return Segment(round(float(start) * RATE), round(float(stop) * RATE))
    except (TypeError, ValueError, OverflowError):
        raise SettingError("expected a start before its stop, from 0 on, both in seconds") from None


def segment_from(start: float) -> Segment:
    """From so many seconds to the recording's end. Raises `SettingError`."""
    return Segment(segment_of(start, start + 1.0).start, OPEN)


def with_segments(recordings: Sequence[Recording], path: str | os.PathLike[str]) -> list[Recording]:
    """Give recordings their segments from a file.

    Parameters
    ----------
    recordings : sequence of Recording
    path : str or path-like
        RTTM, Kaldi `segments`, or a CSV or TSV with the columns recording, start, stop (seconds). A recording is named
        there by its file name or stem; where the file names one recording, and there is one, the name does not matter.
        A recording that is not in the file is taken to hold no speech.

    Returns
    -------
    list of Recording

    Raises
    ------
    SettingError
        If a line is not understood, or none of the recordings is in the file."""
    segments = read_segments(path)
    if len(recordings) == len(segments) == 1:
        return [replace(recordings[0], segments=tuple(next(iter(segments.values()))))]
    found = []
    for recording in recordings:
        name = os.path.basename(recording.path)
        own = segments.get(name, segments.get(name.rpartition(".")[0] or name, []))
        found.append(replace(recording, segments=tuple(own)))
    if not any(recording.segments for recording in found):
        raise SettingError("none of the recordings is in the segments file, by its file name or stem")
    return found


def read_segments(path: str | os.PathLike[str]) -> Mapping[str, list[Segment]]:
    """Segments by recording, in samples at 16 kHz, from the formats `with_segments` knows."""
    found: dict[str, list[Segment]] = {}
    for number, (recording, start, stop) in enumerate(_segment_rows(path), 1):
        try:
            segment = segment_from(float(start)) if stop is None else segment_of(start, stop)
        except ValueError:
            raise SettingError(f"segment {number} has no start before its stop, both in seconds") from None
        found.setdefault(recording, []).append(segment)
    return {recording: sorted(segments) for recording, segments in found.items()}


def _segment_rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, str, str | None]]:
    """Recording, start and stop, None for its end."""
    suffix = Path(path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        for row in rows_of(path, {"recording", "start", "stop"}):
            yield row["recording"], row["start"], row["stop"]
        return
    for line in text_of(path).splitlines():
        parts = line.split()
        if not parts or line.startswith(("#", ";;")):
            continue
        if suffix == ".rttm":
            if parts[0] == "SPEAKER" and len(parts) >= 5:
                try:
                    start, duration = float(parts[3]), float(parts[4])
                except ValueError:
                    raise SettingError("a line of the RTTM has no start and duration in seconds") from None
                if duration:  # diarisation rounds the shortest to none
                    yield parts[1], parts[3], repr(start + duration)
        elif len(parts) == 4:
            yield parts[1], parts[2], None if parts[3] in ("-1", "-1.0") else parts[3]
        elif len(parts) == 5:
            raise SettingError(
                "the segments have a channel: give them as --turns, in a CSV with the columns recording, start, stop"
                " and channel"
            )
        else:
            raise SettingError(
                "expected segments as .rttm, .csv or .tsv (recording, start, stop), or Kaldi's segments"
                " (utterance recording start stop)"
            )


def rows_of(path: str | os.PathLike[str], needed: set[str]) -> list[dict[str, str]]:
    """The rows of a CSV or TSV. Raises `SettingError` when it cannot be read or lacks a column, and for a quote that
    does not end with its field: up to the next one it would hide rows, and what they say is to be muted."""
    text = text_of(path)
    tab = Path(path).suffix.lower() == ".tsv" or "\t" in text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if tab else ",", strict=True)
    try:
        missing = needed - set(reader.fieldnames or ())
        if missing:
            raise SettingError(f"the table lacks the column {', '.join(sorted(missing))}")
        return [{k: v or "" for k, v in row.items() if k is not None} for row in reader]
    except csv.Error:
        raise SettingError(
            f"the row after line {reader.line_num} of the table cannot be read: a field that begins with a quote"
            " ends with one, and quotes inside it are doubled"
        ) from None


def text_of(path: str | os.PathLike[str]) -> str:
    """The text of a table. Raises `SettingError` when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingError("the file is not UTF-8 text") from None
