"""Code speaks the field's words: names and docstrings avoid those that a speech engineer would have to translate."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for folder in ("deident", "tests", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
]
PRIVATE = {  # and the field's own
    "talker": "channel, or speaker", "talkers": "channels, or speakers", "heard": "detected, recognised",
    "hush": "zero_gaps", "sung": "synthesised", "dealt": "assigned, matched", "lasting": "of a duration",
    "throat": "excitation", "mouth": "spectral envelope", "chapters": "sections", "desk": "cipher",
}  # fmt: skip


def names(tree: ast.Module) -> Iterator[str]:
    """Yield the words of everything that a module names: functions, classes, arguments and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.id if isinstance(node, ast.Name) else node.attr
        else:
            continue
        if name.startswith("test_"):
            continue  # a sentence, in which a reviewer may well have heard something
        yield from re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_are_the_fields(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert {word: PRIVATE[word] for word in names(tree) if word in PRIVATE} == {}
    assert [text for text in docstrings(tree) if re.match(r"(What|Whether|How|Whose)\b", text)] == []
