"""docs/methods.md and the docstrings of the methods list every setting with its true range and default."""

import dataclasses
import re
from typing import Any

import pytest

from benchmarks.methods_page import PAGE, settings, table
from deident.disguise import DISGUISES
from deident.errors import SettingError


@pytest.mark.parametrize("name", DISGUISES)
def test_docstrings_list_every_setting_with_its_default(name: str) -> None:
    fields = {field.name: field.default for field in dataclasses.fields(DISGUISES[name])}
    assert {setting.name: setting.default for setting in settings(DISGUISES[name])} == fields


@pytest.mark.parametrize("name", DISGUISES)
def test_the_page_is_up_to_date(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8").partition(f"<!-- {name} -->")[2].partition("<!-- end")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n") if line]
    assert [row for row in rows if row[0] != "---"] == [list(row) for row in table(DISGUISES[name])]


def numeric() -> list[tuple[str, str, float, float, bool]]:
    found = []
    for name, kind in DISGUISES.items():
        for setting in settings(kind):
            if bounds := re.search(r"([\d.]+) to ([\d.]+)$", setting.bounds):
                is_pair = setting.bounds.startswith("(lower, upper)")
                found.append((name, setting.name, float(bounds[1]), float(bounds[2]), is_pair))
    return found


@pytest.mark.parametrize(("name", "setting", "low", "high", "is_pair"), numeric())
def test_documented_bounds_are_those_that_hold(
    name: str, setting: str, low: float, high: float, is_pair: bool
) -> None:
    def made(value: float) -> Any:
        whole = int(value) if value == int(value) else value
        return DISGUISES[name](**{setting: (whole, whole) if is_pair else whole})

    for value in (low, high):
        made(value)
    for value in (low - 1, high + 1):
        with pytest.raises(SettingError):
            made(value)
