"""The report as one page that opens without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from deident.evaluation import figures
from deident.evaluation.report import COLUMNS, LEGEND, SYNTHETIC, WITHHELD, Report
from deident.pages.page import write_private

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1160px; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 12.5px; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .35rem; border-bottom: 1px solid #ddd; vertical-align: top }
td { white-space: nowrap } td:last-child { white-space: normal }
th { font-weight: 600; background: #f6f6f6 }
img { max-width: 100%; height: auto }
.alarm { background: #fdecea; border-left: 4px solid #c62828; padding: .5rem .8rem; margin: .5rem 0 }
.note { background: #f4f4f4; border-left: 4px solid #999; padding: .3rem .8rem; margin: .3rem 0 }
.bad { color: #b3261e; font-weight: 600 } .good { color: #1b6e3c }
p.what { color: #555; margin: .2rem 0 .6rem }
"""


def write(report: Report, folder: Path) -> None:
    """Write report.json, report.html and scores.npz to a folder, for their owner alone."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = io.BytesIO()
    np.savez_compressed(scores, **report.scores())  # type: ignore[arg-type]  # as in cache.py
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
    parts = ["<h1>How strong are these disguises?</h1>"]
    for line in report.head():
        loud = line.startswith("UNTRUSTWORTHY") or line == SYNTHETIC
        parts.append(f'<div class="{"alarm" if loud else "note"}">{escape(line)}</div>')
    parts.append(_table(COLUMNS, [report.row(name) for name in verdicts]))
    parts.append(f'<p class="what">{escape(" ".join(LEGEND))}</p>')
    words = "Up is better protected, left is better understood. Bars: 95 % intervals over speakers."
    parts += _section("Protection and its price", words, figures.privacy_utility(verdicts, distrusted))
    words = (
        "Equal error rate, %, by what the attacker knows and listens to. Green: nothing learned. ?: withheld."
    )
    parts += _section("Attackers by method", words, figures.attackers(verdicts, report.distrust))
    trusted = {name: verdict for name, verdict in verdicts.items() if not distrusted[name]}
    if trusted:
        words = "Scores of the strongest attack. The less the two overlap, the more it learns."
        parts += _section("Scores", words, figures.histograms(trusted))
        words = "A dot is a speaker; a mean cannot hide those at the right. Line: median. Strongest attack."
        parts += _section("Who stays exposed", words, figures.spread(trusted))
    grown = figures.growth(trusted)
    if grown:
        words = (
            "What more snippets of a speaker give the strongest attacker, and to whoever ranks all speakers, "
            "as far as there are enough."
        )
        parts += _section("More snippets", words, grown)
    if report.pictures:
        words = "One snippet, seconds across, 0 to 8 kHz up."
        parts += _section("Before and after", words, figures.spectrograms(report.pictures))
    parts += ["<h2>More measures</h2>", _measures(report), "<h2>Checks</h2>", _gates(report)]
    parts += ["<h2>How it was made</h2>", _made(report)]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>How strong are these disguises?'
        f"</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _section(title: str, words: str, png: bytes) -> list[str]:
    data = base64.b64encode(png).decode("ascii")
    image = f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'
    return [f"<h2>{escape(title)}</h2>", f'<p class="what">{escape(words)}</p>', image]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in columns)
    lines = ["".join(_cell(cell) for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = " class=bad" if text.startswith((WITHHELD, "failed")) else ""
    return f"<td{kind}>{escape(text)}</td>"


def _measures(report: Report) -> str:
    """Measures of the strongest attack, and of use, that the first table has no room for."""
    columns = (
        "method", "min Cllr", "D_sys", "disclosure (bits, of 0.72)", "worst case (log10 LR)", "accepted at 1 % false",
        "at 0.1 %", "by sex EER %", "top-5", "mixed-sex EER %", "parameter found", "F0 contour r", "length 5/50/95 %",
        "words trained disguised / tested / both / neither",
    )  # fmt: skip
    rows = []
    for name, verdict in report.verdicts.items():
        top, use = verdict.headline, verdict.utility
        short, middle, long = use.duration_ratio
        t = use.training
        strongest = [
            f"{top.min_cllr:.3f}", f"{top.linkability:.3f}", f"{top.disclosure:.3f}",
            f"{top.worst_disclosure:.1f} ({top.zebra})", f"{top.accept_at_1_percent:.2f}",
            f"{top.accept_at_1_permille:.2f}",
            ", ".join(f"{sex} {100 * rate:.1f}" for sex, rate in top.by_sex.items()) or "-",
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
    return _table(columns, rows)


def _gates(report: Report) -> str:
    rows = [
        ("passed" if g.passed else "failed" if g.blocks else "note", g.method or "all", g.name, g.detail)
        for g in report.gates
    ]
    return _table(("", "method", "check", "found"), rows)


def _made(report: Report) -> str:
    rows = [(f"method {name}", says) for name, says in report.methods.items()]
    rows += [(f"setting {name}", str(value)) for name, value in report.settings.items()]
    rows += [(f"corpus {name}", str(value)) for name, value in report.corpus.items()]
    rows += [(f"version of {name}", value) for name, value in report.versions.items()]
    return _table(("", ""), rows)
