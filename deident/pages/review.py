"""The page that a reviewer opens: it plays snippets one at a time and saves labels."""

from __future__ import annotations

from collections.abc import Sequence

from deident.pages.page import data_slot, filled

QUALITIES = ("clear", "hard to hear", "no speech")
FLAGS = ("a name or number is spoken", "a second voice", "not meant to be recorded")


def page(files: Sequence[str], round_name: str, reviewer: str, until: Sequence[str | None] = ()) -> str:
    """Make a page that plays the files beside it and saves a reviewer's labels as JSON; it needs no network.

    until : their last days. The page plays none after it, and cannot stop anything else from doing so.
    """
    data = {
        "round": round_name,
        "reviewer": reviewer,
        "files": list(files),
        "until": list(until),
        "qualities": QUALITIES,
        "flags": FLAGS,
    }
    return filled("review.html", {"DATA": data_slot(data)}, media="'self' file:")
