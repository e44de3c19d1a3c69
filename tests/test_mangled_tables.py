"""Files of recordings and turns that were mangled: no row gets what belongs to another."""

from __future__ import annotations

import json
import random
import unicodedata
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deident.audio import RATE
from deident.cli.inputs import places_of, recordings_of
from deident.datasets import READERS
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import OPEN, WHOLE
from tests.test_tables import seconds

# Mangled files. Two recordings of several utterances; every value belongs to one row alone.

ROWS = [
    ("a", 0.50, 1.75, "anna", "één ei", "nl"),
    ("a", 3.25, 4.50, "bert", "zwei tee", "de"),
    ("b", 0.75, 2.25, "carl", "three fee", "en"),
    ("b", 5.25, 6.75, "dora", "quatre été", "fr"),
]
Grid = list[list[str]]


LHOTSE = {
    name: {"id": name, "sources": [{"type": "file", "channels": [0], "source": f"{name}.wav"}],
           "sampling_rate": RATE, "num_samples": 8 * RATE, "duration": 8.0, "channel_ids": [0]}
    for name in "ab"
}  # fmt: skip


def _grids() -> dict[str, tuple[str, str, Grid, dict[str, Any]]]:
    """The format of each file: name, separator, cells (the first row a header where there is one), options."""
    table_rows = [["path", "start", "stop", "speaker", "text", "lang"]]
    table_rows += [[f"{r}.wav", f"{a}", f"{b}", s, t, lang] for r, a, b, s, t, lang in ROWS]
    rows = [["recording", "start", "stop", "speaker", "text", "why"]]
    rows += [[r, f"{a}", f"{b}", s, t, lang] for r, a, b, s, t, lang in ROWS]
    rttm = [
        ["SPEAKER", r, "1", f"{a}", f"{b - a}", "<NA>", "<NA>", s, "<NA>", "<NA>"] for r, a, b, s, *_ in ROWS
    ]
    ctm = [[r, "1", f"{a}", f"{b - a}", t.split()[0], "0.9"] for r, a, b, _, t, _ in ROWS]
    spoken = [[f"u{n}", r, f"{a}", f"{b}"] for n, (r, a, b, *_) in enumerate(ROWS)]
    return {
        "table csv": ("t.csv", ",", table_rows, {"table": "t.csv", "carry": "lang"}),
        "table tsv": ("t.tsv", "\t", table_rows, {"table": "t.tsv", "carry": "lang"}),
        "turns csv": ("t.csv", ",", rows, {"turns": "t.csv"}),
        "turns tsv": ("t.tsv", "\t", rows, {"turns": "t.tsv"}),
        "turns rttm": ("t.rttm", " ", rttm, {"turns": "t.rttm"}),
        "segments rttm": ("t.rttm", " ", rttm, {"segments": "t.rttm"}),
        "segments": ("segments", " ", spoken, {"segments": "segments"}),
        "words ctm": ("w.ctm", " ", ctm, {"words": "w.ctm"}),
        "mute csv": ("m.csv", ",", rows, {"mute": "m.csv"}),
        "mute ctm": ("m.ctm", " ", ctm, {"mute": "m.ctm"}),
        "mute rttm": ("m.rttm", " ", rttm, {"mute": "m.rttm"}),
        "turns json": ("t.json", "json", rows, {"turns": "t.json"}),
        "mute json": ("m.json", "json", rows, {"mute": "m.json"}),
        "nemo": ("m.json", "jsonl", [
            ["audio_filepath", "offset", "duration", "speaker", "text", "lang"],
            *([f"{r}.wav", f"{a}", f"{b - a}", s, t, lang] for r, a, b, s, t, lang in ROWS),
        ], {"nemo": "m.json", "carry": "lang"}),
        "words csv": ("w.csv", ",", [["recording", "start", "stop", "word"],
            *([r, f"{a}", f"{b}", t.split()[0]] for r, a, b, _, t, _ in ROWS)], {"words": "w.csv"}),
        "words json": ("w.json", "json", [["recording", "start", "end", "word"],
            *([r, f"{a}", f"{b}", t.split()[0]] for r, a, b, _, t, _ in ROWS)], {"words": "w.json"}),
        "segments csv": ("s.csv", ",", rows, {"segments": "s.csv"}),
        "segments json": ("s.json", "json", rows, {"segments": "s.json"}),
        "mute tsv": ("m.tsv", "\t", rows, {"mute": "m.tsv"}),
        "mute segments": ("segments", " ", spoken, {"mute": "segments"}),
        "lhotse supervisions": ("supervisions.jsonl", "jsonl", [
            ["id", "recording_id", "start", "duration", "channel", "speaker", "text", "language"],
            *([f"u{n}", r, f"{a}", f"{b - a}", "0", s, t, lang] for n, (r, a, b, s, t, lang) in enumerate(ROWS)),
        ], {"lhotse": ".", "carry": "language"}),
        "lhotse cuts": ("c.jsonl", "jsonl", [
            ["id", "start", "duration", "channel", "type", "recording", "supervisions"],
            *([f"c{n}", f"{a}", f"{b - a}", "0", "MonoCut", json.dumps(LHOTSE[r]), json.dumps([
                {"id": f"u{n}", "start": 0.0, "duration": b - a, "speaker": s, "text": t, "language": lang}
            ])] for n, (r, a, b, s, t, lang) in enumerate(ROWS)),
        ], {"lhotse": "c.jsonl", "carry": "language"}),
        "whisper": ("w.json", "whisper", [["start", "end", "text"],
            *([f"{a}", f"{b}", t] for _, a, b, _, t, _ in ROWS[:2])],
            {"turns": "w.json", "alone": True}),
        "whisperx words": ("w.json", "whisper", [["start", "end", "text", "speaker", "words"],
            *([f"{a}", f"{b}", t, s, json.dumps([{"word": t.split()[0], "start": a, "end": b}])]
              for _, a, b, s, t, _ in ROWS[:2])],
            {"words": "w.json", "alone": True}),
        "vosk": ("v.json", "jsonl", [["text", "result"],
            *([t, json.dumps([{"word": t.split()[0], "start": a, "end": b, "conf": 1.0}])]
              for _, a, b, _, t, _ in ROWS[:2])],
            {"words": "v.json", "alone": True}),
        "mute pairs": ("m.json", "pairs", [
            [name, json.dumps([[a, b] for r, a, b, *_ in ROWS if r == name])] for name in "ab"
        ], {"mute": "m.json"}),
        "table of whole files": ("t.csv", ",", [["path", "speaker", "lang"],
            ["a.wav", "anna", "nl"], ["b.wav", "carl", "en"]], {"table": "t.csv", "carry": "lang"}),
        "kaldi spk2gender": ("spk2gender", " ", [[row[3], row[5][:1]] for row in ROWS],
            {"kaldi": ".", "carry": "gender"}),
        "kaldi wav.scp": ("wav.scp", " ", [[r, f"{r}.wav"] for r in "ab"], {"kaldi": "."}),
        "kaldi segments": ("segments", " ", spoken, {"kaldi": "."}),
        "kaldi utt2spk": ("utt2spk", " ", [[f"u{n}", row[3]] for n, row in enumerate(ROWS)], {"kaldi": "."}),
        "kaldi text": ("text", " ", [[f"u{n}", *row[4].split()] for n, row in enumerate(ROWS)], {"kaldi": "."}),
    }  # fmt: skip


