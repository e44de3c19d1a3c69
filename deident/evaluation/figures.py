"""The report's pictures, as PNG bytes. matplotlib is imported when the first is drawn."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from deident.evaluation.features import FAMILIES
from deident.evaluation.intervals import Interval
from deident.evaluation.verdict import Verdict

P = ParamSpec("P")
R = TypeVar("R")

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e")

# Pictures lie on pages that are light or dark: nothing is behind them, and words are as far from black as from white.
INK = "#777c81"
STYLE: Any = {
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": INK,
    "grid.alpha": 0.25,
}  # fmt: skip


def _styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style of the pages."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **options)

    return drawn


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(visible=True, linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def colours_of(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(verdicts)}


@_styled
def privacy_utility(verdicts: Mapping[str, Verdict], recogniser: str, distrusted: Mapping[str, str]) -> bytes:
    """Equal error rate of the strongest attack against the words added, with both intervals."""
    figure, axes = _figure(8.0, 4.6)
    axis, colours = axes[0, 0], colours_of(verdicts)
    for name, verdict in verdicts.items():
        words = verdict.utility.words[recogniser].added.scaled(100.0)
        top = Interval(verdict.headline.eer, verdict.headline.low, verdict.headline.high).scaled(100.0)
        hollow = bool(distrusted.get(name))
        axis.errorbar(
            words.value, top.value, yerr=top.bars, xerr=words.bars, fmt="o", color=colours[name], capsize=3,
            markersize=8, markerfacecolor="none" if hollow else colours[name],
        )  # fmt: skip
        label = f"{name} (untrustworthy)" if hollow else name
        axis.annotate(label, (words.value, top.value), xytext=(9, 7), textcoords="offset points", fontsize=9)
    axis.set_ylim(-1.5, 52.0)
    axis.axhline(50.0, color="#888888", linewidth=0.8, linestyle=":")
    axis.set_ylabel("protection: equal error rate of the strongest attack, %")
    axis.set_xlabel(f"cost: words that {recogniser} gets wrong in addition, of 100")
    axis.margins(x=0.15)
    return _png(figure)


@_styled
def attackers(verdicts: Mapping[str, Verdict], distrust: Callable[[str, str], str]) -> bytes:
    """Equal error rate of every attack on every method, as a map: red = recognised.

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
    figure, axes = _figure(2.6 + 1.15 * len(names), 0.6 + 0.235 * len(attacks))
    axis = axes[0, 0]
    axis.grid(visible=False)
    axis.imshow(values, cmap="RdYlGn", vmin=0.0, vmax=50.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "white" if value < 7.0 or value > 43.0 else "black"
            axis.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7.5, color=ink)
    for column, row in withheld:
        axis.text(column, row, "?", ha="center", va="center", fontsize=7.5)
    axis.set_xticks(range(len(names)), names, rotation=20, ha="right", fontsize=8)
    axis.set_yticks(range(len(attacks)), attacks, fontsize=7.5)
    for row in range(1, len(attacks)):
        if attacks[row].split("/")[0] != attacks[row - 1].split("/")[0]:
            axis.axhline(row - 0.5, color=INK, linewidth=1)
    return _png(figure)


