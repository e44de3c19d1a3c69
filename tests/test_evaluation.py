"""The evaluation itself: does it catch what leaks, and find nothing where nothing is?"""

from __future__ import annotations

import io
import json
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from deident.audio import RATE, Audio
from deident.cli import main
from deident.disguise.base import Scoped
from deident.disguise.mcadams import McAdams
from deident.disguise.vocoder import Vocoder
from deident.errors import SettingError
from deident.evaluation import figures, gates, metrics
from deident.evaluation.attackers import ATTACKERS
from deident.evaluation.cache import Cache, fingerprint, sources
from deident.evaluation.copies import (
    CopyJob,
    Statistics,
    disguise,
    gather,
    make,
)
from deident.evaluation.corpus import Corpus, InMemory, prepare
from deident.evaluation.features import FAMILIES, frames_of, statistics
from deident.evaluation.gates import Gate
from deident.evaluation.intervals import Interval
from deident.evaluation.inversion import undo
from deident.evaluation.ranking import compare, read_report
from deident.evaluation.report import Report
from deident.evaluation.report_html import page, write
from deident.evaluation.run import evaluate
from deident.evaluation.settings import Settings, Tools
from deident.evaluation.synthetic import synthetic_corpus
from deident.evaluation.verdict import WordUse
from tests.browser import Page
from tests.methods import Pair

QUICK = Settings(runs=1, train_draws=2, enrol_draws=1, bootstrap=50, channels=False)


@dataclass(frozen=True)
class Noise:
    """Everything is taken away."""

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(2**31))

    def apply(self, audio: Audio, voice: int, rng: np.random.Generator) -> Audio:
        return Audio(0.1 * np.random.default_rng(voice).normal(size=len(audio)).clip(-4, 4), RATE)


@dataclass(frozen=True)
class Leak(Noise):
    """Everything is taken away, and the speaker's number comes with it as a faint tone."""

    numbers: dict[bytes, int] = field(repr=False, default_factory=dict)

    def apply(self, audio: Audio, voice: int, rng: np.random.Generator) -> Audio:
        hidden = super().apply(audio, voice, rng).mono
        hz = 300.0 + 150.0 * self.numbers[audio.samples[0, :64].tobytes()]
        tone = 0.02 * np.sin(2.0 * np.pi * hz / RATE * np.arange(len(audio)))
        return Audio(hidden + tone.astype(np.float32), RATE)


pytestmark = pytest.mark.slow  # whole evaluations, small ones


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return synthetic_corpus(speakers=32, utterances=3, seconds=2.0)


@pytest.fixture(scope="module")
def report(corpus: Corpus) -> Report:
    speakers = sorted({u.speaker for u in corpus.utterances})
    numbers = {u.load().samples[0, :64].tobytes(): speakers.index(u.speaker) for u in corpus.utterances}
    methods = {"noise": Noise(), "leak": Leak(numbers)}
    return evaluate(corpus, methods, settings=QUICK, tools=Tools(lacking=("no encoder",)))


class TestWhatItFinds:
    def test_the_attacker_knows_undisguised_voices(self, report: Report) -> None:
        assert report.verdicts["undisguised"].headline.eer < 0.06

    def test_noise_protects_everyone(self, report: Report) -> None:
        verdict = report.verdicts["noise"]
        assert verdict.attacks["semi-informed/statistics"].eer > 0.3
        assert verdict.attacks["semi-informed/statistics"].high > 0.4
        assert verdict.identification.top_1.value < 0.4

    def test_a_leak_on_purpose_is_caught(self, report: Report) -> None:
        verdict = report.verdicts["leak"]
        assert verdict.headline.eer < 0.1
        assert verdict.attacks["semi-informed/spectrum"].eer < 0.3
        assert verdict.identification.top_1.value > 0.6
        assert np.mean(verdict.exposure) > 0.85

    def test_the_ignorant_miss_the_leak(self, report: Report) -> None:
        assert report.verdicts["leak"].attacks["ignorant/statistics"].eer > 0.2

    def test_intervals_hold_the_number(self, report: Report) -> None:
        for verdict in report.verdicts.values():
            assert verdict.headline.low - 0.02 <= verdict.headline.eer <= verdict.headline.high + 0.02


