"""The report's pictures, as PNG bytes. matplotlib is imported when the first is drawn."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from deident.evaluation.features import FAMILIES
from deident.evaluation.intervals import Interval
from deident.evaluation.verdict import Verdict

P = ParamSpec("P")
R = TypeVar("R")

# Each stands out from a light page and from a dark one.
COLOURS = ("#2f7de1", "#d9730d", "#1f9d61", "#a350d6", "#d1447f", "#0f9bb0", "#8a7a00", "#7d6b5d")
WIDE, NARROW = 8.0, 2.8  # inches; a narrow screen shows the narrow ones as large as they are drawn

# Pictures lie on pages that are light or dark: nothing is behind them, and words are as far from black as from white.
INK = "#777c81"
STYLE: Any = {
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": INK,
    "grid.alpha": 0.25, "font.size": 8.0, "axes.titlesize": 9.0, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
}  # fmt: skip
LETTERS, SLANT = 7.0, 40  # points of the names beside a map, and degrees of those below it
Panels = list[tuple[str, bytes]]  # what each shows, and the picture


def _styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style of the pages."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **options)

    return drawn


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(visible=True, linewidth=0.6)
    axis.set_axisbelow(True)
    return figure, axis


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def colours_of(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """Give each method the colour that it has in all pictures of a page."""
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(verdicts)}


@_styled
def privacy_utility(
    verdicts: Mapping[str, Verdict],
    recogniser: str,
    distrusted: Mapping[str, str],
    colours: Mapping[str, str],
    width: float,
) -> bytes:
    """Equal error rate of the strongest attack against the words added, with both intervals."""
    figure, axis = _figure(width, min(width, 4.6))
    for name, verdict in verdicts.items():
        words = verdict.utility.words[recogniser].added.scaled(100.0)
        top = Interval(verdict.headline.eer, verdict.headline.low, verdict.headline.high).scaled(100.0)
        axis.errorbar(
            words.value, top.value, yerr=top.bars, xerr=words.bars, fmt="o", color=colours[name], capsize=3,
            markersize=8, markerfacecolor="none" if distrusted.get(name) else colours[name],
        )  # fmt: skip
    axis.set_ylim(-1.5, 52.0)
    axis.axhline(50.0, color=INK, linewidth=0.8, linestyle=":")
    axis.set_ylabel("equal error rate, %")
    axis.set_xlabel("words added, of 100")
    axis.margins(x=0.15)
    return _png(figure)


def _map_figure(attacks: list[str], names: list[str]) -> tuple[Any, Any]:
    """Make a figure whose cells have one size, whatever the length of the names beside and below them."""
    from matplotlib.figure import Figure
    from matplotlib.textpath import TextPath

    def longest(texts: list[str]) -> float:
        return max(TextPath((0, 0), text, size=LETTERS).get_extents().width for text in texts) / 72

    # A tenth more: letters are drawn at whole pixels, which widens a line of them.
    left = 0.14 + 1.1 * max(longest(attacks), longest(names) * math.cos(math.radians(SLANT)))
    below = 0.25 + longest(names) * math.sin(math.radians(SLANT))
    wide, tall = 0.42 * len(names), 0.235 * len(attacks)
    size = left + wide + 0.03, below + tall + 0.05
    figure = Figure(figsize=size)
    axis = figure.add_axes((left / size[0], below / size[1], wide / size[0], tall / size[1]))
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


@_styled
def attackers(verdicts: Mapping[str, Verdict], distrust: Callable[[str, str], str]) -> bytes | None:
    """Equal error rate of every attack on every method, as a map: red = recognised. None where all are withheld.

    distrust : of a method and an attack, why the number is withheld, "" if it is not.
    """
    names = list(verdicts)
    attacks = list(dict.fromkeys(a for verdict in verdicts.values() for a in verdict.attacks))
    order = list(dict.fromkeys(attack.split("/")[0] for attack in attacks if not attack.startswith("all/")))
    order.append("all")
    attacks.sort(key=lambda a: (order.index(a.split("/")[0]), a.split("/")[1] not in FAMILIES))
    values = np.full((len(attacks), len(names)), np.nan)
    withheld = []
    for column, (name, verdict) in enumerate(verdicts.items()):
        for row, attack in enumerate(attacks):
            if attack in verdict.attacks and distrust(name, attack):
                withheld.append((column, row))
            elif attack in verdict.attacks:
                values[row, column] = 100.0 * verdict.attacks[attack].eer
    if not np.isfinite(values).any():
        return None
    figure, axis = _map_figure(attacks, names)
    axis.imshow(values, cmap="RdYlGn", vmin=0.0, vmax=50.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "white" if value < 7.0 or value > 43.0 else "black"
            axis.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7.0, color=ink)
    for column, row in withheld:
        axis.text(column, row, "?", ha="center", va="center")
    axis.set_xticks(
        range(len(names)), names, rotation=SLANT, ha="right", rotation_mode="anchor", fontsize=LETTERS
    )
    axis.set_yticks(range(len(attacks)), attacks, fontsize=LETTERS)
    for row in range(1, len(attacks)):
        if attacks[row].split("/")[0] != attacks[row - 1].split("/")[0]:
            axis.axhline(row - 0.5, color=INK, linewidth=1)
    return _png(figure)


@_styled
def histograms(verdicts: Mapping[str, Verdict]) -> Panels:
    """Scores of the strongest attack on each method: same speaker and different speakers."""
    panels = []
    for name, verdict in verdicts.items():
        figure, axis = _figure(NARROW, 2.0)
        same, other = (np.asarray(verdict.scores[kind]) for kind in ("target", "nontarget"))
        low, high = np.percentile(np.concatenate((same, other)), (0.5, 99.5))
        edges = np.linspace(low, high, 41)
        for values, colour in ((other, "#999999"), (same, COLOURS[0])):
            axis.hist(np.clip(values, low, high), edges, density=True, color=colour, alpha=0.65)
        axis.set_title(f"{name}: {100 * verdict.headline.eer:.1f} %")
        axis.set_yticks([])
        panels.append((name, _png(figure)))
    return panels


@_styled
def spread(verdicts: Mapping[str, Verdict], colours: Mapping[str, str], width: float) -> bytes:
    """Exposure of each speaker: the share of others they are told from. A dot a speaker."""
    figure, axis = _figure(width, 0.9 + 0.45 * len(verdicts))
    rng = np.random.default_rng(0)  # where dots lie across their row, nothing more
    for row, (name, verdict) in enumerate(verdicts.items()):
        values = 100.0 * np.asarray(verdict.exposure)
        axis.scatter(
            values, row + rng.uniform(-0.22, 0.22, values.size), s=14, color=colours[name], alpha=0.7
        )
        axis.plot([np.median(values)] * 2, [row - 0.35, row + 0.35], color=INK, linewidth=2.5)
    axis.set_yticks(range(len(verdicts)), list(verdicts))
    axis.invert_yaxis()
    axis.axvline(50.0, color=INK, linewidth=0.8, linestyle=":")
    axis.set_xlabel("told from others, %")
    return _png(figure)


@_styled
def growth(verdicts: Mapping[str, Verdict], colours: Mapping[str, str]) -> Panels:
    """Equal error rate, and the share of speakers ranked first, by the number of snippets. None where no speaker
    has several.
    """
    if not any(verdict.growth["enrolled"] for verdict in verdicts.values()):
        return []
    curves = {
        name: (verdict.growth["enrolled"], verdict.growth["both"], verdict.identification.growth)
        for name, verdict in verdicts.items()
    }
    rate, share = ("equal error rate, %", 52.0), ("ranked first, %", 104.0)
    axes = (
        ("snippets enrolled, one on trial", *rate), ("snippets enrolled and on trial", *rate),
        ("snippets enrolled", *share),
    )  # fmt: skip
    panels = []
    for place, (across, up, most) in enumerate(axes):
        figure, axis = _figure(NARROW, 2.4)
        for name, points in curves.items():
            values = [100.0 * value for value in points[place].values()]
            axis.plot(list(points[place]), values, "o-", color=colours[name])
        axis.set_xlabel(across)
        axis.set_xticks(sorted({int(x) for line in axis.lines for x in line.get_xdata()}))
        axis.margins(x=0.2)
        axis.set_ylabel(up)
        axis.set_ylim(0.0, most)
        panels.append((f"{up} by {across}", _png(figure)))
    return panels


@_styled
def spectrograms(pictures: Mapping[str, npt.NDArray[np.float32]]) -> Panels:
    """One snippet under every method, 0 to 8 kHz, 60 dB."""
    import scipy.fft

    panels = []
    for name, samples in pictures.items():
        figure, axis = _figure(NARROW, 1.6)
        padded = np.pad(samples, (0, max(0, 512 - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::80] * np.hanning(512)
        level = 20.0 * np.log10(np.abs(scipy.fft.rfft(frames)) + 1e-6)
        axis.grid(visible=False)
        extent = (0.0, len(padded) / 16_000, 0.0, 8.0)
        top = float(level.max())
        axis.imshow(
            level.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - 60.0, vmax=top
        )
        axis.set_title(name)
        panels.append((name, _png(figure)))
    return panels
