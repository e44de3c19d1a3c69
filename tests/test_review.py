"""Rounds of review on disk: the folder of rounds, its list, and copies to withdraw."""

import json
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from deident.audit import inspect
from deident.cli import main
from deident.keys import Key
from deident.pages.review import page
from deident.policy import Policy
from deident.recording import Recording
from deident.review import MARKER, UNFINISHED, copies
from deident.runs.run import run
from deident.store import Disk, FolderStore, Linkage, Sealed
from tests.methods import Sine


def test_the_page_cannot_be_broken_out_of() -> None:
    text = page(["</script><script>alert(1)</script>.wav"], "a</script>b", "ann")
    assert "alert(1)</script>" not in text
    assert "<!--<script>" not in page([], "<!--<script>", "ann")


@pytest.fixture
def store(tmp_path: Path, recordings: Path) -> Path:
    key = Key.fresh()
    key.write(tmp_path / "key")
    sources = [Recording(str(p)) for p in sorted(recordings.iterdir()) if p.suffix != ".md"]
    run(sources, tmp_path / "s", Policy(disguise=Sine()), key=key, jobs=1, linkage=tmp_path / "links")
    return tmp_path / "s"


def review(folder: Path, *arguments: str) -> int:
    base = [
        "review",
        str(folder / "s"),
        "--linkage",
        str(folder / "links"),
        "--key-file",
        str(folder / "key"),
    ]
    return main([*base, "--out", str(folder / "rounds"), *arguments])


def test_a_round_on_disk(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    folder = tmp_path / "rounds" / "r1"
    files = sorted(folder.glob("*/*.wav"))
    assert len(files) == 3  # one a recording
    originals = {p.read_bytes() for p in store.glob("*.wav")}
    assert {p.read_bytes() for p in files} <= originals
    assert not {p.name for p in files} & {p.name for p in store.glob("*.wav")}
    for file in folder.rglob("*"):
        if file.is_file():
            assert file.stat().st_mtime_ns == 0
            assert file.stat().st_mode & 0o077 == 0
    for file in files:
        inspect(file.read_bytes(), max_seconds=10)
    tasks = json.loads((folder / "reviewer-1" / "tasks.json").read_text())
    assert {t["data"]["audio"].rpartition("=")[2] for t in tasks} == {
        p.name for p in (folder / "reviewer-1").glob("*.wav")
    }
    log = [json.loads(line) for line in (tmp_path / "rounds" / "review-log.jsonl").read_text().splitlines()]
    assert [row["snippets"] for row in log] == [
        len(list((folder / f"reviewer-{n}").glob("*.wav"))) for n in (1, 2)
    ]
    everything = b"".join(p.read_bytes() for p in (tmp_path / "rounds").rglob("*") if p.is_file())
    assert b"call" not in everything.replace(b"locally", b"")
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 4
    assert review(tmp_path, "--reviewers", "2", "--round", "r2") == 0
    assert review(tmp_path, "--reviewers", "2", "--round", "r3") == 1  # both have had all three


@pytest.mark.parametrize("put", [shutil.copy, lambda original, snippet: snippet.symlink_to(original)])
def test_no_reviewer_gets_another_sound_than_was_released(
    put: Callable[[Path, Path], object], store: Path, recordings: Path, tmp_path: Path
) -> None:
    """An original in the place of every snippet, or a link to one."""
    for snippet in store.glob("*.wav"):
        snippet.unlink()
        put(recordings / "call.wav", snippet)
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 4
    assert not (tmp_path / "rounds" / "r1").exists()
    assert not list((tmp_path / "rounds").rglob("*.wav"))


def test_a_tar_tells_nothing_of_its_making(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "ann", "--round", "r1", "--tar") == 0
    with tarfile.open(tmp_path / "rounds" / "r1" / "ann.tar") as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == sorted(m.name for m in members)
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o600)}
    assert not (tmp_path / "rounds" / "r1" / "ann").exists()