class TestReport:
    def test_what_was_not_used_has_no_number(self, report: Report) -> None:
        shown = {row[0].split("/")[1] for row in report.attacks()[1:]}
        assert {"statistics", "fusion"} <= shown <= {"statistics", "fusion", *FAMILIES}
        assert not any("words" in column for column in report.summary()[0])

    def test_its_first_line_disowns_synthetic_voices(self, report: Report) -> None:
        first = report.table().splitlines()[0]
        assert "synthetic" in first
        assert "say nothing about people" in first

    def test_what_is_lacking_is_said(self, report: Report) -> None:
        assert "note: no encoder" in report.table()

    def test_json_holds_settings_versions_and_scores(self, report: Report) -> None:
        whole = json.loads(report.to_json())
        assert whole["settings"]["seed"] == 0
        assert whole["versions"]["numpy"] == np.__version__
        scores = whole["verdicts"]["leak"]["scores"]
        assert metrics.eer(scores["target"], scores["nontarget"]) == pytest.approx(
            whole["verdicts"]["leak"]["attacks"][whole["verdicts"]["leak"]["strongest"]]["eer"], abs=1e-3
        )

    def test_all_scores_are_there_to_measure_anew(self, report: Report, tmp_path: Path) -> None:
        write(report, tmp_path)
        with np.load(tmp_path / "scores.npz") as scores:
            for name, verdict in report.verdicts.items():
                for attack, found in verdict.attacks.items():
                    table = scores[f"{name}/{attack}"]
                    again = metrics.eer(table[:, scores["target"]], table[:, scores["nontarget"]])
                    assert again == pytest.approx(found.eer, abs=1e-4)

    def test_a_failed_check_withholds_the_number_and_the_exit_code(self, report: Report) -> None:
        failed = gates.Gate(
            "attacker strong enough: statistics", False, "undisguised 30 %", "", ("semi-informed/statistics",)
        )
        doubtful = replace(report, gates=[*report.gates, failed])
        assert doubtful.exit_code == 3
        cells = {row[0]: row[2] for row in doubtful.attacks()}
        assert cells["semi-informed/statistics"] == "untrustworthy"
        assert "UNTRUSTWORTHY: attacker strong enough" in doubtful.table()

    def test_compared_with_itself_nothing_moved(self, report: Report) -> None:
        lines = compare(report, json.loads(report.to_json())).splitlines()
        assert len(lines) == 3
        assert all("(+0.0, within the interval)" in line for line in lines)

    def test_another_file_is_no_report(self, tmp_path: Path) -> None:
        for text in ('{"something": "else"}', "[]", "no json"):
            (tmp_path / "report.json").write_text(text)
            with pytest.raises(SettingError, match=r"report\.json"):
                read_report(tmp_path / "report.json")

    def test_the_page_fetches_nothing(self, report: Report, tmp_path: Path) -> None:
        write(report, tmp_path)
        names = ("report.html", "report.json", "scores.npz")
        assert [(tmp_path / name).stat().st_mode & 0o777 for name in names] == [0o600] * 3
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert page.count("data:image/png;base64,") >= 5
        for word in ("http:", "https:", "<script", "<link", 'src="/'):
            assert word not in page

    def test_settings_and_checks_are_read_without_scrolling(
        self, report: Report, tmp_path: Path, chromium: Page
    ) -> None:
        long = replace(report, methods={**report.methods, "vocoder": repr(Vocoder())})
        write(long, tmp_path)
        chromium.show(1280)
        chromium.open(tmp_path / "report.html")
        tables = '[...document.querySelectorAll(".wide")].filter(box => box.querySelector("table"))'
        widths = chromium.ask(f"{tables}.map(box => [box.scrollWidth, box.clientWidth])")
        assert len(widths) > 5
        assert all(scrolled <= shown for scrolled, shown in widths)
        assert chromium.complaints == []

    def test_a_narrow_screen_shows_figures_and_checks_in_full(
        self, report: Report, tmp_path: Path, chromium: Page
    ) -> None:
        one = Interval(0.1, 0.0, 0.2)
        use = WordUse(words=100, error=one, added=one, own=one, bounded=0, by_group={})
        verdicts = {
            name: replace(verdict, utility=replace(verdict.utility, words={"a": use}))
            for name, verdict in report.verdicts.items()
        }
        write(replace(report, verdicts=verdicts), tmp_path)
        chromium.show(400)
        chromium.open(tmp_path / "report.html")
        shown = dict(
            chromium.ask("""[...document.querySelectorAll("main img")]
                .map(image => [image.alt, image.clientWidth / image.naturalWidth])""")
        )
        assert {"Protection and its price", "Attackers by method", "Who stays exposed", *verdicts} <= {*shown}
        assert min(shown.values()) > 0.98
        widths = chromium.ask("""[...document.querySelectorAll(".stacked .wide, main")]
            .map(box => [box.scrollWidth, box.clientWidth])""")
        assert len(widths) == 2
        assert all(scrolled <= width for scrolled, width in widths)
        assert chromium.complaints == []

    @pytest.mark.parametrize("attack", ["a/b", "semi-informed/covariance", "lazy-informed/" + 40 * "x"])
    @pytest.mark.parametrize("method", ["m", "vocoder:tract=0.8..1.25"])
    def test_cells_of_the_map_have_room_for_their_numbers(
        self, attack: str, method: str, report: Report
    ) -> None:
        verdict = report.verdicts["noise"]
        top = replace(verdict.headline, eer=0.25)
        few = {method: replace(verdict, attacks={attack: top, "all/fusion": top}), "n": verdict}
        few["n"] = replace(verdict, attacks={attack: top})
        png = figures.attackers(few, lambda name, attack: "")
        assert png
        picture = imread(io.BytesIO(png))
        coloured = (np.ptp(picture[..., :3], axis=-1) > 0.1) & (picture[..., 3] > 0.9)
        assert coloured.any(axis=0).sum() == pytest.approx(2 * 0.42 * 130, abs=3)
        assert coloured.any(axis=1).sum() == pytest.approx(2 * 0.235 * 130, abs=3)
        ink = picture[..., 3] > 0.0
        assert not ink[:, :3].any()  # no name is cut off
        assert not ink[-3:].any()

    def test_a_method_has_one_colour_in_every_figure(self, report: Report) -> None:
        for name in report.verdicts:
            doubted = replace(report, gates=[Gate("doubt", passed=False, detail="", method=name)])
            keys = re.findall(r'stroke="(#\w+)"[^/]*/></svg> (\w+)', page(doubted))
            assert {n for _, n in keys} == {*report.verdicts} - {name}
            assert {n: colour for colour, n in keys}.items() <= figures.colours_of(report.verdicts).items()

    def test_no_figure_is_drawn_of_numbers_that_are_withheld(self, report: Report) -> None:
        drawn = ("Attackers by method", "Who stays exposed", "undisguised")
        for gates_of, count in (([], 3), ([Gate("doubt", passed=False, detail="")], 0)):
            made = page(replace(report, gates=gates_of, pictures={}))
            assert sum(f'alt="{name}"' in made for name in drawn) == count


