"""Fixtures that tests share: real recordings, synthesised ones, the command, a browser, places with a URI."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import soundfile

from deident.audio import RATE, Audio
from deident.cli import main
from deident.codec import read
from tests.browser import CHROMIUM, Page, browser

RECORDINGS = Path(__file__).parents[1] / "examples" / "recordings"


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take off the import path what a test adds: folders that a later test would import as packages lie there."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of real recordings. Tests that ask for it are skipped where there is none."""
    place = os.environ.get("DEIDENT_SPEECH")
    if not place:
        pytest.skip("DEIDENT_SPEECH names no folder of real recordings")
    return Path(place)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The synthesised recordings of the examples."""
    return RECORDINGS


@pytest.fixture
def deident(capfd: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """`deident` with arguments, as a shell runs it but for a process of its own, which takes most of a second."""

    def command(*arguments: str | Path) -> CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        capfd.readouterr()
        try:
            code = main(words)
        except SystemExit as stopped:  # argparse says no, or shows help
            code = int(stopped.code or 0)
        return CompletedProcess(words, code, *capfd.readouterr())

    return command


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a headless browser. Tests that ask for it are skipped where none is installed."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A bucket of a server that speaks S3."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    s3fs = pytest.importorskip("s3fs")
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "nobody's")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem().mkdir("recordings")
        yield "recordings"
    server.stop()


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty place, as a URI."""
    name = uuid.uuid4().hex
    if request.param == "file":
        yield f"file://{tmp_path}/{name}"
    elif request.param == "s3":
        yield f"s3://{request.getfixturevalue('s3')}/{name}"
    else:
        yield f"memory://{name}"
        pytest.importorskip("fsspec").filesystem("memory").store.clear()


@pytest.fixture
def bucket(recordings: Path) -> Iterator[str]:
    """Three recordings, one of them further below, and what is none."""
    memory, name = pytest.importorskip("fsspec").filesystem("memory"), uuid.uuid4().hex
    for recording, where in zip(
        ("call.wav", "meeting.flac", "reading.mp3"), ("", "", "deep/er/"), strict=True
    ):
        memory.pipe_file(f"/{name}/{where}{recording}", (recordings / recording).read_bytes())
    memory.pipe_file(f"/{name}/README.txt", b"not a recording")
    memory.pipe_file(f"/{name}/.hidden/x.wav", b"not to be looked at")
    yield f"memory://{name}"
    memory.store.clear()


@pytest.fixture(scope="module")
def many(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short recordings, all different, and three that cannot be used or hold nothing."""
    folder = tmp_path_factory.mktemp("many")
    audio = read(recordings / "reading.mp3").mono
    for number in range(12):
        start = number * 20_000
        soundfile.write(folder / f"r{number:02}.wav", audio[start : start + 60_000], 16_000)
    soundfile.write(folder / "silence.wav", np.zeros(32_000), 16_000)
    (folder / "text.wav").write_text("this is not a recording, and it says canary")
    (folder / "empty.wav").touch()
    return folder


@pytest.fixture(scope="module")
def long_audio(recordings: Path) -> Audio:
    """Four minutes of the three recordings, over and over."""
    parts = [read(recordings / name).mono for name in ("call.wav", "reading.mp3", "meeting.flac")]
    return Audio(np.concatenate(parts * 4), RATE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, a worker that is done takes over from another: tests here last a millisecond or ten seconds."""
    if config.getoption("dist") != "load":  # what `-n` alone means
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