def test_a_reviewer_may_have_a_dot(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "ann.a,ann.b", "--round", "r1", "--tar") == 0
    assert sorted(p.name for p in (tmp_path / "rounds" / "r1").iterdir()) == ["ann.a.tar", "ann.b.tar"]


def test_an_opt_out_list_may_come_from_a_spreadsheet(store: Path, tmp_path: Path) -> None:
    opted_out = tmp_path / "out.txt"
    paths = [link.path for link in Linkage(tmp_path / "links", Key.read(tmp_path / "key")).links()]
    opted_out.write_text("\r\n".join(paths), encoding="utf-8-sig")
    assert review(tmp_path, "--reviewers", "ann", "--round", "r1", "--opt-out", str(opted_out)) == 1
    assert not list((tmp_path / "rounds").rglob("*.wav"))
    opted_out.write_bytes("Zoë".encode("latin-1"))
    assert review(tmp_path, "--reviewers", "ann", "--round", "r2", "--opt-out", str(opted_out)) == 2


def test_a_stopped_round_leaves_nothing_and_counts(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    rename = Disk.rename

    def stopping(self: Disk, old: Path, new: Path) -> None:
        calls.append(new)
        if len(calls) > 4:
            raise KeyboardInterrupt
        rename(self, old, new)

    monkeypatch.setattr(Disk, "rename", stopping)
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 130
    assert not (tmp_path / "rounds" / "r1").exists()
    monkeypatch.undo()
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    assert sorted(p.name for p in (tmp_path / "rounds").iterdir()) == [MARKER, "r1", "review-log.jsonl"]
    assert review(tmp_path, "--reviewers", "2", "--round", "r2") == 1  # the stopped round's three count


def test_the_sealed_list_of_rounds_names_nobody(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    history = Sealed(store / ".private" / "reviews", Key.read(tmp_path / "key"), "rounds")
    text = json.dumps(list(history.records()))
    assert text.count("reviewer-") == 3
    for link in Linkage(tmp_path / "links", Key.read(tmp_path / "key")).links():
        assert not any(secret in text for secret in (link.path, link.recording, link.content, *link.names))


def test_a_history_that_was_put_back_or_removed_makes_no_round(store: Path, tmp_path: Path) -> None:
    """Reviewers would be given a second snippet of somebody."""
    history = store / ".private" / "reviews"
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    older = history.read_bytes()
    assert review(tmp_path, "--reviewers", "2", "--round", "r2") == 0
    newest, rounds = history.read_bytes(), tree(tmp_path / "rounds")
    for left in (older, None):
        history.unlink()
        if left is not None:
            history.write_bytes(left)
        assert review(tmp_path, "--reviewers", "2", "--round", "r3") == 4
        assert tree(tmp_path / "rounds") == rounds
        history.write_bytes(newest)
    assert review(tmp_path, "--reviewers", "2", "--round", "r3") == 1  # both have had all


def test_without_linkage_it_refuses(store: Path, tmp_path: Path) -> None:
    (tmp_path / "links").unlink()
    assert review(tmp_path, "--reviewers", "2") == 2
    assert not (tmp_path / "rounds").exists()


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, b"" if path.is_dir() else os.readlink(path).encode()
        if path.is_symlink() else path.read_bytes())
        for path in [folder, *folder.rglob("*")]
    }  # fmt: skip


def part_folder(out: Path) -> None:
    (out / ".mine.part").mkdir()
    (out / ".mine.part" / "thesis.txt").write_text("years of work")


def other_marker(out: Path) -> None:
    (out / MARKER).write_text("deident rounds 2\n")


def linked_marker(out: Path) -> None:
    (out.parent / "format").write_bytes(b"deident rounds 1\n")
    (out / MARKER).symlink_to(out.parent / "format")


