"""Tables between marks on pages of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SPEED = Path(__file__).parents[1] / "docs" / "speed.md"  # of two benchmarks


def fill(page: Path, name: str, rows: Sequence[Sequence[str]]) -> None:
    """Put a table between the marks of this name on a page; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    before, mark, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not end:
        raise SystemExit(f"expected {page.name} to have lines <!-- {name} --> and <!-- end of {name} -->")
    page.write_text(before + mark + "\n".join(lines) + "\n" + end + after, encoding="utf-8")
