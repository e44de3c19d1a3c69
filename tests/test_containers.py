"""Every container of the table keeps every contract, and a new one is a line of it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import pytest
import soundfile

from deident.codec import decode
from deident.codec.files import Bytes
from deident.containers import CONTAINERS, SUFFIXES, Container, recognise
from deident.containers.source import Memory
from deident.datasets.recordings import expand
from tests.contracts import CONTAINER_CONTRACTS
from tests.recordings import SECONDS, recording


@pytest.mark.parametrize("contract", CONTAINER_CONTRACTS, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=lambda container: container.name)
def test_contract(container: Container, contract: Callable[[Container, bytes], None]) -> None:
    contract(container, recording(container.name))


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=lambda container: container.name)
def test_what_a_line_names_is_there(container: Container) -> None:
    assert set(container.libsndfile.split()) <= {*soundfile.available_formats(), "MP3", "MPEG"}
    for place in (container.reader, container.layout, container.scanner):
        if place and "avreader" not in place:
            assert callable(resolve_name(place))
    av = pytest.importorskip("av")
    assert callable(resolve_name(container.reader))
    assert not container.demuxer or av.format.ContainerFormat(container.demuxer, "r").is_input


def test_a_folder_gives_every_suffix_of_the_table(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        (tmp_path / f"call.{suffix}").touch()
        (tmp_path / f"other.{suffix.upper()}").touch()
    (tmp_path / "notes.txt").touch()
    assert len(list(expand(tmp_path))) == 2 * len(SUFFIXES)
    assert {"sph", "nist", "weba", "spx", "3gpp", "3g2", "awb", "mpga", "mp2", "wv", "ape", "tta"} <= SUFFIXES
    assert {"avi", "flv", "aiffc", "asf", "ogx", "adts", "mpeg", "f4a", "ogv"} <= SUFFIXES


def test_a_container_is_one_line_of_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SoX's own format, which FFmpeg reads."""
    pytest.importorskip("av")
    if subprocess.run(["sox", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("no sox")
    path = tmp_path / "call.sox"
    (tmp_path / "call.wav").write_bytes(recording("wav"))
    subprocess.run(["sox", tmp_path / "call.wav", path], check=True)
    row = Container("sox", "SoX", "sox", (((0, b".SoX"),),), demuxer="sox")
    monkeypatch.setitem(CONTAINERS, "sox", row)
    content = path.read_bytes()
    assert recognise(Memory(content), 0, len(content)) is row
    with path.open("rb") as file:
        blocks = list(resolve_name(row.reader)(Bytes(file.fileno()), row))
    assert sum(len(block) for _, block in blocks) == SECONDS * 16_000


def test_the_table_costs_no_numpy() -> None:
    code = "import sys, deident.containers; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_seconds_are_those_of_the_recording() -> None:
    with decode(io.BytesIO(recording("wav"))) as decoding:
        list(decoding)
    assert decoding.source_seconds == SECONDS
