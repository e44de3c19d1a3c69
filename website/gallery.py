"""The gallery of the site: the pages of examples/08_gallery.py, and one that leads to them."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterable
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "08_gallery.py"
TITLES = {
    "call.html": "a call, a person on each channel, over a telephone line",
    "meeting.html": "a meeting: three people in one channel, with noise and hum",
    "reading.html": "a reader",
}


def pages(folder: Path) -> dict[str, bytes]:
    """Make the pages in a folder, and return them by name."""
    spec = importlib.util.spec_from_file_location("gallery", SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with contextlib.redirect_stdout(io.StringIO()):
        script.main(str(folder))
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.html"))}


def index(names: Iterable[str]) -> str:
    """Write the page that leads to them, in Markdown."""
    links = "\n".join(f"- [{TITLES[name]}](gallery/{name})" for name in names)
    return f"""\
# Gallery

Every method beside the original: audio, spectrogram and pitch. The voices are a synthesiser's, so the originals may be
shown.

{links}

The same of a recording of your own, which stays on your machine:

```sh
deident preview examples/recordings/call.wav --channels split --include-original --out page.html
```
"""
