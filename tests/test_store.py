"""The store: once each, in no order, whatever happens in between."""

import hashlib
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deident.audit import audit_store
from deident.cli import main
from deident.codec import encode_wav
from deident.errors import StoreError
from deident.keys import Key, fresh_name
from deident.store import Disk, Entry, FolderStore, Sealed, Staged, new_spool, open_store
from deident.store.ledger import Ledger
from tests.store_contract import add, entry

KEY = Key(bytes(32))


def released(path: Path) -> set[str]:
    return {p.name for p in path.glob("*.wav")}


def manifest(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (path / "manifest.jsonl").read_text().splitlines()]


def test_a_ledger_without_room_says_so(tmp_path: Path) -> None:
    with FolderStore(tmp_path / "s") as store:
        rows = [
            (Entry(store.place(str(n)), store.content(str(n)), "no-speech", "p", b"o", b"f"), [])
            for n in range(2_000)
        ]
        store._ledger._db.execute("PRAGMA max_page_count=20")
        with pytest.raises(StoreError, match="make room") as caught:
            store.commit(rows)
        assert caught.value.code == "disk-full"


def test_a_store_of_another_version_is_told(tmp_path: Path) -> None:
    with FolderStore(tmp_path / "s"):
        pass
    place = tmp_path / "s" / ".private" / "ledger.sqlite"
    database = sqlite3.connect(place, isolation_level=None)
    database.execute("UPDATE meta SET value = '1' WHERE name = 'version'")
    database.execute("DROP TABLE recordings")
    database.execute("CREATE TABLE recordings (place BLOB PRIMARY KEY)")
    database.close()
    with pytest.raises(StoreError, match="version 4; got version 1: it was made by another"):
        FolderStore(tmp_path / "s").__enter__()


def test_a_ledger_that_is_closed_says_what_failed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.close()
    with pytest.raises(StoreError, match="ProgrammingError"):
        ledger.set_meta("a", "b")


def test_a_manifest_is_written_when_something_changed_and_not_otherwise(tmp_path: Path) -> None:
    out = tmp_path / "s"
    with FolderStore(out) as store:
        add(store, "a")
        store.recover()
    made = (out / "manifest.jsonl").stat().st_ino
    FolderStore(out).close()
    assert (out / "manifest.jsonl").stat().st_ino == made
    with open(out / "manifest.jsonl", "a") as file:
        file.write("more")
    FolderStore(out).close()
    assert audit_store(out, max_seconds=10).clean
    (out / "manifest.jsonl").unlink()
    FolderStore(out).close()
    assert audit_store(out, max_seconds=10).clean
    with FolderStore(out) as store:
        add(store, "b")
    FolderStore(out).close()
    assert len(manifest(out)) == 6
    assert audit_store(out, max_seconds=10).clean


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    """As of a `ProcessPoolExecutor` of one's own, that serves several runs."""
    store = FolderStore(tmp_path / "s")
    forked = os.dup(store._lock)  # what a fork has
    store.close()
    FolderStore(tmp_path / "s").close()
    os.close(forked)


def test_files_and_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(StoreError):
            FolderStore(tmp_path / name)


def test_neighbours_tell_nothing(tmp_path: Path) -> None:
    """By name, inode, and time of change, neighbours are of one recording no more often than by chance."""
    out = tmp_path / "s"
    owner = {}
    with FolderStore(out) as store:
        for number in range(FolderStore.WINDOW):
            for name in add(store, str(number), 5):
                owner[name] = number
        store.recover()
    files = [out / name for name in owner]
    chance = 4 / (len(files) - 1)
    spread = (chance * (1 - chance) / (len(files) - 1)) ** 0.5
    for order in (lambda p: p.name, lambda p: p.stat().st_ino, lambda p: p.stat().st_ctime_ns):
        # Files of one clock tick are in no order: their names, which are random, break the tie.
        ordered = sorted(files, key=lambda p: (order(p), p.name))
        same = np.mean([owner[a.name] == owner[b.name] for a, b in itertools.pairwise(ordered)])
        assert same < chance + 5 * spread


def test_a_spool_that_cannot_be_synced_says_so(tmp_path: Path) -> None:
    class Full(Disk):
        def sync(self, descriptor: int) -> None:
            raise StoreError("syncing a file of the store failed: No space left on device", "disk-full")

    spool = new_spool(tmp_path, Full())
    spool.append(b"sound")
    with pytest.raises(StoreError, match="No space"):
        spool.close()
    taken = os.open(tmp_path, os.O_RDONLY)  # the number that the spool had
    try:
        spool.discard()
        os.fstat(taken)
    finally:
        os.close(taken)
    assert not list(tmp_path.iterdir())


class Stopped(BaseException):
    """The program ends here, as by kill -9: no handler runs anything of the store's."""


