"""Text files of recordings, segments, turns, words and ranges: a line is understood, or refused by its number."""

from __future__ import annotations

import json
import random
import unicodedata
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deident.audio import RATE, Segment
from deident.cli.inputs import places_of, recordings_of
from deident.datasets import READERS, kaldi, nemo, table
from deident.datasets.annotation_files import read_annotations
from deident.datasets.annotations import with_mute, with_segments, with_turns, with_words
from deident.datasets.recordings import collect
from deident.errors import SettingError
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import OPEN, WHOLE, Turn
from tests.methods import Sine

HEAD = "recording,start,stop,speaker,text\n"


def seconds(start: float, stop: float) -> Segment:
    return Segment(round(start * RATE), round(stop * RATE))


def written(place: Path, name: str, text: str | bytes) -> Path:
    path = place / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", ["my call", "call 1", "call 1 2", "a  b"])
def test_names_with_spaces_do_not_shift_columns(name: str, tmp_path: Path) -> None:
    recording = Recording(f"/x/{name}.wav")
    rttm = written(tmp_path, "a.rttm", f"SPEAKER {name} 1 4.20 2.35 <NA> <NA> 17 <NA> <NA>\n")
    (one,) = with_turns([recording], read_annotations(rttm))
    assert [(t.segment, t.speaker) for t in one.turns] == [(seconds(4.2, 6.55), "17")]
    ctm = written(tmp_path, "a.ctm", f"{name} 1 4.20 0.35 hello\n{name} A 5.20 0.35 there 0.9\n")
    (one,) = with_words([recording], read_annotations(ctm))
    assert {(w.text, w.segment.start) for t in one.turns for w in t.words} == {
        ("hello", round(4.2 * RATE)), ("there", round(5.2 * RATE)),
    }  # fmt: skip
    segments = written(tmp_path, "segments", f"u1 {name} 4.20 6.55\n")
    with pytest.raises(SettingError, match="line 1"):
        with_segments([recording], read_annotations(segments))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.rttm", "SPEAKER a 1 0 1 <NA> <NA> s <NA> <NA>\nSPEAKER a 1 0 1 s\n", 2),
        ("a.rttm", ";; ok\n\nLEXEME a 1 0 1 <NA> <NA> s <NA> <NA>\n", 3),
        ("a.rttm", "SPEAKER a left 0 1 <NA> <NA> s <NA> <NA>\n", 1),
        ("a.rttm", "speaker a 1 0 1 <NA> <NA> s <NA> <NA>\n", 1),
        ("a.ctm", "a 1 0 1 word\na 0 1 word\n", 2),
        ("a.ctm", "a 1 0 1 word high\n", 1),
        ("segments", "u a 0 1\n# u a 0 1\n", 2),
        ("segments", "u a 0 1\nu a 0 1 1 1\n", 2),
        ("a.csv", HEAD + "a,0,1,s,hello, there\n", 2),
        ("a.csv", HEAD + 'a,0,1,s,"hello\n\na,1,2,s,there"\n', 2),
        ("a.csv", HEAD + "a,0,1,s,one\na,1 s,2,s,two\n", 3),
        ("a.csv", HEAD + "a,1_0,20,s,one\n", 2),
        ("a.tsv", HEAD.replace(",", "\t") + "a\t0\t1\ts\thello\tthere\n", 2),
        ("a.tsv", HEAD.replace(",", "\t") + "a\t0\t1\ts\n", 2),
        ("a.json", '[{"recording": "a", "start": 0, "stop": 1},\n{"recording": "a", "start": 1}]', 2),
        ("a.json", '[{"recording": "a", "start": 0, "stop": 1, "ende": 2, "dur": 3}]', 1),
    ],
)
def test_a_line_that_is_not_understood_is_named(name: str, text: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf"(line|entry) {line}\b"):
        read_annotations(written(tmp_path, name, text))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (("1", "2"), [0, 1]),
        (("0", "1"), [0, 1]),
        (("1", "1"), [0, 0]),
        (("A", "B"), [0, 1]),
        (("2", "0"), [2, 0]),
    ],
)
def test_channels_count_from_one_number_in_a_file(
    channels: tuple[str, str], expected: list[int], tmp_path: Path
) -> None:
    rttm = "".join(f"SPEAKER a {c} {n} 1 <NA> <NA> s <NA> <NA>\n" for n, c in enumerate(channels))
    found = read_annotations(written(tmp_path, "a.rttm", rttm))
    assert [annotation.channel for annotation in found] == expected
    ctm = "".join(f"a {c} {n}.0 1.0 word\n" for n, c in enumerate(channels))
    assert [a.channel for a in read_annotations(written(tmp_path, "a.ctm", ctm))] == expected


