"""Self-contained HTML pages: templates, a strict Content-Security-Policy, and atomic writing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from deident.errors import SettingError
from deident.store import Disk
from deident.uris import check_outside_stores

SUFFIX = ".html"
THEME = (
    '<label class="theme small soft">colours <select id="theme"><option value="auto">of the system</option>'
    '<option value="light">light</option><option value="dark">dark</option></select></label>'
)


def filled(template: str, slots: Mapping[str, str], *, media: str = "blob:") -> str:
    """Fill a template of this package and give it a Content-Security-Policy.

    The policy allows the scripts and styles of the page itself, by checksum, and allows nothing to be fetched.

    Parameters
    ----------
    template : str
        A file name in this package.
    slots : mapping of str to str
        The text for each {{SLOT}}; STYLE is filled with the common style sheet, THEME with the choice of its colours.
    media : str, optional
        Sources, in the policy's words, from which a page with a script may play sound.

    Returns
    -------
    str
        HTML.
    """
    values = {"STYLE": _resource("page.css"), "THEME": THEME, **slots}
    head, rest = _resource(template).split("{{POLICY}}")
    rest = re.sub(
        r"\{\{(\w+)\}\}", lambda slot: values[slot[1]], rest
    )  # once: the text that is filled in is not searched
    return head + _policy(rest, media) + rest


def data_slot(data: object) -> str:
    """Write data as JSON that is safe inside a script element."""
    # "</" would end the script that the data stands in, and "<!--" begin a comment in it.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Iterable[int] = (),
    bad: Iterable[str] = (),
) -> str:
    """An HTML table; what stands in backticks is code. numbers : columns of numbers.   bad : texts marked as bad."""
    places, marked = set(numbers), set(bad)

    def line(tag: str, row: Sequence[str]) -> str:
        kinds = ["number" if n in places else "bad" if text in marked else "" for n, text in enumerate(row)]
        cells = (
            f'<{tag} class="{kind}">{_with_code(text)}</{tag}>' for kind, text in zip(kinds, row, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{line("th", heads)}</thead><tbody>{body}</tbody></table></div>'


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def check_place(path: str | os.PathLike[str]) -> Path:
    """Raise `SettingError` unless a page may be written to a path: only a page is ever replaced."""
    place = Path(path)
    if place.suffix.lower() != SUFFIX:
        raise SettingError(f"expected the name of a page, ending in {SUFFIX}")
    if not place.parent.is_dir():
        raise SettingError("the folder for the page does not exist; make it first")
    if os.path.lexists(place) and (place.is_symlink() or not place.is_file()):
        raise SettingError("the page would replace something that is not a file; choose another name")
    check_outside_stores("the page", place)
    return place


def write_page(path: Path, text: str) -> None:
    """Write a page with mode 0600, whole or not at all. Raises `StoreError` when it cannot be written."""
    write_private(path, text.encode())


def write_private(path: Path, data: bytes) -> None:
    """Write a file with mode 0600, whole or not at all; a link at the path is replaced, not followed.

    Raises `StoreError` when it cannot be written.
    """
    Disk().replace(path, [data])


def _resource(name: str) -> str:
    return resources.files("deident.pages").joinpath(name).read_text(encoding="utf-8")


def _policy(text: str, media: str) -> str:
    """Make the content security policy that allows a page its own styles, scripts and media alone."""
    styles = re.findall(r"<style>(.*?)</style>", text, re.S)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    allowed = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for directive, parts in (("style-src", styles), ("script-src", scripts)):
        if parts:
            allowed.append(" ".join([directive, *(f"'{_checksum(part)}'" for part in parts)]))
    if scripts:
        allowed.append(f"media-src {media}")
    if 'src="data:image/' in text:
        allowed.append("img-src data:")
    return "; ".join(allowed)


def _checksum(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
