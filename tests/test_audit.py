"""The audit of a store and of each snippet in it. Every test breaks one promise and sees it named."""

import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import mutations
from deident.audit import AUDIT_VERSION, AuditError, Inspected, audit_store, inspect
from deident.audit.flac import canonical_header, coded, crc8, frame_size
from deident.cli import main
from deident.errors import StoreError
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


# Frames that have been changed by someone who knows how to make their checksums right again. The decoder is left
# out: these are for the walk to see.

ONE = voice(0.1)


def one_frame() -> tuple[bytes, bytes]:
    """A frame's header, and the rest of it without its checksum."""
    data, size = flac(ONE), len(canonical_header(0, ONE.size))
    return data[42 : 42 + size], data[42 + size : -2]


def proved(frame: bytes, samples: np.ndarray = ONE) -> int:
    whole = frame + crc16(frame)
    return frame_size(whole, 0, 0, samples.astype(np.int64))


def test_a_frame_is_as_long_as_its_sound() -> None:
    header, body = one_frame()
    assert proved(header + body) == len(header + body) + 2
    for hidden in (b"hidden", b"h", b"\0"):
        with pytest.raises(AuditError, match="checksum"):
            proved(header + body + hidden)


def test_bits_before_a_frames_checksum_are_seen() -> None:
    seen = 0
    for size in range(1600, 1632):
        samples = voice(0.2)[:size]
        frame = flac(samples)[42:-2]
        if frame[-1] & 1 == 0:
            with pytest.raises(AuditError, match=r"zero bits|samples"):
                proved(frame[:-1] + bytes([frame[-1] | 1]), samples)
            seen += 1
    assert seen


def test_a_header_with_another_form_is_seen() -> None:
    header, body = one_frame()
    for place, value in ((1, 0xF9), (2, header[2] & 0xF0), (3, 0x00), (3, 0x18), (3, 0x09), (4, 1)):
        other = bytearray(header[:-1])
        other[place] = value
        with pytest.raises(AuditError, match="header"):
            proved(bytes(other) + bytes([crc8(bytes(other))]) + body)


def test_another_subframe_is_seen() -> None:
    header, body = one_frame()
    for first in range(256):
        if first != body[0]:
            with pytest.raises(AuditError, match="frame 0"):
                proved(header + bytes([first]) + body[1:])


def test_every_bit_of_a_frame_counts_without_its_checksum() -> None:
    header, body = one_frame()
    for place in range(0, 8 * len(body), 13):
        frame = bytearray(body)
        frame[place // 8] ^= 0x80 >> place % 8
        with pytest.raises(AuditError):
            proved(header + bytes(frame))


def test_silence_has_one_spelling() -> None:
    silence, header = np.zeros(4096, np.int16), canonical_header(0, 4096)
    assert proved(header + bytes(3), silence) == len(header) + 5
    with pytest.raises(AuditError, match="wastes"):
        proved(header + bytes.fromhex("012000"), silence)  # three bits fewer for each zero


def test_other_sound_is_seen() -> None:
    header, body = one_frame()
    for place in (0, 1, 40, 1000, 1599):
        samples = ONE.copy()
        samples[place] += 1
        with pytest.raises(AuditError, match="frame 0"):
            proved(header + body, samples)


def test_sound_of_another_recording_is_seen() -> None:
    mine, other = flac(voice(0.1)), flac(voice(0.2)[800:2400])
    assert "STREAMINFO" in broken(mine[:42] + other[42:])


def test_streaminfo_is_recomputed() -> None:
    data = flac(voice(0.5))
    for place in range(4, 42):
        broken(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert "STREAMINFO" in broken(data[:26] + bytes(16) + data[42:])  # no MD5, as streams have it
    assert "STREAMINFO" in broken(data[:12] + bytes(6) + data[18:])  # no frame sizes


def test_frames_in_another_order_are_seen() -> None:
    samples = np.concatenate([voice(0.256), voice(0.256)[::-1]])
    data = flac(samples)
    second = data.index(canonical_header(1, 4096))
    broken(data[:42] + data[second:] + data[42:second])
    broken(data[:second])
    broken(data + data[second:])


def test_numbers_of_frames_are_coded_as_utf8_is() -> None:
    for number in (0, 127, 128, 2047, 2048, 65535, 65536, 0x10FFFF):
        assert coded(number) == chr(number).encode("utf-8", "surrogatepass")
    assert coded(0x7FFFFFFF) == b"\xfd" + b"\xbf" * 5


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"RIFF", b"fLaC", flac(voice(0.02))[:60]]))
def test_only_the_audits_own_error_comes_out(rest: bytes, start: bytes) -> None:
    broken(start + rest)