class TestGates:
    def test_an_attacker_that_recognises_nobody_gets_no_number(self, report: Report) -> None:
        verdict = report.verdicts["noise"]  # as if an attacker made nothing of undisguised speech
        found = gates.strong_enough(verdict, ATTACKERS)
        assert found
        assert not any(gate.passed for gate in found)

    def test_all_gates_of_a_sound_run_pass(self, report: Report) -> None:
        assert [gate.name for gate in report.gates if not gate.passed and gate.blocks] == []

    def test_mcadams_outside_its_region_is_reported(self, report: Report) -> None:
        names = {
            gate.name: gate.passed for gate in gates.published_region("mcadams", report.verdicts["noise"])
        }
        assert names["McAdams, ignorant: over 20 %"]
        assert not names["McAdams, strongest attack: under 10 %"]


class TestCopies:
    def test_no_two_purposes_share_a_voice(self, corpus: Corpus) -> None:
        utterance = corpus.utterances[0]
        found = [
            disguise(CopyJob(Noise(), purpose, 2, 0, "snippet", {}), utterance)
            for purpose in ("train", "trial", "enrol")
        ]
        first = {audio.samples[0, :8].tobytes() for copies in found for audio in copies}
        assert len(first) == 6

    def test_one_speaker_keeps_one_voice_where_asked(self, corpus: Corpus) -> None:
        mine = [u for u in corpus.utterances if u.speaker == corpus.utterances[0].speaker][:2]

        def start(scope: str) -> set[bytes]:
            batch = CopyJob(Noise(), "trial", 1, 0, scope, {})
            return {disguise(batch, u)[0].samples[0, :8].tobytes() for u in mine}

        assert len(start("speaker")) == 1
        assert len(start("snippet")) == 2

    def test_a_voice_that_is_kept_has_new_noise_in_every_copy(self, corpus: Corpus) -> None:
        mine = [u for u in corpus.utterances if u.speaker == corpus.utterances[0].speaker][:2]
        batch = CopyJob(Scoped(Pair(), "speaker"), "trial", 2, 0, "speaker", {})
        voices, noises = zip(
            *(audio.samples[0, [0, -1]] for u in mine for audio in disguise(batch, u)), strict=True
        )
        assert len(set(voices)) == 2
        assert len(set(noises)) == 4

    def test_work_is_done_once(self, corpus: Corpus, tmp_path: Path) -> None:
        some = corpus.utterances[:3]
        batch = CopyJob(Noise(), "trial", 1, 0, "snippet", {"statistics": Statistics()})
        first, second = Cache(tmp_path), Cache(tmp_path)
        made = gather(batch, some, cache=first)
        again = gather(batch, some, cache=second)
        assert (first.made, first.found) == (6, 0)
        assert (second.made, second.found) == (0, 6)
        for name, array in made.items():
            np.testing.assert_array_equal(array, again[name])

    def test_other_settings_seeds_and_sounds_are_other_work(self, corpus: Corpus, tmp_path: Path) -> None:
        some, base = corpus.utterances[:1], CopyJob(McAdams(), "trial", 1, 0, "snippet", {})
        gather(base, some, cache=Cache(tmp_path))
        louder = replace(some[0], load=InMemory(Audio(1.5 * some[0].load().samples, RATE)))
        for batch, utterances in (
            (replace(base, disguise=McAdams(alpha=(0.6, 0.8))), some),
            (replace(base, seed=1), some),
            (replace(base, scope="speaker"), some),
            (base, [louder]),
        ):
            cache = Cache(tmp_path)
            gather(batch, utterances, cache=cache)
            assert cache.found == 0

    def test_a_damaged_file_is_made_anew(self, corpus: Corpus, tmp_path: Path) -> None:
        some, batch = corpus.utterances[:1], CopyJob(Noise(), "trial", 1, 0, "snippet", {})
        gather(batch, some, cache=Cache(tmp_path))
        for file in tmp_path.rglob("*.npz"):
            file.write_bytes(b"PK damaged")
        cache = Cache(tmp_path)
        gather(batch, some, cache=cache)
        assert cache.made == 1

    def test_work_depends_on_the_code_that_does_it_and_on_no_other(self) -> None:
        named = sources("deident.evaluation.words", "deident.evaluation.encoders")
        assert not [name for name in named if name.startswith("deident.disguise.")]
        assert "deident.dsp.stft" in sources("deident.evaluation.features")
        assert {"deident.disguise.base", "deident.dsp.lpc"} <= sources("deident.disguise.mcadams").keys()
        assert "deident.disguise.base" in sources("tests.test_evaluation")

    def test_fingerprints_tell_settings_apart(self) -> None:
        assert fingerprint(McAdams()) == fingerprint(McAdams())
        assert fingerprint(McAdams()) != fingerprint(McAdams(alpha=(0.6, 0.7)))
        assert fingerprint(Scoped(McAdams(), "speaker")) != fingerprint(McAdams())