GRIDS = _grids()
NAMES = (
    "begin",
    "start_time",
    "onset",
    "t0",
    "foo",
    "Stop ",
    "speaker_id",
    "text",
    "path",
    "recording",
    "",
    "é",
)


def mangled(grid: Grid, rng: random.Random, has_header: bool) -> Grid:
    """Drop, double, swap or rename columns or lines, in the whole file or in one line."""
    grid = [list(row) for row in grid]
    kind = rng.choice(
        [
            "drop",
            "double",
            "swap",
            "rename",
            "drop line",
            "double line",
            "swap lines",
            "one line",
            "lose line",
        ]
    )
    width = min(map(len, grid))
    a, b = rng.randrange(width), rng.randrange(width)
    if kind.endswith("line") or kind == "swap lines":
        at, other = rng.randrange(len(grid)), rng.randrange(len(grid))
        if kind == "drop line":
            del grid[at]
        elif kind == "double line":
            grid.insert(other, list(grid[at]))
        elif kind == "swap lines":
            grid[at], grid[other] = grid[other], grid[at]
        elif kind == "lose line":
            grid[at][a] = ""
        else:
            _change(grid[at], rng.choice(["drop", "double", "swap"]), a, b)
    elif kind == "rename":
        if has_header:
            grid[0][a] = rng.choice(NAMES)
    else:
        for row in grid[: 1 if kind == "swap" and has_header else None]:
            _change(row, kind, a, b, is_whole=True)
    return grid


def _change(row: list[str], kind: str, a: int, b: int, *, is_whole: bool = False) -> None:
    if kind == "drop":
        del row[a]
    elif kind == "double":
        row.insert(b, row[a])
    elif not _is_number(row[a]) or not _is_number(row[b]) or is_whole:  # of one row, nothing tells
        row[a], row[b] = row[b], row[a]


def _is_number(cell: str) -> bool:
    return cell.replace(".", "").isdecimal() or cell in (
        "start",
        "offset",
        "duration",
    )  # whose names cannot tell which is which


def as_bytes(grid: Grid, separator: str, rng: random.Random) -> bytes:
    if separator == "pairs":
        text = "{" + ", ".join(f"{json.dumps(row[0])}: {row[-1] or '[]'}" for row in grid if row) + "}"
    elif separator in ("json", "jsonl", "whisper"):
        header, *rows = grid or [[]]
        cells = [
            "{"
            + ", ".join(
                f"{json.dumps(k)}: {c if _is_number(c) or c[:1] in ('{', '[') else json.dumps(c)}"
                for k, c in zip(header, row, strict=False)
                if c  # one that is lost has no name either
            )
            + "}"
            for row in rows
        ]
        text = "[" + ",\n".join(cells) + "]" if separator != "jsonl" else "\n".join(cells) + "\n"
        text = f'{{"language": "nl", "segments": {text}}}' if separator == "whisper" else text
    else:
        text = "".join(separator.join(row) + "\n" for row in grid)
    encoding = rng.choice(["utf-8"] * 4 + ["utf-8-sig", "utf-16", "latin-1"])
    text = unicodedata.normalize("NFC" if encoding == "latin-1" else rng.choice(["NFC", "NFD"]), text)
    text = text.replace("\n", rng.choice(["\n", "\n", "\r\n", "\r"]))
    return text.encode(encoding)