class StoppingDisk(Disk):
    """Stops at the n-th call, before or after it; or every write from there on finds the disk full."""

    def __init__(self, stop_at: int, how: str) -> None:
        self.calls = 0
        self._lock = threading.Lock()
        self._stop_at = stop_at
        self._how = how

    def __getattribute__(self, name: str) -> object:
        value = object.__getattribute__(self, name)
        if name.startswith("_") or name in ("calls", "close", "written", "replace") or not callable(value):
            return value
        return lambda *args: self._counted(name, value, *args)

    def _counted(self, name: str, call: Callable[..., object], *args: object) -> object:
        with self._lock:  # syncs come from several threads
            self.calls += 1
            number = self.calls
        if self._how in ("before", "after") and number > self._stop_at > 0:
            raise Stopped
        if self._how == "full" and number >= self._stop_at and name in ("create", "write", "make_folder"):
            raise StoreError("writing to the store failed: No space left on device", "disk-full")
        if number == self._stop_at and self._how == "before":
            raise Stopped
        result = call(*args)
        if number == self._stop_at and self._how == "after":
            raise Stopped
        return result


def small_run(out: Path, done: dict[str, list[str]], disk: Disk) -> None:
    """Two recordings, as a run does them; `done` gets what was committed. Goes on where a run stopped."""
    with FolderStore(out, disk=disk) as store:
        for name in ("a", "b"):
            if store.entry(store.place(name)) is not None:
                continue
            spool = new_spool(store.staging, disk)
            pcm = np.full(8_000, ord(name), dtype=np.int16)
            data = encode_wav(pcm)
            staged = [
                Staged(f"{fresh_name()}.wav", spool.name, spool.append(data), len(data), 0.5,
                       hashlib.sha256(data).hexdigest())
                for _ in range(2)
            ]  # fmt: skip
            spool.close()
            store.commit([(entry(store, name), staged)], spool=spool.name)
            done[name] = [s.name for s in staged]
        store.recover()


@pytest.mark.parametrize("how", ["before", "after", "full"])
def test_a_stop_at_any_call_loses_nothing_and_doubles_nothing(how: str, tmp_path: Path) -> None:
    counting = StoppingDisk(-1, "none")
    small_run(tmp_path / "whole", {}, counting)
    assert counting.calls > 20
    for stop_at in range(1, counting.calls + 1):
        out = tmp_path / f"{how}{stop_at}"
        done: dict[str, list[str]] = {}
        stopped = False
        try:
            small_run(out, done, StoppingDisk(stop_at, how))
        except (Stopped, StoreError):
            stopped = True
        assert stopped or how == "full"
        small_run(out, done, Disk())
        contents: dict[bytes, int] = {}
        for file in out.glob("*.wav"):
            contents[file.read_bytes()] = contents.get(file.read_bytes(), 0) + 1
        assert sorted(contents.values()) == [2, 2], f"stopped {how} call {stop_at}"
        assert audit_store(out, max_seconds=10).clean
        assert not list((out / ".private" / "staging").iterdir())


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and bytes of everything below a folder."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in folder.rglob("*")
    }


def filled(out: Path) -> Path:
    with FolderStore(out) as store:
        add(store, "a")
        store.recover()
    return out


def test_a_store_whose_ledger_is_gone_or_older_stops(tmp_path: Path) -> None:
    ledger = Path(".private") / "ledger.sqlite"
    older = filled(tmp_path / "older")
    shutil.copytree(older, tmp_path / "more")
    with FolderStore(tmp_path / "more") as store:
        add(store, "b")
        store.recover()
    shutil.copytree(tmp_path / "more", tmp_path / "kept")
    for change in (
        lambda out: (out / ledger).unlink(),
        lambda out: (out / ledger).write_bytes(b""),
        lambda out: shutil.copy(older / ledger, out / ledger),
        lambda out: ((out / ledger).unlink(), (out / "manifest.jsonl").unlink()),
        lambda out: shutil.rmtree(out / ".private"),
    ):
        out = tmp_path / "more"
        change(out)
        before = {name: data for name, (*_, data) in tree(out).items()}
        with pytest.raises(StoreError, match=r"ledger|marker"):
            FolderStore(out)
        assert {name: data for name, (*_, data) in tree(out).items()} == before
        assert audit_store(out).clean == (
            not (out / ".private").exists()
        )  # a copy that was given away is sound
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "kept", out)
    FolderStore(tmp_path / "more").close()
    out = shutil.copytree(tmp_path / "kept", tmp_path / "reviewed")
    for path in (*out.glob("*.wav"), out / "manifest.jsonl", out / ledger):
        path.unlink()
    (out / ".private" / "reviews").touch()  # snippets were given to reviewers
    with pytest.raises(StoreError, match="ledger"):
        FolderStore(out)


