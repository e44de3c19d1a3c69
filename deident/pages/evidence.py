"""A page of evidence: the promises of a store, and the figures that show them kept. It names nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from deident.errors import counted
from deident.pages.page import filled, table

PAGE = "evidence.html"
KEPT = {True: "kept", False: "broken", None: ""}


def _breakable(html: str) -> str:
    """Let the names of tests break at their underscores and colons alone."""
    return re.sub(r"(?<=[_:])(?=\w)", "<wbr>", html)


def page(statement: Mapping[str, Any], checksum: str) -> str:
    """Make the page of a signed statement. checksum : of its file, SHA-256 in hexadecimal digits."""
    promises = [
        (row["promise"], row["mechanism"], row["figure"], KEPT[row["kept"]], ", ".join(row["tests"]))
        for row in statement["promises"]
    ]
    heads = ("promise", "mechanism", "in this store", "", "guarded by the test")
    erased = [(row["day"], row["kind"], str(row["snippets"])) for row in statement["erasures"]]
    measured = [
        (row["method"], key, value) for row in statement["protection"] for key, value in list(row.items())[1:]
    ]
    broken = sum(row["kept"] is False for row in statement["promises"])
    verdict = (
        f"{counted(broken, 'promise')} broken." if broken else "Every promise that is made here is kept."
    )
    soft = '<p class="soft">None.</p>'
    return filled(
        PAGE,
        {
            "DAY": escape(statement["day"]),
            "VERDICT": f'<b class="{"bad" if broken else "good"}">{verdict}</b>',
            "PROMISES": _breakable(table(heads, promises, bad={"broken"})),
            "PROTECTION": table(("method", "measure", "figure"), measured) if measured else soft,
            "ERASURES": table(("day", "kind", "snippets"), erased, numbers={2}) if erased else soft,
            "CHECKSUM": escape(checksum),
            "SIGNER": escape(statement["signed_by"]),
        },
    )
