"""What tests share: where real recordings lie, and the synthesised ones that come with the project."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from deident.cli import main
from tests.browser import CHROMIUM, Page, browser

RECORDINGS = Path(__file__).parents[1] / "examples" / "recordings"


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, a worker that is done takes over from another: tests here last a millisecond or ten seconds."""
    if config.getoption("dist") != "load":  # what `-n` alone means
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
