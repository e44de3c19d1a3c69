"""The site of the documentation builds without a warning or a network, fetches nothing, and plays sound."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import deident
from deident.disguise.presets import PRESETS
from tests.browser import Page

for package in ("material", "mkdocstrings_handlers.python"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[1]
MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as docs/python.md says."""
    [command] = re.findall(
        r"^NO_MKDOCS_2_WARNING=1 (mkdocs build --strict)$", (ROOT / "docs/python.md").read_text(), re.M
    )
    out = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", *command.split(), "--site-dir", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={
            **os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join(sys.path),
            "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
        },
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return out


def test_every_public_name_is_on_the_page_of_tasks(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    assert [name for name in deident.__all__ if f'id="deident.{name}"' not in page] == []
    assert str(ROOT) not in page


def test_the_site_is_small_and_names_nothing_to_fetch(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < MOST_BYTES
    for path in site.glob("*.html"):
        loaded = re.findall(r"<(?:script|img|audio|source|iframe)[^>]* src=\"([^\"]+)\"", path.read_text())
        loaded += re.findall(r"<link[^>]* rel=\"(?:stylesheet|preload|icon)\"[^>]*>", path.read_text())
        assert not [place for place in loaded if "//" in place], path.name


@pytest.mark.parametrize("name", ["index", "methods", "gallery"])
def test_pages_open_without_a_word_on_the_console(name: str, site: Path, chromium: Page) -> None:
    for width in (1280, 400):
        chromium.show(width, dark=width == 400)
        chromium.open(site / f"{name}.html")
        assert chromium.ask("document.documentElement.scrollWidth") <= width
    assert chromium.complaints == []
    assert {url.partition(":")[0] for url in chromium.fetched} <= {"file", "data"}


def test_a_tap_plays_a_sound_on_a_narrow_screen(site: Path, chromium: Page) -> None:
    chromium.show(400)
    chromium.open(site / "methods.html")
    players = '[...document.querySelectorAll(".sounds audio")]'
    count = chromium.ask(f"{players}.length")
    for number in (0, 1, count - 1):
        player = f"{players}[{number}]"
        chromium.ask(f"{player}.scrollIntoView({{block: 'center'}})")
        left, top, tall = chromium.ask(
            f"(box => [box.left, box.top, box.height])({player}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            chromium.call(
                "Input.dispatchMouseEvent", type=kind, x=left + 25, y=top + tall / 2, button="left", clickCount=1
            )  # fmt: skip
        chromium.until(f"!{player}.paused || {player}.ended")
    assert chromium.ask("document.documentElement.scrollWidth") <= 400
    assert chromium.complaints == []


def test_the_page_of_tasks_has_no_stray_dash(site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "api.html").read_text(encoding="utf-8"))
    assert "path-like" in page
    assert "path - like" not in page
    assert not re.search(r"–\s+\n\s*\n", page)


def test_an_interval_of_a_table_stands_on_one_line(site: Path, chromium: Page) -> None:
    chromium.show(1280)
    chromium.open(site / "index.html")
    cells = chromium.ask("""[...document.querySelectorAll("td")].filter(cell => /\\[.*,.*\\]/.test(cell.textContent))
        .map(cell => [cell.textContent, cell.clientHeight])""")
    assert len(cells) > 5
    assert all("," not in text or ",\u00a0" in text for text, _ in cells)
    tables = '[...document.querySelectorAll(".md-typeset__scrollwrap")]'
    assert chromium.ask(f"{tables}.every(box => box.scrollWidth <= box.clientWidth)")


def test_every_preset_and_method_can_be_heard(site: Path, chromium: Page) -> None:
    page = (site / "methods.html").read_text(encoding="utf-8")
    players = re.findall(r'<audio[^>]* src="(sounds/(\w+)-(\w+)\.mp3)"', page)
    assert {name for _, _, name in players} >= {"original", *PRESETS, *deident.DISGUISES} - {"vocoder"}
    spectra_of: dict[str, list[np.ndarray]] = {}
    for place, voice, _ in players:
        samples, rate = soundfile.read(io.BytesIO((site / place).read_bytes()))
        assert 2.5 < len(samples) / rate < 3.5
        spectra_of.setdefault(voice, []).append(np.log(np.abs(np.fft.rfft(samples, 48_000))[:24_000] + 1e-3))
    assert len(spectra_of) == 3
    for spectra in spectra_of.values():  # none is another under a second name
        alike = np.corrcoef([spectrum.reshape(-1, 20).mean(1) for spectrum in spectra])
        assert (alike - np.eye(len(spectra))).max() < 0.995
    chromium.open(site / "methods.html")
    chromium.ask("document.querySelector('audio').play()")
    chromium.until("document.querySelector('audio').currentTime > 0")
    assert chromium.complaints == []


def test_the_gallery_leads_to_pages_that_are_there(site: Path) -> None:
    links = re.findall(r'href="(gallery/\w+\.html)"', (site / "gallery.html").read_text(encoding="utf-8"))
    assert len(set(links)) == 3
    for link in links:
        assert '"name":"original"' in (site / link).read_text(encoding="utf-8")
