"""Gallery: a page for each recording, with every method beside the original.

The originals may be in these pages because their voices are synthetic. Open them in any browser.

    python examples/08_gallery.py [FOLDER]"""

import sys
from pathlib import Path

import deident
from deident.pages.page import write_page
from deident.pages.preview import Part, preview

RECORDINGS = Path(__file__).parent / "recordings"


def main(folder: str = "gallery") -> None:
    Path(folder).mkdir(exist_ok=True)
    for name, channels in (("call.wav", "split"), ("meeting.flac", "mix"), ("reading.mp3", "mix")):
        made = preview(
            RECORDINGS / name,
            deident.Policy(channels=channels),
            disguises={method: kind() for method, kind in deident.DISGUISES.items()},
            include_original=True,
            part=Part(snippets=4),
            title=f"Every method on {name}",
        )
        page = Path(folder, name).with_suffix(".html")
        write_page(page, made.html)
        print(f"{page}: {made.snippets} snippets, {len(made.html) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
