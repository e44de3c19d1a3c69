"""Text files of recordings, segments, turns, words and ranges: a line is understood, or refused by its number."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deident.audio import RATE, Segment
from deident.datasets import READERS, kaldi, nemo, table
from deident.datasets.annotation_files import read_annotations
from deident.datasets.annotations import with_mute, with_segments, with_turns, with_words
from deident.datasets.recordings import collect
from deident.errors import SettingError
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import Turn
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
        ("a.ctm", "a 1 0 0.9 word 1.25\n", 1),  # a confidence over 1 changed places with the duration
        ("a.ctm", "a 1 0 0.9 word 0.9\na 1 2 1 word 1.0001\n", 2),
        ("a.ctm", "a 1 0 1.5 word 2\n", 1),
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
    [
        "cat F |",
        "cat 'F' |",
        "flac -c -d -s F |",
        "flac -d -c F|",
        "flac -cds F |",
        "sox F -t wav - |",
        "flac --decode --stdout --silent F |",
    ],
)
def test_commands_that_pass_a_file_on_are_read_as_the_file(command: str, tmp_path: Path) -> None:
    written(tmp_path, "utt2spk", "u s\n")
    written(tmp_path, "wav.scp", "u " + command.replace("F", "my-file.flac") + "\n")
    assert kaldi.read(tmp_path)[0].path == str(tmp_path / "my-file.flac")


@pytest.mark.parametrize(
    "command",
    ["cat F; touch ran |", "cat $(touch ran) |", "cat F G |", "cat F | sox - |", "sox F -t wav - trim 0 1 |",
     "cat -n F |", "sox -m F G -t wav - |", "flac -c F |", "cat F > ran |", "sph2pipe -p F |",
     "| cat F", "cat * |", "flac -c -d -s |", "flac -c -d -t F |", "flac -c -d -F F |",
     "flac -c -d --apply-replaygain-which-is-not-lossless F |"],
)  # fmt: skip
def test_other_commands_are_refused_and_not_run(command: str, tmp_path: Path) -> None:
    written(tmp_path, "utt2spk", "u s\n")
    written(tmp_path, "wav.scp", f"u {command}\n")
    with pytest.raises(SettingError, match="never run"):
        kaldi.read(tmp_path)
    assert not (tmp_path / "ran").exists()


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
