"""Places with a URI: recordings are read from them, and a store in one keeps the promises of a folder's."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from deident import uris as remote
from deident.audio import RATE, Segment
from deident.audit import audit_store
from deident.cli import main
from deident.codec import encode_wav, read
from deident.datasets.items import read_items
from deident.datasets.recordings import expand
from deident.datasets.table import read as read_table
from deident.errors import ExtraMissingError, RecordingError, SettingError, StoreError
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import dry_run, run
from deident.segmentation.turns import Turn
from deident.store import Linkage, audit_linkage
from deident.store.bucket import BucketStore
from deident.store.objects import Objects
from tests.methods import Sine

fsspec = pytest.importorskip("fsspec")

KEY = Key(bytes(32))
POLICY = Policy(disguise=Sine(), repeatable=True)


def files(place: str) -> dict[str, bytes]:
    fs, root = fsspec.core.url_to_fs(place, use_listings_cache=False)
    return {path[len(root) :].lstrip("/"): fs.cat_file(path) for path in fs.find(root)}


def snippets(place: str) -> dict[str, bytes]:
    return {name: data for name, data in files(place).items() if name.endswith(".wav")}


def test_a_folder_at_a_uri_holds_its_recordings(bucket: str) -> None:
    found = list(expand([bucket]))
    assert [r.path for r in found] == [
        f"{bucket}/{n}" for n in ("call.wav", "deep/er/reading.mp3", "meeting.flac")
    ]
    assert all(r.size and r.version for r in found)
    (one,) = expand([f"{bucket}/README.txt"])  # named, so taken
    assert one.size == len(b"not a recording")


def test_recordings_that_came_since_are_found(place: str) -> None:
    fs, root = fsspec.core.url_to_fs(place, use_listings_cache=False)
    for count in (1, 2, 3):
        fs.makedirs(root, exist_ok=True)
        fs.pipe_file(f"{root}/{count}.wav", encode_wav(np.zeros(160, np.int16)))
        found = list(expand([place]))
        assert len(found) == count
        assert all(remote.find_file(str(recording.path)) for recording in found)


def test_a_recording_at_a_uri_sounds_the_same(bucket: str, recordings: Path, tmp_path: Path) -> None:
    for uri in (f"{bucket}/call.wav", f"file://{recordings}/call.wav"):
        assert np.array_equal(read(uri).samples, read(recordings / "call.wav").samples)
    (tmp_path / "link.wav").symlink_to(recordings / "call.wav")
    (recording,) = expand([f"file://{tmp_path}/link.wav"])
    summary = run([recording], tmp_path / "s", POLICY, key=KEY, jobs=1)
    assert summary.codes == {"symlink": 1}  # file:// is guarded as the path is


def test_recordings_are_read_out_of_an_archive(recordings: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(recordings / "call.wav", "in/call.wav")
        archive.writestr("in/notes.txt", "no recording")
    found = list(expand([f"zip://in::file://{tmp_path}/a.zip"]))
    assert [r.path for r in found] == [f"zip://in/call.wav::file://{tmp_path}/a.zip"]
    assert np.array_equal(read(found[0].path).samples, read(recordings / "call.wav").samples)
    (whole,) = expand([f"zip://::file://{tmp_path}/a.zip"])
    assert np.array_equal(read(whole.path).samples, read(recordings / "call.wav").samples)


def test_a_place_that_is_not_there_is_refused_without_its_name(bucket: str) -> None:
    with pytest.raises(RecordingError) as caught:
        read(f"{bucket}/canary.wav")
    assert caught.value.code == "missing"
    assert "canary" not in str(caught.value)
    assert dry_run([f"{bucket}/canary.wav"], POLICY, key=KEY).codes == {"missing": 1}


def test_a_table_names_files_of_a_bucket_by_its_base(bucket: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,speaker\ncall.wav,a\n")
    (found,) = expand(read_table(table, base=bucket))
    assert found.path == f"{bucket}/call.wav"
    assert found.size
    for outside in (f"{bucket}/call.wav", "../call.wav", "/call.wav"):
        table.write_text(f"path,speaker\n{outside},a\n")
        with pytest.raises(SettingError, match=r"line 2.*--base"):
            read_table(table, base=bucket)


def test_a_store_at_a_uri_is_the_store_of_a_folder(
    bucket: str, place: str, tmp_path: Path, recordings: Path
) -> None:
    here = run([recordings], tmp_path / "here", POLICY, key=KEY, jobs=1)
    there = run([bucket], place, POLICY, key=KEY, jobs=1)
    assert there.states == here.states
    assert there.states["released"] == 3
    assert snippets(place) == {p.name: p.read_bytes() for p in (tmp_path / "here").glob("*.wav")}
    assert files(place)["manifest.jsonl"] == (tmp_path / "here" / "manifest.jsonl").read_bytes()
    assert audit_store(place, max_seconds=10).clean
    left = [name for name in files(place) if name.startswith(".private/")]
    assert len(left) == 4  # its format, two heads of the log, and one record
    before = files(place)
    assert run([bucket], place, POLICY, key=KEY, jobs=1).states["skipped"] == 3
    assert files(place) == before


def test_private_files_tell_nothing(bucket: str, place: str) -> None:
    labels = {"language": "canary"}
    recording = Recording(f"{bucket}/call.wav", speaker="canary", labels=labels)
    run([recording], place, POLICY, key=KEY, jobs=1)
    names = [name.removesuffix(".wav") for name in snippets(place)]
    private = b"".join(data for name, data in files(place).items() if name.startswith(".private"))
    for text in ("canary", "call", bucket, *names):
        assert text.encode() not in private


def test_a_store_is_opened_as_it_was_made(bucket: str, tmp_path: Path) -> None:
    run([bucket], f"file://{tmp_path}/s", POLICY, key=KEY, jobs=1)
    assert audit_store(tmp_path / "s", max_seconds=10).clean  # modes and times too
    run([bucket], tmp_path / "t", POLICY, key=KEY, jobs=1)
    before = files(f"file://{tmp_path}")
    for other in (tmp_path / "s", f"file://{tmp_path}/t"):
        with pytest.raises(StoreError, match=r"made (at a URI:|by its path)"):
            run([bucket], other, POLICY, key=KEY, jobs=1)
    assert files(f"file://{tmp_path}") == before


def test_the_same_sound_is_not_released_twice(bucket: str, place: str) -> None:
    memory = fsspec.filesystem("memory")
    run([f"{bucket}/call.wav"], place, POLICY, key=KEY, jobs=1)
    first = snippets(place)
    memory.copy(f"{bucket}/call.wav", f"{bucket}/copy.wav")
    again = run([f"{bucket}/copy.wav"], place, Policy(disguise=Sine()), key=KEY, jobs=1)
    assert again.states["skipped"] == 1
    assert snippets(place) == first
    other = run([f"{bucket}/copy.wav"], place, Policy(disguise=Sine()), key=KEY, jobs=1, again=True)
    assert other.states["released"] == 1
    assert len(snippets(place)) == 2 * len(first)


def test_erasing_forgets(bucket: str, place: str, tmp_path: Path) -> None:
    key, linkage = tmp_path / "key", tmp_path / "links"
    KEY.write(key)
    run([bucket], place, POLICY, key=KEY, jobs=1, linkage=linkage)
    before = snippets(place)
    options = ["--linkage", str(linkage), "--key-file", str(key)]
    assert main(["erase", place, *options, "--source", f"{bucket}/call.wav"]) == 0
    after = snippets(place)
    assert 0 < len(after) < len(before)
    assert audit_store(place, max_seconds=10).clean
    assert run([bucket], place, POLICY, key=KEY, jobs=1, again=False).states["skipped"] == 3
    assert snippets(place) == after


def test_a_scheme_alone_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("s3://", "memory:///"):
        with pytest.raises(SettingError, match="behind the scheme"):
            BucketStore(uri)
    assert not list(tmp_path.iterdir())


def test_the_audit_of_a_uri_sees_what_is_wrong(bucket: str) -> None:
    out = f"{bucket}-out"
    run([f"{bucket}/call.wav"], out, POLICY, key=KEY, jobs=1)
    memory = fsspec.filesystem("memory")
    first, second, *_ = sorted(snippets(out))
    data = memory.cat_file(f"{out}/{first}")
    memory.pipe_file(f"{out}/{first}", data + b"tail")
    memory.rm_file(f"{out}/{second}")
    memory.pipe_file(f"{out}/canary.txt", b"x")
    memory.pipe_file(f"{out}/{'0' * 32}.wav", data)
    report = audit_store(out, max_seconds=10)
    assert {p.code for p in report.problems} == {"bytes", "missing", "stray", "unlisted"}
    assert "canary" not in str(report.problems)
    assert not audit_store(f"{bucket}-nowhere").clean


def test_missing_packages_and_unknown_schemes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="scheme"):
        Objects("nosuchscheme://bucket")
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(ExtraMissingError, match=r"deident\[dask\]"):
        Objects("s3://bucket")
    assert not remote.is_uri("/a/b")
    assert not remote.is_uri("c:/a//b")


def test_a_store_at_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    place = f"file://{tmp_path}/s"
    (tmp_path / "theirs").mkdir()
    for name in ("staging", "log", "lease"):
        BucketStore(place, key=KEY).close()
        folder = tmp_path / "s" / ".private" / name
        folder.rename(tmp_path / "theirs" / name)
        folder.symlink_to(tmp_path / "theirs" / name)
        before = files(f"file://{tmp_path}/theirs")
        with pytest.raises(StoreError, match="got a link"):
            BucketStore(place, key=KEY)
        assert files(f"file://{tmp_path}/theirs") == before
        folder.unlink()
        (tmp_path / "theirs" / name).rename(folder)


def test_a_copy_of_a_store_at_a_uri_is_exported(recordings: Path, tmp_path: Path) -> None:
    run([recordings / "call.wav"], f"file://{tmp_path}/s", POLICY, key=KEY, jobs=1)
    assert len(read_items(tmp_path / "s")) == len(list((tmp_path / "s").glob("*.wav")))


def test_what_needs_files_refuses_a_uri_in_plain_words(bucket: str, place: str) -> None:
    run([bucket], place, POLICY, key=KEY, jobs=1)
    with pytest.raises(StoreError, match="not at a URI"):
        read_items(place)


def test_the_linkage_of_a_store_at_a_uri_is_audited(bucket: str, place: str, tmp_path: Path) -> None:
    run([bucket], place, POLICY, key=KEY, jobs=1, linkage=tmp_path / "links")
    assert audit_linkage(place, tmp_path / "links", KEY) == []
    Linkage(tmp_path / "links", KEY).remove(lambda _link: True)
    assert len(audit_linkage(place, tmp_path / "links", KEY)) == len(snippets(place)) > 0
    with pytest.raises(StoreError, match="no linkage"):
        audit_linkage(place, tmp_path / "nothing", KEY)


def test_a_linkage_in_a_store_at_file_is_told(recordings: Path, tmp_path: Path) -> None:
    place = f"file://{tmp_path}/s"
    run([recordings / "call.wav"], place, POLICY, key=KEY, jobs=1, linkage=tmp_path / "links")
    (tmp_path / "links").rename(tmp_path / "s" / "links")
    assert [p.message for p in audit_linkage(place, tmp_path / "s" / "links", KEY)] == [
        "the linkage lies in a store: whoever gets the one has the other"
    ]


def test_one_of_several_speakers_is_erased(recordings: Path, place: str, tmp_path: Path) -> None:
    """The other's snippets stay, and the linkage goes on agreeing with the store."""
    key, linkage = tmp_path / "key", tmp_path / "links"
    KEY.write(key)
    turns = tuple(
        Turn(Segment(a * RATE, (a + 2) * RATE), who) for a, who in ((1, "ann"), (5, "bob"), (9, "ann"))
    )
    talk = Recording(str(recordings / "reading.mp3"), turns=turns)
    run([talk], place, POLICY, key=KEY, jobs=1, linkage=linkage)
    of = {link.speaker: set(link.names) for link in Linkage(linkage, KEY).links()}
    assert set(of) == {"ann", "bob"}
    options = ["--linkage", str(linkage), "--key-file", str(key)]
    assert main(["erase", place, *options, "--speaker", "ann"]) == 0
    assert set(snippets(place)) == of["bob"]
    assert audit_store(place).clean
    assert not audit_linkage(place, linkage, KEY)
    assert main(["erase", place, *options, "--speaker", "bob"]) == 0
    assert not snippets(place)


def test_a_kaldi_folder_of_a_place_is_refused_before_anything_is_read(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, call = f"file://{tmp_path}/canary", str(recordings / "call.wav")
    assert main(["run", call, "--out", place, "--to-kaldi", str(tmp_path / "kaldi")]) == 2
    said = capsys.readouterr().err
    assert "not a URI" in said
    assert "canary" not in said
    assert not list(tmp_path.iterdir())
