"""Rows that lost a field, or have times in another form: none is read as that of another recording or time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deident.datasets import READERS, kaldi, layouts, lhotse, nemo, table
from deident.datasets.annotation_files import read_annotations
from deident.datasets.annotations import with_turns
from deident.datasets.entries import located
from deident.errors import SettingError
from deident.recording import Recording
from deident.segmentation.turns import Word
from tests.test_tables import lhotse_cut, seconds, written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "recording,start,stop,speaker\na,0.5,1.75,anna\n,5.25,6.75,dora\n"),
        ("t.tsv", "recording\tstart\tstop\na\t0.5\t1.75\n \t5.25\t6.75\n"),
        ("t.json", '[{"recording": "a", "start": 1, "end": 2}, {"recording": "", "start": 3, "end": 4}]'),
        ("p.json", '{"a": [[1, 2]], "": [[3, 4]]}'),
    ],
)
def test_a_row_that_lost_its_recording_is_not_of_the_only_one(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected the name of a recording"):
        read_annotations(written(tmp_path, name, text))


@pytest.mark.parametrize("words", ["hello", [1], {"word": "x"}, 5, [{"text": "x"}], [{"word": ["x"]}]])
def test_words_of_another_form_are_refused(words: Any, tmp_path: Path) -> None:
    entry = {"start": 0.5, "end": 1.75, "text": "x", "words": words}
    for value in ([{"recording": "a", **entry}], {"text": "x", "segments": [entry]}):
        with pytest.raises(SettingError, match="expected word"):
            read_annotations(written(tmp_path, "w.json", json.dumps(value)))


@pytest.mark.parametrize("start", ["late", True, [1]])
def test_times_of_words_of_another_form_are_refused(start: Any, tmp_path: Path) -> None:
    words = [{"word": "x", "start": start, "end": 1.0}]
    for value in (
        {"segments": [{"start": 0.5, "end": 1.75, "text": "x", "words": words}]},
        {"text": "x", "result": words},
    ):
        with pytest.raises(SettingError, match="expected times"):
            read_annotations(written(tmp_path, "w.json", json.dumps(value)))


def test_words_of_an_entry_have_their_times(tmp_path: Path) -> None:
    words = [{"word": "so", "start": "0.5", "end": 0.8}, {"word": "2014"}]
    entry = {"recording": "a", "start": 0.5, "end": 1.75, "text": "so 2014", "words": words}
    (found,) = read_annotations(written(tmp_path, "w.json", json.dumps([entry])))
    assert found.words == (Word(seconds(0.5, 0.8), "so"), Word(seconds(0.8, 1.75), "2014"))


@pytest.mark.parametrize(
    "outputs",
    [
        [{"text": "b", "result": [{"word": "b", "start": 3, "end": 4}]},
         {"text": "a", "result": [{"word": "a", "start": 1, "end": 2}]}],
        [{"segments": [{"start": 3, "end": 4, "text": "b"}]}, {"segments": [{"start": 1, "end": 2, "text": "a"}]}],
        [{"start": 0, "end": 1, "text": "b"}, {"start": 5, "end": 6, "text": "b"}, {"start": 0, "end": 1, "text": "a"}],
    ],
)  # fmt: skip
def test_outputs_for_two_recordings_in_a_file_are_refused(outputs: list[Any], tmp_path: Path) -> None:
    path = written(tmp_path, "w.json", "\n".join(map(json.dumps, outputs)))
    with pytest.raises(SettingError, match="for one recording"):
        read_annotations(path)


@pytest.mark.parametrize(
    "header_and_row",
    [
        ("path,in,out,text", "a.wav,1000,4000,so"),
        ("path,tc_in,tc_out,text", "a.wav,00:00:01:00,00:00:04:00,so"),
        ("path,cue in,cue out", "a.wav,1,4"),
        ("path,In_ms,Out_ms", "a.wav,1,4"),
        ("path,a,b,text", "a.wav,00:00:01.0,00:00:04.5,so"),
        ("path,von,bis,text", "a.wav,1.0s,4.0s,so"),
        ("path\tvon\tbis", "a.wav\t1,5\t4,0"),
    ],
)
def test_columns_that_are_times_in_another_form_are_refused(
    header_and_row: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=r"named like a time|look like starts and stops"):
        table.read(written(tmp_path, "t.csv", "\n".join(header_and_row) + "\n"))


@pytest.mark.parametrize("column", ["opt_in", "checkin", "outcome", "in_house"])
def test_columns_that_only_hold_in_or_out_are_no_times(column: str, tmp_path: Path) -> None:
    assert len(table.read(written(tmp_path, "t.csv", f"path,{column}\na.wav,yes\n"))) == 1


@pytest.mark.parametrize("more", [{"text": "b"}, {"speaker": "b"}, {"duration": None}])
def test_an_entry_of_nemo_that_lost_its_duration_is_refused(more: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"audio_filepath": "a.wav", "duration": 4.0, "text": "a"}, {"audio_filepath": "b.wav", **more}]
    path = written(tmp_path, "m.json", "\n".join(map(json.dumps, rows)))
    with pytest.raises(SettingError, match="line 2: expected audio_filepath, and a duration"):
        nemo.read(path)


@pytest.mark.parametrize(
    "kind", ["u1 so\nu2 it isu3 three", "u1 sou2 it is\nu3 three", "u1 so\u00a0u1 it\nu2 a\nu3 b"]
)
def test_a_text_that_ran_into_the_next_line_is_refused(kind: str, tmp_path: Path) -> None:
    written(tmp_path, "wav.scp", "u1 1.wav\nu2 2.wav\nu3 3.wav\n")
    written(tmp_path, "utt2spk", "u1 a\nu2 b\nu3 c\n")
    written(tmp_path, "text", kind)
    with pytest.raises(SettingError, match="id is in a text"):
        kaldi.read(tmp_path)
    for number in "123":
        written(tmp_path, f"8-1-u{number}.flac", b"")
    written(tmp_path, "8-1.trans.txt", kind.replace("u", "8-1-u"))
    with pytest.raises(SettingError, match="id is in a text"):
        layouts.read(tmp_path)


@pytest.mark.parametrize("path", ["a.wav::file", "a::zip", "x/a.wav::simplecache"])
def test_a_path_chains_no_file_systems(path: str) -> None:
    with pytest.raises(SettingError, match="expected paths below --base"):
        located(path, "s3://bucket/x")


def test_utterances_in_order_are_one_recordings(tmp_path: Path) -> None:
    rows = [{"start": 0, "end": 1, "text": "a"}, {"start": 0.5, "end": 2, "text": "b"}]
    path = written(tmp_path, "w.json", json.dumps(rows))
    assert len(with_turns([Recording("a.wav")], read_annotations(path))[0].turns) == 2


@pytest.mark.parametrize("spk2utt", ["anna u1\nbert u2 u3\n", "anna u1 u2\nbert u3\ncarl u3\n", "anna u3\n"])
def test_two_lists_of_speakers_that_differ_are_refused(spk2utt: str, tmp_path: Path) -> None:
    written(tmp_path, "wav.scp", "u1 1.wav\nu2 2.wav\nu3 3.wav\n")
    written(tmp_path, "utt2spk", "u1 anna\nu2 anna\nu3 bert\n")
    written(tmp_path, "spk2utt", "anna u1 u2\nbert u3\n")
    assert len(kaldi.read(tmp_path)) == 3
    written(tmp_path, "spk2utt", spk2utt)
    with pytest.raises(SettingError, match="different speakers"):
        kaldi.read(tmp_path)


@pytest.mark.parametrize("name", ["kaldi", "nemo", "lhotse"])
def test_a_path_of_two_files_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "set"
    place.mkdir()
    written(place, "a.wav", b"one")
    written(place, "wav.scp", "u a.wav\n")
    written(place, "utt2spk", "u s\n")
    written(place, "m.json", json.dumps({"audio_filepath": "a.wav"}))
    written(place, "c.jsonl", json.dumps(lhotse_cut("a.wav")))
    data_set = {"kaldi": place, "nemo": place / "m.json", "lhotse": place / "c.jsonl"}[name]
    for folder in (tmp_path, place):  # the latter is beside the data set
        monkeypatch.chdir(folder)
        assert Path(READERS[name](data_set)[0].path).resolve() == place / "a.wav"
    written(tmp_path, "a.wav", b"two")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="of two files"):
        READERS[name](data_set)
    assert Path(READERS[name](data_set, (), str(place))[0].path) == place / "a.wav"


@pytest.mark.parametrize("value", [[], {"a": 1}, None, 1.5])
def test_names_of_lhotse_in_another_form_are_refused(value: Any, tmp_path: Path) -> None:
    cut = lhotse_cut("a.wav")
    said = {"id": "u", "start": 0.0, "duration": 1.0, "text": "so"}
    recording = {**cut["recording"], "id": value}
    cuts = [{**cut, "recording": recording}, {**cut, "supervisions": [{**said, "id": value}]}]
    if value is not None:
        cuts.append({**cut, "supervisions": [{**said, "speaker": value}]})
    for other in cuts:
        with pytest.raises(SettingError, match=r"line 1: expected (id|speaker) as text"):
            lhotse.read(written(tmp_path, "c.jsonl", json.dumps(other)))


def test_numbers_that_name_recordings_are_text(tmp_path: Path) -> None:
    cut = lhotse_cut("a.wav")
    (found,) = lhotse.read(
        written(tmp_path, "c.jsonl", json.dumps({**cut, "recording": {**cut["recording"], "id": 7}}))
    )
    assert found.id == "7"


@pytest.mark.parametrize("channels", [("", ""), ("0", "0"), ("1", "1")])
def test_two_recordings_are_no_one_file(channels: tuple[str, str], tmp_path: Path) -> None:
    written(tmp_path, "wav.scp", "a a.wav\nb a.wav\n")
    written(tmp_path, "utt2spk", "u1 anna\nu2 bert\n")
    written(tmp_path, "segments", "u1 a 0 1 {}\nu2 b 2 3 {}\n".format(*channels))
    recording = lhotse_cut("a.wav")["recording"]
    written(tmp_path, "recordings.jsonl", "".join(json.dumps({**recording, "id": id}) + "\n" for id in "ab"))
    rows = [
        {"id": f"u{n}", "recording_id": "ab"[n], "start": n, "duration": 1, "channel": int(channel or 0)}
        for n, channel in enumerate(channels)
    ]
    written(tmp_path, "supervisions.jsonl", "\n".join(map(json.dumps, rows)))
    for name in ("kaldi", "lhotse"):
        with pytest.raises(SettingError, match="the same file"):
            READERS[name](tmp_path)


def test_two_recordings_may_be_two_channels(tmp_path: Path) -> None:
    written(tmp_path, "wav.scp", "a a.wav\nb a.wav\n")
    written(tmp_path, "utt2spk", "u1 anna\nu2 bert\n")
    written(tmp_path, "segments", "u1 a 0 1 0\nu2 b 2 3 1\n")
    (found,) = kaldi.read(tmp_path)
    assert [(turn.speaker, turn.channel) for turn in found.turns] == [("anna", 0), ("bert", 1)]


@pytest.mark.parametrize("line", ["u2 a 2.5 3 0", "u2 a 2.5 3 5", "u2 a 2.5 -1 1"])
def test_lines_of_one_recording_are_equally_long(line: str, tmp_path: Path) -> None:
    for lines in (f"u1 a 0.5 1.75\n{line}\n", f"{line}\nu1 a 0.5 1.75\n"):
        with pytest.raises(SettingError, match=r"Kaldi's segments, line [12]: expected"):
            read_annotations(written(tmp_path, "segments", lines))
