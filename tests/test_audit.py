"""The audit of a store and of each snippet in it. Every test breaks one promise and sees it named."""

import os
import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import mutations
from deident.audit import AuditError, Inspected, audit_store, inspect
from deident.cli import main
from deident.keys import Key
from deident.store import FolderStore, Link, Linkage, Sealed, audit_linkage
from tests import dirty_parts as parts
from tests.dirty import dirty_files, voice
from tests.store_contract import add, entry, stage

KEY = Key(bytes(32))
RATE = 16_000
LIMIT = 10.0


def wav(samples: np.ndarray) -> bytes:
    return parts.wave(samples)


def flac(samples: np.ndarray) -> bytes:
    return parts.flac(samples, [])


def broken(data: bytes, limit: float = LIMIT) -> str:
    with pytest.raises(AuditError) as caught:
        inspect(data, max_seconds=limit)
    assert caught.value.code == "audit"
    return str(caught.value)


def crc16(data: bytes) -> bytes:
    """Bit by bit, as RFC 9639 says it, to compare with the library's closed form."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x18005 if crc & 0x8000 else 0)
    return crc.to_bytes(2, "big")


SIGNALS = {
    "voice": voice(1.0),
    "one sample": np.array([7], np.int16),
    "short": voice(0.01),
    "whole blocks": voice(1.1)[: 4 * 4096],
    "silence": np.zeros(9000, np.int16),
    "constant": np.full(9000, -3, np.int16),
    "noise": np.random.default_rng(0).integers(-32768, 32768, 9000).astype(np.int16),
    "multiples of 64": (np.random.default_rng(1).integers(-200, 200, 9000) * 64).astype(np.int16),
    "clicks": np.where(np.arange(9000) % 1000, 0, 32767).astype(np.int16),
    "ramp": np.arange(9000).astype(np.int16),
    "lowest": np.full(9000, -32768, np.int16),
    "steps": np.repeat(np.arange(-9, 9, dtype=np.int16) << 11, 500),
    "loud low tone": (32767 * np.sin(np.arange(9000) / 40)).astype(np.int16),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_sound_and_nothing_else_is_proved(name: str) -> None:
    samples = SIGNALS[name]
    assert inspect(wav(samples), max_seconds=LIMIT) == Inspected("wav", samples.size, RATE)
    for level in (0.0, 0.3, 0.62, 1.0):
        found = inspect(mutations.flac(samples, level), max_seconds=LIMIT)
        assert found == Inspected("flac", samples.size, RATE)
        assert found.seconds == samples.size / RATE


def test_many_frames_are_proved() -> None:
    samples = voice(9.99)  # more than 128 frames of 1152: their numbers take two bytes
    assert inspect(mutations.flac(samples, 0.0), max_seconds=LIMIT).samples == samples.size


@pytest.mark.parametrize("encode", [wav, flac])
def test_the_limit_is_exclusive(encode: Callable[[np.ndarray], bytes]) -> None:
    data = encode(voice(0.5))
    assert inspect(data, max_seconds=0.5 + 1 / RATE).seconds == 0.5
    assert "less than 0.5 s" in broken(data, 0.5)


def test_a_wav_needs_samples() -> None:
    for data in (wav(voice(0.1)[:0]), wav(voice(0.1))[:44], wav(voice(0.1))[:43], b"RIFF"):
        broken(data)


@pytest.mark.parametrize("file", dirty_files(voice(0.1)), ids=lambda file: file.kind)
def test_nothing_dirty_passes(file: object) -> None:
    broken(file.data)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("place", "value"),
    [(20, 3), (22, 2), (24, 8000), (34, 24), (16, 18), (4, 0), (40, 0), (28, 16000), (32, 4)],
    ids=["float", "stereo", "8 kHz", "24 bits", "long fmt", "no size", "no data size", "byte rate", "block"],
)
def test_every_field_of_a_wav_header_counts(place: int, value: int) -> None:
    data = bytearray(wav(voice(0.1)))
    data[place : place + 2] = struct.pack("<H", value)
    assert "header" in broken(bytes(data))


def test_every_bit_of_structure_counts() -> None:
    for data, stop in ((wav(voice(0.01)), 44), (flac(voice(0.02)), None)):
        for place in range(stop or len(data)):
            for bit in range(8):
                changed = bytearray(data)
                changed[place] ^= 1 << bit
                broken(bytes(changed))


def test_random_changes_are_caught() -> None:
    caught, tried = mutations.total(mutations.measure(1200))
    assert tried > 1100
    assert caught >= 0.999 * tried


def test_a_changed_sample_of_a_wav_is_left_to_the_checksum() -> None:
    data = bytearray(wav(voice(0.1)))
    data[100] ^= 1
    assert inspect(bytes(data), max_seconds=LIMIT).samples == 1600


def codes(store: Path, **options: object) -> set[str]:
    return {problem.code for problem in audit_store(store, **options).problems}  # type: ignore[arg-type]


def some(store: Path, suffix: str = ".wav") -> Path:
    return sorted(store.glob(f"*{suffix}"))[0]


# What a store remembers


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A store that a run made, private part and all."""
    with FolderStore(tmp_path / "made", key=KEY) as opened:
        add(opened, "a")
        opened.recover()
        history = Sealed(opened.history, KEY, "rounds", anchor=opened.anchor("rounds"), owner=opened.id)
        history.add([{"reviewer": "a"}])
    return tmp_path / "made"


