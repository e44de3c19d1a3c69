"""The page on a run: its numbers are the run's, it names nothing, and it says when the audit found something."""

import json
import os
import re
import stat
from collections.abc import Callable
from html import unescape
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from deident.audit import AuditReport, Problem
from deident.cli import main
from deident.cli.run import describe
from deident.disguise.psola import Psola
from deident.pages.page import filled
from deident.pages.run_report import _histogram, page
from deident.policy import Policy
from deident.runs.run import Summary
from tests.browser import BOXES, Page, overlapping

CLEAN = AuditReport(3, 6.0, ())


@pytest.fixture(scope="module")
def reported(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run's report and its store."""
    folder = tmp_path_factory.mktemp("run")
    canary = folder / "canary"
    canary.mkdir()
    for name in ("call.wav", "reading.mp3"):
        (canary / f"canary-{name}").write_bytes((recordings / name).read_bytes())
    (canary / "canary-broken.wav").write_text("canary")
    code = main(["run", str(canary), "--out", str(folder / "store"), "--report", str(folder / "run.html"),
                 "--jobs", "1", "--max-seconds", "1.8", "--min-seconds", "1.2", "--quiet"])  # fmt: skip
    assert code == 1
    return folder


def text_of(html: str) -> str:
    body = html[html.index("<main>") :]
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))


def test_the_report_counts_what_is_in_the_store(reported: Path) -> None:
    html = (reported / "run.html").read_text()
    rows = [json.loads(line) for line in (reported / "store" / "manifest.jsonl").read_text().splitlines()]
    bars = {float(start): int(count) for start, count in
            re.findall(r"<title>([\d.]+) to [\d.]+ s: (\d+) snippets</title>", html)}  # fmt: skip
    assert {start: count for start, count in bars.items() if count} == {
        start: sum(start <= row["seconds"] < start + 0.5 for row in rows) for start in (1.0, 1.5)
    }
    text = text_of(html)
    assert f"Every promise holds. {len(rows)} snippets in the store" in text
    assert "released 2 " in text
    assert "refused 1 " in text
    assert "not-audio 1" in text
    assert "over the limit, without a pause to divide it at" in text
    assert "too short to understand" in text
    assert re.search(r"[\d,]+ × real time", text)


def test_the_report_names_no_source_and_is_private(reported: Path) -> None:
    html = (reported / "run.html").read_text()
    assert "canary" not in html
    assert str(reported) not in html
    assert stat.S_IMODE((reported / "run.html").stat().st_mode) == 0o600
    assert sorted(os.listdir(reported)) == ["canary", "run.html", "store"]


def test_the_report_in_a_browser(reported: Path, chromium: Page) -> None:
    for width in (1280, 400):
        chromium.show(width)
        chromium.open(reported / "run.html")
        assert chromium.ask("document.documentElement.scrollWidth") <= width
    tall = chromium.ask('[...document.querySelectorAll("rect")].map(bar => bar.getBBox().height)')
    assert max(tall) > 100
    assert chromium.ask('getComputedStyle(document.querySelector("rect")).fill') != "rgb(0, 0, 0)"
    assert chromium.complaints == []
    assert chromium.fetched == [(reported / "run.html").as_uri()]


def test_a_chart_can_be_read_on_a_narrow_screen(chromium: Page, tmp_path: Path) -> None:
    summary = Summary(lengths={f"{n / 2:g}": 1 + 77 * n for n in range(20)}, snippets=20)
    chart = filled(
        "run_report.html", {**dict.fromkeys(SLOTS, ""), "LENGTHS": _histogram(summary.lengths, 10.0)}
    )
    (tmp_path / "page.html").write_text(chart)
    for width in (1280, 400):
        chromium.show(width)
        chromium.open(tmp_path / "page.html")
        boxes = chromium.ask(BOXES % "main svg text")
        assert len(boxes) > (5 if width == 400 else 25)
        assert not overlapping(boxes)
        assert min(box[3] - box[2] for box in boxes) > 10
        assert chromium.ask('document.querySelector("main svg").clientWidth') <= width
        times = [box for box in boxes if box[3] == max(box[3] for box in boxes)]
        axis = chromium.ask('document.querySelector(".axis").getBoundingClientRect().bottom')
        assert len(times) > 3
        assert all(box[2] >= axis for box in times)
        whole = chromium.ask(
            '(box => [box.top, box.bottom])(document.querySelector(".wide").getBoundingClientRect())'
        )
        assert whole[0] <= min(box[2] for box in boxes)
        assert max(box[3] for box in boxes) <= whole[1]
        shade = (
            "document.querySelector('#theme').value = 'dark'",
            "getComputedStyle(document.body).backgroundColor",
        )
        assert chromium.ask(", ".join(shade)) != "rgb(255, 255, 255)"
    assert chromium.complaints == []


SLOTS = ("FACTS", "AUDIT", "STATES", "LENGTHS", "DROPS", "SETTINGS")


