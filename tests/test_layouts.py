"""Corpora as they lie on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import RATE
from deident.datasets import layouts
from deident.errors import SettingError
from deident.evaluation.corpus import joined
from deident.evaluation.layouts import read_corpus
from deident.evaluation.trials import Trials
from tests.test_tables import written


def sound(path: Path, seconds: float = 0.6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(round(seconds * RATE)) / 9.0), RATE)


def test_a_folder_of_speakers(tmp_path: Path) -> None:
    for name in ("anna/talk_01.wav", "anna/talk_02.wav", "ben/a/other_7.flac", "ben/notes.txt"):
        sound(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("no sound")
    corpus = read_corpus(tmp_path)
    assert [(u.speaker, u.name) for u in corpus.utterances] == [
        ("anna", "anna/talk_01.wav"), ("anna", "anna/talk_02.wav"), ("ben", "ben/a/other_7.flac"),
    ]  # fmt: skip
    assert corpus.utterances[0].recording == corpus.utterances[1].recording == "anna/talk"
    assert corpus.utterances[0].load().seconds == pytest.approx(0.6)


@pytest.mark.parametrize("place", ["files.tsv", ".", "../here"])
def test_a_corpus_has_the_name_of_its_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound(tmp_path / "here" / "anna" / "1.wav")
    (tmp_path / "here" / "files.tsv").write_text("path\tspeaker\nanna/1.wav\tanna\n")
    monkeypatch.chdir(tmp_path / "here")
    assert read_corpus(Path(place)).name == "here"


def test_a_table(tmp_path: Path) -> None:
    sound(tmp_path / "x" / "1.wav")
    rows = "path\tspeaker\tsex\trole\ttranscript\toov\nx/1.wav\tanna\tf\tdev_trial\tsome words\t0\n"
    (tmp_path / "files.tsv").write_text(rows + "y/2.wav\tben\tMale\tdev_train\tstrange wyrds\t1\n")
    corpus = read_corpus(tmp_path / "files.tsv")
    assert [(u.speaker, u.sex, u.role, u.transcript) for u in corpus.utterances] == [
        ("anna", "F", "trial", "some words"), ("ben", "M", "train", ""),
    ]  # fmt: skip
    assert [u.speaker for u in read_corpus(tmp_path / "files.tsv", only="x/").utterances] == ["anna"]
    (tmp_path / "files.csv").write_text("path,speaker\nx/1.wav,anna\n")
    assert read_corpus(tmp_path / "files.csv").utterances[0].load().seconds == pytest.approx(0.6)


def test_a_kaldi_folder_with_voiceprivacy_lists(tmp_path: Path) -> None:
    sound(tmp_path / "rec1.wav", 2.0)
    for name, text in {
        "wav.scp": "rec1 rec1.wav\n",
        "segments": "u1 rec1 0.0 0.5\nu2 rec1 0.5 1.25\n",
        "utt2spk": "u1 anna\nu2 anna\n",
        "spk2gender": "anna f\n",
        "text": "u1 HELLO THERE\n",
        "enrolls": "u1\n",
        "trials": "anna u2 target\n",
    }.items():
        (tmp_path / name).write_text(text)
    one, two = read_corpus(tmp_path).utterances
    assert (one.role, two.role) == ("enrol", "trial")
    assert (one.sex, one.transcript, one.recording) == ("F", "HELLO THERE", "rec1")
    assert two.load().seconds == pytest.approx(0.75)


def test_voiceprivacy_lists_by_sex_leave_the_others_to_train_on(tmp_path: Path) -> None:
    for name, text in {
        "wav.scp": "".join(f"u{k} u{k}.wav\n" for k in range(6)),
        "utt2spk": "u0 anna\nu1 anna\nu2 ben\nu3 ben\nu4 carl\nu5 anna\n",
        "enrolls": "u0\nu2\n",
        "trials_f": "anna u1 target\nben u1 nontarget\n",
        "trials_m": "ben u3 target\n",
    }.items():
        (tmp_path / name).write_text(text)
    roles = [u.role for u in read_corpus(tmp_path).utterances]
    assert roles == ["enrol", "trial", "enrol", "trial", "train", ""]


def test_commands_in_wav_scp_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("u1 touch /tmp/ran |\n")
    (tmp_path / "utt2spk").write_text("u1 anna\n")
    with pytest.raises(SettingError, match="commands"):
        read_corpus(tmp_path)


def test_librispeech(tmp_path: Path) -> None:
    (tmp_path / "SPEAKERS.TXT").write_text("; comment\n84 | F | dev-clean | 25.00 | A Name\n")
    sound(tmp_path / "dev-clean" / "84" / "121" / "84-121-0000.flac")
    (tmp_path / "dev-clean" / "84" / "121" / "84-121.trans.txt").write_text("84-121-0000 GO DO YOU HEAR\n")
    (one,) = read_corpus(tmp_path / "dev-clean").utterances
    assert (one.speaker, one.sex, one.transcript, one.recording) == ("84", "F", "go do you hear", "84-121")


def test_vctk_takes_one_microphone(tmp_path: Path) -> None:
    for mic in (1, 2):
        sound(tmp_path / "wav48_silence_trimmed" / "p225" / f"p225_001_mic{mic}.flac")
    (tmp_path / "txt" / "p225").mkdir(parents=True)
    (tmp_path / "txt" / "p225" / "p225_001.txt").write_text("Please call Stella.\n")
    (tmp_path / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS\n225  23  F    English\n")
    (one,) = read_corpus(tmp_path).utterances
    assert (one.speaker, one.sex, one.transcript) == ("p225", "F", "Please call Stella.")


def test_nothing_known_is_said_without_a_path(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SettingError) as error:
            read_corpus(place)
        assert str(tmp_path) not in str(error.value)


def test_a_table_within_the_folder_that_its_paths_begin_with(tmp_path: Path) -> None:
    sound(tmp_path / "abroad" / "1.wav")
    rows = "path\tspeaker\tnote\nabroad/1.wav\tanna\tchild\nabroad/2.wav\tben\ta remark\n"
    (tmp_path / "abroad" / "files.tsv").write_text(rows)
    one, two = read_corpus(tmp_path / "abroad" / "files.tsv").utterances
    assert one.load().seconds == pytest.approx(0.6)
    assert (one.group, two.group) == ("child", "")


def test_joined_corpora_keep_speakers_apart(tmp_path: Path) -> None:
    for place in ("one", "two"):
        for speaker in ("anna", "ben"):
            sound(tmp_path / place / speaker / "talk_1.wav")
    one, two = (read_corpus(tmp_path / place) for place in ("one", "two"))
    whole = joined([one, two])
    assert whole.name == "one + two"
    assert {u.speaker for u in whole.utterances} == {"one/anna", "one/ben", "two/anna", "two/ben"}
    assert len({u.name for u in whole.utterances}) == 4
    assert {u.labels for u in whole.utterances} == {("one",), ("two",)}
    trials = Trials.of(whole.utterances)
    corpora = np.array([u.corpus for u in whole.utterances])
    for row, column in zip(*np.nonzero(trials.nontarget), strict=True):
        assert corpora[row] == corpora[trials.speakers == column][0]
    assert joined([one]) is one
    assert {u.corpus for u in joined([one, one]).utterances} == {"one 1", "one 2"}


@pytest.mark.parametrize("other", ["y/8/1", "x/8/1/again", "x"])
def test_subsets_that_share_names_keep_their_texts(other: str, tmp_path: Path) -> None:
    for folder, word in (("x/8/1", "ONE"), (other, "TWO")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        written(tmp_path / folder, "8-1-0001.flac", b"")
        written(tmp_path / folder, "8-1.trans.txt", f"8-1-0001 {word}\n")
    found = {
        Path(r.path).parent.relative_to(tmp_path).as_posix(): r.turns[0].text for r in layouts.read(tmp_path)
    }
    assert found == {"x/8/1": "one", other: "two"}


@pytest.mark.parametrize(
    ("name", "table", "sound"),
    [
        ("SPEAKERS.TXT", "8 | F | x | 1 | n\n8 | M | x | 1 | n\n", "8/1/8-1-0001.flac"),
        ("speaker-info.txt", "ID AGE GENDER\np225 23 F\np225 23 M\n", "wav48/p225/p225_001.wav"),
        ("speaker-info.txt", "ID AGE GENDER\n225 23 F\np225 23 M\n", "wav48/p225/p225_001.wav"),
    ],
)
def test_a_speaker_with_two_sexes_is_refused(name: str, table: str, sound: str, tmp_path: Path) -> None:
    (tmp_path / sound).parent.mkdir(parents=True)
    written(tmp_path, sound, b"")
    written(tmp_path, "8/1/8-1.trans.txt" if sound[0] == "8" else "readme", "8-1-0001 SO\n")
    written(tmp_path, name, table)
    with pytest.raises(SettingError, match="listed twice, with another sex"):
        layouts.read(tmp_path, ["gender"])


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (("anna/1.wav", "bert/1.wav", "1.wav"), "1 sound files"),
        (("wav48/p1/p1_001_mic2.wav", "wav48/p2/p2_001_mic1.wav"), "1 sound files"),
        (("8/1/8-1-0001.flac", "8/1/intro.flac", "8/1/more.wav"), "2 sound files"),
    ],
)
def test_sound_that_a_layout_does_not_have_is_named(
    files: tuple[str, ...], left: str, tmp_path: Path
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path, file, b"")
    if files[0].startswith("8"):
        written(tmp_path / "8/1", "8-1.trans.txt", "8-1-0001 SO\n")
    with pytest.raises(SettingError, match=left):
        layouts.read(tmp_path)


@pytest.mark.parametrize("other", [".cache/1.wav", "store/1.wav", "anna/store/1.wav"])
def test_hidden_folders_and_stores_are_no_speakers(other: str, tmp_path: Path) -> None:
    for file in ("anna/1.wav", other):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path, file, b"")
    if "store" in other:
        mark = (tmp_path / other).parent / ".private" / "store"
        mark.parent.mkdir()
        mark.touch()
    assert [Path(recording.path) for recording in layouts.read(tmp_path)] == [tmp_path / "anna/1.wav"]


def test_a_client_without_a_name_shares_no_voice(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    written(tmp_path, "validated.tsv", "client_id\tpath\tsentence\n\ta.mp3\tone\n\tb.mp3\ttwo\n")
    assert [turn.speaker for found in layouts.read(tmp_path) for turn in found.turns] == [None, None]


@pytest.mark.parametrize("second", ["8-1 (1).trans.txt", "9-9.trans.txt", "old.trans.txt"])
def test_two_transcripts_that_differ_are_refused(second: str, tmp_path: Path) -> None:
    written(tmp_path, "8-1-0001.flac", b"")
    written(tmp_path, "8-1.trans.txt", "8-1-0001 ONE\n")
    written(tmp_path, second, "8-1-0001 ONE\n")
    assert layouts.read(tmp_path)[0].turns[0].text == "one"
    written(tmp_path, second, "8-1-0001 TWO\n")
    with pytest.raises(SettingError, match="another text"):
        layouts.read(tmp_path)
