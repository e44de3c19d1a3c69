"""Starts and durations that changed places, and ends in place of durations: told where segments come to overlap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deident.datasets import READERS
from deident.datasets.annotation_files import read_annotations
from deident.datasets.durations import Timed, check_durations
from deident.errors import SettingError
from deident.segment import RATE, Segment
from tests.test_mangled_tables import LHOTSE

# Turns and words as people speak them: (recording, start, duration, speaker), with a backchannel and padded edges.
TALK = [
    ("a", 0.5, 3.0, "anna"), ("a", 3.4, 6.1, "bert"), ("a", 5.2, 0.4, "anna"), ("a", 10.0, 2.5, "anna"),
    ("b", 1.25, 0.75, "carl"), ("b", 2.5, 4.0, "dora"), ("b", 7.0, 1.5, "carl"),
]  # fmt: skip
Talk = list[tuple[str, float, float, str]]


def exchanged(talk: Talk) -> Talk:
    return [(name, lasts, start, who) for name, start, lasts, who in talk]


def ended(talk: Talk) -> Talk:
    return [(name, start, start + lasts, who) for name, start, lasts, who in talk]


def alone(talk: Talk) -> Talk:
    """Leave out the backchannel, and give every recording one speaker."""
    return [(name, start, lasts, name) for name, start, lasts, _ in talk if lasts != 0.4]


def write(kind: str, talk: Talk, place: Path) -> None:
    """Write the files of one format, and read them."""
    if kind in ("rttm", "ctm"):
        line = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n" if kind == "rttm" else "{} 1 {} {} {}\n"
        (place / f"t.{kind}").write_text("".join(line.format(*row) for row in talk))
        read_annotations(place / f"t.{kind}")
        return
    rows = []
    for number, (name, start, lasts, who) in enumerate(talk):
        times = {"start": start, "duration": lasts}
        if kind == "nemo":
            rows.append({"audio_filepath": f"{name}.wav", "offset": start, "duration": lasts, "speaker": who})
        elif kind == "supervisions":
            rows.append({"id": f"u{number}", "recording_id": name, **times, "channel": 0, "speaker": who})
        else:
            whole = {"id": f"c{number}", "start": 0.0, "duration": min(lasts, start), "speaker": who}
            cut = {"id": f"c{number}", **times, "channel": 0, "type": "MonoCut", "recording": LHOTSE[name]}
            rows.append({**cut, "supervisions": [whole]})
    file = place / {"nemo": "m.json", "supervisions": "supervisions.jsonl", "cuts": "c.jsonl"}[kind]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "recordings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in LHOTSE.values()))
    READERS["nemo" if kind == "nemo" else "lhotse"](place if kind == "supervisions" else file)


FORMATS = ["rttm", "ctm", "nemo", "supervisions", "cuts"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("fault", "words"), [(exchanged, "exchanged"), (ended, "an end")])
def test_times_of_another_column_are_told(
    kind: str, fault: Callable[[Talk], Talk], words: str, tmp_path: Path
) -> None:
    talk = TALK if kind != "ctm" else alone(TALK)
    write(kind, talk, tmp_path)
    with pytest.raises(SettingError, match=words):
        write(kind, fault(talk), tmp_path)


@pytest.mark.parametrize("kind", FORMATS[:-1])
@pytest.mark.parametrize("line", [3, 6])
def test_one_line_with_its_times_exchanged_is_named(kind: str, line: int, tmp_path: Path) -> None:
    talk = alone(TALK)
    write(kind, talk, tmp_path)
    with pytest.raises(SettingError, match=rf"line {line}\b"):
        write(kind, [*talk[: line - 1], *exchanged(talk[line - 1 : line]), *talk[line:]], tmp_path)


@pytest.mark.parametrize(
    "turns",
    [
        [
            (0.5, 9.5, "a"),
            (4.0, 0.5, "b"),
            (11.0, 3.0, "a"),
            (12.0, 0.7, "b"),
            (15.0, 5.0, "a"),
        ],  # backchannels
        [(0.5, 2.6, "a"), (3.0, 7.0, "a"), (9.9, 2.0, "b")],  # padded
        [(2.0, 5.0, "a"), (6.0, 8.0, "b")],  # an interruption
        [(0.0, 30.0, "a"), (15.0, 30.0, "a"), (30.0, 30.0, "a"), (45.0, 30.0, "a")],  # windows
        [(1.0, 2.0, "a"), (1.0, 2.0, "b"), (4.0, 1.0, "a"), (4.5, 2.0, "b")],  # in chorus
        [(3.0, 0.01, "a"), (3.0, 2.0, "a")],  # a word without a length
        [(7.0, 2.0, "a")],
        [],
    ],
)
def test_people_who_overlap_are_no_fault(turns: list[tuple[float, float, str]]) -> None:
    check_durations(
        Timed("line", "a", who, Segment(round(start * RATE), round((start + lasts) * RATE)))
        for start, lasts, who in turns
    )
