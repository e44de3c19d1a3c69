"""The README's picture: the top of a preview page, on a recording of synthetic voices, by headless Chromium.

`python -m website.picture` writes docs/preview.webp."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from deident import DISGUISES, Policy
from deident.pages.preview import Part, preview
from tests.browser import browser

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "preview.webp"
WIDTH, HEIGHT = 1_000, 1_200
PART = """(() => {
    const of = query => document.querySelector(query).getBoundingClientRect();
    const top = of("h2").top - 8;
    const width = document.documentElement.clientWidth, height = of("article").bottom + 8 - top;
    return {x: 0, y: top + scrollY, width, height, scale: 1};
})()"""  # from what was found to the end of the first snippet


def main() -> None:
    made = preview(
        ROOT / "examples" / "recordings" / "call.wav",
        Policy(channels="split"),
        disguises={"review": DISGUISES["vocoder"](), "psola": DISGUISES["psola"]()},
        include_original=True,
        part=Part(snippets=8),
        title="Preview of a call",
    )
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as page:
        place = Path(folder, "preview.html")
        place.write_text(made.html, encoding="utf-8")
        page.show(WIDTH, HEIGHT)
        page.open(place)
        page.until("[...document.querySelectorAll('canvas')].every(canvas => canvas.width)")
        page.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        taken = page.call(
            "Page.captureScreenshot",
            format="webp",
            quality=80,
            clip=page.ask(PART),
            captureBeyondViewport=True,
        )
    PICTURE.write_bytes(base64.b64decode(taken["data"]))


if __name__ == "__main__":
    main()