# Stores


def row(name: str, data: bytes, samples: int, **more: object) -> str:
    values = {
        "name": name,
        "seconds": round(samples / RATE, 6),
        "sample_rate": RATE,
        "sha256": hashlib.sha256(data).hexdigest(),
        "audit": AUDIT_VERSION,
    } | more
    return json.dumps(values, separators=(",", ":")) + "\n"


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)
    os.utime(path, ns=(0, 0))


def name_of(number: int, suffix: str) -> str:
    return hashlib.md5(bytes([number])).hexdigest() + suffix


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Four snippets, one of them FLAC and one with labels, as promised: a copy that was given away."""
    folder = tmp_path / "store"
    folder.mkdir(mode=0o700)
    rows = []
    for number, seconds in enumerate((0.1, 0.33, 0.5, 0.7)):
        suffix, encode = (".flac", flac) if number == 3 else (".wav", wav)
        samples, name = voice(seconds), name_of(number, suffix)
        data = encode(samples)
        write(folder / name, data)
        more = {"labels": {"word": "ja", "good": True, "snr": 3.5}} if number == 1 else {}
        rows.append(row(name, data, samples.size, **more))
    write(folder / "manifest.jsonl", "".join(sorted(rows)).encode())
    return folder


def codes(store: Path, **options: object) -> set[str]:
    return {problem.code for problem in audit_store(store, **options).problems}  # type: ignore[arg-type]


def some(store: Path, suffix: str = ".wav") -> Path:
    return sorted(store.glob(f"*{suffix}"))[0]


def rewrite(store: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = store / "manifest.jsonl"
    write(path, "".join(change(path.read_text().splitlines(keepends=True))).encode())


@pytest.mark.parametrize("deep", [True, False])
def test_a_store_as_promised_is_clean(store: Path, deep: bool) -> None:
    report = audit_store(store, max_seconds=1.0, deep=deep)
    assert report.problems == ()
    assert report.clean
    assert (report.files, report.seconds) == (4, pytest.approx(1.63))


def test_durations_are_under_the_limit(store: Path) -> None:
    assert codes(store, max_seconds=0.5) == {"bytes"}
    assert codes(store, max_seconds=0.5, deep=False) == {"bytes"}
    assert codes(store, max_seconds=0.0001) == {"bytes"}


def test_a_stray_is_reported_without_its_name(store: Path) -> None:
    strays = ["mueller.wav", "manifest.jsonl~", f"{'A' * 32}.wav", f"{'a' * 32}.mp3", "x\n.wav"]
    for name in strays:
        write(store / name, b"")
    (store / "folder-name").mkdir()
    os.mkfifo(store / "pipe-name")
    (store / "link-name").symlink_to(some(store))
    report = audit_store(store)
    assert [p.code for p in report.problems] == ["stray"] * 8
    assert {p.message.split()[2] for p in report.problems} == {"file", "folder", "device,", "symbolic"}
    text = "".join(map(str, report.problems))
    assert not any(name in text for name in (*strays, "folder-name", "pipe-name", "link-name", str(store)))


def test_modes_times_and_links(store: Path, tmp_path: Path) -> None:
    for path in (some(store), store / "manifest.jsonl"):
        path.chmod(0o640)
        assert codes(store) == {"mode"}
        path.chmod(0o600)
        os.utime(path, ns=(0, 1))
        assert codes(store) == {"time"}
        os.utime(path, ns=(0, 0))
        os.link(path, tmp_path / path.name)
        assert codes(store) == {"links"}
        (tmp_path / path.name).unlink()
    store.chmod(0o750)
    assert codes(store) == {"mode"}


def test_extended_attributes(store: Path) -> None:
    for path in (some(store), store / "manifest.jsonl", store):
        try:
            os.setxattr(path, "user.source", b"a")
        except (OSError, AttributeError):
            pytest.skip("the file system keeps no extended attributes")
        assert codes(store) == {"attributes"}
        os.removexattr(path, "user.source")
    assert codes(store) == set()


def test_a_snippet_must_be_a_regular_file(store: Path, tmp_path: Path) -> None:
    path = some(store)
    moved = tmp_path / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)
    assert codes(store) == {"unreadable"}
    path.unlink()
    os.mkfifo(path, 0o600)
    assert codes(store) == {"unreadable"}
    path.unlink()
    path.mkdir()
    assert codes(store) == {"unreadable"}


def test_the_private_folder_is_a_real_folder(tmp_path: Path) -> None:
    store = tmp_path / "made"
    FolderStore(store).close()
    assert codes(store) == set()
    (store / ".private").chmod(0o755)
    assert codes(store) == {"private"}
    (store / ".private").rename(tmp_path / "private")
    (store / ".private").symlink_to(tmp_path / "private")
    assert codes(store) == {"private"}


def test_a_changed_sample_fails_the_checksum(store: Path) -> None:
    path = some(store)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    write(path, bytes(data))
    assert [(p.code, p.name) for p in audit_store(store).problems] == [("checksum", path.name)]


def test_more_or_fewer_samples_are_seen(store: Path) -> None:
    path = some(store)
    write(path, wav(voice(0.2)))
    assert codes(store) == {"checksum", "seconds"}
    assert codes(store, deep=False) == {"seconds"}
    write(path, path.read_bytes() + b"a")
    assert codes(store) == codes(store, deep=False) == {"bytes"}


def test_a_name_says_what_the_file_holds(store: Path) -> None:
    path = some(store)
    write(path, flac(voice(0.1)))
    assert codes(store) == {"bytes"}


def test_files_and_lines_are_paired(store: Path) -> None:
    spare = some(store).read_bytes()
    write(store / f"{'0' * 32}.wav", spare)
    write(store / f"{'f' * 32}.wav", spare)
    assert [p.code for p in audit_store(store).problems] == ["unlisted"] * 2
    for path in (store / f"{'0' * 32}.wav", store / f"{'f' * 32}.wav", some(store, ".flac")):
        path.unlink()
    assert codes(store) == {"missing"}


def test_an_empty_store_has_an_empty_manifest(store: Path) -> None:
    for path in (*store.glob("*.wav"), *store.glob("*.flac")):
        path.unlink()
    rewrite(store, lambda lines: [])
    assert audit_store(store).clean
    (store / "manifest.jsonl").unlink()
    assert codes(store) == {"manifest"}


def test_a_missing_manifest_leaves_everything_unlisted(store: Path) -> None:
    (store / "manifest.jsonl").unlink()
    assert codes(store) == {"manifest", "unlisted"}


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace('"audit":', '"source":"mueller","audit":'),
        lambda line: line.replace('"seconds":', '"offset":'),
        lambda line: line.replace('"audit":1', '"audit":2'),
        lambda line: line.replace('"audit":1', '"audit":true'),
        lambda line: line.replace("16000", "16000.0"),
        lambda line: line.replace("16000", "8000"),
        lambda line: line.replace(",", ", ", 1),
        lambda line: line.replace('{"name"', '{"name":"","name"'),
        lambda line: line.replace('"name":"', '"name":"../'),
        lambda line: line.replace("}", ',"labels":{"a":[1]}}'),
        lambda line: line.replace("}", ',"labels":{"a":null}}'),
        lambda line: line.replace("}", ',"labels":{"a":NaN}}'),
        lambda line: line.replace("}", ',"labels":"a"}'),
        lambda line: line.replace("\n", " \n"),
        lambda line: line.replace("\n", "\r\n"),
        lambda line: "not JSON mueller\n",
        lambda line: "[]\n",
        lambda line: "[" * 100_000 + "\n",
        lambda line: "\n" + line,
        lambda line: line + line,
        lambda line: "\xff\n",
    ],
)
def test_a_manifest_has_its_columns_in_one_spelling(store: Path, change: Callable[[str], str]) -> None:
    rewrite(store, lambda lines: [change(lines[0]), *lines[1:]])
    report = audit_store(store)
    assert "manifest" in {p.code for p in report.problems}
    assert "mueller" not in "".join(map(str, report.problems))


def test_a_manifest_is_sorted_and_ends(store: Path) -> None:
    rewrite(store, lambda lines: lines[::-1])
    assert "manifest" in codes(store)
    rewrite(store, sorted)
    assert codes(store) == set()
    rewrite(store, lambda lines: [*lines[:-1], lines[-1].rstrip("\n")])
    assert codes(store) == {"manifest", "unlisted"}


def test_labels_may_have_letters_of_any_script(store: Path) -> None:
    def relabel(lines: list[str]) -> list[str]:
        return [line.replace('"ja"', '"žluťoučký"') for line in lines]

    rewrite(store, relabel)
    assert audit_store(store).clean


@pytest.mark.parametrize(
    "speaker",
    [
        "mueller",
        "../../mueller",
        "/root",
        ".hidden",
        "a" * 31,
        "a" * 33,
        "A" * 32,
        "",
        "a" * 32 + "\n",
        7,
        True,
    ],
)
def test_a_speaker_is_a_pseudonym(store: Path, speaker: object) -> None:
    """It becomes the names of files in data sets, and may be nobody's. No ledger is needed to tell."""

    def relabelled(lines: list[str], speaker: object) -> list[str]:
        rows = [json.loads(line) for line in lines]
        rows[1]["labels"] = {"speaker": speaker}
        return [json.dumps(row, separators=(",", ":")) + "\n" for row in rows]

    assert not (store / ".private").exists()
    names = [json.loads(line)["name"] for line in (store / "manifest.jsonl").read_text().splitlines()]
    rewrite(store, lambda lines: relabelled(lines, "0123456789abcdef" * 2))
    assert audit_store(store).clean
    rewrite(store, lambda lines: relabelled(lines, speaker))
    report = audit_store(store)
    assert [(p.code, p.name) for p in report.problems] == [("speaker", names[1])]
    assert "mueller" not in "".join(map(str, report.problems))


def test_what_is_no_store_is_not_clean(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path / "file", "nul\0"):
        (tmp_path / "file").write_text("a")
        assert codes(Path(path)) == {"store"}
    assert issubclass(AuditError, StoreError)


def test_a_long_file_is_not_read(store: Path) -> None:
    with some(store).open("r+b") as file:
        file.truncate(1 << 40)
    os.utime(some(store), ns=(0, 0))
    assert codes(store) == {"bytes"}


def test_command(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(store)]) == 0
    assert "4 snippets proved" in capsys.readouterr().out
    write(store / "mueller", b"")
    assert main(["audit", "--json", str(store)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["problems"] == [
        {"code": "stray", "message": "a stray file is in the store; its name is not shown"}
    ]
    assert main(["audit", "--max-seconds", "-1", str(store)]) == 2


# What a store remembers


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A store that a run made, private part and all."""
    with FolderStore(tmp_path / "made", key=KEY) as opened:
        add(opened, "a")
        opened.recover()
        history = Sealed(opened.history, KEY, "reviews", anchor=opened.anchor("reviews"))
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
        linkage.attach(store)
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
