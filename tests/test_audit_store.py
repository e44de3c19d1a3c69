"""The audit of a folder with snippets and a manifest."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deident.audit import AUDIT_VERSION, AuditError, audit_store
from deident.cli import main
from deident.errors import StoreError
from deident.store import FolderStore
from tests.dirty import voice
from tests.test_audit import RATE, codes, flac, some, wav


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
