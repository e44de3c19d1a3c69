"""The results of an evaluation: as values, as JSON, and as tables for a terminal or a page."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy.typing as npt

from deident import __version__
from deident.evaluation.corpus import Corpus
from deident.evaluation.gates import UNDISGUISED, Gate, blocking
from deident.evaluation.identification import Risk
from deident.evaluation.trials import Trials
from deident.evaluation.verdict import Verdict

PACKAGES = (
    "numpy", "scipy", "soundfile", "librosa", "torch", "onnxruntime", "kaldi-native-fbank", "resemblyzer",
    "pocketsphinx", "faster-whisper", "ctranslate2",
)  # fmt: skip
SYNTHETIC = "Made with synthetic voices: these numbers say nothing about people."
WITHHELD = "untrustworthy"
EER, TOP_1, SAME_RECORDING = "EER % [95 %]", "top-1 [95 %]", "same recording EER %"
CHANNEL = "channel of 13 told, % [95 %]"
Table = list[tuple[str, ...]]
UNTRUSTWORTHY = 3  # exit code


@dataclass(frozen=True)
class Report:
    """An evaluation's settings, verdicts by method, and the checks that say whether to believe them.

    Attributes
    ----------
    corpus, settings : dict
    methods : dict of str to str
        Settings of every method.
    verdicts : dict of str to Verdict
    gates : list of Gate
    remarks : list of str
        What is lacking, or was left out.
    recovered : dict of str to float
        Share of snippets whose parameter the inverting attacker found, by method.
    versions : dict of str to str
    pictures : dict
        One snippet's samples under every method. Not part of the JSON.
    trials : dict
        The entries of a table of scores that are "target" and "nontarget", (utterances, speakers) bool. Not part of
        the JSON.
    """

    corpus: dict[str, Any]
    settings: dict[str, Any]
    methods: dict[str, str]
    verdicts: dict[str, Verdict]
    gates: list[Gate]
    remarks: list[str]
    recovered: dict[str, float]
    versions: dict[str, str]
    pictures: dict[str, Any] = field(repr=False, default_factory=dict)
    trials: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        settings: dict[str, Any],
        methods: Mapping[str, Any],
        verdicts: dict[str, Verdict],
        gates: list[Gate],
        lacking: tuple[str, ...],
        recovered: dict[str, float],
        pictures: dict[str, Any],
        trials: Trials,
    ) -> Report:
        sizes = {
            "name": corpus.name,
            "synthetic": corpus.synthetic,
            "train_speakers": len({u.speaker for u in corpus.train}),
            "train_utterances": len(corpus.train),
            "trial_speakers": len({u.speaker for u in corpus.tests}),
            "trial_utterances": len(corpus.tests),
        }
        says = {name: repr(method) for name, method in methods.items()}
        remarks = [*lacking, *corpus.remarks]
        which = {"target": trials.target, "nontarget": trials.nontarget}
        return cls(sizes, settings, says, verdicts, gates, remarks, recovered, _versions(), pictures, which)

    @property
    def exit_code(self) -> int:
        """0, or 3 when a check failed that makes a number untrustworthy."""
        return UNTRUSTWORTHY if any(not gate.passed and gate.blocks for gate in self.gates) else 0

    def distrust(self, method: str, attack: str = "") -> str:
        """The reason why this method's number, by this attack or its strongest, cannot be trusted; "" if it can."""
        verdict = self.verdicts[method]
        gate = blocking(self.gates, method, attack or verdict.strongest)
        return f"{gate.name}: {gate.detail}" if gate else ""

    def distrust_ranks(self, method: str) -> str:
        """The same of its ranks."""
        return self.distrust(method, self.verdicts[method].identification.attack)

    def distrust_recordings(self, method: str) -> str:
        """The same of its recordings, which a retrained fusion tells."""
        fusion = "fusion" if "semi-informed/fusion" in self.verdicts[method].attacks else "statistics"
        return self.distrust(method, f"semi-informed/{fusion}")

    def to_json(self) -> str:
        """Everything, with the scores of each method's strongest attack; those of all are in `scores`."""
        bare = {name: replace(verdict, tables={}) for name, verdict in self.verdicts.items()}
        whole = asdict(replace(self, verdicts=bare, pictures={}, trials={}))
        del whole["pictures"], whole["trials"]
        for name, verdict in whole["verdicts"].items():
            del verdict["tables"]
            verdict["untrustworthy"] = self.distrust(name)
        return json.dumps(_plain(whole), indent=1, sort_keys=False)

    def scores(self) -> dict[str, npt.NDArray[Any]]:
        """Every score, for whoever wants to measure anew: "method/knowledge/family", (runs, utterances, speakers)
        float32, and which entries are trials: "target" and "nontarget", (utterances, speakers) bool.
        """
        tables = {
            f"{name}/{attack}": table
            for name, verdict in self.verdicts.items()
            for attack, table in verdict.tables.items()
        }
        return {**self.trials, **tables}

    def head(self) -> list[str]:
        """The lines above a table: what the numbers stand on, worst news first."""
        c = self.corpus
        lines = [SYNTHETIC] if c["synthetic"] else []
        lines.append(
            f"{c['name']}: {c['trial_speakers']} speakers on trial ({c['trial_utterances']} snippets), "
            f"{c['train_speakers']} others to train on ({c['train_utterances']})"
        )
        lines += [f"note: {remark}" for remark in self.remarks]
        for gate in self.gates:
            if not gate.passed:
                kind = "UNTRUSTWORTHY" if gate.blocks else "note"
                lines.append(f"{kind}: {gate.method + ': ' if gate.method else ''}{gate.name}: {gate.detail}")
        return lines

    @property
    def recognisers(self) -> list[str]:
        """Names of the recognisers that counted words."""
        return list(dict.fromkeys(name for v in self.verdicts.values() for name in v.utility.words))

    def summary(self) -> Table:
        """A row for each method, the head first: the strongest attack, and what the method costs."""
        words = [f"words added by {name}, points [95 %]" for name in self.recognisers]
        head = ("method", "strongest attack", EER, TOP_1, *words, SAME_RECORDING, CHANNEL, "× real time")
        return [head, *(self._row(name) for name in self.verdicts)]

    def _row(self, name: str) -> tuple[str, ...]:
        """Make a method's row of the main table."""
        verdict = self.verdicts[name]
        useful, found, linked = verdict.utility, verdict.identification, verdict.same_recording
        ranks = f"{found.top_1.value:.2f} [{found.top_1.low:.2f}, {found.top_1.high:.2f}]"
        recordings = percent(linked.eer) if linked else "-"
        if self.distrust_ranks(name):
            ranks = WITHHELD
        if self.distrust_recordings(name):
            recordings = WITHHELD
        plain, told = name == UNDISGUISED, verdict.channels
        return (
            name,
            verdict.strongest,
            self._rate(name, verdict.strongest),
            ranks,
            *(
                "-" if plain or recogniser not in useful.words else self._words(name, recogniser)
                for recogniser in self.recognisers
            ),
            recordings,
            "-" if told is None else with_bounds(told.accuracy.value, told.accuracy.low, told.accuracy.high),
            "-" if plain or useful.speed is None else f"{useful.speed:,.0f}",
        )

    def _rate(self, method: str, attack: str) -> str:
        found = self.verdicts[method].attacks.get(attack)
        if found is None:
            return "-"
        return WITHHELD if self.distrust(method, attack) else with_bounds(found.eer, found.low, found.high)

    def _words(self, method: str, recogniser: str) -> str:
        if self.distrust(method, f"words/{recogniser}"):
            return WITHHELD
        added = self.verdicts[method].utility.words[recogniser].added
        return with_bounds(added.value, added.low, added.high, "+")

    def attacks(self) -> Table:
        """A row for each attack with an interval, a column for each method: equal error rates, %."""
        shown = [
            attack
            for attack in dict.fromkeys(a for verdict in self.verdicts.values() for a in verdict.attacks)
            if any(
                attack in v.attacks and math.isfinite(v.attacks[attack].low) for v in self.verdicts.values()
            )
        ]
        rows = [(attack, *(self._rate(name, attack) for name in self.verdicts)) for attack in shown]
        return [("EER % [95 %] of the attack", *self.verdicts), *rows]

    def groups(self) -> Table:
        """A row for each sex, corpus and group of speakers, a column for each method: recognised, understood, told."""
        labels = dict.fromkeys(label for verdict in self.verdicts.values() for label in verdict.groups)

        def rate(name: str, label: str) -> str:
            found = self.verdicts[name].groups.get(label)
            if found is None:
                return "-"
            return WITHHELD if self.distrust(name) else with_bounds(found.value, found.low, found.high)

        def words(name: str, recogniser: str, label: str) -> str:
            use = self.verdicts[name].utility.words.get(recogniser)
            if use is None or label not in use.by_group or self.distrust(name, f"words/{recogniser}"):
                return "-"
            return f"{100.0 * use.by_group[label]:+.1f}"

        rows = [
            (f"{label}: EER %, strongest attack", *(rate(name, label) for name in self.verdicts))
            for label in labels
        ]
        rows += [
            (f"{label}: words added by {r}, points", *(words(name, r, label) for name in self.verdicts))
            for r in self.recognisers
            for label in labels
        ]
        traits = dict.fromkeys(trait for verdict in self.verdicts.values() for trait in verdict.traits)

        def told(name: str, trait: str) -> str:
            result = self.verdicts[name].traits.get(trait)
            if result is None:
                return "-"
            return f"{result.area.value:.2f} [{result.area.low:.2f}, {result.area.high:.2f}]"

        rows += [
            (f"{trait}: area under the ROC", *(told(n, trait) for n in self.verdicts)) for trait in traits
        ]
        return [("speakers", *self.verdicts), *rows]

    def effort(self) -> Table:
        """A row for each method: equal error rates, %, by the speakers and draws that the attacker trained on."""
        found = {name: verdict.effort for name, verdict in self.verdicts.items()}
        speakers = sorted({count for one in found.values() for count in one.speakers})
        draws = sorted({count for one in found.values() for count in one.draws})
        head = (
            "EER %, semi-informed", "on", *(f"{n} speakers" for n in speakers),
            *(f"{n} draw{'s' * (n > 1)}" for n in draws), "points a doubling of speakers",
        )  # fmt: skip
        rows = []
        for name, one in found.items():
            rates = [one.speakers.get(n, math.nan) for n in speakers] + [
                one.draws.get(n, math.nan) for n in draws
            ]
            cells = [*(percent(rate) for rate in rates), percent(one.per_doubling, "+")]
            if self.distrust(name, f"semi-informed/{one.family}"):
                cells = [WITHHELD] * len(cells)
            rows.append((name, one.family, *cells))
        return [head, *rows]

    def risks(self) -> Table:
        """A row for each method and number of snippets: people linked, and singled out, by population."""
        populations = list(
            dict.fromkeys(r.population for v in self.verdicts.values() for r in v.identification.risks)
        )

        def cell(risk: Risk) -> str:
            both = f"{percent(risk.linked.value)} / {percent(risk.singled_out.value)}"
            return both if risk.measured else f"({both})"

        head = ("linked / singled out, %", "by", "snippets", *(f"of {n:,}" for n in populations))
        rows = []
        for name, verdict in self.verdicts.items():
            found = verdict.identification
            for count in dict.fromkeys(risk.snippets for risk in found.risks):
                cells = (cell(risk) for risk in found.risks if risk.snippets == count)
                if self.distrust_ranks(name):
                    cells = (WITHHELD for _ in populations)
                rows.append((name, found.attack, f"{count}", *cells))
        return [head, *rows]

    def words(self) -> Table:
        """A row for each method and recogniser: words wrong, %, what is added, and snippets bounded."""
        head = (
            "method",
            "recogniser",
            "words",
            "wrong %",
            "added, points",
            "against its text of the original, %",
            "snippets bounded",
        )
        rows = [
            (
                name, recogniser, f"{use.words:,}", *(
                    WITHHELD if self.distrust(name, f"words/{recogniser}") else with_bounds(i.value, i.low, i.high)
                    for i in (use.error, use.added, use.own)
                ), f"{use.bounded}",
            )
            for name, verdict in self.verdicts.items() for recogniser, use in verdict.utility.words.items()
        ]  # fmt: skip
        return [head, *rows]

    def channels(self) -> Table:
        """A row for each channel, a column for each method: snippets whose channel was told, %."""
        told = {name: verdict.channels for name, verdict in self.verdicts.items() if verdict.channels}
        names = list(next(iter(told.values())).by_channel) if told else []
        rows = [
            (channel, *(percent(result.by_channel[channel]) for result in told.values())) for channel in names
        ]
        areas = (f"{result.narrow_area:.2f}" for result in told.values())
        return [
            ("channel told, %", *told),
            *rows,
            *([("8 kHz against wide: area under the ROC", *areas)] if told else []),
        ]

    def table(self) -> str:
        """Text for a terminal."""
        parts = [
            aligned(table) for table in (self.summary(), self.attacks(), self.groups()) if len(table) > 1
        ]
        return "\n\n".join(("\n".join(self.head()), *parts, "\n".join(LEGEND)))


LEGEND = (
    "EER: equal error rate; 50 is nothing learned, 0 is everybody recognised. Trials within one sex, corpus and group,",
    "against the mean of the speaker's other snippets from an independent run. Ignorant: compares with undisguised",
    "speech. Aligned: turns that to where disguised speech lies. Lazy-informed: disguises it first. Semi-informed: has",
    "also retrained on other speakers disguised by it. Top-1: share of snippets whose speaker is ranked first of all",
    "on trial. Words added: those a recogniser gets wrong beyond the undisguised speech, of 100, and of a snippet at",
    "most all. Intervals: bootstrap over speakers.",
)


def percent(rate: float, sign: str = "") -> str:
    return "-" if math.isnan(rate) else f"{100.0 * rate:{sign}.1f}"


def with_bounds(value: float, low: float, high: float, sign: str = "") -> str:
    bounds = "" if math.isnan(low) else f" [{percent(low, sign)}, {percent(high, sign)}]"
    return percent(value, sign) + bounds


def aligned(table: Table) -> str:
    """Lay a table out in columns of text."""
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def _plain(value: Any) -> Any:
    """The value with None for NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _versions() -> dict[str, str]:
    """Collect the versions of this package, Python and what the figures depend on."""
    found = {
        "deident": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
