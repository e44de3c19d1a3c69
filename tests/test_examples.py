"""The examples run, in an empty folder, and say what they promise."""

import csv
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import deident
from deident.audit.snippet import inspect
from deident.cli import main
from deident.codec import read

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))


def run_example(name: str, folder: Path, *arguments: str, given: bytes = b"", code: int = 0) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES.parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    result = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=folder, capture_output=True, input=given, check=False, env=environment,
    )  # fmt: skip
    assert result.returncode == code, result.stderr.decode()
    assert result.stderr == b""
    return result.stdout.decode()


def test_a_folder(tmp_path: Path) -> None:
    said = run_example("01_folder.py", tmp_path)
    assert re.search(r"3 recordings: \d\d snippets", said)
    assert "3 skipped, 0 released" in said
    assert "every promise holds" in said


def test_arrays(tmp_path: Path) -> None:
    said = run_example("02_arrays.py", tmp_path)
    assert said.count("bytes of FLAC") >= 3
    assert re.search(r"^\[[\d.]+, [\d.]+\]$", said, re.M)  # timing moves a little
    assert os.listdir(tmp_path) == []


def test_an_executor(tmp_path: Path) -> None:
    said = run_example("03_executor.py", tmp_path)
    assert re.search(r"^[0-9a-f]{12}: released", said, re.M)
    assert re.search(r"^[0-9a-f]{12}: refused not-audio", said, re.M)
    assert "fine: False" in said
    assert list((tmp_path / "store-03").glob("*.wav"))


def test_a_training_set(tmp_path: Path) -> None:
    said = run_example("04_training_set.py", tmp_path)
    rows = (tmp_path / "training-04" / "store" / "manifest.jsonl").read_text().splitlines()
    assert len(rows) == len(said.splitlines()) > 5
    assert {json.loads(row)["labels"]["style"] for row in rows} == {"read", "spontaneous"}
    assert "ann" not in "".join(rows)


def test_augmentation(tmp_path: Path) -> None:
    said = run_example("05_augmentation.py", tmp_path)
    assert "another voice at every call: True" in said


@pytest.mark.slow
def test_comparing(tmp_path: Path) -> None:
    pytest.importorskip("librosa")
    pytest.importorskip("sklearn")
    said = run_example("06_compare.py", tmp_path)
    for name in ("undisguised", "mcadams", "psola"):
        assert re.search(rf"^{name} +equal error rate +\d+\.\d %", said, re.M)


def test_a_disguise_of_ones_own(tmp_path: Path) -> None:
    said = run_example("07_own_disguise.py", tmp_path)
    assert re.search(r"\d snippets as Ring\(hz=\(20\.0, 60\.0\)\)", said)


def test_the_gallery(tmp_path: Path) -> None:
    run_example("08_gallery.py", tmp_path)
    pages = sorted((tmp_path / "gallery").glob("*.html"))
    assert [page.stem for page in pages] == ["call", "meeting", "reading"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for name in ("original", "vocoder", "psola", "mcadams", "pitch_shift"):
            assert f'"name":"{name}","wav"' in text


@pytest.mark.parametrize("channels", [1, 2])
def test_a_microphone(tmp_path: Path, channels: int) -> None:
    audio = read(EXAMPLES / "recordings" / "call.wav")
    pcm = (
        np.rint(np.repeat(audio.mono, channels) * 32_767).astype("<i2").tobytes() + b"\0"
    )  # a frame that was cut
    said = run_example("09_microphone.py", tmp_path, "--channels", str(channels), given=pcm)
    files = sorted((tmp_path / "live-09").glob("*.wav"))
    assert f"{len(files)} snippets of {audio.seconds:.1f} s" in said
    assert len(files) > 3
    assert all(inspect(file.read_bytes(), max_seconds=10.0).seconds > 0.3 for file in files)


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore")
def test_a_service() -> None:
    """`10_service.py` with the client of its own framework."""
    pytest.importorskip("fastapi")
    client = pytest.importorskip("fastapi.testclient")
    spec = importlib.util.spec_from_file_location("service", EXAMPLES / "10_service.py")
    assert spec
    assert spec.loader
    service = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(service)
    web = client.TestClient(service.app)
    health = web.get("/health").json()
    assert health == {"version": deident.__version__, "policy": service.POLICY.fingerprint()}
    answer = web.post("/snippets", content=(EXAMPLES / "recordings" / "call.wav").read_bytes())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = {info.filename: archive.read(info) for info in archive.infolist()}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    lengths = [inspect(data, max_seconds=10.0).seconds for data in found.values()]
    assert len(lengths) > 3
    assert list(found) == sorted(found)
    assert float(answer.headers["x-released-seconds"]) == pytest.approx(sum(lengths), abs=0.1)
    refused = web.post("/snippets", content=b"no sound at all")
    assert (refused.status_code, refused.json()["detail"]["code"]) == (422, "not-audio")
    service.MOST_BYTES = 1_000
    assert web.post("/snippets", content=bytes(2_000)).status_code == 413


def test_a_nightly_job(tmp_path: Path) -> None:
    inbox, store = tmp_path / "inbox", tmp_path / "store"
    inbox.mkdir()
    shutil.copy(EXAMPLES / "recordings" / "call.wav", inbox)
    places = (str(inbox), str(store))
    first, again = (json.loads(run_example("11_nightly.py", tmp_path, *places)) for _ in range(2))
    assert (first["fine"], first["states"], first["audited"]) == (True, {"released": 1}, first["snippets"])
    assert (again["fine"], again["states"], again["snippets"]) == (True, {"skipped": 1}, 0)
    (inbox / "broken.wav").write_bytes(b"no sound at all")
    worse = json.loads(run_example("11_nightly.py", tmp_path, *places, code=1))
    assert (worse["fine"], worse["states"]) == (False, {"skipped": 1, "refused": 1})
    (tmp_path / "file").write_text("no store")
    refused = json.loads(run_example("11_nightly.py", tmp_path, str(inbox), str(tmp_path / "file"), code=4))
    assert not refused["fine"]
    assert str(tmp_path) not in refused["error"]


def test_labels_by_a_tool(tmp_path: Path) -> None:
    policy = deident.Policy.preset("review")
    key, links, store = deident.Key.fresh(), tmp_path / "links", tmp_path / "store"
    key.write(tmp_path / "key")
    deident.run([EXAMPLES / "recordings"], store, policy, key=key, jobs=1, linkage=links)
    sealed = ["--key-file", str(tmp_path / "key")]
    rounds = str(tmp_path / "rounds")
    assert (
        main(["review", str(store), "--linkage", str(links), "--out", rounds, "--reviewers", "2", *sealed])
        == 0
    )
    (tmp_path / "labels.json").write_text(run_example("12_labels.py", tmp_path, rounds))
    table = tmp_path / "labels.csv"
    given = [str(tmp_path / "labels.json"), "--out", str(table)]
    assert main(["review", "collect", str(store), *given, *sealed]) == 0
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["reviewer"] for row in rows} == {"reviewer-1", "reviewer-2"}
    assert {row["quality"] for row in rows} == {"clear"}
    assert {row["snippet"] for row in rows} <= {path.name for path in store.glob("*.wav")}


def test_every_example_is_tested_and_says_how_to_run_it() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [int(script.name[:2]) for script in SCRIPTS] == list(range(1, len(SCRIPTS) + 1))
    for script in SCRIPTS:
        assert f'"{script.name}"' in tests
        text = script.read_text(encoding="utf-8")
        assert f"python examples/{script.name}" in text or f"examples {script.stem}:app" in text
