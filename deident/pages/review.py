"""The page that a reviewer opens: it plays snippets and saves labels."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from deident.pages.page import data_slot

PAGE = "review.html"


def page(files: Sequence[str], title: str) -> str:
    """Make a page that plays the files beside it and saves a reviewer's labels as JSON; it needs no network."""
    text = resources.files("deident.pages").joinpath(PAGE).read_text(encoding="utf-8")
    return text.replace("{{DATA}}", data_slot({"title": title, "files": list(files)}))
