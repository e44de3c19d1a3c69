"""Labels: the page that reviewers open, and the way of what they say back to the snippets."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from deident.cli import main
from deident.keys import Key
from deident.pages.review import FLAGS, QUALITIES
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from tests.browser import Page
from tests.methods import Sine


@pytest.fixture
def part(tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The part of ann in a round of three snippets, one of each recording."""
    monkeypatch.chdir(tmp_path)
    key = Key.fresh()
    key.write(tmp_path / "key")
    sources = [Recording(str(p)) for p in sorted(recordings.iterdir()) if p.suffix != ".md"]
    run(sources, tmp_path / "s", Policy(disguise=Sine()), key=key, jobs=1, linkage=tmp_path / "links")
    assert (
        deident("review", "s", "--linkage", "links", "--out", "rounds", "--reviewers", "ann", "--round", "r1")
        == 0
    )
    return tmp_path / "rounds" / "r1" / "ann"


def deident(*words: str) -> int:
    return main([*words, "--key-file", "key"])


def files_of(part: Path) -> list[str]:
    return sorted(path.name for path in part.glob("*.wav"))


def saved(part: Path, *labels: dict[str, Any]) -> dict[str, Any]:
    rows = [{"file": file, **label} for file, label in zip(files_of(part), labels, strict=False)]
    return {"round": "r1", "reviewer": "ann", "labels": rows}