class TestInversion:
    def test_the_parameter_of_mcadams_is_found_and_undone(self, corpus: Corpus) -> None:
        ready = prepare(corpus)
        measures: dict[str, Any] = {"statistics": Statistics()}
        method = McAdams()
        train = gather(CopyJob(method, "train", 3, 0, "snippet", measures), ready.train)
        trial = gather(CopyJob(method, "trial", 1, 0, "snippet", measures), ready.tests)
        undone = undo(method, ready.train, train, 0)
        assert undone is not None
        assert undone.recovery(ready.tests, trial, 0) > 0.5
        back = make(CopyJob(undone, "trial", 1, 0, "snippet", measures), ready.tests[:1])[0]["statistics"][
            "spectrum"
        ][0]
        plain = statistics(frames_of(ready.tests[0].load().mono))["spectrum"]
        hidden = trial["spectrum"][0, 0]
        assert np.linalg.norm(back - plain) < 0.8 * np.linalg.norm(hidden - plain)

    def test_methods_of_many_numbers_are_not_undone(self, corpus: Corpus) -> None:
        assert undo(Noise(), corpus.utterances[:4], {}, 0) is None


def test_the_command_writes_a_report_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    import soundfile

    for utterance in corpus.utterances:
        place = tmp_path / "voices" / f"{utterance.name}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, utterance.load().mono, RATE)
    line = ["evaluate", str(tmp_path / "voices"), "--disguise", "tests.test_evaluation:Noise", "--statistics"]
    line += ["--runs", "1", "--train-draws", "2", "--jobs", "1", "--out", str(tmp_path / "out"), "--quiet"]
    assert main(line) in (0, 3)
    assert "tests.test_evaluation:Noise" in capsys.readouterr().out
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"report.html", "report.json", "scores.npz"} < {path.name for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert main([*line, "--compare", str(tmp_path / "out" / "report.json")]) in (0, 3)
    assert "within the interval" in capsys.readouterr().out