def test_a_broken_promise_is_in_the_report_and_the_exit_code(
    reported: Path, recordings: Path, tmp_path: Path
) -> None:
    arguments = [
        "run",
        str(recordings / "call.wav"),
        "--out",
        str(tmp_path / "store"),
        "--quiet",
        "--jobs",
        "1",
    ]
    assert main(arguments) == 0
    (tmp_path / "store" / "notes.txt").write_text("canary")
    assert main([*arguments, "--report", str(tmp_path / "run.html")]) == 1
    text = text_of((tmp_path / "run.html").read_text())
    assert "1 promise broken" in text
    assert "canary" not in text
    assert "skipped 1" in text
    assert "No snippet was released" in text


def test_many_problems_and_long_limits_fit() -> None:
    problems = tuple(Problem("stray", "a file that does not belong here") for _ in range(1_000))
    summary = Summary(lengths={f"{n / 2:g}": n for n in range(1, 120)})
    policy = Policy.from_mapping({"cutting": {"max_seconds": 60.0}, "disguise": ["psola", "mcadams"]})
    html = page(summary, policy, AuditReport(3, 6.0, problems))
    assert "and 980 more" in html
    assert html.count("<rect") <= 24
    counts = [int(count.replace(",", "")) for count in re.findall(r"s: ([\d,]+) snippets</title>", html)]
    assert sum(counts) == sum(range(1, 120))
    assert "psola + mcadams" in html


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Policy(), "disguise vocoder scope"),
        (Policy.preset("training"), "disguise vocoder, pause_seconds 10 to 10 scope"),
        (Policy(disguise=Psola(semitones=(1.0, 2.0))), "disguise psola, semitones 1 to 2 scope"),
        (Policy(), "carry none container"),
        (Policy(carry=("text", "speaker")), "carry text, speaker container"),
    ],
)
def test_settings_tell_one_policy_from_another(policy: Policy, says: str) -> None:
    assert says in text_of(page(Summary(), policy, CLEAN))


@pytest.mark.parametrize(
    ("read_seconds", "says"),
    [
        (0.0, "2.0 s in all"), (60.0, "2.0 s in all, 30 × real time"), (0.5, "2.0 s in all, 0 × real time"),
    ],
)  # fmt: skip
def test_speed_is_told_where_something_was_read(read_seconds: float, says: str) -> None:
    summary = Summary(read_seconds=read_seconds, elapsed_seconds=2.0)
    assert f"{says} Is the store" in text_of(page(summary, Policy(), CLEAN))
    assert describe(summary).endswith(f"took          {says.replace(' in all', '')}")


def test_the_heading_has_the_width_of_a_narrow_screen(reported: Path, chromium: Page) -> None:
    chromium.show(400)
    chromium.open(reported / "run.html")
    top, bottom = chromium.ask(
        "[document.querySelector('h1').offsetTop, document.querySelector('.theme').offsetTop]"
    )
    assert top > bottom
    assert chromium.ask("document.querySelector('h1').clientHeight") < 40  # one line


@pytest.mark.parametrize(
    ("count", "says"), [(0, ""), (1, "No snippet has 1 text:"), (2, "No snippet has 2 texts:")]
)
@pytest.mark.parametrize("dropped", [{}, {"too_short": 1.0}])
def test_texts_that_no_snippet_has_are_told(count: int, says: str, dropped: dict[str, float]) -> None:
    summary = Summary(texts_left_out=count, dropped_seconds=dropped, speech_seconds=2.0)
    for text in (text_of(page(summary, Policy(), CLEAN)), describe(summary)):
        assert says.lower() in text.lower()
        assert ("no snippet has" in text.lower()) == bool(count)


def test_what_a_user_chose_is_text_in_the_page() -> None:
    summary = Summary(dropped_seconds={"<b>": 1.0}, codes={"<i>": 1}, speech_seconds=2.0)
    html = page(summary, Policy(), CLEAN)
    assert "<b>&lt;" not in html
    assert "&lt;b&gt;" in html
    assert "&lt;i&gt;" in html
    assert "50.0 %" in html


def test_a_dry_run_has_no_report(
    recordings: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "run.html"
    assert main(["run", str(recordings), "--dry-run", "--report", str(place)]) == 2
    assert "dry run" in capsys.readouterr().err
    assert (
        main(["run", str(recordings), "--out", str(tmp_path / "s"), "--report", str(tmp_path / "run.txt")])
        == 2
    )
    assert "ending in .html" in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_what_a_programme_leaves_out_was_not_done_before(
    deident: Callable[..., CompletedProcess[str]], recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "all.csv").write_text(f"path,consent\n{recordings / 'call.wav'},no\n")
    (tmp_path / "policy.toml").write_text('[programme]\nconsent = "required"\n')
    deident("keygen", tmp_path / "key")
    result = deident(
        "run", "--table", tmp_path / "all.csv", "--policy", tmp_path / "policy.toml", "--key-file", tmp_path / "key",
        "--linkage", tmp_path / "links", "--out", tmp_path / "store", "--report", tmp_path / "run.html", "--jobs", "1",
    )  # fmt: skip
    assert "1 no-consent" in result.stdout
    assert "done before" not in result.stdout
    assert "skipped 1 done by an earlier run, or not read for a reason below" in text_of(
        (tmp_path / "run.html").read_text()
    )
