"""A store that cannot be opened, or cannot go on, says what to do; and what it says helps."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from deident.audit import AuditError, audit_store
from deident.cli import main
from deident.errors import DeidentError, StoreError
from deident.keys import Key
from deident.store import FolderStore, Linkage
from tests.store_contract import KEY, Backend, add, stage

REMEDY = re.compile(
    r"\b(?:put .*\bback|begin a new store|run the same command again|give |move |remove |choose |wait for it|end that)"
)
STAGING = ".private/staging"
KILLED = """
import os, signal, sys
from deident.cli import main
from deident.store import FolderStore
publish = FolderStore.publish
def stopped(store):
    if store._ledger.staged():
        os.kill(os.getpid(), signal.SIGKILL)
    publish(store)
FolderStore.publish = stopped
main(sys.argv[1:])
"""


def files(store: Path) -> dict[str, bytes]:
    """All but the journal of SQLite, which opening moves into the ledger."""
    found = (path for path in store.rglob("*") if path.is_file() and "ledger" not in path.name)
    return {str(path.relative_to(store)): path.read_bytes() for path in found}


def test_a_staging_folder_that_is_lost_beside_committed_snippets(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed by a real signal between commit and release; the folder gone; put back as the message says."""
    store, links, keyfile = tmp_path / "s", tmp_path / "links", tmp_path / "key"
    KEY_OF_RUN.write(keyfile)
    command = ["run", str(recordings / "call.wav"), "--out", str(store), "--disguise", "psola", "--jobs", "1"]
    command += ["--linkage", str(links), "--key-file", str(keyfile), "--quiet"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not list(store.glob("*.wav"))
    names = {name for link in Linkage(links, KEY_OF_RUN).links() for name in link.names}
    assert names
    shutil.move(store / STAGING, tmp_path / "copy")
    before = files(store)
    for _ in range(2):
        assert main(command) == 4
        said = capsys.readouterr().err
        assert f"{len(names)} finished snippets" in said
        assert "put the newest copy of what lay there back" in said
        assert files(store) == before
        assert not (store / STAGING).exists()
    shutil.move(tmp_path / "copy", store / STAGING)
    assert main(command) == 0
    assert {path.name for path in store.glob("*.wav")} == names
    assert audit_store(store, max_seconds=10).clean


def test_a_staging_folder_that_is_lost_while_a_run_lasts_does_no_harm(tmp_path: Path) -> None:
    with FolderStore(tmp_path / "s", key=KEY) as store:
        _, spool = stage(store, 2)
        shutil.rmtree(store.staging)
        with pytest.raises(StoreError, match="run the same command again"):
            store.commit([], spool=spool)
    with FolderStore(tmp_path / "s", key=KEY) as store:
        names = add(store, "a")
        store.recover()
    assert {path.name for path in (tmp_path / "s").glob("*.wav")} == set(names)


def test_staged_objects_of_a_bucket_that_are_lost_are_told_and_can_be_put_back(tmp_path: Path) -> None:
    place = Backend(*[f"file://{tmp_path}/{uuid.uuid4().hex}"] * 2)
    with place.open() as store:
        names = add(store, "a")
    whole = place.files()
    spools = [name for name in whole if name.startswith(STAGING)]
    place.change(spools[0], None)
    lost = place.files()
    with pytest.raises(StoreError, match=r"3 finished snippets .* put the newest copy"):
        place.open()
    assert place.files() == lost
    place.change(spools[0], whole[spools[0]])
    place.open().close()
    assert place.snippets() == set(names)


KEY_OF_RUN = Key(bytes(range(32)))
Break = Callable[[Path], None]
LEDGER = ".private/ledger.sqlite"


def overwrite(name: str, data: bytes) -> Break:
    def act(store: Path) -> None:
        (store / name).write_bytes(data)

    return act


def corrupt(store: Path) -> None:
    data = (store / LEDGER).read_bytes()
    (store / LEDGER).write_bytes(data[:512] + b"\xff" * (len(data) - 512))


def damage_mark(store: Path) -> None:
    with sqlite3.connect(store / LEDGER) as ledger:
        ledger.execute("INSERT INTO meta VALUES ('fact:mark of linkage', 'x')")


def change_spool(store: Path) -> None:
    [spool] = (store / STAGING).glob("*.spool")
    spool.write_bytes(bytes(spool.stat().st_size))


def make_file(name: str) -> Break:
    def act(store: Path) -> None:
        shutil.rmtree(store / name)
        (store / name).write_bytes(b"")

    return act


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (overwrite(LEDGER, b"not a database at all" * 99), "SQLITE_NOTADB"),
        (corrupt, "SQLITE_CORRUPT"),
        (damage_mark, "mark of a sealed log is damaged"),
        (change_spool, "changed before it was released"),
        (lambda store: (store / STAGING / "mine").mkdir(), "a folder lies in"),
        (lambda store: shutil.rmtree(store / STAGING), "are gone from"),
        (make_file(STAGING), "Not a directory"),
        (lambda store: os.unlink(store / LEDGER), "ledger is gone"),
        (overwrite(".private/key", b"00"), "the store's own key"),
        (overwrite(".private/key", b"11" * 32), "not the key"),
        (lambda store: (store / ".private/key").chmod(0o644), "readable by others"),
        (overwrite(".private/store", b"deident store 1\n"), "expected a store of version"),
        (lambda store: (store / ".private/store").unlink(), "choose another folder"),
        (lambda store: (store / ".private/x").symlink_to("y"), "symbolic link"),
    ],
)
def test_whatever_stops_a_store_from_opening_says_how_to_go_on(
    tmp_path: Path, broken: Break, says: str
) -> None:
    out = tmp_path / "s"
    with FolderStore(out) as store:
        add(store, "a")
        store.recover()
        add(store, "b")
    (out / ".private" / "ledger.sqlite-wal").unlink(missing_ok=True)
    broken(out)
    with pytest.raises((DeidentError, AuditError)) as caught, FolderStore(out) as store:  # either
        Linkage(tmp_path / "links", KEY).attach(store)
    assert says in str(caught.value)
    assert REMEDY.search(str(caught.value)), str(caught.value)


def test_a_format_of_a_bucket_that_is_damaged_says_how_to_go_on(tmp_path: Path) -> None:
    place = Backend(*[f"file://{tmp_path}/{uuid.uuid4().hex}"] * 2)
    place.open().close()
    place.change(".private/format.json", b"{}")
    with pytest.raises(StoreError, match="put its newest copy back"):
        place.open()


def test_what_the_system_refuses_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with FolderStore(tmp_path / "s") as store:
        add(store, "a")
        monkeypatch.setattr(os, "rename", refused)
        with pytest.raises(StoreError, match="Permission denied: mend that, and run the same command again"):
            store.publish()
        monkeypatch.undo()
        store.publish()
