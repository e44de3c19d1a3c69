"""Data sets that are read: folders and manifests, turns, words and speakers, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deident.audio import RATE, Segment
from deident.codec import read
from deident.datasets import kaldi, lhotse, nemo
from deident.datasets.huggingface import MapBatch
from deident.datasets.items import read_items
from deident.datasets.table import read as read_table
from deident.errors import SettingError
from deident.evaluation.layouts import read_corpus
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import OPEN, covers_turn
from tests import datasets
from tests.datasets import CANARIES, KEY, TEXTS, deident
from tests.methods import Sine
from tests.voices import WOMAN, speech

folder, store = datasets.folder, datasets.store  # fixtures


def test_a_kaldi_folder_is_read(folder: Path) -> None:
    one, two = kaldi.read(folder, ["gender"])
    assert (one.id, two.id) == ("rec1", "rec2")
    assert Path(one.path) == folder / "rec1.flac"
    assert [(t.id, t.speaker, t.text, t.labels) for t in one.turns] == [
        ("anna-1", "anna", "hello there", {"gender": "f"}),
        ("anna-2", "anna", "more words", {"gender": "f"}),
    ]
    assert two.turns[0].segment.start == RATE // 2
    assert "anna" not in repr(one)
    assert kaldi.read(folder)[0].turns[0].labels == {}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("wav.scp", "rec1 sox a.wav -t wav - remix 1 |\nrec2 rec2.wav\n", "never run"),
        ("wav.scp", "rec1 | touch ran\nrec2 rec2.wav\n", "never run"),
        ("wav.scp", "rec1 rec1.flac\n", "wav.scp does not have"),
        ("wav.scp", "", "something in them"),
        ("segments", "anna-1 rec1 0.0 4.0\n", "not in segments"),
        (
            "segments",
            "anna-1 rec1 4.0 zero\nanna-2 rec1 4.0 7.5\nbob-1 rec2 0.5 4\nbob-2 rec2 4.1 7\n",
            "segments",
        ),
        ("utt2spk", "anna-1 anna\nanna-1 bob\n", "twice"),
    ],
)
def test_folders_that_are_not_right_are_refused(
    name: str, text: str, why: str, folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingError, match=why) as error:
        kaldi.read(tmp_path)
    assert "anna" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_the_store_tells_texts_and_pseudonyms_only(store: Path) -> None:
    items = read_items(store)
    assert {i.text for i in items} == set(TEXTS.values())
    assert {i.speaker for i in items} == {KEY.pseudonym("speaker", who) for who in ("anna", "bob")}
    assert all(item.words[0] == (0.0, 0.5, "one") for item in items)
    manifest = (store / "manifest.jsonl").read_text()
    assert not any(canary in manifest for canary in CANARIES)
    from deident.audit import audit_store

    assert audit_store(store, max_seconds=10).clean


def test_a_voiceprivacy_folder_is_one_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KEY.write(tmp_path / "key")
    common = (
        "run",
        "--kaldi",
        folder,
        "--disguise",
        "mcadams",
        "--key-file",
        tmp_path / "key",
        "--jobs",
        "1",
    )
    anon = tmp_path / "data" / "dev_anon"
    assert (
        deident(*common, "--scope", "speaker", "--carry", "text", "--out", tmp_path / "s", "--to-kaldi", anon)
        == 0
    )
    speakers = {KEY.pseudonym("speaker", who) for who in ("anna", "bob")}
    assert {u.speaker for u in kaldi.read_folder(anon).utterances} == speakers
    everything = b"".join(p.read_bytes() for p in anon.rglob("*") if p.is_file())
    assert not any(canary.encode() in everything for canary in CANARIES)
    assert deident(*common, "--out", tmp_path / "s", "--to-kaldi", anon) == 4  # before anything is done
    kept = tmp_path / "data" / "dev_kept"
    ids = ("--keep-ids", "--linkage", tmp_path / "links")
    assert deident(*common, "--carry", "text,gender", "--out", tmp_path / "t", "--to-kaldi", kept, *ids) == 0
    assert "missing" not in capsys.readouterr().err
    assert "names everybody" in (kept / "README.md").read_text()
    assert "names everybody" not in (anon / "README.md").read_text()
    back = kaldi.read_folder(kept)
    assert {u.id: u.text for u in back.utterances} == {id: " ".join(t.split()) for id, t in TEXTS.items()}
    assert (kept / "trials").read_bytes() == (folder / "trials").read_bytes()
    assert (kept / "spk2gender").read_text() == "anna f\nbob m\n"
    assert {u.role for u in read_corpus(kept).utterances} == {"enrol", "trial", ""}
    manifest = (tmp_path / "t" / "manifest.jsonl").read_text()
    assert not any(canary in manifest for canary in CANARIES)
    short = (
        *common,
        "--out",
        tmp_path / "u",
        "--max-seconds",
        "3.6",
        "--to-kaldi",
        tmp_path / "few",
        *ids[:1],
    )
    assert deident(*short, "--linkage", tmp_path / "links2") in (0, 1)
    assert "1 of the 4 that were read are missing" in capsys.readouterr().err
    assert deident(*common, "--out", tmp_path / "v", "--keep-ids") == 2
    exported = ("export", tmp_path / "t", "--to", "kaldi", "--out", tmp_path / "w", *ids)
    assert deident(*exported, "--key-file", tmp_path / "key") == 0
    assert (tmp_path / "w" / "text").read_bytes() == (kept / "text").read_bytes()


def test_lhotse_takes_files_only(folder: Path, tmp_path: Path) -> None:
    recording = {
        "id": "r", "sources": [{"type": "file", "channels": [0], "source": str(folder / "rec1.flac")}],
        "sampling_rate": RATE, "num_samples": 12 * RATE, "duration": 12.0,
    }  # fmt: skip
    row = {
        "id": "s1", "recording_id": "r", "start": 1.0, "duration": 2.0, "channel": 0, "text": "one two",
        "speaker": "anna", "language": "en", "custom": {"snr": 3.5},
        "alignment": {"word": [["one", 3.1, 0.4, None], ["two", 3.6, 0.0, 0.9]]},
    }  # fmt: skip
    cut = {
        "id": "c", "start": 2.0, "duration": 4.0, "channel": 0, "type": "MonoCut", "recording": recording,
        "supervisions": [row, {**row, "id": "s2", "start": 3.5, "alignment": None}],
    }  # fmt: skip

    def cuts(*rows: dict[str, object]) -> Path:
        path = tmp_path / "cuts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    (only,) = lhotse.read(cuts(cut), ["language", "snr"])
    one, two = only.turns
    assert (one.segment.start, one.segment.stop, one.text) == (3 * RATE, 5 * RATE, "one two")
    assert [w.text for w in one.words] == ["one", "two"]  # counted from the recording's start, as Lhotse does
    assert one.labels == {"language": "en", "snr": "3.5"}
    assert (two.segment.stop, two.text) == (6 * RATE, None)  # the cut ends within it
    for change in (
        {"sources": [{"type": "command", "channels": [0], "source": "touch ran"}]},
        {"sources": [{"type": "url", "channels": [0], "source": "http://localhost/x"}]},
        {"transforms": [{"name": "Speed", "kwargs": {"factor": 1.1}}]},
    ):
        with pytest.raises(SettingError, match="never run"):
            lhotse.read(cuts({**cut, "recording": {**recording, **change}}))
    with pytest.raises(SettingError, match="MonoCut"):
        lhotse.read(cuts({**cut, "type": "MixedCut"}))
    with pytest.raises(SettingError, match="lacks"):
        lhotse.read(cuts({**cut, "recording": {"id": "r"}}))
    with pytest.raises(SettingError, match="one file of"):
        lhotse.read(tmp_path)


def test_nemo_entries_are_turns(folder: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.json"
    rows = [
        {
            "audio_filepath": str(folder / "rec1.flac"),
            "offset": 1.0,
            "duration": 2.0,
            "text": "one",
            "speaker": 7,
        },
        {
            "audio_filepath": str(folder / "rec1.flac"),
            "offset": 4.0,
            "duration": 2.0,
            "text": "two",
            "lang": "en",
        },
        {"audio_filepath": "near.wav", "duration": 2.0, "text": "three"},
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    one, two = nemo.read(manifest, ["lang"])
    assert [(t.text, t.speaker, t.labels) for t in one.turns] == [
        ("one", "7", {}),
        ("two", None, {"lang": "en"}),
    ]
    assert (two.path, two.turns[0].segment) == (str(tmp_path / "near.wav"), Segment(0, 2 * RATE))
    whole, part = '{"audio_filepath": "a.wav"}', '{"audio_filepath": "b.wav", "duration": 3}'
    manifest.write_text(f"\ufeff{whole}\n{part}\n")
    assert [r.turns[0].segment.stop for r in nemo.read(manifest)] == [OPEN, 3 * RATE]
    manifest.write_text(f'{part}\n{{"audio_filepath": "b.wav", "offset": 3, "duration": 2}}\n')
    assert [t.segment for t in nemo.read(manifest)[0].turns] == [
        Segment(0, 3 * RATE),
        Segment(3 * RATE, 5 * RATE),
    ]
    for bad in (
        f'{part[:-1]}, "ofs": 2}}\n{{"audio_filepath": "c.wav", "offset": 1, "duration": 3}}',
        f'{whole}\n{{"audio_filepath": "a.wav", "text": "x"}}',
        f'{part}\n{{"audio_filepath": "b.wav", "offset": 3.5, "duration": 3}}',
        f'{part}\n{{"audio_filepath": "./b.wav", "offset": 5, "duration": 3}}',
        f'{{"audio_filepath": "b.wav", "offset": 2, "duration": 1}}\n{part}',
        '{"audio_filepath": "x", "begin": 1, "duration": 1}',
        '{"text": "x"}',
        "[1]",
        "no",
        '{"audio_filepath": "x", "offset": 1}',
        '{"audio_filepath": "x", "offset": "", "duration": 1}',
    ):
        manifest.write_text(bad)
        with pytest.raises(SettingError):
            nemo.read(manifest)


def test_a_kaldi_utterance_may_have_a_channel_and_last_to_the_end(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lines = "anna-1 rec1 0.5 4.0 1", "anna-2 rec1 4.0 7.5 0", "bob-1 rec2 0.5 4", "bob-2 rec2 4.1 -1"
    (tmp_path / "segments").write_text("\n".join(lines))
    turns = [turn for recording in kaldi.read(tmp_path) for turn in recording.turns]
    assert [turn.channel for turn in turns] == [1, 0, None, None]
    assert turns[3].segment == Segment(round(4.1 * RATE), OPEN)
    assert not turns[3].is_whole_recording
    end = 6 * RATE
    rest = Segment(turns[3].segment.start, end)
    assert covers_turn(turns[3], rest, end)
    assert not covers_turn(turns[3], rest, None)  # what was cut off may be of it
    for wrong in ("-1", "0 1", "left"):
        (tmp_path / "segments").write_text("\n".join([lines[0] + " " + wrong, *lines[1:]]))
        with pytest.raises(SettingError, match="a channel if it has one"):
            kaldi.read(tmp_path)


def test_tables_may_have_turns(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('path,start,stop,speaker,text,lang\na.wav,1,2,x,"one\nline",en\na.wav,3,4,y,two,de\n')
    (only,) = read_table(table, ["lang"])
    assert [(t.speaker, t.text, t.labels["lang"]) for t in only.turns] == [
        ("x", "one\nline", "en"), ("y", "two", "de"),
    ]  # fmt: skip
    table.write_text("path,text\na.wav,all of it\nb.wav,\n")
    assert [(r.turns[0].text, r.turns[0].is_whole_recording) for r in read_table(table)] == [
        ("all of it", True), (None, True),
    ]  # fmt: skip


def test_a_speaker_is_erased_from_a_recording_of_several(folder: Path, tmp_path: Path) -> None:
    KEY.write(tmp_path / "key")
    (tmp_path / "who.rttm").write_text(
        "SPEAKER rec1 1 0.5 3 <NA> <NA> anna <NA> <NA>\nSPEAKER rec1 1 4 3 <NA> <NA> bob <NA> <NA>\n"
        "SPEAKER rec1 1 6.5 3 <NA> <NA> anna <NA> <NA>\n"
    )
    key, links, who = (
        ("--key-file", tmp_path / "key"),
        ("--linkage", tmp_path / "links"),
        tmp_path / "who.rttm",
    )
    spoken = ("run", folder / "rec1.flac", "--turns", who, "--carry", "speaker", "--jobs", "1", "--out")
    assert deident(*spoken, tmp_path / "t", *key) == 1  # half a second of both
    assert deident(*spoken, tmp_path / "s", *key, *links, "--drop-overlap", "--disguise", "mcadams") == 0
    counts = sorted((item.speaker, round(item.seconds, 3)) for item in read_items(tmp_path / "s"))
    anna, bob = (KEY.pseudonym("speaker", name) for name in ("anna", "bob"))
    assert counts == sorted([(anna, 3.0), (bob, 2.5), (anna, 2.5)])
    assert deident("erase", tmp_path / "s", *links, *key, "--speaker", "anna") == 0
    assert {item.speaker for item in read_items(tmp_path / "s")} == {bob}


def test_a_speaker_is_never_a_label(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="carry"):
        Recording(str(folder / "rec2.wav"), labels={"speaker": "anna"})
    with pytest.raises(SettingError, match="key"):
        run([folder / "rec2.wav"], tmp_path / "s", Policy(disguise=Sine(), carry=("speaker",)), jobs=1)
    with pytest.raises(SettingError, match="carry"):
        Policy(carry=("names",))


def test_map_batch_turns_recordings_into_snippets(folder: Path) -> None:
    samples = read(folder / "rec2.wav").mono
    data = (folder / "rec2.wav").read_bytes()
    batch = {
        "audio": [
            {"array": samples[: 3 * RATE], "sampling_rate": RATE, "path": "anna.wav"},
            {"bytes": data, "path": "bob.wav"},
            {"bytes": None, "path": str(folder / "rec2.wav")},
        ],
        "speaker": ["anna", "bob", "bob"],
        "text": ["short", None, None],
        "session": [1, 2, 3],
    }
    policy = Policy(disguise=Sine(), scope="speaker", carry=("text",))
    out = MapBatch(policy, KEY)(batch)
    assert set(out) == {"audio", "text", "speaker"}
    assert len({len(column) for column in out.values()}) == 1
    assert len(out["audio"]) >= 4  # one row to many
    assert out["text"].count("short") == 1
    assert set(out["speaker"]) == {KEY.pseudonym("speaker", who) for who in ("anna", "bob")}
    paths = [audio["path"] for audio in out["audio"]]
    assert paths == sorted(paths)
    assert all(audio["bytes"][:4] == b"RIFF" for audio in out["audio"])
    with pytest.raises(SettingError, match="audio="):
        MapBatch()({"sound": []})


def test_commands_of_kaldi_are_never_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    (place / "wav.scp").write_text(f"u1 touch {tmp_path / 'ran'} |\n")
    (place / "utt2spk").write_text("u1 anna\n")
    assert deident("run", "--kaldi", place, "--out", tmp_path / "s") == 2
    assert "write the sound files out first" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": [5]},
        {"text": [["so"]]},
        {"words": [[{"start": 1, "end": 2, "word": ["so"]}]]},
        {"words": [[{"start": 1, "end": 2}]]},
    ],
)
def test_rows_with_texts_of_another_form_are_refused(wrong: dict[str, list[Any]]) -> None:
    batch = {"audio": [{"array": speech(WOMAN, 3.0), "sampling_rate": RATE}], **wrong}
    with pytest.raises(SettingError, match=r"expected (the column text|words)"):
        MapBatch(Policy(disguise=Sine(), carry=("text",)), KEY)(batch)


@pytest.mark.parametrize(
    "words",
    [
        {"start": [1.0], "stop": [1.5], "text": ["so"]},
        {"start": np.array([1.0]), "end": np.array([1.5]), "word": ["so"]},
        {"begin": [0], "start": [1.0], "end": [1.5], "text": ["so"]},
    ],
)
def test_words_may_be_lists_by_name(words: Any) -> None:
    batch = {"audio": [{"array": speech(WOMAN, 3.0), "sampling_rate": RATE}], "words": [words]}
    out = MapBatch(Policy(disguise=Sine(), carry=("text",)), KEY)(batch)
    assert out["text"].count("so") == 1
