"""Reports of several evaluations side by side: what changed, and a leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deident.errors import SettingError
from deident.evaluation.gates import UNDISGUISED
from deident.evaluation.report import EER, TOP_1, WITHHELD, Report, Table, percent, with_bounds

Found = Mapping[str, Any]


def read_report(place: Path) -> Found:
    """The content of a report.json. Raises `SettingError` for anything else."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        for verdict in found["verdicts"].values():
            _ = verdict["attacks"][verdict["strongest"]]["eer"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SettingError("a report cannot be read: expected the report.json of an evaluation") from None
    whole: Found = found
    return whole


def compare(report: Report, old: Found) -> str:
    """Lines that say what changed since an older report."""
    now = json.loads(report.to_json())
    lines = _differences(old, now, "the difference")
    for name in dict.fromkeys((*old["verdicts"], *now["verdicts"])):
        before, after = old["verdicts"].get(name), now["verdicts"].get(name)
        if any(verdict and verdict.get(WITHHELD) for verdict in (before, after)):
            lines.append(f"{name}: {WITHHELD}, now or then")
        elif after is None:
            lines.append(f"{name}: was {percent(_headline(before)['eer'])} %, not in this run")
        elif before is None:
            lines.append(f"{name}: {percent(_headline(after)['eer'])} %, new")
        else:
            was, is_ = _headline(before)["eer"], _headline(after)
            inside = is_["low"] <= was <= is_["high"]
            lines.append(
                f"{name}: {percent(was)} -> {percent(is_['eer'])} % ({100.0 * (is_['eer'] - was):+.1f}"
                f"{', within the interval' if inside else ''})"
            )
    return "\n".join(lines)


def rank(reports: Sequence[Found]) -> tuple[Table, list[str]]:
    """A leaderboard of all methods in several reports.

    Parameters
    ----------
    reports : sequence of mapping
        Contents of report.json files, by `read_report`. A method that is in several counts as often.

    Returns
    -------
    table : list of tuple of str
        The head, then a row for each method, best protected first, the undisguised and untrustworthy ones last.
    notes : list of str
        Differences of speakers, settings or attackers, which forbid a comparison.
    """
    notes = [note for other in reports[1:] for note in _differences(reports[0], other, "the order")]
    entries = [(name, verdict) for report in reports for name, verdict in report["verdicts"].items()]
    entries.sort(key=lambda e: (bool(e[1].get(WITHHELD)), e[0] == UNDISGUISED, -_headline(e[1])["eer"]))
    recognisers = list(dict.fromkeys(r for _, v in entries for r in v["utility"]["words"]))
    table: Table = [
        ("", "method", "strongest attack", EER, TOP_1, *(f"words added by {r}, points" for r in recognisers))
    ]
    seen: set[str] = set()
    for name, verdict in entries:
        if name == UNDISGUISED and name in seen:
            continue
        seen.add(name)
        top, found = _headline(verdict), verdict["identification"]["top_1"]
        words = (verdict["utility"]["words"].get(r) for r in recognisers)
        table.append((
            str(len(table)), name, verdict["strongest"],
            WITHHELD if verdict.get(WITHHELD) else _bounds(top, "eer"), f"{found['value']:.2f}",
            *("-" if use is None else _bounds(use["added"], "value", "+") for use in words),
        ))  # fmt: skip
    return table, list(dict.fromkeys(notes))


def _headline(verdict: Found) -> Found:
    top: Found = verdict["attacks"][verdict["strongest"]]
    return top


def _bounds(found: Found, value: str, sign: str = "") -> str:
    low, high = (float("nan") if found[k] is None else found[k] for k in ("low", "high"))
    return with_bounds(found[value], low, high, sign)


def _differences(one: Found, other: Found, affected: str) -> list[str]:
    """Say where two reports were not made alike."""
    lines = []
    if one.get("corpus") != other.get("corpus"):
        lines.append(f"note: made on other speakers or snippets; {affected} is not the methods' alone")
    if one.get("settings") != other.get("settings") or _families(one) != _families(other):
        lines.append(f"note: made with other settings or attackers; {affected} may be theirs")
    return lines


def _families(report: Found) -> set[str]:
    """Feature families that the attackers worked on."""
    return {a.partition("/")[2] for verdict in report["verdicts"].values() for a in verdict["attacks"]}