def test_segments_keep_their_channels(tmp_path: Path) -> None:
    rttm = "".join(f"SPEAKER a {c} {n}.0 2.0 <NA> <NA> s <NA> <NA>\n" for n, c in enumerate("1122"))
    (one,) = with_segments([Recording("/x/a.wav")], read_annotations(written(tmp_path, "a.rttm", rttm)))
    assert one.segments is None
    assert one.turns == (Turn(seconds(0, 3), channel=0), Turn(seconds(2, 5), channel=1))


@pytest.mark.parametrize("attach", [with_segments, with_turns, with_words, with_mute])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_one_matcher_knows_names_in_any_form(
    attach: Callable[..., list[Recording]], form: Any, tmp_path: Path
) -> None:
    recordings = [Recording(f"/x/{unicodedata.normalize('NFD', 'café')}.wav"), Recording("/x/b.wav")]
    for name in ("café", "café.wav", "/x/café.wav", "/x/./café", "/x/café"):
        text = HEAD + unicodedata.normalize(form, name) + ",1,2,,word\n"
        one, other = attach(recordings, read_annotations(written(tmp_path, "a.csv", text)))
        assert [place for place in (one.segments, one.turns, one.mute) if place]
        assert (other.segments or (), other.turns, other.mute) == ((), (), ())
    for name in ("cafe", "Café", "café.flac", "y/b", "*"):
        text = HEAD + name + ",1,2,,word\nb,1,2,,word\n"
        with pytest.raises(SettingError, match="not in this run"):
            attach(recordings, read_annotations(written(tmp_path, "a.csv", text)))
    with pytest.raises(SettingError, match="use their paths"):
        attach(
            [Recording("/x/b.wav"), Recording("/y/b.wav")],
            read_annotations(written(tmp_path, "a.csv", HEAD + "b,1,2,,word\n")),
        )


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ('a.wav\t"I will go,\nb.wav\tand be back."\nc.wav\tplain', ['"I will go,', 'and be back."', "plain"]),
        ('a.wav\t"Hello," she said.', ['"Hello," she said.']),
        ('a.wav\t"Hello."', ['"Hello."']),
        ('a.wav\t"""Hello,"" she said."\nb.wav\tplain', ['"Hello," she said.', "plain"]),
        ("a.wav\tone, two", ["one, two"]),
    ],
)
def test_a_tsv_has_a_row_on_every_line(text: str, texts: list[str], tmp_path: Path) -> None:
    found = table.read(written(tmp_path, "t.tsv", f"path\ttext\n{text}\n"))
    assert [turn.text for recording in found for turn in recording.turns] == texts


@pytest.mark.parametrize(
    "text",
    [
        'path,text\na.wav,"I will go\nb.wav,and be back"\nc.wav,plain\n',
        'path,text,lang\na.wav,"I will go,en\nb.wav,and be back",de\n',
        'path,text\na.wav,"Hello," she said.\n',
        'path,text\na.wav,"never closed\n',
        'path,text\na.wav,"one"\nb.wav,"never closed\nc.wav,plain\n',
    ],
)
def test_a_quote_hides_no_row_of_a_csv(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"line \d+: the row cannot be read"):
        table.read(written(tmp_path, "t.csv", text))


@pytest.mark.parametrize(
    "header",
    [
        "path,start,stop",
        "Path, Start ,STOP",
        " path,start_time,end_time",
        "path,begin,end",
        "path,start_s,end_s",
        "\ufeff\ufeffpath,start,stop",
        "path,\u00a0start,stop\u200b",
        "path\u2060,ｓｔａｒｔ,\u3000end",
    ],
)
def test_a_header_may_have_capitals_spaces_and_usual_names(header: str, tmp_path: Path) -> None:
    (one,) = table.read(written(tmp_path, "t.csv", f"{header}\na.wav, 1.0 ,4.0\n"))
    assert [turn.segment for turn in one.turns] == [seconds(1, 4)]
    text = header.lower().replace("path", "recording") + "\na,1,4\n"
    (found,) = read_annotations(written(tmp_path, "a.csv", text))
    assert found.segment == seconds(1, 4)


