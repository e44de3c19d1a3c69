"""Hooks of MkDocs: pages that are made when the site is built, and links that lead from docs/ into the repository.

The pages in docs/ also read well on their own, where the repository is shown; the site adds what they cannot have."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from deident.cli import COMMANDS, parser_of  # noqa: E402
from website import gallery, sounds  # noqa: E402

REPOSITORY = "https://github.com/deident/deident"
MAIN, RAW = f"{REPOSITORY}/blob/main/", f"{REPOSITORY}/raw/main/"
MOST_COLUMNS = 8
PAGES = {  # of the repository, in the site
    "README.md": "index.md",
    "THREATS.md": "threats.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and files that docs/ does not hold."""

    def add(name: str, content: str | bytes) -> None:
        files.append(File.generated(config, name, content=content))

    for source, name in PAGES.items():
        add(name, (ROOT / source).read_text(encoding="utf-8"))
    add("commands.md", commands())
    add("api.md", (ROOT / "website" / "api.md").read_text(encoding="utf-8"))
    add("site.css", (ROOT / "website" / "site.css").read_text(encoding="utf-8"))
    for name, data in sounds.sounds().items():
        add(f"sounds/{name}", data)
    with tempfile.TemporaryDirectory() as folder:
        made = gallery.pages(Path(folder))
        for name, data in made.items():
            add(f"gallery/{name}", data)
    add("gallery.md", gallery.index(made))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where the site has what they name, and put players where a page has a place for them."""
    markdown = markdown.replace("<!-- sounds -->", sounds.table("sounds"))
    return re.sub(r"\]\(([^)\s]+)\)", lambda link: f"]({_target(link[1], page.file.src_uri)})", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Mend what pages say awkwardly: "path - like", a dash before no description, an interval on two lines."""
    html = re.sub(r"(\bpath(?:</\w+>)?) - like\b", r"\1-like", html)
    html = re.sub(r"\s*–\s*(<div class=\"doc-md-description\">\s*</div>)", r"\1", html)
    return re.sub(r"<table>.*?</table>", lambda table: _with_whole_intervals(table[0]), html, flags=re.S)


def _with_whole_intervals(table: str) -> str:
    """Keep each interval of a table on one line, where all of its columns have room for that."""
    if table.count("<th") - 1 > MOST_COLUMNS:  # the first is <thead>
        return table
    return re.sub(r"(\[[-+−\d.]+,) ([-+−\d.]+\])", "\\1\u00a0\\2", table)


def _target(link: str, page: str) -> str:
    """Return where a link of a page leads on the site: to a page of it, or into the repository."""
    place, mark, anchor = link.partition("#")
    if place.startswith((MAIN, RAW)):
        place = place.removeprefix(MAIN).removeprefix(RAW)
    elif not place or ":" in place:
        return link
    elif page not in PAGES.values():  # a page of docs/
        place = place.removeprefix("../") if place.startswith("../") else f"docs/{place}"
    if place in PAGES:
        return f"{PAGES[place]}{mark}{anchor}"
    if place.startswith("docs/") and (ROOT / place).is_file():
        return f"{place.removeprefix('docs/')}{mark}{anchor}"
    if not (ROOT / place).exists():
        return link  # MkDocs will say so
    return f"{MAIN}{place}{mark}{anchor}"


def commands() -> str:
    """Write the page of all commands, as their --help says."""
    parser = parser_of(COMMANDS)
    [found] = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = ["# Commands\n", "What `deident COMMAND --help` prints.\n"]
    for name, command in found.choices.items():
        command.formatter_class = _Formatter
        parts.append(f"## deident {name}\n\n```text\n{command.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The same width on every terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100, max_help_position=30)
