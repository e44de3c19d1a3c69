"""Files of ranges to mute: every format, and refusals of what cannot be understood."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deident.datasets.annotation_files import Annotation, read_annotations
from deident.datasets.annotations import with_mute, with_words
from deident.errors import SettingError
from deident.recording import Recording
from tests.test_mute import seconds

FILES = {
    "m.json": json.dumps({"a.wav": [[1, 2.5], [4, 5]], "b": [[0.25, 1]]}),
    "list.json": json.dumps(
        [
            {"recording": "a", "start": 1, "end": 2.5},
            {"recording": "a.wav", "start": "4", "stop": 5.0, "text": "anna"},
            {"recording": "b.wav", "start": 0.25, "end": 1},
        ]
    ),
    "m.csv": "recording,start,end,why\na,1,2.5,name\na,4,5,name\nb,0.25,1,place\n",
    "m.tsv": "recording\tstart\tstop\na\t1\t2.5\na\t4\t5\nb\t0.25\t1\n",
    "m.ctm": ";; names\na 1 1.0 1.5 anna 0.9\na 1 4 1 smith\nb A 0.25 0.75 berlin\n",
    "m.rttm": "SPEAKER a 1 1 1.5 <NA> <NA> x <NA> <NA>\nSPEAKER a 1 4 1 <NA> <NA> x\n"
    "SPEAKER b 1 .25 .75 <NA> <NA> x\n",
}


def test_json_may_number_its_speakers(tmp_path: Path) -> None:
    row = {"recording": "a", "start": 1, "stop": 2, "speaker": 0, "id": 7, "text": 3}
    (tmp_path / "m.json").write_text(json.dumps([row]))
    [annotation] = read_annotations(tmp_path / "m.json")
    assert (annotation.speaker, annotation.id, annotation.text) == ("0", "7", "3")


@pytest.mark.parametrize("name", FILES)
def test_ranges_are_read_from_several_formats(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    a, b, c = with_mute(
        [Recording("/x/a.wav"), Recording("/x/b.wav"), Recording("/x/c.wav")],
        read_annotations(tmp_path / name),
    )
    assert a.mute == (seconds(1, 2.5), seconds(4, 5))
    assert b.mute == (seconds(0.25, 1),)
    assert c.mute == ()


def bad_files() -> Iterator[tuple[str, str, str]]:
    yield "m.json", '{"a": [[1, 2]], "a": [[3, 4]]}', "twice"  # all but the last would be played
    yield "m.json", '{"a": [[2, 1]]}', "start before its stop"
    yield "m.json", '{"a": [[1]]}', "pairs"
    yield "m.json", '{"a": [["x", 2]]}', "seconds"
    yield "m.json", '[{"recording": "a", "start": 1}]', "stop or end"
    yield "m.json", '[{"recording": 7, "start": 1, "end": 2}]', "expected recording"
    yield "m.json", "nothing", "not JSON"
    yield "m.json", "{}", "no segment"
    yield "m.csv", "recording,start,end\na,1\n", "line 2: expected 3 fields"
    yield "m.csv", "recording;start;end\na;1;2\n", "column"
    yield "m.ctm", "a 1 1.0\n", "five fields"
    yield "m.ctm", "a 1 one 1 anna\n", "seconds"
    yield "m.ctm", "a 1 2 -1 anna\n", "seconds"
    yield "m.rttm", "SPEAKER a 1 1 2\n", "eight fields"
    yield "m.csv", "recording,start,end\na,nan,inf\n", "seconds"
    yield "m.txt", "a 1 2\n", "ends in"
    # the quote would hide the second row, and leave its name unmuted
    yield "m.tsv", 'recording\tstart\tstop\ttext\na\t1\t2\t"B ""b"" b"\na\t5\t6\t"Sue\n', "line 3: "
    yield "m.csv", 'recording,start,stop,text\na,1,2,"Bob\na,5,6,Sue\na,7,8,"Jim\n', "begins with a quote"
    yield "m.csv", f"recording,start,stop,text\na,1,2,{'x' * 200_000}\n", "cannot be read"
    yield "m.json", '[{"recording": "a", "start": 1, "end": 2, "text": ["Bob"]}]', "expected text as"


@pytest.mark.parametrize(("name", "text", "why"), list(bad_files()))
def test_an_unreadable_range_stops_the_run(name: str, text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingError, match=why):
        read_annotations(tmp_path / name)
    with pytest.raises(SettingError, match="read"):
        read_annotations(tmp_path / "missing.json")


def test_a_range_without_a_recording_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"canary": [[1, 2]]}')
    annotations = read_annotations(tmp_path / "m.json")
    with pytest.raises(SettingError, match=r"1 of the recordings .* not in this run") as error:
        with_mute([Recording("/x/other.wav")], annotations)
    assert "canary" not in str(error.value)
    with pytest.raises(SettingError, match="use their paths"):
        with_mute([Recording("/x/canary.wav"), Recording("/y/canary.flac")], annotations)
    with pytest.raises(SettingError, match="use their paths"):
        with_mute([Recording("/x/canary.wav"), Recording("/y/1.flac", id="canary")], annotations)
    found = with_mute([Recording("/x/other.wav"), Recording("/y/1.flac", id="canary")], annotations)
    assert [bool(r.mute) for r in found] == [False, True]
    with pytest.raises(SettingError, match="--turns"):
        with_words(
            [Recording("/x/canary.wav", segments=(seconds(0, 1),))], [replace(annotations[0], text="x")]
        )


def test_ranges_of_a_file_are_added_to_those_of_the_recording() -> None:
    known = Recording("a.wav", mute=(seconds(0, 1),))
    (one,) = with_mute([known], [Annotation("a", seconds(2, 3))])
    assert one.mute == (seconds(0, 1), seconds(2, 3))