@pytest.mark.parametrize(
    "header", ["path,onset,offset", "path,t0,t1", "path,from,to", "path,tmin,tmax", "path,startPoint,endPoint",
     "path,tStart,tStop", "path,anfang,ende", "path,position,length", "path,x,y", "path,start,x", "path,x,stop",
     "path,start,start", "path,start,begin", "path,path,start", "name,start,stop"]
)  # fmt: skip
def test_a_header_that_hides_times_is_refused(header: str, tmp_path: Path) -> None:
    for row in ("a.wav,1.5,4.0", "a.wav,1.0,4.0"):
        with pytest.raises(SettingError):
            table.read(written(tmp_path, "t.csv", f"{header}\n{row}\n"))


def test_columns_of_counts_are_no_times(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "path,up_votes,down_votes\na.wav,1,4\nb.wav,0,2\n")
    assert len(table.read(path)) == 2


@pytest.mark.parametrize(
    "names", [("Start", "End", "TEXT"), ("start\u200b", "\u00a0stop", "text "), ("begin", "end", "Text")]
)
def test_names_in_json_may_have_capitals_and_spaces(names: tuple[str, str, str], tmp_path: Path) -> None:
    row = {"Recording": "a", **dict(zip(names, (1, 2.5, "one"), strict=True))}
    (found,) = read_annotations(written(tmp_path, "a.json", json.dumps([row])))
    assert (found.recording, found.segment, found.text) == ("a", seconds(1, 2.5), "one")
    row = {"audio_filepath ": "a.wav", "Offset": 1.0, "\u200bduration": 1.5, names[2]: "one"}
    (one,) = nemo.read(written(tmp_path, "m.json", json.dumps(row)))
    assert [(turn.segment, turn.text) for turn in one.turns] == [(seconds(1, 2.5), "one")]
    with pytest.raises(SettingError, match="there twice"):
        nemo.read(written(tmp_path, "m.json", json.dumps({**row, "offset": 2.0})))


