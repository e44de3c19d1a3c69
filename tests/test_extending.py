"""docs/extending.md is true: its code is saved and its commands are typed, as a reader would."""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"


def sections() -> list[tuple[str, str]]:
    """Titles and texts of the page's parts."""
    return re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.S | re.M)


@pytest.mark.parametrize(("title", "text"), sections(), ids=[title for title, _ in sections()])
def test_every_step_runs(title: str, text: str, tmp_path: Path) -> None:
    for folder in (
        "examples",
        *(("deident",) if "```diff" in text else ()),
    ):  # a change of the package, in a copy
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    changed = [str(tmp_path)] if "```diff" in text else []  # its copy of the package
    path = [*changed, str(ROOT), *sys.path[1:]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    steps = re.findall(r"^```(python|diff|sh)\n(.*?)^```", text, re.S | re.M)
    assert {language for language, _ in steps} >= {"python", "sh"}
    for language, block in steps:
        if language == "python":
            name = re.match(r"# ([\w/]+\.py)\n", block)
            assert name, "a block begins with the name of its file"
            (tmp_path / name[1]).write_text(block)
            continue
        if language == "diff":
            patch(tmp_path, block)
            continue
        commands = "".join(f'{tool}() {{ "{sys.executable}" {how} "$@"; }}\n' for tool, how in TOOLS.items())
        result = subprocess.run(
            ["sh", "-ec", commands + block],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == EXPECTED.get(title, 0), f"{block}\n{result.stderr[-3000:]}"
        assert SAYS.get(title, "") in result.stdout


def test_every_name_of_the_package_is_there() -> None:
    names = set(re.findall(r"`(deident(?:\.\w+)+)`", PAGE.read_text(encoding="utf-8")))
    assert len(names) > 10
    for name in names:
        pkgutil.resolve_name(name)


def patch(folder: Path, block: str) -> None:
    """Add the lines of a diff without line numbers behind the one line before them."""
    place = re.search(r"^\+\+\+ b/(.*)$", block, re.M)
    before, added, after = re.split(
        r"((?:^\+(?!\+\+).*\n)+)", block.partition("@@ @@\n")[2], maxsplit=1, flags=re.M
    )
    assert place
    file = folder / place[1]
    old = "".join(line[1:] + "\n" for line in (before + after).splitlines())
    new = before[1:] + "".join(line[1:] + "\n" for line in added.splitlines()) + after[1:]
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


TOOLS = {
    "python": "",
    "deident": "-P -m deident",
}  # -P: the installed command has no current folder on its path
EXPECTED = {"An encoder": 3}  # it is of no use, and so are its numbers
SAYS = {"A recogniser": "note: no transcripts"}
