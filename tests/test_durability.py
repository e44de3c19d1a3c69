"""Durability: a file is on the disk before it has its name, and its folder after that."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from deident.errors import StoreError
from deident.keys import Key
from deident.policy import Policy
from deident.runs.run import run
from deident.store import Disk, FolderStore, Link, Linkage, open_store
from deident.store.disk import plain_errors
from deident.store.ledger import Ledger
from tests.methods import Sine
from tests.store_contract import add
from tests.test_store import small_run

KEY = Key(bytes(32))

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks the system what was synced")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Record what was synced and renamed, and when the ledger was told that all is released."""
    told: list[tuple[str, ...]] = []
    sync, rename, mark = os.fsync, os.rename, Ledger.mark_released

    def told_sync(descriptor: int) -> None:
        told.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def told_rename(old: Any, new: Any) -> None:
        told.append(("rename", str(old), str(new)))
        rename(old, new)

    def told_mark(ledger: Ledger) -> None:
        told.append(("mark",))
        mark(ledger)

    monkeypatch.setattr(os, "fsync", told_sync)
    monkeypatch.setattr(os, "rename", told_rename)
    monkeypatch.setattr(Ledger, "mark_released", told_mark)
    return told


def test_no_file_has_its_name_before_it_is_on_the_disk(calls: list[tuple[str, ...]], tmp_path: Path) -> None:
    store = tmp_path / "s"
    small_run(store, {}, Disk())
    renames = [number for number, call in enumerate(calls) if call[0] == "rename"]
    assert len(renames) > 3
    for number in renames:
        _, old, new = calls[number]
        assert ("sync", old) in calls[:number]
        assert ("sync", str(Path(new).parent)) in calls[number:]
    marks = [number for number, call in enumerate(calls) if call == ("mark",)]
    assert marks
    assert all(calls[number - 1] == ("sync", str(store)) for number in marks)
    spools = [number for number, call in enumerate(calls) if call[-1].endswith(".spool")]
    assert spools
    assert all(("sync", str(store / ".private" / "staging")) in calls[n : n + 2] for n in spools)


def test_a_link_is_on_the_disk_when_it_was_made_or_erased(
    calls: list[tuple[str, ...]], tmp_path: Path
) -> None:
    linkage = Linkage(tmp_path / "links", KEY)
    linkage.add([Link("00", "00", "recording", "path", None, ("name",), 1)])
    assert [call[0] for call in calls] == ["sync", "rename", "sync", "sync"]
    assert calls[2:] == [("sync", str(tmp_path)), ("sync", str(tmp_path / "links"))]
    calls.clear()
    linkage.add([Link("01", "01", "recording", "path", None, ("other",), 1)])
    assert calls == [("sync", str(tmp_path / "links"))]
    calls.clear()
    linkage.remove(lambda _: True)
    assert [call[0] for call in calls] == ["sync", "rename", "sync"]
    assert calls[-1] == ("sync", str(tmp_path))


def test_a_store_at_file_syncs_its_files_and_folders(calls: list[tuple[str, ...]], tmp_path: Path) -> None:
    with open_store(f"file://{tmp_path}/s") as store:
        for made in (tmp_path, tmp_path / "s", tmp_path / "s" / ".private"):
            assert ("sync", str(made)) in calls
        add(store, "a")
        store.recover()
    renames = [(number, call) for number, call in enumerate(calls) if call[0] == "rename"]
    assert {str(Path(new).parent) for _, (_, _, new) in renames} >= {
        str(tmp_path / "s"),
        f"{tmp_path}/s/.private/log",
    }
    for number, (_, old, new) in renames:
        assert ("sync", old) in calls[:number]
        assert calls[number + 1] == ("sync", str(Path(new).parent))


def test_a_snippet_is_linked_before_it_counts(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop in between leaves a link to nothing, and no snippet that could never be erased."""

    def full(*_: object, **__: object) -> None:
        raise StoreError("no room", "disk-full")

    monkeypatch.setattr(FolderStore, "commit", full)
    with pytest.raises(StoreError):
        run(
            [recordings / "call.wav"], tmp_path / "s", Policy(disguise=Sine()), key=KEY, jobs=1,
            linkage=tmp_path / "links",
        )  # fmt: skip
    assert any(link.names for link in Linkage(tmp_path / "links", KEY).links())


def test_the_ledger_is_written_through_and_wiped(tmp_path: Path) -> None:
    with FolderStore(tmp_path / "s") as store:
        database = store._ledger._db
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert database.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_an_empty_folder_that_anybody_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s").chmod(0o755)
    with FolderStore(tmp_path / "s"):
        pass
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


def test_a_quota_is_a_full_disk() -> None:
    with pytest.raises(StoreError) as caught, plain_errors("writing"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    assert caught.value.code == "disk-full"