def options(place: Path, given: dict[str, Any]) -> Namespace:
    chosen = dict.fromkeys(
        [*READERS, "segments", "turns", "words", "mute", "phones", "base", "speaker_from", "carry"]
    )
    files = {name: value for name, value in given.items() if name not in ("carry", "alone")}
    chosen |= {"carry": given.get("carry"), **{name: str(place / value) for name, value in files.items()}}
    names = "a" if "alone" in given else "ab"
    own = [] if any(name in given for name in READERS) else [str(place / f"{name}.wav") for name in names]
    return Namespace(**chosen, recordings=own, follow_links=False)


def check(recordings: list[Recording], places: dict[str, str], whole_files: bool = False) -> None:
    """Assert that every segment, turn, word and range has values of its own row, or lacks them."""
    for recording in recordings:
        name = places.get(recording.path)
        own = {
            seconds(a, b): f"{r} {r}.wav {a} {b} {b - a} {speaker} {text} {lang} {lang[:1]} u{n} c{n} 0"
            for n, (r, a, b, speaker, text, lang) in enumerate(ROWS)
            if r == name
        }
        if name is None:
            assert not Path(recording.path).exists()  # refused by the run
            continue
        if whole_files:
            own |= {WHOLE: next(iter(own.values()))}  # a column may come to be called text
        if recording.speaker or recording.labels:
            alone = next(iter(own.values())).split()  # of a table of whole files: the first row's
            assert {recording.speaker, *recording.labels.values()} - {None, ""} <= set(alone), "another row's"
        assert set(recording.mute) <= own.keys()
        assert set(recording.segments or ()) <= own.keys()
        for turn in recording.turns:
            if turn.words:
                assert turn.segment.stop == OPEN
                said = [(word.segment, word.text) for word in turn.words]
            else:
                said = [
                    (turn.segment, word) for word in (turn.text, turn.speaker, *turn.labels.values()) if word
                ]
                assert turn.segment in own
            for segment, text in said:
                mine = unicodedata.normalize("NFC", own[segment]).split()
                assert set(unicodedata.normalize("NFC", text).split()) - {"0.9"} <= set(mine), "another row's"


def write_lhotse(place: Path) -> None:
    (place / "recordings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in LHOTSE.values()))


@pytest.mark.parametrize("name", GRIDS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mangled_file_gives_no_row_to_another(name: str, seed: int, tmp_path: Path) -> None:
    file, separator, grid, given = GRIDS[name]
    rng = random.Random(seed)
    if "kaldi" in given:
        for other, (base, sep, cells, _) in GRIDS.items():
            if other.startswith("kaldi"):
                (tmp_path / base).write_text("".join(sep.join(row) + "\n" for row in cells))
    if "lhotse" in given:
        write_lhotse(tmp_path)
    for recording in "ab":
        (tmp_path / f"{recording}.wav").touch()
    has_header = separator in (",", "\t", "json", "jsonl", "whisper")
    places = {str(tmp_path / f"{recording}.wav"): recording for recording in "ab"}
    (tmp_path / file).write_bytes(as_bytes(grid, separator, random.Random(3)))
    args = options(tmp_path, given)
    whole = recordings_of(args)
    assert whole
    check(whole, places, name == "table of whole files")
    (tmp_path / file).write_bytes(as_bytes(mangled(grid, rng, has_header), separator, rng))
    try:
        found = recordings_of(args)
    except SettingError as error:
        message = str(error)
    else:
        message = ""
        check(found, places, name == "table of whole files")
    assert not any(word in message for word in ("anna", "zwei", "tmp"))


def test_an_unmangled_file_gives_every_row(tmp_path: Path) -> None:
    for name, (file, separator, grid, _) in GRIDS.items():
        if name.startswith("kaldi"):
            (tmp_path / file).write_text("".join(separator.join(row) + "\n" for row in grid))
    write_lhotse(tmp_path)
    for recording in "ab":
        (tmp_path / f"{recording}.wav").touch()
    for name, (file, separator, grid, chosen) in GRIDS.items():
        (tmp_path / file).write_bytes(as_bytes(grid, separator, random.Random(3)))
        found = recordings_of(options(tmp_path, chosen))
        count = sum(
            len(r.mute) + len(r.segments or ()) + sum(len(t.words) or 1 for t in r.turns) for r in found
        )
        count += sum(len(r.labels) + bool(r.speaker) for r in found)  # of whole files
        assert count == len(ROWS) // (2 if "alone" in chosen else 1), name
    assert places_of(options(tmp_path, {"kaldi": "."}))
