"""An erasure and its receipt: killed at any call, there is both or neither in the end, and the receipt is true."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deident.cli import main
from deident.programme.signing import make_signing_key, read_public_key, verified
from deident.review import RoundSettings, make_round
from deident.runs.commit import PROGRAMME
from deident.store import Disk, FolderStore, Link, Linkage, audit_linkage, open_store, today
from deident.store.erasures import erasures
from deident.store.ledger import Ledger
from tests.killed import die_after, fork, was_killed
from tests.store_contract import KEY, add, entry

CALLS = {
    Disk: ("create", "write", "sync", "rename", "unlink", "truncate", "sync_folder"),
    Ledger: ("erase", "set_meta", "set_facts", "mark_erased"),
}
SNIPPETS = {"ann": 3, "bob": 2, "eve": 1}


@dataclass
class Place:
    """A store of three people, one of them purged by now, its linkage, and a round."""

    folder: Path
    is_at_uri: bool = False

    @property
    def store(self) -> str:
        return f"file://{self.folder}/s" if self.is_at_uri else str(self.folder / "s")

    @property
    def links(self) -> Path:
        return self.folder / "links"

    def make(self) -> None:
        self.folder.mkdir()
        KEY.write(self.folder / "key")
        make_signing_key(self.folder / "op")
        with open_store(self.store, key=KEY) as store:
            promise = {"keep_days": 30, "round_days": 10, "consent": "optional", "share": 1.0}
            store.remember(
                PROGRAMME, json.dumps({**promise, "max_per_speaker": None, "max_per_reviewer": None})
            )
            linkage = Linkage(self.links, KEY)
            linkage.attach(store, is_written=True)
            for person, count in SNIPPETS.items():
                known = entry(store, person)
                names, day = tuple(add(store, person, count)), today() - (31 if person == "eve" else 1)
                where = known.place.hex(), known.content.hex(), person, f"/{person}.wav", person
                linkage.add([Link(*where, names, day, store=store.id, consent=True)])
            store.recover()
            if isinstance(store, FolderStore):
                make_round(store, linkage, KEY, RoundSettings(("r",), name="one"), self.folder / "rounds")

    def copied(self, folder: Path) -> "Place":
        """Copies keep their marks: links lie beside the store."""
        shutil.copytree(self.folder, folder)
        return Place(folder, self.is_at_uri)

    def command(self, *words: str, receipt: str = "") -> int:
        own = ["--linkage", str(self.links), "--key-file", str(self.folder / "key")]
        due = ["--receipt", str(self.folder / receipt), "--sign", str(self.folder / "op")] if receipt else []
        return main([words[0], self.store, *own, *words[1:], *due])

    def said(self, receipt: str) -> dict[str, Any]:
        return verified((self.folder / receipt).read_bytes(), read_public_key(self.folder / "op.pub"))

    def left(self) -> dict[str, int]:
        """Snippets of each person in the linkage, which must be those in the store."""
        found = {link.speaker or "": len(link.names) for link in Linkage(self.links, KEY).links()}
        assert sum(found.values()) == len(list((self.folder / "s").glob("*.wav")))
        return found

    def forget_lease(self) -> None:
        shutil.rmtree(self.folder / "s" / ".private" / "lease", ignore_errors=True)


def killed_at(number: int, act: Callable[[], object]) -> bool:
    """Act in a process that kills itself before a call; tells whether it got so far."""

    def work() -> None:
        die_after(number, CALLS)
        act()

    return was_killed(fork(work))


REQUESTS = {
    "erase": (("erase", "--speaker", "ann"), "ann"),
    "purge": (("purge",), "eve"),
}


@pytest.mark.parametrize(
    "is_at_uri", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["folder", "uri"]
)
@pytest.mark.parametrize("kind", REQUESTS)
def test_killed_at_any_call_an_erasure_and_its_receipt_are_one(
    kind: str, is_at_uri: bool, tmp_path: Path
) -> None:
    """After a kill the receipt is there and true, or the same command, or the next erasure, ends it and writes it."""
    if is_at_uri:
        pytest.importorskip("fsspec")
    words, person = REQUESTS[kind]
    whole = Place(tmp_path / "whole", is_at_uri)
    whole.make()
    full = SNIPPETS[person]
    copies = int(kind == "erase" and not is_at_uri)  # what is over is assigned to nobody
    stops = ended_by_another = 0
    while True:
        place = whole.copied(tmp_path / f"{stops}")
        was_killed = killed_at(stops, lambda place=place: place.command(*words, receipt="r"))  # type: ignore[misc]
        place.forget_lease()
        if (place.folder / "r").exists():
            first = [place.said("r")]
        elif stops % 2:
            assert place.command(*words, receipt="r") == 0
            first = [place.said("r")]
            assert "earlier" not in first[0]
        else:
            assert place.command("erase", "--speaker", "bob", receipt="other") == 0
            other = place.said("other")
            assert (other["kind"], other["snippets"]) == ("speaker", SNIPPETS["bob"])
            first = other.get("earlier", [])
            ended_by_another += len(first)
            assert (person in place.left()) == (not first)  # erased with a receipt, or neither
        for said in first:
            assert (said["snippets"], said["recordings"]) == (full, 1)
            assert len({copy["file"] for copy in said["withdraw"]}) == copies
            assert person not in place.left()
            with open_store(place.store, key=KEY, create=False) as store:
                assert len(erasures(store)) <= 1  # one whose receipt was written just before the kill
        shutil.rmtree(place.folder)
        if not was_killed:
            break
        stops += 1
    assert stops > 20
    assert ended_by_another


def test_a_run_ends_in_the_linkage_what_a_stop_left_of_an_erasure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path / "p")
    place.make()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Linkage, "remove", stopped)
    assert place.command("erase", "--speaker", "ann") == 130
    monkeypatch.undo()
    assert b"ann" not in (place.folder / "s/.private/ledger.sqlite").read_bytes()
    with open_store(place.store, key=KEY) as store:
        Linkage(place.links, KEY).attach(store, is_written=True)  # as a run does
    assert set(place.left()) == {"bob", "eve"}
    capsys.readouterr()
    assert place.command("erase", "--speaker", "bob") == 0
    assert "1 erasure before this one had been stopped" in capsys.readouterr().err
    assert place.command("erase", "--speaker", "ann", receipt="r") == 0  # again: what was erased then
    assert (place.said("r")["snippets"], place.left()) == (3, {"eve": 1})
    assert place.command("erase", "--speaker", "ann", receipt="r2") == 1
    assert (place.said("r2")["snippets"], "earlier" in place.said("r2")) == (0, False)
    assert {p.code for p in audit_linkage(place.store, place.links, KEY)} == {"expired"}


def test_receipts_are_told_apart_and_are_of_themselves_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "p")
    place.make()
    assert place.command("erase", "--speaker", "ann", receipt="r1") == 0
    assert place.command("erase", "--speaker", "bob", receipt="r2") == 0
    one, other = place.said("r1"), place.said("r2")
    assert one["id"] != other["id"]
    assert "earlier" not in other
