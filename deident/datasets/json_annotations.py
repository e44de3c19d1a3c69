"""Annotations in JSON, and the output of Whisper, faster-whisper, whisperX and vosk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deident.datasets.entries import text_of
from deident.datasets.text_files import Row, check_names, errors_at, read_json, seconds_of, with_columns
from deident.errors import SettingError

COLUMNS = ("recording", "start", "stop", "speaker", "text", "word", "channel", "id", "kind")
Rows = Iterator[dict[str, Any]]


def read_json_annotations(path: str | os.PathLike[str]) -> Iterator[Row]:
    """Read a list of objects, pairs by recording, or the output of a recogniser. Raises `SettingError`."""
    values = read_json(path)
    if is_recogniser_output(values):
        with errors_at("the JSON"):
            turns = list(turns_of(values))
        for number, row in enumerate(turns, 1):
            yield Row(f"the JSON, utterance {number}", {"recording": None, **row})
        return
    value = values[0] if len(values) == 1 else values
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        for number, row in enumerate(value, 1):
            with errors_at(f"the JSON, entry {number}"):
                row = with_columns(row, COLUMNS)
                check_names(list(row), COLUMNS)
                if not isinstance(row.get("recording"), str):
                    raise SettingError("expected recording, start, and stop or end, in every entry")
                row["words"] = list(_words({"start": row.get("start"), "end": row.get("stop"), **row}))
            yield Row(f"the JSON, entry {number}", row)
    elif isinstance(value, dict) and all(isinstance(pairs, list) for pairs in value.values()):
        for name, pair in ((name, pair) for name, pairs in value.items() for pair in pairs):
            if not isinstance(pair, list) or len(pair) != 2:
                raise SettingError("the JSON: expected [start, stop] pairs, in seconds, by recording")
            yield Row("the JSON, a pair", {"recording": name, "start": pair[0], "stop": pair[1]})
    else:
        raise SettingError(
            "the JSON: expected a list of objects with recording, start and stop, pairs by recording, or the output of"
            " Whisper, faster-whisper, whisperX or vosk"
        )


def is_recogniser_output(values: Sequence[Any]) -> bool:
    """Tell output of a recogniser from annotations, which name their recordings."""
    return bool(values) and all(isinstance(value, dict) and _is_output(value) for value in _flat(values))


def _flat(values: Sequence[Any]) -> Sequence[Any]:
    """Unpack a list of segments or results, as faster-whisper's and vosk's users save them."""
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


def _is_output(value: Mapping[str, Any]) -> bool:
    """Tell whether an object is the output of a recogniser for one recording."""
    if "recording" in value:
        return False
    is_vosk = isinstance(value.get("text"), str) and value.keys() <= {"text", "result", "spk", "spk_frames"}
    return (
        is_vosk
        or any(
            isinstance(value.get(name), list) and all(isinstance(row, dict) for row in value[name])
            for name in ("segments", "alternatives", "words")
        )
        or ({"start", "end", "text"} <= value.keys())
    )


def turns_of(values: Sequence[Any]) -> Rows:
    """Give the utterances: start, stop, text, speaker and words.

    Parameters
    ----------
    values : sequence
        The values of the JSON file.

    Yields
    ------
    dict
        With `words` as a list of dicts of start, stop and text, empty where the recogniser gave none.
    """
    last = 0.0
    for value in _flat(values):
        turns = list(_turns_in(value))
        starts = [turn["start"] for turn in turns]
        if starts and starts[0] < last:
            raise SettingError(
                "expected the recogniser's output for one recording: its utterances begin anew"
            )
        last = max(starts, default=last)
        yield from turns


def _turns_in(value: Mapping[str, Any]) -> Rows:
    """Give the utterances of one object of the output."""
    for segment in _segments(value):
        words = list(_words(segment))
        start, stop = _time(segment.get("start")), _time(segment.get("end"))
        if start is None and words:  # vosk gives the words' times alone
            start, stop = words[0]["start"], words[-1]["stop"]
        text = text_of(segment)
        if start is None or stop is None:
            if not (text or "").strip():
                continue  # a silence
            raise SettingError("an utterance of the recogniser's JSON has no start and end")
        said = text if "text" in segment else " ".join(word["text"] for word in words)
        yield {
            "start": start,
            "stop": stop,
            "text": (said or "").strip(),
            "speaker": segment.get("speaker"),
            "words": words,
        }


def _time(value: Any) -> float | None:
    return None if value is None else seconds_of(value)


def _segments(value: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the segments of a recogniser's output."""
    if value.get("alternatives"):
        value = value["alternatives"][0]  # vosk's best
    segments = value.get("segments", [value])
    if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
        raise SettingError("expected the segments of the recogniser's JSON as a list of objects")
    return segments


def _words(segment: Mapping[str, Any]) -> Rows:
    """Give the words of a segment. One without times, as whisperX leaves numbers, lies between its neighbours."""
    rows = segment.get("words") or segment.get("result") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "word" in row for row in rows):
        raise SettingError("expected words as a list of objects with a word each")
    times = [(_time(row.get("start")), _time(row.get("end"))) for row in rows]
    last = _time(segment.get("start"))
    for number, (row, (start, stop)) in enumerate(zip(rows, times, strict=True)):
        if start is None or stop is None:
            after = (begin for begin, _ in times[number + 1 :] if begin is not None)
            start, stop = last, next(after, _time(segment.get("end")))
            if start is None or stop is None:
                raise SettingError("a word of the recogniser's JSON has no times, nor has its segment")
        last = stop
        yield {"start": start, "stop": max(start, stop), "text": (text_of(row, "word") or "").strip()}
