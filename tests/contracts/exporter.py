"""The contract of exporters: functions that assert what each must do."""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deident.datasets import Exporter
from deident.datasets.items import Item
from deident.errors import StoreError

ExporterContract = Callable[[Exporter, list[Item], Path], None]


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _unpacked(name: str, data: bytes) -> bytes:
    if name.endswith(".parquet"):
        import pyarrow.parquet

        return repr(pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()).encode()
    return gzip.decompress(data) if name.endswith(".gz") else data


def writes_every_snippet(write: Exporter, items: list[Item], place: Path) -> None:
    assert write(items, place / "out") == len(items)
    files = _files(place / "out")
    everything = b"".join(name.encode() + _unpacked(name, data) for name, data in files.items())
    for item in items:
        assert item.id.encode() in everything
        assert str(item.text).split()[0].encode() in everything
    assert write([], place / "none") == 0


def writes_the_same_files_again(write: Exporter, items: list[Item], place: Path) -> None:
    folders = [place / name / "out" for name in ("one", "two")]
    with pytest.MonkeyPatch.context() as patch:
        for folder, found in zip(folders, (items, items[::-1]), strict=True):
            folder.parent.mkdir()
            patch.chdir(folder.parent)
            write(iter(found), Path("out"))
    assert _files(folders[0]) == _files(folders[1])


def writes_neutral_times_and_modes(write: Exporter, items: list[Item], place: Path) -> None:
    umask = os.umask(0o277)
    try:
        write(items, place / "out")
    finally:
        os.umask(umask)
    found = [path.stat() for path in (place / "out").rglob("*") if path.is_file()]
    assert {(stat.st_mtime, stat.st_mode & 0o777) for stat in found} == {(0, 0o600)}
    folders = [place / "out", *(path for path in (place / "out").rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def takes_a_new_folder_only(write: Exporter, items: list[Item], place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "mine").write_text("kept")
    with pytest.raises(StoreError, match="new or empty"):
        write(items, place / "out")
    assert _files(place) == {"out/mine": b"kept"}


def passes_no_changed_snippet_on(write: Exporter, items: list[Item], place: Path) -> None:
    with pytest.raises(StoreError, match="audit"):
        write([*items[:-1], dataclasses.replace(items[-1], sha256="0" * 64)], place / "out")
    assert not list(place.iterdir())


def takes_snippets_with_sound_alone(write: Exporter, items: list[Item], place: Path) -> None:
    bare = [dataclasses.replace(item, text=None, speaker=None, words=(), labels={}) for item in items]
    assert write(bare, place / "out") == len(items)
    nothing = re.compile(rb"(?<![A-Za-z0-9+/])(None|null)(?![A-Za-z0-9+/])")  # and no chance hit in base64
    assert not any(nothing.search(data) for data in _files(place / "out").values())


def writes_inside_its_folder_only(write: Exporter, items: list[Item], place: Path) -> None:
    names = ("../../victim", ".hidden", "/root", "a/b", "x" * 300, "müller:1")
    odd = [
        dataclasses.replace(item, id=name, speaker=name) for item, name in zip(items * 2, names, strict=False)
    ]
    (place / "in").mkdir()
    assert write(odd, place / "in" / "out") == len(odd)
    assert [path.name for path in place.iterdir()] == ["in"]
    assert [path.name for path in (place / "in").iterdir()] == ["out"]
    for path in (place / "in" / "out").rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", path.name)
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", n) for n in archive.getnames())


EXPORTER_CONTRACTS: list[ExporterContract] = [
    writes_inside_its_folder_only,
    writes_every_snippet,
    writes_the_same_files_again,
    writes_neutral_times_and_modes,
    takes_a_new_folder_only,
    passes_no_changed_snippet_on,
    takes_snippets_with_sound_alone,
]
