"""The report as files: one page that opens without a network, the numbers as JSON, and every score."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from html import escape
from pathlib import Path

import numpy as np

from deident.errors import require
from deident.evaluation import figures
from deident.evaluation.report import LEGEND, SYNTHETIC, WITHHELD, Report, Table
from deident.pages.page import filled, table, write_private

PAGE = "evaluation.html"
MEANINGS = {
    "Linked and singled out": (
        "Linked: snippets whose own speaker ranks first of so many. Singled out: speakers who alone score above a "
        "threshold. By the snippets that the attacker has of each; in brackets: extrapolated."
    ),
}


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
    parts = []
    for line in report.head():
        loud = line.startswith("UNTRUSTWORTHY") or line == SYNTHETIC
        parts.append(f'<div class="{"alarm" if loud else "note"}">{escape(line)}</div>')
    parts.append(_table(report.summary()))
    parts.append(f'<p class="soft">{escape(" ".join(LEGEND))}</p>')
    parts += _drawn(report)
    tables = {
        "Linked and singled out": report.risks(),
        "What an attacker's effort buys": report.effort(),
        "By groups of speakers": report.groups(),
        "Words": report.words(),
        "Channels": report.channels(),
    }
    for title, rows in tables.items():
        if len(rows) > 1:
            parts += _section(title, MEANINGS.get(title, ""), _table(rows))
    if report.pictures:
        says = "One snippet, seconds across, 0 to 8 kHz up."
        parts += _section("Before and after", says, *_panels(figures.spectrograms(report.pictures)))
    parts += ["<h2>More measures</h2>", _measures(report), "<h2>Checks</h2>", _gates(report)]
    parts += ["<h2>How it was made</h2>", _made(report)]
    return filled(PAGE, {"BODY": "\n".join(parts)})


def _drawn(report: Report) -> list[str]:
    """The sections with figures of the attacks, and the table of attacks beside their map."""
    verdicts = report.verdicts
    distrusted = {name: report.distrust(name) for name in verdicts}
    trusted = {name: verdict for name, verdict in verdicts.items() if not distrusted[name]}
    colours = figures.colours_of(verdicts)
    parts = []
    if report.recognisers:
        recogniser = report.recognisers[0]
        measured = {name: v for name, v in verdicts.items() if recogniser in v.utility.words}
        says = (
            "Up is better protected, by the equal error rate of the strongest attack; left is better understood, "
            f"by the words that {recogniser} gets wrong in addition. Bars: 95 % intervals over speakers."
        )
        draw = partial(figures.privacy_utility, measured, recogniser, distrusted, colours)
        title = "Protection and its price"
        parts += _section(title, says, _key(colours, measured, distrusted), _fitting(title, draw))
    title, png = "Attackers by method", figures.attackers(verdicts, report.distrust)
    says = "Equal error rate, %, by what the attacker knows and works on."
    if png:
        says += " Green: nothing learned. ?: withheld."
    parts += _section(title, says, f'<div class="wide map">{_image(title, png)}</div>' if png else "")
    parts.append(_table(report.attacks()))
    if trusted:
        says = (
            "Scores of the strongest attack: same speaker (blue) and different speakers (grey). The less the two "
            "overlap, the more it learns."
        )
        parts += _section("Scores", says, *_panels(figures.histograms(trusted)))
        title = "Who stays exposed"
        says = (
            "A dot is a speaker: the share of other speakers that the strongest attack tells them from (50: chance, "
            "100: always). A mean cannot hide those at the right. Line: median."
        )
        parts += _section(title, says, _fitting(title, partial(figures.spread, trusted, colours)))
    grown = figures.growth(trusted, colours)
    if grown:
        says = (
            "What more snippets of a speaker give the strongest attacker, and to whoever ranks all speakers, "
            "as far as there are enough."
        )
        parts += _section("More snippets", says, _key(colours, trusted), *_panels(grown))
    return parts


def _section(title: str, says: str, *parts: str) -> list[str]:
    words = [f'<p class="soft">{escape(says)}</p>'] if says else []
    return [f"<h2>{escape(title)}</h2>", *words, *parts]


def _url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _image(alt: str, png: bytes) -> str:
    return f'<img alt="{escape(alt)}" src="{_url(png)}">'


def _panels(panels: figures.Panels) -> list[str]:
    """Images beside each other, as many as the screen is wide for."""
    return [_image(alt, png) for alt, png in panels]


def _fitting(alt: str, draw: Callable[[float], bytes]) -> str:
    """One figure, drawn for wide screens and for narrow ones."""
    narrow = f'<source media="(max-width: 40rem)" srcset="{_url(draw(figures.NARROW))}">'
    return f"<picture>{narrow}{_image(alt, draw(figures.WIDE))}</picture>"


def _key(
    colours: Mapping[str, str], names: Iterable[str], distrusted: Mapping[str, str] | None = None
) -> str:
    """The methods' colours, hollow where a number is not to be trusted."""

    def entry(name: str) -> str:
        colour, doubt = colours[name], distrusted and distrusted.get(name)
        dot = f'<circle cx="6" cy="6" r="4.5" stroke="{colour}" fill="{"none" if doubt else colour}"/>'
        words = escape(f"{name} ({WITHHELD})" if doubt else name)
        return f'<li><svg width="12" height="12" aria-hidden="true">{dot}</svg> {words}</li>'

    return f'<ul class="legend">{"".join(map(entry, names))}</ul>'


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
    checks = table(("", "method", "check", "found"), rows, bad=("failed",))
    return f'<div class="stacked">{checks}</div>'


def _made(report: Report) -> str:
    """Tabulate methods, settings, corpus and versions."""
    rows = [(f"method {name}", says) for name, says in report.methods.items()]
    rows += [(f"setting {name}", str(value)) for name, value in report.settings.items()]
    rows += [(f"corpus {name}", str(value)) for name, value in report.corpus.items()]
    versions = {**report.versions}
    rows += [("machine", versions.pop("machine", ""))]
    rows += [(f"version of {name}", value) for name, value in versions.items()]
    return table(("", ""), rows)
