"""Inputs on the command line: places, links, folders of speakers, corpora, and labels that nothing supplies."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

from deident import codec
from deident.audio import RATE
from deident.datasets import READERS
from deident.datasets.recordings import SUFFIXES, collect, expand, with_folder_speakers
from deident.errors import RecordingError, SettingError
from deident.evaluation.layouts import read_corpus
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from tests.methods import Sine

Command = Callable[..., CompletedProcess[str]]


def sound(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(RATE), RATE)
    return path


def linked(tmp_path: Path) -> Path:
    """A folder of links: to files, as git-annex has them, to a folder, and back to itself."""
    folder = tmp_path / "annex"
    folder.mkdir()
    for number, name in enumerate(("a", "b")):
        target = sound(tmp_path / "objects" / f"{name}.wav", number)
        (folder / f"{name}.wav").symlink_to(f"../objects/{target.name}")
    sound(tmp_path / "more" / "c.wav", 2)
    (folder / "more").symlink_to(tmp_path / "more")
    (folder / "round").symlink_to(folder)
    (folder / "gone.wav").symlink_to(tmp_path / "gone.wav")
    (folder / "notes.txt").touch()
    (folder / ".hidden.wav").touch()
    return folder


def test_links_are_followed_on_request_and_counted_otherwise(deident: Command, tmp_path: Path) -> None:
    folder = linked(tmp_path)
    assert list(expand(folder)) == []
    found = [Path(r.path).relative_to(folder).as_posix() for r in expand(folder, follow_links=True)]
    assert found == ["a.wav", "b.wav", "gone.wav", "more/c.wav"]
    own = sound(folder / "own.wav", 3)
    result = deident("run", folder, "--out", tmp_path / "s", "--jobs", "1", "--json")
    data = json.loads(result.stdout)
    assert (result.returncode, data["recordings"], data["fine"]) == (1, 1, False)
    assert data["passed_over"] == {"links": 5, "files of other kinds": 1, "hidden files": 1}
    shown = deident("run", folder, "--out", tmp_path / "s", "--jobs", "1").stdout
    assert "passed over   1 file of another kind, 1 hidden file, 5 links (--follow-links reads them)" in shown
    (folder / "gone.wav").unlink()
    data = json.loads(
        deident("run", folder, "--follow-links", "--out", tmp_path / "t", "--jobs", "1", "--json").stdout
    )
    assert (data["recordings"], data["codes"], "links" in data["passed_over"]) == (4, {}, False)
    assert run([folder], tmp_path / "u", jobs=1, follow_links=True).recordings == 4
    assert own.exists()


@pytest.mark.parametrize(
    ("hidden", "told"),
    [
        ([".old/a.wav", ".old/b.wav"], {"hidden folders": 1}),
        ([".old/deep/er/a.WAV", "sub/.trash/b.mp3"], {"hidden folders": 2}),
        ([".git/config", ".old/a.opus"], {"hidden folders": 1}),
    ],
)
def test_hidden_folders_with_sound_are_counted(
    hidden: list[str], told: dict[str, int], tmp_path: Path
) -> None:
    own = sound(tmp_path / "a.wav")
    for name in hidden:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    passed_over: Counter[str] = Counter()
    assert [r.path for r in expand(tmp_path, passed_over=passed_over)] == [str(own)]
    assert passed_over == told


@pytest.mark.parametrize("name", [".b.wav", ".old/b.flac", "sub/.trash/c/b.MP3"])
def test_hidden_files_at_a_uri_are_counted(name: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    files, place = fsspec.filesystem("memory"), f"/hidden-{len(name)}"
    for path in ("a.wav", name, ".config", "s/.private/format.json", "s/1.wav"):
        files.pipe_file(f"{place}/{path}", b"x")
    passed_over: Counter[str] = Counter()
    found = expand(f"memory:/{place}", passed_over=passed_over)
    assert [r.path.rpartition("/")[2] for r in found] == ["a.wav"]
    assert passed_over == {"hidden files": 1, "stores": 1}


def test_a_link_that_is_named_is_followed_on_request(deident: Command, tmp_path: Path) -> None:
    link = linked(tmp_path) / "a.wav"
    with pytest.raises(RecordingError, match="follow_links=True"):
        list(deidentify(link))
    list(deidentify(link, follow_links=True))
    assert codec.read(link).seconds == 1.0
    page = tmp_path / "p.html"
    assert deident("preview", link, "--out", page).returncode == 1
    assert deident("preview", link, "--out", page, "--follow-links").returncode == 0
    assert deident("run", link, "--dry-run", "--follow-links").returncode == 0


@pytest.mark.parametrize(
    "suffix",
    ["sph", "nist", "weba", "spx", "3gpp", "3g2", "awb", "mpga", "mp2", "wv", "ape", "tta", "avi", "flv", "aiffc",
     "asf"],
)  # fmt: skip
def test_files_that_are_read_when_named_are_found_in_folders(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"one.{suffix.upper()}").touch()
    assert suffix in SUFFIXES
    assert len(list(expand(tmp_path))) == 1


@pytest.mark.parametrize("command", ["run", "preview", "which"])
def test_a_place_that_is_not_there_is_an_error_of_use(command: str, deident: Command, tmp_path: Path) -> None:
    there, store = sound(tmp_path / "a.wav"), tmp_path / "s"
    for absent in (tmp_path / "canary.wav", tmp_path / "canary" / "b.wav", f"file://{tmp_path}/canary"):
        places = (absent,) if command == "preview" else (there, absent)
        more = {
            "run": ("--out", store),
            "preview": ("--out", tmp_path / "p.html"),
            "which": ("--store", store),
        }
        first = ("0" * 12,) if command == "which" else ()
        if command == "which":
            deident("run", there, "--out", store, "--jobs", "1")
        result = deident(command, *first, *places, *more[command])
        assert result.returncode == 2
        assert f"recording {len(places)} on the command line is not there" in result.stderr
        assert "canary" not in result.stderr
    assert store.exists() == (command == "which")


def test_a_refusal_names_the_next_step(deident: Command, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    (tmp_path / "t.csv").write_text("path\nbad.wav\n")
    for source in ((bad,), ("--table", tmp_path / "t.csv")):
        result = deident("run", *source, "--out", tmp_path / "s", "--jobs", "1")
        line = next(line for line in result.stdout.splitlines() if "deident which" in line)
        command = line.split("deident ")[1].split("   ")[0].split()
        at = command.index("RECORDING...")
        told = deident(*command[:at], *source, *command[at + 1 :])
        assert told.stdout == f"{bad}\n"


def test_a_folder_is_scanned(deident: Command, tmp_path: Path) -> None:
    for name in ("in/one.wav", "in/below/two.wav"):
        sound(tmp_path / name)
    (tmp_path / "in" / "notes.txt").touch()
    result = deident("scan", tmp_path / "in", tmp_path / "in" / "one.wav")
    assert result.returncode == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "file 1.1", "file 1.2", "passed over", "file 2",
    ] or sorted(line.split(":")[0] for line in result.stdout.splitlines()) == [
        "file 1.1", "file 1.2", "file 2", "passed over",
    ]  # fmt: skip


def test_what_nothing_supplies_is_told_before_anything_is_released(deident: Command, tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    deident("keygen", tmp_path / "key")
    (tmp_path / "t.csv").write_text("path,lang\na.wav,\n")
    table = ("run", "--table", tmp_path / "t.csv", "--key-file", tmp_path / "key", "--jobs", "1")
    for carry in ("text", "words", "speaker", "lang"):
        result = deident(*table, "--preset", "natural", "--carry", carry, "--out", tmp_path / carry)
        assert result.returncode == 2
        assert f"no recording has any {'label 1' if carry == 'lang' else carry}, and nothing" in result.stderr
        assert "lang" not in result.stderr
        assert not (tmp_path / carry).exists()
    (tmp_path / "t.csv").write_text("path,lang\na.wav,en\n")
    assert deident(*table, "--carry", "lang", "--out", tmp_path / "fine").returncode == 0


def test_words_are_carried_by_what_keeps_their_times(deident: Command, tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "w.ctm").write_text("a 1 0.5 0.5 one\n")
    (tmp_path / "t.ctm").write_text("a 1 0.2 1.0 one\n")
    given = (
        "run",
        tmp_path / "a.wav",
        "--words",
        tmp_path / "w.ctm",
        "--carry",
        "words",
        "--jobs",
        "1",
        "--out",
    )
    for disguise in (("--preset", "review"), ("--preset", "strong"), ("--disguise", "psola+vocoder")):
        result = deident(*given, tmp_path / "none", *disguise)
        assert result.returncode == 2
        assert "changes the timing" in result.stderr
    assert not (tmp_path / "none").exists()
    for disguise in (("--preset", "natural"), ("--disguise", "psola"), ("--disguise", "mcadams")):
        deident(*given, tmp_path / disguise[1], *disguise, "--turns", tmp_path / "t.ctm")
        (row,) = (tmp_path / disguise[1] / "manifest.jsonl").read_text().splitlines()
        assert json.loads(json.loads(row)["labels"]["words"]) == [[0.3, 0.8, "one"]]


def test_folders_name_speakers(deident: Command, tmp_path: Path) -> None:
    for name in ("anna/1.wav", "anna/day/2.wav", "ben/3.wav"):
        sound(tmp_path / "corpus" / name, len(name))
    place = tmp_path / "corpus"
    found = with_folder_speakers(collect(place), place)
    assert [r.speaker for r in found] == ["anna", "anna", "ben"]
    assert with_folder_speakers(collect(place / "ben"), place / "ben")[0].speaker == "ben"
    assert with_folder_speakers(collect(place / "ben/3.wav"), place / "ben/3.wav")[0].speaker == "ben"
    deident("keygen", tmp_path / "key")
    command = (
        "run",
        place,
        "--speaker-from",
        "folder",
        "--carry",
        "speaker",
        "--key-file",
        tmp_path / "key",
        "--out",
    )
    assert deident(*command, tmp_path / "s", "--jobs", "1").returncode == 0
    sound(place / "stray.wav")
    with pytest.raises(SettingError, match="folder of its speaker"):
        with_folder_speakers(collect(place), place)


def test_corpora_are_read_by_their_layout(tmp_path: Path) -> None:
    sound(tmp_path / "libri/dev/84/121/84-121-0000.flac")
    (tmp_path / "libri/dev/84/121/84-121.trans.txt").write_text("84-121-0000 GO DO YOU HEAR\n")
    (tmp_path / "libri/SPEAKERS.TXT").write_text("84 | F | dev | 25 | A\n")
    sound(tmp_path / "vctk/wav48/p225/p225_001.wav")
    (tmp_path / "vctk/txt/p225").mkdir(parents=True)
    (tmp_path / "vctk/txt/p225/p225_001.txt").write_text("Please call Stella.\n")
    sound(tmp_path / "folders/anna/day/1.wav")
    expected = {
        "libri": ("84", "go do you hear", {"gender": "f"}), "vctk": ("p225", "Please call Stella.", {}),
        "folders": ("anna", None, {}),
    }  # fmt: skip
    for name, values in expected.items():
        ((turn,),) = [r.turns for r in READERS["corpus"](tmp_path / name, ["gender"])]
        assert (turn.speaker, turn.text, turn.labels) == values
        assert turn.is_whole_recording


def test_corpora_are_read_through_links(tmp_path: Path) -> None:
    """To folders and files, as git-annex and caches have them, and round in circles."""
    sound(tmp_path / "real/121/84-121-0000.flac")
    (tmp_path / "real/121/84-121.trans.txt").write_text("84-121-0000 GO DO YOU HEAR\n")
    sound(tmp_path / "objects/x.wav")
    (tmp_path / "libri").mkdir()
    (tmp_path / "libri/84").symlink_to(tmp_path / "real")
    (tmp_path / "libri/round").symlink_to(tmp_path / "libri")
    (tmp_path / "folders/anna/day").mkdir(parents=True)
    (tmp_path / "folders/anna/day/1.wav").symlink_to(tmp_path / "objects/x.wav")
    (tmp_path / "folders/anna/day/round").symlink_to(tmp_path / "folders/anna")
    (tmp_path / "folders/ben").symlink_to(tmp_path / "folders/anna")
    for name, expected in {
        "libri": [("84", "go do you hear")],
        "folders": [("anna", ""), ("ben", "")],
    }.items():
        found = read_corpus(tmp_path / name).utterances
        assert [(u.speaker, u.transcript) for u in found] == expected
        assert all(u.load().seconds == 1.0 for u in found)
        assert len(READERS["corpus"](tmp_path / name)) == len(found)


CLIPS = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\tvariant"
    "\tlocale\tsegment\n"
    'c0ffee\tcommon_voice_en_1.mp3\t9\t"Go," she said.\t\t2\t0\ttwenties\tfemale_feminine\tScottish\t\ten\t\n'
    "beef00\tcommon_voice_en_2.mp3\t10\tNo.\t\t3\t1\t\t\t\t\ten\t\n"
)


def test_common_voice_is_a_corpus(tmp_path: Path, recordings: Path) -> None:
    place = tmp_path / "cv" / "en"
    (place / "clips").mkdir(parents=True)
    shutil.copy(recordings / "reading.mp3", place / "clips" / "common_voice_en_1.mp3")
    shutil.copy(recordings / "reading.mp3", place / "clips" / "common_voice_en_2.mp3")
    (place / "validated.tsv").write_text(CLIPS)
    (place / "train.tsv").write_text("".join(CLIPS.splitlines(keepends=True)[:2]))
    carry = ["gender", "age", "locale"]
    one, two = (r.turns[0] for r in READERS["corpus"](place, carry))
    assert (one.speaker, one.text) == ("c0ffee", '"Go," she said.')
    assert one.labels == {"gender": "f", "age": "twenties", "locale": "en"}
    assert (two.speaker, two.labels) == ("beef00", {"locale": "en"})
    assert len(READERS["corpus"](place / "train.tsv", carry)) == 1
    assert [u.sex for u in read_corpus(place).utterances] == ["F", ""]
    run(
        READERS["corpus"](place / "train.tsv", carry),
        tmp_path / "s",
        Policy(disguise=Sine(), carry=("text",)),
        jobs=1,
    )
    rows = [json.loads(line) for line in (tmp_path / "s" / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) > 2
    assert all(row["labels"]["age"] == "twenties" for row in rows)
    assert "c0ffee" not in json.dumps(rows)
    (place / "validated.tsv").write_text(CLIPS.replace("common_voice_en_2.mp3", "../../secret.mp3"))
    with pytest.raises(SettingError, match=r"line 3: .*in clips"):
        READERS["corpus"](place)
    for nothing in (tmp_path / "none", place / "clips" / "common_voice_en_1.mp3"):
        with pytest.raises(SettingError, match="Common Voice"):
            READERS["corpus"](nothing)


def test_one_place_has_one_set_of_labels(tmp_path: Path) -> None:
    one, other = Recording("x/a.wav", labels={"lang": "en"}), Recording("./x/a.wav", labels={"lang": "de"})
    assert collect([one, one]) == [one]
    for twice in ([one, other], [one, "x/a.wav"], [Recording("x/a.wav", "7"), Recording("x/a.wav", "8")]):
        with pytest.raises(SettingError, match="named twice"):
            collect(twice)  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="named twice"):
            run(twice, tmp_path / "s")  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("place", [".", "./", "../anna", "../bert/../anna/.", "deep/.."])
def test_a_speakers_folder_has_its_name_from_anywhere(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("anna/1.wav", "bert/2.wav"):
        sound(tmp_path / name)
    (tmp_path / "anna" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "anna")
    found = with_folder_speakers(collect(place), place)
    assert [recording.speaker for recording in found] == ["anna"]
