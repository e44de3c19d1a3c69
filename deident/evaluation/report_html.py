"""The report as files: one page that opens without a network, the numbers as JSON, and every score."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

import numpy as np

from deident.errors import require
from deident.evaluation import figures
from deident.evaluation.report import LEGEND, SYNTHETIC, WITHHELD, Report, Table
from deident.pages.page import filled, table, write_private

PAGE = "evaluation.html"


def check_extras() -> None:
    """Raise `ExtraMissingError` where the figures of a page cannot be drawn."""
    require("evaluate", "the page of an evaluation", "matplotlib")


def write(report: Report, folder: Path) -> None:
    """Write report.json, report.html and scores.npz, each with mode 0600, into a folder.

    Raises `StoreError` when one cannot be written.
    """
    scores = io.BytesIO()
    np.savez_compressed(scores, **report.scores())  # type: ignore[arg-type]  # as in cache.py
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = {
        "scores.npz": scores.getvalue(),
        "report.json": report.to_json().encode(),
        "report.html": page(report).encode(),
    }
    for name, data in files.items():
        write_private(folder / name, data)


def page(report: Report) -> str:
    """The whole page: figures inlined, no script, nothing fetched."""
    verdicts = report.verdicts
    distrusted = {name: report.distrust(name) for name in verdicts}
    parts = []
    for line in report.head():
        loud = line.startswith("UNTRUSTWORTHY") or line == SYNTHETIC
        parts.append(f'<div class="{"alarm" if loud else "note"}">{escape(line)}</div>')
    parts.append(_table(report.summary()))
    parts.append(f'<p class="soft">{escape(" ".join(LEGEND))}</p>')
    if report.recognisers:
        recogniser = report.recognisers[0]
        measured = {
            name: verdict for name, verdict in verdicts.items() if recogniser in verdict.utility.words
        }
        says = "Up is better protected, left is better understood. Bars: 95 % intervals over speakers."
        drawn = figures.privacy_utility(measured, recogniser, distrusted)
        parts += _section("Protection and its price", says, drawn)
    says = (
        "Equal error rate, %, by what the attacker knows and works on. Green: nothing learned. ?: withheld."
    )
    parts += _section("Attackers by method", says, figures.attackers(verdicts, report.distrust))
    parts.append(_table(report.attacks()))
    trusted = {name: verdict for name, verdict in verdicts.items() if not distrusted[name]}
    if trusted:
        says = "Scores of the strongest attack. The less the two overlap, the more it learns."
        parts += _section("Scores", says, figures.histograms(trusted))
        says = "A dot is a speaker; a mean cannot hide those at the right. Line: median. Strongest attack."
        parts += _section("Who stays exposed", says, figures.spread(trusted))
    grown = figures.growth(trusted)
    if grown:
        says = (
            "What more snippets of a speaker give the strongest attacker, and to whoever ranks all speakers, "
            "as far as there are enough."
        )
        parts += _section("More snippets", says, grown)
    tables = {
        "Linked and singled out": report.risks(),
        "What an attacker's effort buys": report.effort(),
        "By groups of speakers": report.groups(),
        "Words": report.words(),
        "Channels": report.channels(),
    }
    for title, rows in tables.items():
        if len(rows) > 1:
            parts += [f"<h2>{title}</h2>", _table(rows)]
    if report.pictures:
        says = "One snippet, seconds across, 0 to 8 kHz up."
        parts += _section("Before and after", says, figures.spectrograms(report.pictures))
    parts += ["<h2>More measures</h2>", _measures(report), "<h2>Checks</h2>", _gates(report)]
    parts += ["<h2>How it was made</h2>", _made(report)]
    return filled(PAGE, {"BODY": "\n".join(parts)})


def _section(title: str, says: str, png: bytes) -> list[str]:
    data = base64.b64encode(png).decode("ascii")
    image = f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'
    return [f"<h2>{escape(title)}</h2>", f'<p class="soft">{escape(says)}</p>', image]


def _table(rows: Table) -> str:
    return table(rows[0], rows[1:], bad=(WITHHELD, "failed"))


def _measures(report: Report) -> str:
    """Measures of the strongest attack, and of use, that the first table has no room for."""
    columns = (
        "method", "min Cllr", "disclosure (bits, of 0.72)", "accepted at 1 % false",
        "at 0.1 %", "by group EER %", "top-5", "mixed-sex EER %", "parameter found", "F0 contour r", "length 5/50/95 %",
        "words trained disguised / tested / both / neither",
    )  # fmt: skip
    rows = []
    for name, verdict in report.verdicts.items():
        top, use = verdict.headline, verdict.utility
        short, middle, long = use.duration_ratio
        t = use.training
        strongest = [
            f"{top.min_cllr:.3f}", f"{top.disclosure:.3f}",
            f"{top.accept_at_1_percent:.2f}", f"{top.accept_at_1_permille:.2f}",
            ", ".join(f"{label} {100 * rate:.1f}" for label, rate in top.by_group.items()) or "-",
        ]  # fmt: skip
        ranks = [f"{verdict.identification.top_5:.2f}", f"{100 * verdict.identification.eer_mixed:.1f}"]
        rows.append((
            name,
            *([WITHHELD] * len(strongest) if report.distrust(name) else strongest),
            *([WITHHELD] * len(ranks) if report.distrust_ranks(name) else ranks),
            f"{100 * report.recovered[name]:.0f} %" if name in report.recovered else "-",
            "-" if use.f0_correlation is None else f"{use.f0_correlation:.2f}",
            f"{short:.2f} / {middle:.2f} / {long:.2f}",
            " / ".join(
                f"{100 * t[k]:.0f}" for k in
                ("trained_on_disguised", "tested_on_disguised", "both_disguised", "original")
            ) if t else "-",
        ))  # fmt: skip
    return table(columns, rows, bad=(WITHHELD,))


def _gates(report: Report) -> str:
    rows = [
        ("passed" if g.passed else "failed" if g.blocks else "note", g.method or "all", g.name, g.detail)
        for g in report.gates
    ]
    return table(("", "method", "check", "found"), rows, bad=("failed",))


def _made(report: Report) -> str:
    """Tabulate methods, settings, corpus and versions."""
    rows = [(f"method {name}", says) for name, says in report.methods.items()]
    rows += [(f"setting {name}", str(value)) for name, value in report.settings.items()]
    rows += [(f"corpus {name}", str(value)) for name, value in report.corpus.items()]
    rows += [(f"version of {name}", value) for name, value in report.versions.items()]
    return table(("", ""), rows)
