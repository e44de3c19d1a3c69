"""What an evaluation found: as values, as JSON, and as a table for a terminal or a README."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy.typing as npt

from deident import __version__
from deident.errors import SettingError
from deident.evaluation.corpus import Corpus
from deident.evaluation.gates import UNDISGUISED, Gate, blocking
from deident.evaluation.judge import Verdict
from deident.evaluation.trials import Trials

PACKAGES = ("numpy", "scipy", "soundfile", "librosa", "torch", "resemblyzer", "pocketsphinx")
SYNTHETIC = "Made with synthetic voices: these numbers say nothing about people."
WITHHELD = "untrustworthy"
UNTRUSTWORTHY = 3  # exit code


@dataclass(frozen=True)
class Report:
    """An evaluation's settings, verdicts by method, and the checks that say whether to believe them.

    recovered : share of snippets whose parameter the inverting attacker found, by method.
    pictures : one snippet's samples under every method.   trials : (utterances, speakers) which entries of a
    table of scores are "target" and "nontarget". These two are not part of the JSON."""

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
        """Why this method's number, by this attack or its strongest, cannot be trusted; "" if it can."""
        verdict = self.verdicts[method]
        gate = blocking(self.gates, method, attack or verdict.strongest)
        return f"{gate.name}: {gate.detail}" if gate else ""

    def distrust_ranks(self, method: str) -> str:
        """The same of its ranks and its recordings, which a retrained fusion tells."""
        fusion = "fusion" if "informed/fusion" in self.verdicts[method].attacks else "statistics"
        return self.distrust(method, f"informed/{fusion}")

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
        float32, and which entries are trials: "target" and "nontarget", (utterances, speakers) bool."""
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

    def table(self) -> str:
        """Text for a terminal."""
        rows = [COLUMNS, *(self.row(name) for name in self.verdicts)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(COLUMNS))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        return "\n".join((*self.head(), "", *(line.rstrip() for line in lines), "", *LEGEND))

    def markdown(self) -> str:
        """The same as a Markdown table."""
        rows = [COLUMNS, *(self.row(name) for name in self.verdicts)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(COLUMNS))
        return "\n".join(lines)

    def row(self, name: str) -> tuple[str, ...]:
        """A method's cells, in the order of `COLUMNS`."""
        verdict = self.verdicts[name]
        useful, found = verdict.utility, verdict.identification

        def rate(attack: str) -> str:
            if attack not in verdict.attacks:
                return "-"
            return WITHHELD if self.distrust(name, attack) else _percent(verdict.attacks[attack].eer)

        top, linked = verdict.headline, verdict.same_recording
        why = self.distrust(name)
        headline = (
            f"{WITHHELD}: {why}"
            if why
            else f"{_percent(top.eer)} [{_percent(top.low)}, {_percent(top.high)}]"
        )
        relative, speed = useful.relative_word_error, useful.speed
        ranks = f"{found.top_1.value:.2f} [{found.top_1.low:.2f}, {found.top_1.high:.2f}]"
        recordings = _percent(linked.eer) if linked else "-"
        if self.distrust_ranks(name):
            ranks = recordings = WITHHELD
        return (
            name,
            headline,
            verdict.strongest,
            rate("informed/statistics"),
            rate("informed/encoder"),
            rate("informed/equalised"),
            rate("lazy/encoder"),
            rate("ignorant/encoder"),
            ranks,
            recordings,
            _percent(useful.word_error.value) if useful.word_error else "-",
            f"{relative.value:.2f} [{relative.low:.2f}, {relative.high:.2f}]" if relative else "-",
            "-" if name == UNDISGUISED or speed is None else f"{speed:,.0f}",
        )

    def compare(self, old: Mapping[str, Any]) -> str:
        """What changed since an older report.json, in lines. Raises `SettingError` for another kind of file."""
        try:
            before = {
                name: verdict["attacks"][verdict["strongest"]]["eer"]
                for name, verdict in old["verdicts"].items()
            }
        except (KeyError, TypeError):
            raise SettingError("expected a report.json of an earlier evaluation") from None
        lines = []
        if old.get("corpus") != self.corpus:
            lines.append("note: made on other speakers or snippets; the difference is not the method's alone")
        heard = _families(verdict["attacks"] for verdict in old["verdicts"].values())
        if old.get("settings") != self.settings or heard != _families(
            verdict.attacks for verdict in self.verdicts.values()
        ):
            lines.append("note: made with other settings or attackers; the difference may be theirs")
        doubtful = {name for name, verdict in old["verdicts"].items() if verdict.get(WITHHELD)}
        doubtful |= {name for name in self.verdicts if self.distrust(name)}
        for name in dict.fromkeys((*before, *self.verdicts)):
            if name in doubtful:
                lines.append(f"{name}: {WITHHELD}, now or then")
            elif name not in self.verdicts:
                lines.append(f"{name}: was {_percent(before[name])} %, not in this run")
            elif name not in before:
                lines.append(f"{name}: {_percent(self.verdicts[name].headline.eer)} %, new")
            else:
                now = self.verdicts[name].headline
                moved = 100.0 * (now.eer - before[name])
                inside = now.low <= before[name] <= now.high
                lines.append(
                    f"{name}: {_percent(before[name])} -> {_percent(now.eer)} % ({moved:+.1f}"
                    f"{', within the interval' if inside else ''})"
                )
        return "\n".join(lines)


COLUMNS = (
    "method", "strongest attack, EER % [95 %]", "which", "informed statistics", "informed encoder", "equalised encoder",
    "lazy encoder", "ignorant encoder", "top-1 [95 %]", "same recording EER %", "words wrong %",
    "relative [95 %]", "× real time",
)  # fmt: skip
LEGEND = (
    "EER: equal error rate; 50 is nothing learned, 0 is everybody recognised. Same-sex trials, against the mean",
    "of the speaker's other snippets from an independent run. Top-1: share of snippets whose speaker is ranked",
    "first among all on trial. Intervals: bootstrap over speakers.",
)


def _families(attacks: Iterable[Iterable[str]]) -> set[str]:
    """What the attackers listened to, of the names of their attacks."""
    return {name.partition("/")[2] for names in attacks for name in names}


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{100.0 * rate:.1f}"


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _versions() -> dict[str, str]:
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
