"""The documentation speaks of what is there: commands it shows parse, links lead somewhere, lists are whole."""

import dataclasses
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import deident
from deident.cli import COMMANDS, parser_of
from deident.codec.problems import CODES
from deident.runs.run import Summary
from deident.runs.worker import STATES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "THREATS.md", *sorted(DOCS.glob("*.md"))]


def commands(page: Path) -> list[str]:
    """Commands in blocks of `sh`, which test_readme runs, and indented ones; those that go on are joined."""
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    indented = re.findall(r"^    (deident .*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    lines = [line for block in fenced for line in block.splitlines()]
    parts = [part for line in [*lines, *indented] for part in line.split("  #")[0].split(" && ")]
    return [part.strip() for part in parts if part.strip().startswith("deident ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_that_is_shown_can_be_typed(page: Path) -> None:
    parser = parser_of(COMMANDS)
    for command in commands(page):
        words = shlex.split(command.partition(" > ")[0].partition(" | ")[0])
        try:
            parser.parse_args(words[1:])
        except SystemExit:
            pytest.fail(f"{page.name} shows what cannot be typed: {command}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_option_that_is_named_exists(page: Path) -> None:
    [commands] = (action for action in parser_of(COMMANDS)._actions if action.dest == "command")
    parsers = dict(commands.choices or {}).values()  # type: ignore[call-overload]
    known = {name for parser in parsers for name in parser._option_string_actions}
    named = re.findall(r"`(?:deident \w+ )?(--[a-z][a-z-]+)[^`]*`", page.read_text(encoding="utf-8"))
    assert set(named) <= known


def test_every_command_is_shown() -> None:
    shown = [command for page in PAGES for command in commands(page)]
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in COMMANDS:
        assert (
            any(command.startswith(f"deident {name} ") for command in shown) or f"`deident {name}" in text
        ), name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        here = re.sub(r"^https://github.com/deident/deident/(blob|raw)/main", str(ROOT), target)
        if here.startswith(("https://", "http://")):
            continue
        place, _, anchor = here.partition("#")
        found = (page.parent / place).resolve() if place else page
        assert found.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w\- ]", "", t).strip().lower().replace(" ", "-") for t in titles]


def test_links_of_the_readme_work_where_a_package_is_shown() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_every_fenced_command_is_one_that_runs() -> None:
    """test_readme, test_extending, test_dask_processes and test_site run blocks of `sh`."""
    for page in (ROOT / "README.md", *DOCS.glob("*.md")):
        languages = set(re.findall(r"^```([a-z]*)\n.*?^```", page.read_text(encoding="utf-8"), re.S | re.M))
        assert languages <= {"sh", "python", "toml", "json", "text", "diff", ""}, page.name
        plain = re.findall(r"^```(?:text|)\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
        assert not re.search(r"^(\$|deident|python|dask) ", "\n".join(plain), re.M), page.name


def test_what_scan_prints_is_what_is_shown(deident: Callable[..., Any]) -> None:
    page = (DOCS / "metadata.md").read_text(encoding="utf-8")
    [command] = re.findall(r"^```sh\ndeident (.*)\n```", page, re.M)
    [shown] = re.findall(r"^```text\n(.*?)^```", page, re.S | re.M)
    words = command.replace("examples", str(ROOT / "examples")).split()
    assert deident(*words).stdout == shown


def words_in(page: str) -> set[str]:
    return set(re.findall(r"[\w-]+", (DOCS / page).read_text(encoding="utf-8")))


def test_lists_are_whole() -> None:
    assert set(deident.__all__) <= words_in("python.md")
    assert set(CODES) <= words_in("formats.md")
    assert set(STATES) <= words_in("concepts.md")
    assert {field.name for field in dataclasses.fields(Summary)} <= words_in("formats.md")
    for script in (ROOT / "examples").glob("[0-9]*.py"):
        assert script.name in (DOCS / "python.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", (ROOT / "THREATS.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    for file, name in named:
        assert f"def {name or 'test_'}" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_each_promise_names_tests_that_are_there() -> None:
    rows = [line for line in (ROOT / "THREATS.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", row.split("|")[3])
        assert named, row
        for file, name in named:
            assert re.search(rf"^def {name or 'test_'}", (ROOT / "tests" / file).read_text(), re.M), (
                file,
                name,
            )
