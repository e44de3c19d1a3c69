"""What tests share: where real recordings lie, and the synthesised ones that come with the project."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a headless browser. Tests that ask for it are skipped where none is installed."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page
