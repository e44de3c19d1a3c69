"""Pages that open without a network: one look, one strict policy, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from deident.errors import SettingError
from deident.store import Disk
from deident.uris import STORE_MARKS

SUFFIX = ".html"


def filled(template: str, slots: Mapping[str, str]) -> str:
    """The page of a template of this package: the common style, its slots, and a Content-Security-Policy.

    The policy lets run what the page itself holds, by checksum, and lets nothing be fetched."""
    values = {"STYLE": _resource("page.css"), **slots}
    head, rest = _resource(template).split("{{POLICY}}")
    rest = re.sub(r"\{\{(\w+)\}\}", lambda slot: values[slot[1]], rest)  # once: what is filled in is not read
    return head + _policy(rest) + rest


def data_slot(data: object) -> str:
    """Data as JSON to stand in a script element."""
    # "</" would end the script that the data stands in, and "<!--" begin a comment in it.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def check_place(path: str | os.PathLike[str]) -> Path:
    """Raise `SettingError` unless a page may be written there: nothing but a page is ever replaced."""
    place = Path(path)
    if place.suffix.lower() != SUFFIX:
        raise SettingError(f"expected a page's name that ends in {SUFFIX}")
    if not place.parent.is_dir():
        raise SettingError("the folder for the page is not there; make it first")
    if os.path.lexists(place) and (place.is_symlink() or not place.is_file()):
        raise SettingError("there is something else in the page's place; name another")
    if any((folder / mark).exists() for folder in place.resolve().parents for mark in STORE_MARKS):
        raise SettingError(
            "the page must lie outside a store, which holds released snippets and nothing else"
        )
    return place


def write_page(path: Path, text: str) -> None:
    """The page, mode 0600, whole or not at all. Raises `StoreError` when it cannot be written."""
    Disk().replace(path, [text.encode()])


def _resource(name: str) -> str:
    return resources.files("deident.pages").joinpath(name).read_text(encoding="utf-8")


def _policy(text: str) -> str:
    styles = re.findall(r"<style>(.*?)</style>", text, re.S)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    allowed = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for directive, parts in (("style-src", styles), ("script-src", scripts)):
        if parts:
            allowed.append(" ".join([directive, *(f"'{_checksum(part)}'" for part in parts)]))
    if scripts:
        allowed.append("media-src blob:")
    return "; ".join(allowed)


def _checksum(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