def everything(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    return {
        str(path): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


def test_a_store_that_a_run_made_is_clean_and_is_not_changed(made: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    before = everything(tmp_path)
    assert audit_store(made).problems == ()
    assert main(["audit", str(made)]) == 0
    assert everything(tmp_path) == before
    with FolderStore(made, key=KEY) as store:
        linkage = Linkage(links, KEY)
        linkage.attach(store, is_written=True)
        linkage.add([Link("00", "00", "r", "/p", None, tuple(store.names()), 1, store=store.id)])
    before = everything(tmp_path)
    assert audit_linkage(made, links, KEY) == []
    assert everything(tmp_path) == before


def test_a_stopped_run_is_told_and_left_as_it_is(made: Path, tmp_path: Path) -> None:
    store = FolderStore(made, key=KEY)
    staged, spool = stage(store, 2)
    store.commit([(entry(store, "b"), staged)], spool=spool)
    shutil.copytree(made, tmp_path / "stopped")  # as kill -9 leaves it, with SQLite's own log
    store.close()
    stopped = tmp_path / "stopped"
    assert (stopped / ".private" / "ledger.sqlite-wal").stat().st_size
    before = everything(stopped)
    report = audit_store(stopped)
    assert {problem.code for problem in report.problems} == {"unfinished"}
    assert any(
        "was stopped" in problem.message for problem in report.problems
    )  # by the ledger, with its own log
    assert everything(stopped) == before
    FolderStore(stopped, key=KEY).close()
    assert audit_store(stopped).clean
    assert audit_store(stopped).files == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_store_on_a_read_only_file_system_is_audited(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    for command in (["--bind", str(made), str(place)], ["-o", "remount,ro,bind", str(place)]):
        if subprocess.run(["mount", *command], capture_output=True, check=False).returncode:
            subprocess.run(["umount", str(place)], capture_output=True, check=False)
            pytest.skip("mounting is not permitted")
    try:
        with pytest.raises(OSError, match="Read-only"):
            (place / "x").touch()
        assert audit_store(place).problems == ()
    finally:
        subprocess.run(["umount", str(place)], check=True)


HIDING_PLACES = (
    "key", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal", "reviews.part",
    "reviews.01234567.unfinished", f"lease/{'0' * 32}", "log/00000000-000000000001", "log/head-0",
)  # fmt: skip


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def original(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(wav(voice(0.2)))
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda private: original(private / "call.wav"), "private"),
        (lambda private: original(private / "staging" / "call.wav"), "private"),
        (lambda private: original(private / "staging" / f"{'0' * 32}.spool"), "unfinished"),
        (lambda private: original(private / "reviews"), "private"),
        (lambda private: original(private / "lock"), "private"),
        (lambda private: (private / "more").mkdir(mode=0o700), "private"),
        (lambda private: (private / "more").symlink_to("/"), "private"),
        (lambda private: (private / "ledger.sqlite").chmod(0o644), "mode"),
        (lambda private: (private / "staging").chmod(0o755), "mode"),
        (lambda private: (private / "reviews").chmod(0o640), "mode"),
        (lambda private: (private / "ledger.sqlite").unlink(), "ledger"),
        (lambda private: (private / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + bytes(99)), "ledger"),
        (lambda private: (private / "reviews").unlink(), "history"),
        (lambda private: (private / "store").unlink(), "private"),
        (lambda private: (private / "store").write_bytes(b"mine"), "private"),
        (lambda private: (private / "store").write_bytes(b"deident store 3\ncall"), "private"),
        *((lambda private, name=name: original(private / name), "private") for name in HIDING_PLACES),
        (lambda private: (private / "format.json").write_bytes(b"{}"), "private"),
        (
            lambda private: (private / "ledger.sqlite").unlink() or os.mkfifo(private / "ledger.sqlite"),
            "ledger",
        ),
        (lambda private: append(private / "ledger.sqlite", wav(voice(0.2))), "ledger"),
    ],
)
def test_the_private_part_holds_what_a_store_has_for_its_owner_alone(
    made: Path, change: Callable[[Path], object], code: str
) -> None:
    change(made / ".private")
    before = everything(made)
    report = audit_store(made)
    assert code in {problem.code for problem in report.problems}
    assert "call" not in "".join(map(str, report.problems))
    assert everything(made) == before


def test_the_ledger_the_manifest_and_the_files_agree(made: Path) -> None:
    one, two, _ = sorted(path.name for path in made.glob("*.wav"))
    ledger = sqlite3.connect(made / ".private" / "ledger.sqlite", isolation_level=None)
    ledger.execute("UPDATE released SET seconds = 3.5 WHERE name = ?", (one,))
    ledger.execute("DELETE FROM released WHERE name = ?", (two,))
    ledger.execute("INSERT INTO released VALUES (?, 0.5, '', '{}')", ("f" * 32 + ".wav",))
    ledger.close()
    assert {(p.code, p.name) for p in audit_store(made).problems} == {
        ("ledger", one),
        ("ledger", two),
        ("ledger", "f" * 32 + ".wav"),
    }


def test_a_store_at_work_is_not_judged(made: Path, tmp_path: Path) -> None:
    with FolderStore(made, key=KEY):
        assert codes(made) == {"locked"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_other_owners_are_told(made: Path) -> None:
    for path in (some(made), made / "manifest.jsonl", made / ".private", made / ".private" / "ledger.sqlite"):
        os.chown(path, 12_345, -1)
        assert codes(made) == {"owner"}
        os.chown(path, 0, -1)
    assert codes(made) == set()


ACCESS_LIST = struct.pack("<I" + 5 * "HHI", 2, *(1, 6, -1 & 0xFFFFFFFF), *(2, 4, 12_345), *(4, 0, 0xFFFFFFFF),
                          *(16, 0, 0xFFFFFFFF), *(32, 0, 0xFFFFFFFF))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("system.posix_acl_access", ACCESS_LIST, "snippet"),
        ("system.posix_acl_access", ACCESS_LIST, "ledger"),
        ("system.posix_acl_default", ACCESS_LIST, "folder"),
        ("security.note", b"mueller", "snippet"),
        ("security.selinux", b"mueller:object_r:speech_t:s0", "snippet"),
        ("security.ima", b"mueller", "manifest"),
        ("user.note", b"mueller", "ledger"),
        ("user.note", b"mueller", "private"),
        ("user.note", b"mueller", "staging"),
        ("system.posix_acl_default", ACCESS_LIST, "private"),
        ("system.posix_acl_default", ACCESS_LIST, "staging"),
    ],
)
def test_access_lists_and_security_attributes_are_told(
    made: Path, name: str, value: bytes, where: str
) -> None:
    place = {
        "snippet": some(made),
        "manifest": made / "manifest.jsonl",
        "folder": made,
        "ledger": made / ".private" / "ledger.sqlite",
        "private": made / ".private",
        "staging": made / ".private" / "staging",
    }[where]
    try:
        os.setxattr(place, name, value)
    except (OSError, AttributeError):
        pytest.skip("the file system keeps no such attribute, or not for this user")
    assert "attributes" in codes(made)
    os.removexattr(place, name)
    assert "attributes" not in codes(made)