@pytest.mark.parametrize("space", ["\u00a0", " ", "\u3000"])
def test_a_space_behind_a_speaker_makes_no_second_speaker(space: str, tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", f"path,speaker\na.wav,anna{space}\nb.wav,anna\n")
    assert {recording.speaker for recording in table.read(path)} == {"anna"}


def test_a_column_that_is_carried_is_no_time(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "path,duration,up_votes,down_votes\na.wav,4.0,3,2\n")
    assert table.read(path, ["Duration"])[0].labels == {"Duration": "4.0"}
    with pytest.raises(SettingError, match="field 2 is named like a time"):
        table.read(path)


@pytest.mark.parametrize(
    "rows", [("a.wav,x", "a.wav,y"), ("a.wav,x", "./a.wav,y"), ("a.wav,x", "b.wav,x", "sub/../a.wav,z")]
)
@pytest.mark.parametrize("column", ["text", "speaker", "lang"])
def test_a_path_with_two_labels_is_refused(column: str, rows: tuple[str, ...], tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", f"path,{column}\n" + "\n".join(rows) + "\n")
    carry = ["lang"] if column == "lang" else []
    with pytest.raises(SettingError, match=f"line {len(rows) + 1}: .*already"):
        table.read(path, carry)
    written(tmp_path, "t.csv", f"path,{column}\na.wav,x\na.wav,x\n")
    assert len(table.read(path, carry)) == 1


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("name", ["wav.scp", "segments", "utt2spk", "text", "spk2gender"])
def test_a_byte_order_mark_is_no_part_of_a_name(name: str, tmp_path: Path) -> None:
    files = {"wav.scp": "rec a.wav\n", "segments": "u1 rec 0.5 3.5\n", "utt2spk": "u1 s\n", "text": "u1 hello\n",
             "spk2gender": "s f\n"}  # fmt: skip
    for file, text in files.items():
        (tmp_path / file).write_bytes((MARK if file == name else b"") + text.encode())
    (one,) = kaldi.read(tmp_path, ["gender"])
    assert [(t.text, t.speaker, t.labels) for t in one.turns] == [("hello", "s", {"gender": "f"})]


@pytest.mark.parametrize("space", ["\u00a0", "\u2007", "\u202f", "\u3000"])
def test_only_blanks_and_tabs_divide_fields(space: str, tmp_path: Path) -> None:
    (one,) = read_annotations(written(tmp_path, "a.ctm", f"a 1 1.0 0.6 10{space}000\n"))
    assert one.text == f"10{space}000"
    for name, text in {"wav.scp": "u a.wav\n", "utt2spk": "u s\n", "text": f"u\t10{space}000\n"}.items():
        written(tmp_path, name, text)
    assert kaldi.read(tmp_path)[0].turns[0].text == f"10{space}000"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("name", ["a.csv", "a.rttm", "a.ctm", "segments", "a.json"])
def test_other_encodings_are_refused(name: str, encoding: str, tmp_path: Path) -> None:
    texts = {
        "a.csv": HEAD + "é,1,2,s,t\n", "a.rttm": "SPEAKER é 1 0 1 <NA> <NA> s <NA> <NA>\n", "a.ctm": "é 1 0.5 1 t\n",
        "segments": "u é 0 1\n", "a.json": '[{"recording": "é", "start": 0, "stop": 1}]',
    }  # fmt: skip
    with pytest.raises(SettingError, match="UTF-8"):
        read_annotations(written(tmp_path, name, texts[name].encode(encoding)))


ADDRESSES = [
    "http://127.0.0.1:9/a.wav",
    "s3://bucket/a.wav",
    "ftp://host/a.wav",
    "memory://a.wav",
    "zip://a::file:///x",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_in_data_sets_are_not_fetched(address: str, tmp_path: Path) -> None:
    places = {
        "table": written(tmp_path, "t.csv", f"path,speaker\n{address},a\n"),
        "nemo": written(tmp_path, "m.json", json.dumps({"audio_filepath": address, "duration": 1})),
        "lhotse": written(tmp_path, "c.jsonl", json.dumps(lhotse_cut(address))),
        "kaldi": tmp_path,
    }
    written(tmp_path, "wav.scp", f"u {address}\n")
    written(tmp_path, "utt2spk", "u s\n")
    for name, place in places.items():
        with pytest.raises(SettingError, match="never fetched"):
            READERS[name](place)


def lhotse_cut(source: str) -> dict[str, Any]:
    recording = {"id": "r", "sources": [{"type": "file", "channels": [0], "source": source}]}
    return {
        "id": "c",
        "start": 0.0,
        "duration": 4.0,
        "type": "MonoCut",
        "recording": recording,
        "supervisions": [],
    }


@pytest.mark.parametrize(
    "command",
    ["cat F |", "cat 'F' |", "flac -c -d -s F |", "flac -d -c F|", "flac -cds F |", "sox F -t wav - |"],
)
def test_commands_that_pass_a_file_on_are_read_as_the_file(command: str, tmp_path: Path) -> None:
    written(tmp_path, "utt2spk", "u s\n")
    written(tmp_path, "wav.scp", "u " + command.replace("F", "my-file.flac") + "\n")
    assert kaldi.read(tmp_path)[0].path == str(tmp_path / "my-file.flac")


@pytest.mark.parametrize(
    "command",
    ["cat F; touch ran |", "cat $(touch ran) |", "cat F G |", "cat F | sox - |", "sox F -t wav - trim 0 1 |",
     "cat -n F |", "sox -m F G -t wav - |", "flac -c F |", "cat F > ran |", "sph2pipe -p F |",
     "| cat F", "cat * |", "flac -c -d -s |"],
)  # fmt: skip
def test_other_commands_are_refused_and_not_run(command: str, tmp_path: Path) -> None:
    written(tmp_path, "utt2spk", "u s\n")
    written(tmp_path, "wav.scp", f"u {command}\n")
    with pytest.raises(SettingError, match="never run"):
        kaldi.read(tmp_path)
    assert not (tmp_path / "ran").exists()


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
TIMES = ({"offset", "duration"}, {"start", "stop"})
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
            _change(row, kind, a, b)
    return grid


def _change(row: list[str], kind: str, a: int, b: int) -> None:
    if kind == "drop":
        del row[a]
    elif kind == "double":
        row.insert(b, row[a])
    elif not _is_number(row[a]) or not _is_number(row[b]):  # two times that changed places may well be right
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


@pytest.mark.filterwarnings("ignore")
def test_a_frame_is_a_table(tmp_path: Path, recordings: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = {
        "path": [str(recordings / "call.wav"), str(recordings / "reading.mp3")], "speaker": ["7", None],
        "language": ["en", "d,e"], "text": ['say "hi", you', None],
    }  # fmt: skip
    frame = pandas.DataFrame(rows)
    one, two = READERS["table"](frame, ["language"])
    assert (one.turns[0].speaker, one.turns[0].text, one.turns[0].labels) == (
        "7",
        'say "hi", you',
        {"language": "en"},
    )
    assert (two.turns[0].speaker, two.turns[0].text, two.turns[0].labels) == (None, None, {"language": "d,e"})
    assert [r.path for r in collect(frame[["path"]])] == rows["path"]
    summary = run(frame[["path", "speaker"]], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert summary.states["released"] == 2
    with pytest.raises(SettingError, match="column path"):
        collect(frame[["speaker"]])
