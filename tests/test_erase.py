"""Linkage and erasure: what was asked to go is gone, and nothing else."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from deident.audit import audit_store
from deident.cli import main
from deident.errors import KeyMaterialError, SettingError, StoreError
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.store import Link, Linkage, today
from tests.methods import Sine

SINE = Policy(disguise=Sine())


class Place:
    """A store of three recordings by two speakers, its linkage and its key."""

    def __init__(self, folder: Path, recordings: Path) -> None:
        self.store, self.links, self.keyfile = folder / "s", folder / "links", folder / "key"
        self.key = Key.fresh()
        self.key.write(self.keyfile)
        self.recordings = [
            Recording(str(recordings / "call.wav"), "ann"),
            Recording(str(recordings / "meeting.flac"), "bob"),
            Recording(str(recordings / "reading.mp3"), "ann"),
        ]
        self.run()

    def run(self, **options: object) -> dict[str, int]:
        summary = run(self.recordings, self.store, SINE, key=self.key, jobs=1, linkage=self.links, **options)  # type: ignore[arg-type]
        return {state: count for state, count in summary.states.items() if count}

    def names(self) -> dict[str, set[str]]:
        """Of each recording, by the linkage."""
        return {Path(link.path).name: set(link.names) for link in Linkage(self.links, self.key).links()}

    def files(self) -> set[str]:
        return {p.name for p in self.store.glob("*.wav")}

    def erase(self, *arguments: str) -> int:
        return main(
            [
                "erase",
                str(self.store),
                "--linkage",
                str(self.links),
                "--key-file",
                str(self.keyfile),
                *arguments,
            ]
        )


@pytest.fixture
def place(tmp_path: Path, recordings: Path) -> Place:
    return Place(tmp_path, recordings)


def test_a_source_is_erased_and_stays_erased(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.names()
    assert place.files() == set().union(*before.values())
    assert place.erase("--source", place.recordings[0].path) == 0
    assert f"erased {len(before['call.wav'])} snippets of 1 recording" in capsys.readouterr().out
    left = before["meeting.flac"] | before["reading.mp3"]
    assert place.files() == left
    listed = {json.loads(line)["name"] for line in (place.store / "manifest.jsonl").read_text().splitlines()}
    assert listed == left
    assert "call.wav" not in place.names()
    assert audit_store(place.store, max_seconds=10).clean
    ledger = b"".join(p.read_bytes() for p in (place.store / ".private").rglob("*") if p.is_file())
    assert not any(name.encode() in ledger for name in before["call.wav"])
    assert place.run() == {"skipped": 3}
    assert place.run(again=True)["skipped"] == 1
    assert place.erase("--source", place.recordings[0].path) == 1


def test_a_speaker_is_erased(place: Place) -> None:
    before = place.names()
    assert place.erase("--speaker", "ann") == 0
    assert place.files() == before["meeting.flac"]


def test_a_copy_is_the_same_person(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.names()
    copy = tmp_path / "copy.wav"
    copy.write_bytes(Path(place.recordings[0].path).read_bytes())
    place.recordings.append(Recording(str(copy)))
    assert place.run() == {"skipped": 4}
    capsys.readouterr()
    assert place.erase("--source", str(copy)) == 0
    assert f"erased {len(before['call.wav'])} snippets of 2 recordings" in capsys.readouterr().out
    assert place.files() == before["meeting.flac"] | before["reading.mp3"]


def test_a_linkage_may_serve_two_stores(place: Place, tmp_path: Path) -> None:
    first = place.store
    place.store = tmp_path / "second"
    place.run()
    names = place.files()
    assert place.erase("--speaker", "ann") == 0
    anns = names - place.files()
    assert anns
    place.store = first
    place.run()
    assert place.erase("--speaker", "ann") == 0
    assert {link.speaker for link in Linkage(place.links, place.key).links()} == {"bob"}
    assert len(place.files()) == len(names) - len(anns)


def test_what_was_never_released_is_forgotten(place: Place) -> None:
    """A stop between the linkage's record and the ledger's commit."""
    links = list(Linkage(place.links, place.key).links())
    ghost = replace(links[0], names=("0" * 32 + ".wav",))
    Linkage(place.links, place.key).add([ghost])
    place.run()
    assert set().union(*(link.names for link in Linkage(place.links, place.key).links())) == place.files()


def test_a_linkage_is_audited(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def audited() -> int:
        kept = ["--linkage", str(place.links), "--key-file", str(place.keyfile)]
        return main(["audit", str(place.store), *kept])

    assert audited() == 0
    place.links.chmod(0o644)
    assert audited() == 1
    place.links.chmod(0o600)
    links = list(Linkage(place.links, place.key).links())
    sealed = place.links.read_bytes()
    for change, said in (
        (links[1:], "is linked to no source"),
        ([*links, replace(links[0], names=("0" * 32 + ".wav",))], "in the linkage but not in the store"),
        ([*links, links[0]], "more than one source"),
    ):
        place.links.unlink()
        Linkage(place.links, place.key).add(change)
        capsys.readouterr()
        assert audited() == 1
        out = capsys.readouterr().out
        assert said in out
        assert "call" not in out
    place.links.write_bytes(sealed)
    ledger = place.store / ".private" / "ledger.sqlite"
    kept = ledger.rename(place.store.parent / "ledger")
    assert audited() == 4
    os.mkfifo(ledger)
    assert audited() == 4
    assert "the ledger is missing or cannot be read" in capsys.readouterr().err
    kept.replace(ledger)
    assert audited() == 0
    inside = place.links.rename(place.store / ".private" / "links")
    place.links = inside
    assert audited() == 1
    inside.unlink()
    assert audited() == 2


def test_time_and_pseudonym_select(place: Place) -> None:
    before = place.names()
    assert place.erase("--older-than", "1d") == 1
    assert place.files() == set().union(*before.values())
    link = next(iter(Linkage(place.links, place.key).links()))
    assert place.erase("--source", link.recording) == 0
    assert place.files() == set().union(*before.values()) - set(link.names)
    assert place.erase("--older-than", "0d") == 0
    assert place.files() == set()


def test_the_linkage_shows_nothing(place: Place) -> None:
    raw = place.links.read_bytes()
    assert place.links.stat().st_mode & 0o777 == 0o600
    for secret in (b"ann", b"call.wav", next(iter(place.files())).encode()[:12]):
        assert secret not in raw
    assert "call" not in repr(next(iter(Linkage(place.links, place.key).links())))


def test_a_wrong_key_is_an_error_not_an_empty_answer(place: Place, tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError):
        Linkage(place.links, Key.fresh())
    Key.fresh().write(tmp_path / "other")
    place.keyfile = tmp_path / "other"
    assert place.erase("--speaker", "ann") == 2
    assert place.files()


def test_without_a_key_nothing_is_linked(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="keygen"):
        run([recordings], tmp_path / "s", SINE, linkage=tmp_path / "links")
    assert not (tmp_path / "s").exists()
    assert not (tmp_path / "links").exists()


def test_changes_to_the_linkage_are_noticed(place: Place) -> None:
    raw = bytearray(place.links.read_bytes())
    raw[40] ^= 1
    place.links.write_bytes(raw)
    with pytest.raises((KeyMaterialError, StoreError)):
        Linkage(place.links, place.key)


def test_a_linkage_that_was_cut_put_back_or_replaced_erases_nothing(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = place.links.read_bytes()
    place.recordings.append(Recording(shutil.copy(place.recordings[0].path, tmp_path / "new.wav")))
    place.run(again=True)
    before, whole = place.files(), place.links.read_bytes()
    Linkage(tmp_path / "other", place.key).add([])
    Linkage(tmp_path / "other", place.key).add(list(Linkage(place.links, place.key).links()))
    for changed, said in (
        (whole[:-1], "was changed or is damaged"),
        (first, "records are missing"),
        ((tmp_path / "other").read_bytes(), "another one"),
        (whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "was changed"),
    ):
        place.links.write_bytes(changed)
        capsys.readouterr()
        assert place.erase("--speaker", "ann") == 4
        assert said in capsys.readouterr().err
        assert place.links.read_bytes() == changed
        with pytest.raises(StoreError):
            place.run()
    place.links.unlink()
    with pytest.raises(StoreError, match="not there"):
        place.run()
    assert place.files() == before
    place.links.write_bytes(whole)
    assert place.erase("--speaker", "ann") == 0


def test_what_one_run_adds_is_not_lost_to_what_another_rewrites(tmp_path: Path) -> None:
    key, file = Key.fresh(), tmp_path / "links"
    keep, drop = (Link(s * 2, s * 2, "r", "/p", None, (f"{s}.wav",), today(), store=s) for s in "kd")
    rounds = 60

    def add() -> None:
        for _ in range(rounds):
            Linkage(file, key).add([keep])

    Linkage(file, key).add([drop])
    adding = threading.Thread(target=add)
    adding.start()
    while adding.is_alive():
        other = Linkage(file, key)
        other.add([drop])
        other.remove(lambda link: link.store == "d")
    adding.join()
    assert list(Linkage(file, key).links()) == [keep] * rounds


def test_erase_needs_a_store(tmp_path: Path, place: Place) -> None:
    place.store = tmp_path / "none"
    assert place.erase("--speaker", "ann") == 4
    assert not place.store.exists()


def test_erase_is_a_command(deident: Callable[..., CompletedProcess[str]]) -> None:
    assert "--older-than DAYS" in deident("erase", "--help").stdout