@_styled
def histograms(verdicts: Mapping[str, Verdict]) -> bytes:
    """Scores of the strongest attack on each method: same speaker and different speakers."""
    columns = min(3, len(verdicts))
    rows = -(-len(verdicts) // columns)
    figure, axes = _figure(3.1 * columns, 2.2 * rows, rows, columns)
    for axis in axes.ravel()[len(verdicts) :]:
        axis.set_visible(False)
    for axis, (name, verdict) in zip(axes.ravel(), verdicts.items(), strict=False):
        same, other = (np.asarray(verdict.scores[kind]) for kind in ("target", "nontarget"))
        low, high = np.percentile(np.concatenate((same, other)), (0.5, 99.5))
        edges = np.linspace(low, high, 41)
        for values, colour, label in ((other, "#999999", "different"), (same, "#4269d0", "same speaker")):
            axis.hist(np.clip(values, low, high), edges, density=True, color=colour, alpha=0.65, label=label)
        axis.set_title(f"{name}: {100 * verdict.headline.eer:.1f} %", fontsize=9)
        axis.set_yticks([])
        axis.tick_params(labelsize=7)
    axes[0, 0].legend(fontsize=7, frameon=False, loc="upper left")
    return _png(figure)


@_styled
def spread(verdicts: Mapping[str, Verdict]) -> bytes:
    """Exposure of each speaker: the share of others they are told from. A dot a speaker."""
    figure, axes = _figure(8.0, 0.9 + 0.45 * len(verdicts))
    axis, colours = axes[0, 0], colours_of(verdicts)
    rng = np.random.default_rng(0)  # where dots lie across their row, nothing more
    for row, (name, verdict) in enumerate(verdicts.items()):
        values = 100.0 * np.asarray(verdict.exposure)
        axis.scatter(
            values, row + rng.uniform(-0.22, 0.22, values.size), s=14, color=colours[name], alpha=0.7
        )
        axis.plot([np.median(values)] * 2, [row - 0.35, row + 0.35], color=INK, linewidth=2.5)
    axis.set_yticks(range(len(verdicts)), list(verdicts), fontsize=8)
    axis.invert_yaxis()
    axis.axvline(50.0, color="#888888", linewidth=0.8, linestyle=":")
    axis.set_xlabel(
        "share of other speakers that a speaker is told from, % (50: chance, 100: always)", fontsize=8
    )
    return _png(figure)


@_styled
def growth(verdicts: Mapping[str, Verdict]) -> bytes | None:
    """Equal error rate, and the share of speakers ranked first, by the number of snippets. None where no speaker
    has several.
    """
    if not any(verdict.growth["enrolled"] for verdict in verdicts.values()):
        return None
    figure, axes = _figure(10.0, 2.8, 1, 3)
    colours = colours_of(verdicts)
    labels = ("snippets enrolled, one on trial", "snippets enrolled and on trial", "snippets enrolled")
    for name, verdict in verdicts.items():
        curves = (verdict.growth["enrolled"], verdict.growth["both"], verdict.identification.growth)
        for axis, points in zip(axes[0], curves, strict=True):
            axis.plot(
                list(points), [100.0 * v for v in points.values()], "o-", color=colours[name], label=name
            )
    for axis, label in zip(axes[0], labels, strict=True):
        axis.set_xlabel(label, fontsize=8)
        axis.set_xticks(sorted({int(x) for line in axis.lines for x in line.get_xdata()}))
        axis.margins(x=0.2)
    for axis in axes[0, :2]:
        axis.set_ylabel("equal error rate, %", fontsize=8)
        axis.set_ylim(0.0, 52.0)
    axes[0, 2].set_ylabel("ranked first, %", fontsize=8)
    axes[0, 2].set_ylim(0.0, 104.0)
    axes[0, 0].legend(fontsize=7, frameon=False, loc="upper right")
    return _png(figure)


@_styled
def spectrograms(pictures: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """One snippet under every method, 0 to 8 kHz, 60 dB."""
    import scipy.fft

    columns = min(2, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = _figure(4.6 * columns, 1.9 * rows, rows, columns)
    for axis in axes.ravel()[len(pictures) :]:
        axis.set_visible(False)
    for axis, (name, samples) in zip(axes.ravel(), pictures.items(), strict=False):
        padded = np.pad(samples, (0, max(0, 512 - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::80] * np.hanning(512)
        level = 20.0 * np.log10(np.abs(scipy.fft.rfft(frames)) + 1e-6)
        axis.grid(visible=False)
        extent = (0.0, len(padded) / 16_000, 0.0, 8.0)
        top = float(level.max())
        axis.imshow(
            level.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - 60.0, vmax=top
        )
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    return _png(figure)