def linked_unfinished(out: Path) -> None:
    (out / MARKER).write_bytes(b"deident rounds 1\n")
    (out.parent / "victim").mkdir()
    (out.parent / "victim" / "thesis.txt").write_text("years of work")
    (out / UNFINISHED).symlink_to(out.parent / "victim")


def a_log(out: Path) -> None:
    (out / "review-log.jsonl").write_text("of another tool")


@pytest.mark.parametrize("makes", [part_folder, other_marker, linked_marker, linked_unfinished, a_log])
def test_a_folder_of_others_is_refused_untouched(
    makes: Callable[[Path], None], store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rounds"
    out.mkdir(mode=0o755)
    makes(out)
    before = tree(tmp_path)
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 4
    assert tree(tmp_path) == before


def test_the_folder_of_rounds_is_no_link(store: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "rounds").symlink_to(tmp_path / "elsewhere")
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 4
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_log_is_not_written_through_a_link(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    log, victim = tmp_path / "rounds" / "review-log.jsonl", tmp_path / "victim"
    log.unlink()
    log.symlink_to(victim)
    assert review(tmp_path, "--reviewers", "2", "--round", "r2") == 4
    assert not victim.exists()


def test_rounds_are_for_their_owner_alone(store: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        (tmp_path / "rounds").mkdir(mode=0o755)
        assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    finally:
        os.umask(before)
    for path in [tmp_path / "rounds", *(tmp_path / "rounds").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def test_an_unfinished_marker_is_no_reason_to_refuse(store: Path, tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds" / f"{MARKER}.0123").write_bytes(b"dei")
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    assert not (tmp_path / "rounds" / f"{MARKER}.0123").exists()


def test_an_erasure_names_the_copies_to_withdraw(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(tmp_path, "--reviewers", "ann,bob", "--round", "r1") == 0
    assert review(tmp_path, "--reviewers", "ann,bob", "--round", "r2", "--tar") == 0
    key = Key.read(tmp_path / "key")
    sealed = ["--linkage", str(tmp_path / "links"), "--key-file", str(tmp_path / "key")]
    with FolderStore(store, key=key) as opened:
        links = list(Linkage(tmp_path / "links", key).links())
        content = {name: (store / name).read_bytes() for link in links for name in link.names}
        assert copies(opened, key) == []
    (call,) = [link for link in links if link.path.endswith("call.wav")]
    erased = {content[name] for name in call.names}
    capsys.readouterr()
    command = [
        "erase",
        str(store),
        *sealed,
        "--source",
        call.path,
        "--receipt",
        str(tmp_path / "receipt.json"),
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    with FolderStore(store, key=key) as opened:
        found = copies(opened, key)
    assert sorted((copy.round, copy.reviewer) for copy in found) in (
        [("r1", "ann"), ("r2", "bob")],
        [("r1", "bob"), ("r2", "ann")],
    )
    for copy in found:
        assert f"{copy.round}/{copy.reviewer}/{copy.file}" in said
        if copy.round == "r1":
            assert (tmp_path / "rounds" / "r1" / copy.reviewer / copy.file).read_bytes() in erased
        else:
            with tarfile.open(tmp_path / "rounds" / "r2" / f"{copy.reviewer}.tar") as archive:
                member = archive.extractfile(f"{copy.reviewer}/{copy.file}")
                assert member is not None
                assert member.read() in erased
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["withdraw"] == [asdict(copy) for copy in found]
    assert receipt["snippets"] == len(call.names)
    assert stat.S_IMODE((tmp_path / "receipt.json").stat().st_mode) == 0o600
    assert "call" not in (tmp_path / "receipt.json").read_text()
    for reviewer in ("ann", "bob"):
        command = [
            "review",
            "withdraw",
            str(store),
            "--key-file",
            str(tmp_path / "key"),
            "--reviewer",
            reviewer,
        ]
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("/")[1] for line in lines] == [reviewer]
    assert main(["erase", str(store), *sealed, "--speaker", "nobody"]) == 1