def collected(content: Any, *more: str) -> list[dict[str, str]]:
    Path("ann.json").write_text(json.dumps(content))
    assert deident("review", "collect", "s", "ann.json", "--out", "labels.csv", *more) == 0
    assert Path("labels.csv").stat().st_mode & 0o777 == 0o600
    with open("labels.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_labels_come_back_to_the_snippets_they_are_of(part: Path) -> None:
    rows = collected(saved(part, {"text": 'one, "two"\nthree', "quality": "clear"}, {"remark": "ÄÖ"}, {}))
    assert len(rows) == 2  # nothing is said of the third
    for row, file in zip(sorted(rows, key=lambda row: row["remark"]), files_of(part), strict=False):
        assert (Path("s") / row["snippet"]).read_bytes() == (part / file).read_bytes()
        assert (row["round"], row["reviewer"]) == ("r1", "ann")
    assert {(row["text"], row["quality"], row["remark"]) for row in rows} == {
        ('one, "two"\nthree', "clear", ""),
        ("", "", "ÄÖ"),
    }


def test_flagged_snippets_are_erased_with_all_of_their_recording(
    part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = collected(saved(part, {"flag": FLAGS[0]}, {"text": "hello"}, {}), "--flagged", "flagged.txt")
    (flagged,) = Path("flagged.txt").read_text().split()
    assert flagged in {row["snippet"] for row in rows if row["flag"] == FLAGS[0]}
    assert f"flagged: 1, {FLAGS[0]}" in capsys.readouterr().out
    before = set(Path("s").glob("*.wav"))
    assert deident("erase", "s", "--linkage", "links", "--snippets", "flagged.txt") == 0
    gone = {path.name for path in before - set(Path("s").glob("*.wav"))}
    assert flagged in gone
    assert not gone & {row["snippet"] for row in rows if not row["flag"]}
    assert main(["audit", "s", "--linkage", "links", "--key-file", "key"]) == 0
    Path("labels.csv").unlink()
    again = collected(saved(part, {"flag": FLAGS[0]}, {"text": "hello"}, {}))
    assert [row["text"] for row in again] == ["hello"]
    assert "left out: 1 label of snippets that were erased since" in capsys.readouterr().out


def test_an_export_of_label_studio_comes_back(part: Path) -> None:
    tasks = json.loads((part / "tasks.json").read_text())
    for number, task in enumerate(tasks):
        task["annotations"] = [{"result": [
            {"type": "textarea", "value": {"text": [f"words {number}"]}},
            {"type": "choices", "value": {"choices": [QUALITIES[0], FLAGS[1]]}},
        ]}]  # fmt: skip
    rows = collected(tasks)
    assert len(rows) == len(tasks) == 3
    for row in rows:
        task = tasks[int(row["text"].split()[1])]
        file = task["data"]["audio"].split("=")[1]
        assert (Path("s") / row["snippet"]).read_bytes() == (part / file).read_bytes()
        assert (row["quality"], row["flag"]) == (QUALITIES[0], FLAGS[1])


def test_what_label_studio_makes_of_its_interface_comes_back(part: Path) -> None:
    """Every control of the interface that a part holds is filled in as Label Studio exports it."""
    interface = ElementTree.parse(part / "label-studio.xml").getroot()
    assert {control.get("toName") for control in interface} <= {None, interface.find("Audio").get("name")}
    fields = {
        control.get("name"): [c.get("value") for c in control]
        for control in interface
        if control.get("toName")
    }
    assert list(fields) == ["text", "quality", "flag", "remark"]
    assert fields["flag"] == list(FLAGS)
    tasks = json.loads((part / "tasks.json").read_text())
    assert interface.find("Audio").get("value").removeprefix("$") in tasks[0]["data"]
    results = [
        {"from_name": name, "to_name": "audio", "type": "choices" if values else "textarea",
         "value": {"choices": [values[-1]]} if values else {"text": [f"some {name}"]}}
        for name, values in fields.items()
    ]  # fmt: skip
    tasks[0]["annotations"] = [{"result": results}]
    for task in tasks[1:]:
        task["annotations"] = []
    [row] = collected(tasks, "--flagged", "flagged.txt")
    assert {name: row[name] for name in fields} == {
        "text": "some text", "quality": QUALITIES[-1], "flag": FLAGS[-1], "remark": "some remark",
    }  # fmt: skip
    assert Path("flagged.txt").read_text() == row["snippet"] + "\n"


@pytest.mark.parametrize(
    "content",
    [
        lambda part: [],
        lambda part: {},
        lambda part: {"round": "r1", "reviewer": "ann", "labels": [{"text": "x"}]},
        lambda part: saved(part, {"text": 3}),
        lambda part: {"round": "r1", "reviewer": "ann", "labels": [{"file": "0" * 32 + ".wav", "text": "x"}]},
        lambda part: [{"data": {"audio": "/data/local-files/?d=other.wav"}, "annotations": [{}]}],
        lambda part: [{"data": {"audio": files_of(part)[0]}, "annotations": [{"result": [3]}]}],
        lambda part: [{"data": {"audio": files_of(part)[0]}, "annotations": [3]}],
    ],
)
def test_what_is_no_label_of_these_rounds_is_refused(
    part: Path, content: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("ann.json").write_text(json.dumps(content(part)))
    assert deident("review", "collect", "s", "ann.json", "--out", "labels.csv") == 2
    assert "file 1 of labels" in capsys.readouterr().err
    assert not Path("labels.csv").exists()


def test_nothing_is_written_over(part: Path) -> None:
    Path("labels.csv").write_text("years of work")
    Path("ann.json").write_text(json.dumps(saved(part, {"text": "x"})))
    assert deident("review", "collect", "s", "ann.json", "--out", "labels.csv") == 2
    assert Path("labels.csv").read_text() == "years of work"


def test_a_reviewer_labels_with_keys_alone(part: Path, chromium: Page) -> None:
    chromium.show(400)
    chromium.open(part / "index.html")
    assert chromium.ask("document.querySelector('#which').textContent") == "Snippet 1 of 3"
    assert chromium.ask("document.documentElement.scrollWidth") <= 400
    for character in "so it is":
        chromium.press(character)
    press_alt(chromium, "Digit2", "2")
    press_alt(chromium, "KeyJ", "j")
    chromium.until("!document.querySelector('audio').paused || document.querySelector('audio').ended")
    press_alt(chromium, "Digit9", "9")
    assert chromium.ask("document.querySelector('#count').textContent") == "2 of 3 labelled"
    press_alt(chromium, "Digit0", "0")
    press_alt(chromium, "Digit7", "7")
    chromium.open(part / "index.html")  # what was said is still there, and the first without a label is shown
    chromium.until("document.querySelector('#which').textContent === 'Snippet 3 of 3'")
    press_alt(chromium, "KeyH", "h")
    assert chromium.ask("document.querySelector('[name=flag]:checked').value") == FLAGS[0]
    made = chromium.ask("""new Promise(done => {
        URL.createObjectURL = blob => { blob.text().then(done); return "#"; };
        document.getElementById("save").click();
    })""")
    files = json.loads(made)["labels"]
    assert [(row["text"], row["quality"], row["flag"]) for row in files] == [
        ("so it is", QUALITIES[1], ""),
        ("", "", FLAGS[0]),
        ("", "", ""),
    ]
    assert chromium.complaints == []
    rows = collected(json.loads(made))
    for row in rows:
        file = next(
            label["file"] for label in files if label["text"] == row["text"] and label["flag"] == row["flag"]
        )
        assert (Path("s") / row["snippet"]).read_bytes() == (part / file).read_bytes()


def press_alt(page: Page, code: str, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, code=code, key=key, modifiers=1)