def test_other_peoples_folders_are_refused_untouched(tmp_path: Path) -> None:
    def photos(folder: Path) -> None:
        (folder / "x.jpg").write_bytes(b"photo")

    def private(folder: Path) -> None:
        (folder / ".private" / "staging").mkdir(parents=True)
        (folder / ".private" / "staging" / "thesis.doc").write_bytes(b"years of work")
        (folder / "manifest.jsonl").write_bytes(b"mine")

    def empty_private_among_files(folder: Path) -> None:
        (folder / ".private").mkdir()
        (folder / "x").write_bytes(b"x")

    def old_store(folder: Path) -> None:
        (folder / ".private").mkdir()
        (folder / ".private" / "ledger.sqlite").write_bytes(b"SQLite format 3\0")

    def newer_store(folder: Path) -> None:
        (folder / ".private").mkdir()
        (folder / ".private" / "store").write_bytes(b"deident store 9\n")

    def linked_private(folder: Path) -> None:
        private(folder.parent / "elsewhere")
        (folder / ".private").symlink_to(folder.parent / "elsewhere" / ".private")

    def linked_staging(folder: Path) -> None:
        filled(folder)
        (folder / ".private" / "staging").rmdir()
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "thesis.doc").write_bytes(b"years of work")
        (folder / ".private" / "staging").symlink_to(tmp_path / "theirs")

    def linked_ledger(folder: Path) -> None:
        filled(folder)
        (folder / ".private" / "ledger.sqlite").rename(tmp_path / "ledger")
        (folder / ".private" / "ledger.sqlite").symlink_to(tmp_path / "ledger")

    def linked_marker(folder: Path) -> None:
        filled(folder)
        (folder / ".private" / "store").rename(tmp_path / "marker")
        (folder / ".private" / "store").symlink_to(tmp_path / "marker")

    for make in (
        photos, private, empty_private_among_files, old_store, newer_store, linked_private, linked_staging,
        linked_ledger, linked_marker,
    ):  # fmt: skip
        folder = tmp_path / make.__name__ / "out"
        folder.mkdir(parents=True)
        make(folder)
        before = tree(tmp_path)
        with pytest.raises(StoreError):
            FolderStore(folder)
        assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "command",
    [
        "run {call} --out {store}/inner --jobs 1",
        "run {call} --out {store}/.private/inner --jobs 1",
        "run {call} --out file://{store}/inner --jobs 1",
        "run {call} --out {other} --linkage {store}/links --key-file {key} --jobs 1",
        "run {call} --out {other} --report {store}/page.html --jobs 1",
        "review {store} --out {store}/rounds --reviewers 2 --linkage {links} --key-file {key}",
        "export {store} --to nemo --out {store}/exported",
        "export {store} --to nemo --out {link}/exported",
        "erase {store} --linkage {links} --key-file {key} --source a --receipt {store}/receipt",
        "preview {call} --out {store}/page.html",
        "evaluate {call} --out {store}/report",
        "keygen {store}/key",
        "demo --out {store}",
        "demo --out {store}/.private",
    ],
)
def test_nothing_but_its_own_runs_writes_into_a_store(command: str, recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    places = {name: tmp_path / name for name in ("store", "other", "links", "key", "link")}
    filled(places["store"])
    places["link"].symlink_to("store")
    KEY.write(places["key"])
    before = tree(places["store"])
    assert main(command.format(call=recordings / "call.wav", **places).split()) in (2, 4)
    assert tree(places["store"]) == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277, 0o777])
def test_a_store_has_its_modes_whatever_the_umask_is(umask: int, tmp_path: Path) -> None:
    old = os.umask(umask)
    try:
        filled(tmp_path / "s")
        with FolderStore(tmp_path / "s") as store:
            Sealed(store.history, KEY, "reviews", anchor=store.anchor("reviews")).add([{"a": 1}])
            assert all(
                p.stat().st_mode & 0o777 == 0o600
                for p in (tmp_path / "s" / ".private").iterdir()
                if p.is_file()
            )
        with open_store(f"file://{tmp_path}/bucket") as store:
            add(store, "a")
            store.recover()
    finally:
        os.umask(old)
    for out in (tmp_path / "s", tmp_path / "bucket"):
        assert audit_store(out).problems == ()


UMASK = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, so that modes bind the root user, too
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.umask(int(sys.argv[1], 8))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
FROM_PYTHON = "import sys, deident; deident.run(sys.argv[1], sys.argv[2], jobs=1)"


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities of Linux")
@pytest.mark.parametrize("umask", ["277", "777"])
def test_a_umask_that_denies_the_owner_is_no_hindrance(umask: str, recordings: Path, tmp_path: Path) -> None:
    """Folders above a new store, and those for a short time, would be closed to the one who made them."""
    pytest.importorskip("fsspec")
    call, stores = str(recordings / "call.wav"), [tmp_path / "new" / "folder", tmp_path / "new" / "bucket"]
    for words in (
        ["-m", "deident", "run", call, "--out", str(stores[0]), "--jobs", "1", "--quiet"],
        ["-c", FROM_PYTHON, call, f"file://{stores[1]}"],
    ):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", UMASK, umask, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    for store in stores:
        assert audit_store(store).problems == ()
        assert released(store)
