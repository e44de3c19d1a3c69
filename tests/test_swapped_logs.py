"""Sealed logs of another store under the same key, put in the place of a store's own: refused, and no byte changed."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from deident.cli import main
from deident.errors import KeyMaterialError, StoreError
from deident.review.history import history
from deident.store import FolderStore, Link, Linkage, Sealed, audit_linkage, open_store, today
from tests.store_contract import KEY, Backend, add, entry

HISTORY = ".private/reviews"


@dataclass
class Owned:
    """A store with one recording of two snippets, and a linkage of its own."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "s"

    @property
    def links(self) -> Path:
        return self.folder / "links"

    def make(self) -> "Owned":
        self.folder.mkdir()
        KEY.write(self.folder / "key")
        with FolderStore(self.store, key=KEY) as store:
            known = entry(store, self.folder.name)
            linkage = Linkage(self.links, KEY)
            linkage.attach(store, is_written=True)
            names, person = tuple(add(store, self.folder.name, 2)), f"person {self.folder.name}"
            where = known.place.hex(), known.content.hex(), "r", "/p.wav", person
            linkage.add([Link(*where, names, today(), store=store.id)])
            store.recover()
        return self

    def main(self, *words: str) -> int:
        own = ["--linkage", str(self.links), "--key-file", str(self.folder / "key")]
        return main([words[0], str(self.store), *own, *words[1:]])

    def review(self, name: str) -> int:
        return self.main("review", "--reviewers", "x", "--round", name, "--out", str(self.folder / "rounds"))

    def codes(self) -> set[str]:
        return {problem.code for problem in audit_linkage(self.store, self.links, KEY)}

    def tree(self) -> dict[str, bytes]:
        """Read the store and the linkage, which must not change."""
        found = [self.links, *self.store.rglob("*")]
        return {str(path): path.read_bytes() for path in found if path.is_file()}


@pytest.fixture
def mine(tmp_path: Path) -> Owned:
    return Owned(tmp_path / "mine").make()


@pytest.fixture
def theirs(tmp_path: Path) -> Owned:
    return Owned(tmp_path / "theirs").make()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_history_of_another_store(mine: Owned, theirs: Owned, is_first: bool) -> None:
    assert theirs.review("r1") == 0
    if not is_first:
        assert mine.review("r1") == 0
    own = (mine.store / HISTORY).read_bytes() if not is_first else b""
    shutil.copy(theirs.store / HISTORY, mine.store / HISTORY)
    before = mine.tree()
    assert mine.review("r2") == 4
    assert mine.main("erase", "--speaker", "person mine") == 4
    assert main(["review", "withdraw", str(mine.store), "--key-file", str(mine.folder / "key")]) == 4
    assert mine.codes() == {"history"}
    assert mine.tree() == before
    if is_first:
        (mine.store / HISTORY).unlink()
    else:
        (mine.store / HISTORY).write_bytes(own)
    assert mine.codes() == set()
    assert mine.review("r2") == int(not is_first)  # the reviewer has had all there is


def test_a_history_that_was_removed_is_told_by_an_audit(mine: Owned) -> None:
    assert mine.review("r1") == 0
    (mine.store / HISTORY).unlink()
    assert mine.codes() == {"history"}


def test_a_first_round_that_was_stopped_before_its_mark_counts(mine: Owned) -> None:
    with FolderStore(mine.store, key=KEY) as store:
        Sealed(store.history, KEY, "rounds", owner=store.id).add([{"reviewer": "x", "subjects": []}])
        assert store.anchor("rounds").get() is None
        assert len(list(history(store, KEY).records())) == 1


def test_a_linkage_of_another_store(mine: Owned, theirs: Owned, recordings: Path) -> None:
    own = mine.links.read_bytes()
    shutil.copy(theirs.links, mine.links)
    before = mine.tree()
    assert mine.main("erase", "--speaker", "person mine") == 4
    assert mine.main("erase", "--speaker", "person theirs") == 4
    assert mine.review("r1") == 4
    given = ["--linkage", str(mine.links), "--key-file", str(mine.folder / "key"), "--quiet"]
    assert main(["run", str(recordings / "call.wav"), "--out", str(mine.store), *given]) == 4
    assert "linkage" in mine.codes()
    assert mine.tree() == before
    mine.links.write_bytes(own)
    assert mine.codes() == set()


def test_a_store_without_a_linkage_takes_none_that_does_not_know_it(
    theirs: Owned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be bound to it, and refuse its own from then on."""
    alone = Owned(tmp_path / "alone")
    alone.folder.mkdir()
    KEY.write(alone.folder / "key")
    with FolderStore(alone.store, key=KEY) as store:
        add(store, "a")
        store.recover()
    shutil.copy(theirs.links, alone.links)
    before = alone.tree()
    for words in (("erase", "--speaker", "x"), ("erase", "--older-than", "0d")):
        assert alone.main(*words) == 4
        assert "knows nothing of this store" in capsys.readouterr().err
    assert alone.review("r") == 4
    assert alone.tree() == before
    with FolderStore(alone.store, key=KEY) as store:
        assert store.anchor("linkage").get() is None


@pytest.mark.parametrize("what", ["log", "format", "both"])
def test_the_log_of_another_bucket(tmp_path: Path, what: str) -> None:
    pytest.importorskip("fsspec")
    one, other = (Backend(*[f"file://{tmp_path}/{uuid.uuid4().hex}"] * 2) for _ in range(2))
    for place in (one, other):
        with place.open() as store:
            add(store, "a")
            store.recover()
    whole, taken = one.files(), other.files()
    for name in whole:
        is_log = name.startswith(".private/log") and what != "format"
        if is_log or (name == ".private/format.json" and what != "log"):
            one.change(name, None)
    for name, data in taken.items():
        is_log = name.startswith(".private/log") and what != "format"
        if is_log or (name == ".private/format.json" and what != "log"):
            one.change(name, data)
    before = one.files()
    with pytest.raises((StoreError, KeyMaterialError), match=r"put the .*newest copy"):
        one.open()
    assert one.files() == before


def test_the_ledger_of_another_store(mine: Owned, theirs: Owned) -> None:
    shutil.copy(theirs.store / ".private/ledger.sqlite", mine.store / ".private/ledger.sqlite")
    before = {path.name: path.read_bytes() for path in mine.store.iterdir() if path.is_file()}
    with pytest.raises(StoreError, match="ledger's newest copy back"):
        open_store(mine.store, key=KEY)
    assert {path.name: path.read_bytes() for path in mine.store.iterdir() if path.is_file()} == before
