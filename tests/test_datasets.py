"""Data sets in and out: what goes in comes back, and nothing of the source with it."""

import gzip
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import soundfile

from deident.audio import RATE, Segment
from deident.cli import main
from deident.codec import read
from deident.datasets import EXPORTERS, card, export, exporter_named, kaldi, lhotse, nemo
from deident.datasets.huggingface import MapBatch
from deident.datasets.items import Item, read_items
from deident.datasets.package import package
from deident.datasets.table import read as read_table
from deident.disguise import Chain
from deident.disguise.psola import Psola
from deident.disguise.vocoder import Vocoder
from deident.errors import SettingError, StoreError
from deident.evaluation.layouts import read_corpus
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import OPEN, Word, covers_turn
from tests.contracts.exporter import EXPORTER_CONTRACTS, ExporterContract
from tests.methods import Sine

KEY = Key(bytes(32))
TEXTS = {
    "anna-1": "hello there",
    "anna-2": "more words",
    "bob-1": "and so",
    "bob-2": 'a "good" day\u2028für dich',
}
CANARIES = ("anna", "bob", "rec1", "rec2", "1970-01-01T")


@pytest.fixture(scope="module")
def folder(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Kaldi data folder of two recordings, two speakers and four utterances."""
    place = tmp_path_factory.mktemp("data") / "dev"
    place.mkdir()
    audio = read(recordings / "reading.mp3").mono
    soundfile.write(place / "rec1.flac", audio[: 12 * RATE], RATE)
    soundfile.write(place / "rec2.wav", audio[12 * RATE : 20 * RATE], RATE)
    files = {
        "wav.scp": "rec1 rec1.flac\nrec2 rec2.wav\n",
        "segments": "anna-1 rec1 0.0 4.0\nanna-2 rec1 4.0 7.5\nbob-1 rec2 0.5 4\nbob-2 rec2 4.1 7\n",
        "utt2spk": "anna-1 anna\nanna-2 anna\nbob-1 bob\nbob-2 bob\n",
        "text": "".join(f"{id} {text}\n" for id, text in TEXTS.items()),
        "spk2gender": "anna f\nbob m\n",
        "trials": "anna bob-1 nontarget\nanna anna-2 target\n",
        "enrolls": "anna-1\n",
    }
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store") / "s"
    policy = Policy(disguise=Timed(), scope="speaker", carry=("text", "words"), repeatable=True)
    recordings = [with_first_word(recording) for recording in kaldi.read(folder, ["gender"])]
    run(recordings, place, policy, key=KEY, jobs=1)
    return place


class Timed(Sine):
    keeps_time = True


def with_first_word(recording: Recording) -> Recording:
    from dataclasses import replace

    turns = (
        replace(
            turn, words=(Word(turn.segment.__class__(turn.segment.start, turn.segment.start + 8_000), "one"),)
        )
        for turn in recording.turns
    )
    return replace(recording, turns=tuple(turns))


def spread(items: list[Item]) -> set[tuple[object, ...]]:
    return {(i.id, i.text, i.speaker, i.labels.get("gender"), round(i.seconds, 6)) for i in items}


def turns(recordings: list[Recording]) -> set[tuple[object, ...]]:
    """The same of what was read back."""
    return {
        (turn.id, turn.text, turn.speaker, turn.labels.get("gender"), round(len(read(r.path)) / RATE, 6))
        for r in recordings
        for turn in r.turns
    }


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


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("contract", EXPORTER_CONTRACTS, ids=lambda contract: contract.__name__)
def test_exporters_hold_their_contract(
    contract: ExporterContract, name: str, store: Path, tmp_path: Path
) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    contract(exporter_named(name), read_items(store), tmp_path)


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_export_tells_nothing_of_its_source(name: str, store: Path, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    export(read_items(store), name, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.*"):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not any(canary.encode() in data for canary in (*CANARIES, os.fspath(store)))


def test_every_export_has_a_card(store: Path, tmp_path: Path) -> None:
    settings = Policy.preset("training", carry=("text", "words")).to_mapping()
    summary = {
        "version": "9.9", "policy": "f" * 16, "settings": settings, "dropped_seconds": {"over_limit": 12.34},
        "recordings": 2, "speech_seconds": 20.0, "problems": [{"recording": "anna"}],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(summary))
    out = ("export", store, "--to", "tests.test_datasets:count_lines", "--out")
    assert deident(*out, tmp_path / "out", "--summary", tmp_path / "run.json") == 0
    told = (tmp_path / "out" / "README.md").read_text()
    seconds = [item.seconds for item in read_items(store)]
    for line in (
        "| snippets | 4 |", f"| longest | {max(seconds):.2f} s |", "| sample rate | 16000 Hz |",
        "| speakers | 2, by pseudonym |",
        "| carried along | text, speaker, words, gender |", "By deident 9.9, under the policy ffffffffffffffff",
        "| dropped: over limit | 12.3 s |", "| seconds of speech found | 20 |", '"pause_seconds": [', "not anonymous",
        "`deident evaluate`",
    ):  # fmt: skip
        assert line in told
    assert not any(canary in told for canary in (*CANARIES, "names everybody"))
    assert (tmp_path / "out" / "README.md").stat().st_mode & 0o777 == 0o600
    assert deident(*out, tmp_path / "bare") == 0
    assert "not given at the export" in (tmp_path / "bare" / "README.md").read_text()
    for wrong in ("no JSON", "{}", "[1]"):
        (tmp_path / "run.json").write_text(wrong)
        assert deident(*out, tmp_path / "wrong", "--summary", tmp_path / "run.json") == 2
    assert not (tmp_path / "wrong").exists()


def test_a_card_tells_what_was_measured_of_these_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "measured", lambda name: [("EER", f"of {name}")])
    for preset, alone in (("training", "training"), ("strong", "strong"), ("review", "review")):
        summary = {"version": "1", "dropped_seconds": {}, "settings": Policy.preset(preset).to_mapping()}
        assert f"| EER | of {alone} |" in card.card([], json.loads(json.dumps(summary)))
    for settings in (
        Policy(disguise=Vocoder(tract=(0.9, 1.0))).to_mapping(),
        Policy(disguise=Chain((Psola(), Psola()))).to_mapping(),
    ):  # fmt: skip
        summary = {"version": "1", "dropped_seconds": {}, "settings": settings}
        assert "Nothing was measured" in card.card([], json.loads(json.dumps(summary)))


def test_an_exporter_of_your_own_is_named_by_its_module(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    assert deident("export", store, "--to", "tests.test_datasets:count_lines", *out) == 0
    assert (tmp_path / "out" / "count").read_text() == "4\n"
    for name in ("nothing", "tests.test_datasets:absent", "absent:write"):
        assert deident("export", store, "--to", name, *out) == 2
    assert f"expected a format of {', '.join(EXPORTERS)}" in capsys.readouterr().err


def count_lines(items: Iterable[Item], out: Path) -> int:
    """Write the number of snippets: an exporter that is no part of the package."""
    count = len(list(items))
    with package(out) as folder:
        folder.put_lines("count", [str(count)])
    return count


def test_round_trips_are_equal(store: Path, tmp_path: Path) -> None:
    items = read_items(store)
    lines = {(id, " ".join(str(text).split()), *rest) for id, text, *rest in spread(items)}
    for name, module in (("kaldi", kaldi), ("lhotse", lhotse)):
        export(items, name, tmp_path / name)
        assert turns(module.read(tmp_path / name, ["gender"])) == lines
    cuts = lhotse.read(tmp_path / "lhotse" / "cuts.jsonl.gz", ["gender"])
    assert turns(cuts) == lines
    assert all(t.words == (Word(t.words[0].segment, "one"),) for r in cuts for t in r.turns)
    export(items, "nemo", tmp_path / "nemo")
    back = nemo.read(tmp_path / "nemo" / "manifest.json", ["gender", "duration"])
    assert {(Path(r.path).stem, t.text, t.speaker, t.labels["gender"]) for r in back for t in r.turns} == {
        row[:4] for row in lines
    }
    # and once more through the whole of it: what was written is a data set like any other
    again = Policy(disguise=Sine(), scope="speaker", carry=("text",))
    run(kaldi.read(tmp_path / "kaldi"), tmp_path / "again", again, key=KEY, jobs=1)
    assert {i.text for i in read_items(tmp_path / "again")} == {row[1] for row in lines}


def test_kaldi_is_sorted_and_whole(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    items = read_items(store)
    export(items[::-1], "kaldi", "data/dev_anon")
    out = tmp_path / "data" / "dev_anon"
    for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "text", "spk2gender", "ctm"):
        lines = (out / name).read_bytes().splitlines()
        assert lines == sorted(lines)
    utterances = kaldi.read_folder(out).utterances
    assert all(u.id.startswith(f"{u.speaker}-") for u in utterances)
    assert (out / "wav.scp").read_text().split()[1].startswith("data/dev_anon/wav/")
    corpus = read_corpus(out)  # the evaluation reads it too
    assert {u.transcript for u in corpus.utterances} == {" ".join(t.split()) for t in TEXTS.values()}
    assert {u.sex for u in corpus.utterances} == {"F", "M"}


def test_a_snippet_that_changed_is_not_passed_on(store: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    items = [replace(item, sha256="0" * 64) for item in read_items(store)]
    with pytest.raises(StoreError, match="audit"):
        export(items, "nemo", tmp_path / "x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="store"):
        read_items(tmp_path)


def deident(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


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


def test_ids_that_could_go_elsewhere_are_refused(store: Path) -> None:
    from deident.datasets.items import with_ids
    from deident.store import Link

    def link(*ids: str) -> Link:
        return Link(
            "", "", "", "", "anna", tuple(i.name for i in read_items(store)[: len(ids)]), 0, utterances=ids
        )

    assert [i.id for i in with_ids(read_items(store), [link("u2", "u1")])] == ["u1", "u2"]
    for bad in (("../x",), (".x",), ("a b",), ("a\n",), ("same", "same")):
        with pytest.raises(SettingError):
            with_ids(read_items(store), [link(*bad)])
    with pytest.raises(SettingError, match="no ids"):
        with_ids(read_items(store), [link()])


@pytest.mark.parametrize(
    "name",
    ["../victim", "audio/../../victim", "{place}/victim", ".hidden", "audio/.hidden", "a\\b", "a b", "e\u0301",
     "\u00e9", "nul\0", "", "x" * 101, "a.", "con", "audio/Aux.wav", "lpt1.x"],
)  # fmt: skip
def test_a_file_of_another_name_is_not_written(name: str, tmp_path: Path) -> None:
    with package(tmp_path / "below" / "out") as folder:
        folder.put("right", b"")
        with pytest.raises(StoreError, match="names of letters"):
            folder.put(name.format(place=tmp_path), b"private")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["below", "out", "right"]


@pytest.mark.parametrize(
    ("label", "name"),
    [("../../victim", None), ("a\nb c", None), ("x" * 500, None), (None, "../x.wav"), (None, "x./y")],
)
@pytest.mark.parametrize("to", ["kaldi", "webdataset", "nemo"])
def test_a_manifest_that_was_tampered_with_leads_nowhere_else(
    label: str | None, name: str | None, to: str, store: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "below" / "copy"
    shutil.copytree(store, copy)
    rows = [json.loads(line) for line in (copy / "manifest.jsonl").read_text().split("\n") if line]
    for row in rows:
        row["labels"]["speaker"] = label or row["labels"]["speaker"]
        row["name"] = name or row["name"]
    (copy / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if name:
        with pytest.raises(StoreError, match="audit"):
            read_items(copy)
        return
    items = read_items(copy)
    assert all(
        re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", word) for i in items for word in (i.id, str(i.speaker))
    )
    export(items, to, tmp_path / "below" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.parent in (tmp_path, copy.parent)) == [
        "below", "copy", "out",
    ]  # fmt: skip


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


def test_webdataset_samples_have_one_stem(store: Path, tmp_path: Path) -> None:
    from deident.datasets import webdataset

    assert webdataset.write(read_items(store), tmp_path / "w", shard=3) == 4
    shards = sorted(p.name for p in (tmp_path / "w").iterdir())
    assert shards == ["shard-000000.tar", "shard-000001.tar"]
    with tarfile.open(tmp_path / "w" / shards[0]) as archive:
        members = archive.getmembers()
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    stems = [m.name.partition(".")[0] for m in members]
    assert stems == sorted(stems)
    assert [m.name.partition(".")[2] for m in members[:3]] == ["wav", "json", "txt"]


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


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_export_describes_its_files_for_machines(name: str, store: Path, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    export(read_items(store), name, out)
    told = json.loads((out / "croissant.json").read_text())
    assert "not anonymous" in told["rai:personalSensitiveInformation"]
    kinds = [(kind["includes"], kind["@id"]) for kind in told["distribution"]]
    for path in out.rglob("*"):
        if path.is_file() and path.name != "croissant.json":
            own = [id for names, id in kinds if path.name in names or path.match(str(names))]
            assert len(own) == 1, path.name
    if name == "parquet":
        import pyarrow.parquet

        columns = set(pyarrow.parquet.read_schema(out / "data-00000.parquet").names)
        [records] = told["recordSet"]
        assert {field["source"]["extract"]["column"] for field in records["field"]} == columns - {"words"}
    export(read_items(store), name, tmp_path / "again")
    assert (out / "croissant.json").read_bytes() == (tmp_path / "again" / "croissant.json").read_bytes()


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore")
def test_croissant_reads_what_describes_parquet(store: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    pytest.importorskip("pyarrow")
    export(read_items(store), "parquet", tmp_path / "out")
    found = mlcroissant.Dataset(tmp_path / "out" / "croissant.json")
    assert not found.metadata.ctx.issues.errors
    ids = {record["snippets/id"].decode() for record in found.records("snippets")}
    assert ids == {item.id for item in read_items(store)}
