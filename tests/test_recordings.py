"""Recordings from folders, tables and segment files."""

import os
from pathlib import Path

import pytest

from deident.audio import Segment
from deident.codec import read
from deident.datasets.annotation_files import read_annotations
from deident.datasets.annotations import with_segments
from deident.datasets.recordings import expand
from deident.datasets.table import read as read_table
from deident.errors import SettingError
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Recording, Tally
from deident.runs.run import run
from tests.methods import Sine


def test_folders_are_walked_for_sound(tmp_path: Path) -> None:
    for name in ("b/two.FLAC", "a/one.wav", "a/notes.txt", ".hidden/x.wav", "a/.x.wav", "m.m4a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "link.wav").symlink_to(tmp_path / "m.m4a")
    found = [Path(r.path).relative_to(tmp_path).as_posix() for r in expand([tmp_path])]
    assert sorted(found) == ["a/one.wav", "b/two.FLAC", "m.m4a"]
    named = list(expand([tmp_path / "a" / "notes.txt", Recording("x", speaker="s")]))
    assert named[0].path.endswith("notes.txt")
    assert named[1].speaker == "s"
    assert "notes" not in repr(named[0])


def test_a_store_below_a_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    for name, mark in (("here", ".private/store"), ("there", ".private/format.json")):
        (tmp_path / name / ".private").mkdir(parents=True)
        (tmp_path / name / mark).touch()
        (tmp_path / name / "snippet.wav").touch()
    for place in (str(tmp_path), f"local://{tmp_path}"):
        assert [Path(r.path).name for r in expand([place])] == ["a.wav"]
        assert [Path(r.path).name for r in expand([f"{place}/here"])] == ["snippet.wav"]


def test_table_gives_speakers_and_labels(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("path\tspeaker\tlanguage\nx/a.wav\t7\ten\nb.wav\t\tde\n")
    one, two = read_table(table, ["language"])
    assert one == Recording(str(tmp_path / "x/a.wav"), "7", None, {"language": "en"})
    assert two.speaker is None
    with pytest.raises(SettingError, match="lacks the column of label 2") as error:
        read_table(table, ["language", "canary"])
    assert "canary" not in str(error.value)
    with pytest.raises(SettingError, match="cannot be read"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "s.rttm",
            "SPEAKER rec 1 2.0 1.0 <NA> <NA> a <NA> <NA>\n;; x\nSPEAKER rec 1 0.5 0.25 <NA> <NA> b <NA> <NA>\n"
            "SPEAKER rec 1 7.0 0.000 <NA> <NA> b <NA> <NA>\n",
        ),
        ("s.csv", "recording,start,stop\nrec,2.0,3.0\nrec,0.5,0.75\n"),
        ("segments", "u1 rec 2.0 3.0\nu2 rec 0.5 0.75\n"),
    ],
)
def test_segments_in_three_formats(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    expected = (Segment(8_000, 12_000), Segment(32_000, 48_000))
    annotations = read_annotations(file)
    one, other = with_segments([Recording("/x/rec.wav"), Recording("/x/other.wav")], annotations)
    assert one.segments == expected
    assert other.segments == ()
    for others in (["/x/a.wav"], ["/x/a.wav", "/x/b.wav"]):
        with pytest.raises(SettingError, match="not in this run"):
            with_segments([Recording(path) for path in others], annotations)
    with pytest.raises(SettingError, match="use their paths"):
        with_segments([Recording("/x/rec.wav"), Recording("/y/rec.wav")], annotations)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.rttm", "SPEAKER rec 1 two 1.0 <NA>\n"),
        ("s.csv", "recording,start,stop\nrec,3,2\n"),
        ("s.csv", "recording,start\nrec,3\n"),
        ("segments", "u1 rec 2.0\n"),
        ("segments", "u1 rec 2.0 -2\n"),
        ("s.rttm", "SPEAKER rec 1 0 -1 <NA> <NA> a <NA> <NA>\n"),
        ("s.csv", "recording,start,stop\nrec,3,-1\n"),
        ("s.csv", "recording,start,stop\nrec,nan,inf\n"),
    ],
)
def test_wrong_segments_are_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingError):
        read_annotations(tmp_path / name)


def test_a_segment_may_last_to_the_end_as_kaldi_writes_it(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "segments").write_text("u1 call 1.0 3.0\nu2 call 17.5 -1\n")
    annotations = read_annotations(tmp_path / "segments")
    (one,) = with_segments([Recording(recordings / "call.wav")], annotations)  # type: ignore[arg-type]
    seconds = [s.seconds for s in deidentify(one.path, Policy(disguise=Sine()), segments=one.segments)]
    assert seconds == [2.0, pytest.approx(read(one.path).seconds - 17.5, abs=1e-4)]


def test_a_folder_that_cannot_be_looked_into_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can look into all: so the look fails here. Nor does a name that no file can have stop the others."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.wav").touch()
    look = os.scandir

    def scandir(place: str) -> object:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return look(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [Path(r.path).name for r in expand([tmp_path])] == ["a.wav", "closed"]
    names = [str(tmp_path / ("long" * 100)), "nul\0byte"]
    assert [r.path for r in expand(names)] == names
    assert run(names, tmp_path / "s", jobs=1).codes == {"missing": 2}


def test_a_tally_shows_no_digest() -> None:
    tally = Tally(content_sha256="c0ffee", head_sha256="beef", file_sha256="cafe")
    assert not any(digest in repr(tally) for digest in ("c0ffee", "beef", "cafe"))
