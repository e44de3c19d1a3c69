"""The command `deident scan`: what it prints, and what it keeps to itself."""

import json
from pathlib import Path

import pytest

from deident.cli import main
from tests import dirty_parts as parts
from tests.dirty import canary, voice
from tests.test_scan import FILES


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    path = tmp_path / "secret-name.wav"
    path.write_bytes(next(file.data for file in FILES if file.kind == "wav-bext"))
    return path


def test_command_shows_no_values_unless_asked(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(planted)]) == 1
    out = "".join(capsys.readouterr())
    assert "riff.bext" in out
    assert canary("wav-bext") not in out
    assert "secret-name" not in out
    assert main(["scan", "--values", str(planted)]) == 1
    assert canary("wav-bext") in capsys.readouterr().out


def test_command_speaks_json(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = tmp_path / "clean.wav"
    clean.write_bytes(parts.wave(voice()))
    assert main(["scan", "--json", str(clean), str(planted)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [len(file["findings"]) for file in answer["files"]] == [0, 1]
    assert answer["files"][1]["findings"][0]["kind"] == "riff.bext"
    assert "value" not in answer["files"][1]["findings"][0]
    assert main(["scan", str(clean)]) == 0


def test_command_says_what_it_cannot_read(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(tmp_path / "other-name"), str(planted)]) == 1
    out = "".join(capsys.readouterr())
    assert "riff.bext" in out
    assert "file 1: the recording cannot be opened" in out
    assert "other-name" not in out


def test_command_reads_uris_and_does_not_show_them(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fsspec")
    assert main(["scan", planted.as_uri(), f"{planted.as_uri()}-gone"]) == 1
    out = "".join(capsys.readouterr())
    assert "riff.bext" in out
    assert "file 2: no such file" in out
    assert planted.name not in out


def test_command_sends_no_control_characters_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(parts.wave(voice(), parts.chunk(b"iXML", b"before\x1b]0;title\x07\x9bafter")))
    assert main(["scan", "--values", str(path)]) == 1
    out = capsys.readouterr().out
    assert "before" in out
    assert "after" in out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
