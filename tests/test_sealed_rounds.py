"""Rounds that are sealed for their reviewers, and end."""

import io
import json
import tarfile
import time
from pathlib import Path

import pytest

from deident.audit.programme import audit_rounds
from deident.cli import main
from deident.errors import ExtraMissingError, SettingError
from deident.keys import Key
from deident.policy import Policy, ProgrammeSettings
from deident.recording import Recording
from deident.review.sealing import recipients_in
from deident.runs.run import run
from deident.store import Linkage, Sealed, day_text, today
from tests.methods import Sine

DAY = 86_400


class Rounds:
    """A store with a programme, its rounds, and a clock."""

    def __init__(self, folder: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.store, self.key = folder, folder / "s", Key(bytes(range(32)))
        self.key.write(folder / "key")
        self.recordings, self.now = recordings, 20_000.5
        monkeypatch.setattr(time, "time", lambda: self.now * DAY)

    def run(self, **promise: object) -> None:
        policy = Policy(disguise=Sine(), programme=ProgrammeSettings(**promise))  # type: ignore[arg-type]
        names = ("call.wav", "meeting.flac", "reading.mp3")
        given = [Recording(str(self.recordings / name)) for name in names]
        run(given, self.store, policy, key=self.key, jobs=1, linkage=self.folder / "links")

    def main(self, command: str, *arguments: str | Path, linkage: bool = True) -> int:
        links = ["--linkage", str(self.folder / "links")] if linkage else []
        own = [*links, "--key-file", str(self.folder / "key")]
        return main([*command.split(), str(self.store), *map(str, arguments), *own])

    def review(self, name: str, *arguments: str | Path) -> int:
        own = ["--out", self.folder / "rounds", "--reviewers", "ann,bob", "--round", name]
        return self.main("review", *own, *arguments)

    def history(self) -> list[dict[str, str]]:
        return list(Sealed(self.store / ".private" / "reviews", self.key, "rounds").records())

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.folder / "rounds"))
            for path in (self.folder / "rounds").glob("*/**/*")
            if path.is_file()
        )


@pytest.fixture
def rounds(tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    return Rounds(tmp_path, recordings, monkeypatch)


def test_a_part_is_for_its_reviewer_alone(rounds: Rounds, tmp_path: Path) -> None:
    pyrage = pytest.importorskip("pyrage")
    rounds.run(seal_rounds="required")
    people = {name: pyrage.x25519.Identity.generate() for name in ("ann", "bob")}
    listed = tmp_path / "recipients"
    listed.write_text(f"ann {people['ann'].to_public()}\n")
    assert rounds.review("r") == rounds.review("r", "--recipients", listed) == 2
    assert not (tmp_path / "rounds").exists()
    listed.write_text("".join(f"{name} {own.to_public()}\n" for name, own in people.items()))
    assert rounds.review("r", "--recipients", listed) == 0
    assert rounds.files() == ["r/ann.tar.age", "r/bob.tar.age"]
    originals = {path.read_bytes() for path in rounds.store.glob("*.wav")}
    count = 0
    for name, other in (("ann", "bob"), ("bob", "ann")):
        data = (tmp_path / "rounds" / "r" / f"{name}.tar.age").read_bytes()
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(data, [people[other]])
        with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(data, [people[name]]))) as archive:
            members = {member.name: archive.extractfile(member) for member in archive.getmembers()}
            contents = {path: file.read() for path, file in members.items() if file}
        sounds = {path: data for path, data in contents.items() if path.endswith(".wav")}
        assert contents.keys() - sounds.keys() == {
            f"{name}/{file}" for file in ("index.html", "tasks.json", "label-studio.xml")
        }
        assert set(sounds.values()) <= originals
        count += len(sounds)
        assert not any(sound in data for sound in originals)
    assert count == 3
    for path in (tmp_path / "rounds").rglob("*"):
        assert not path.is_file() or not any(sound[44:] in path.read_bytes() for sound in originals)


def test_recipients_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    pyrage = pytest.importorskip("pyrage")
    public = pyrage.x25519.Identity.generate().to_public()
    assert recipients_in([f"ann  {public}"]) == {"ann": str(public)}
    for lines, said in (
        (["ann"], "line 1"),
        ([f"ann {public}", f"bob {str(public)[:-1]}"], "line 2"),
        ([f"ann {public}"] * 2, "names a reviewer again"),
    ):
        with pytest.raises(SettingError, match=said):
            recipients_in(lines)
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    with pytest.raises(ExtraMissingError, match=r"deident\[age\]"):
        recipients_in([f"ann {public}"])


def test_a_round_ends(rounds: Rounds, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds.run(round_days=5)
    assert rounds.review("r", "--days", "9") == 0
    until = day_text(today() + 5)
    assert {row["until"] for row in rounds.history()} == {until}
    files = [name for name in rounds.files() if name.endswith(".wav")]
    pages = [path.read_text() for path in (tmp_path / "rounds" / "r").glob("*/index.html")]
    assert sum(page.count(until) for page in pages) == len(files) == 3
    labels = tmp_path / "labels.json"
    said = {"round": "r", "reviewer": "ann", "labels": [{"file": Path(f).name, "text": "a"} for f in files]}
    labels.write_text(json.dumps(said))

    def collected(name: str) -> int:
        assert rounds.main("review collect", labels, "--out", tmp_path / name, linkage=False) == 0
        return len((tmp_path / name).read_text().splitlines()) - 1

    def withdrawn() -> list[str]:
        capsys.readouterr()
        assert rounds.main("review withdraw", linkage=False) == 0
        return capsys.readouterr().out.splitlines()

    rounds.now += 5
    assert (collected("a.csv"), withdrawn()) == (3, [])
    assert rounds.main("purge") == 0
    assert "withdraw" not in capsys.readouterr().out
    rounds.now += 1
    assert (collected("b.csv"), sorted(withdrawn())) == (0, files)
    assert rounds.main("purge", "--receipt", tmp_path / "receipt.json") == 0
    out = capsys.readouterr().out
    assert all(f"withdraw: {file}" in out for file in files)
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert (receipt["snippets"], len(receipt["withdraw"])) == (0, 3)
    assert len(list(rounds.store.glob("*.wav"))) > 3  # the snippets have no last day
    rounds.now += 5
    assert rounds.main("purge") == 0
    assert withdrawn() == []  # forgotten


def test_nobody_is_given_what_is_over(rounds: Rounds, tmp_path: Path) -> None:
    rounds.run(keep_days=10)
    rounds.now += 8
    assert rounds.review("r", "--days", "20") == 0
    assert {row["until"] for row in rounds.history()} == {day_text(today() + 2)}
    rounds.now += 2  # to be purged today, and was not yet
    assert len(Linkage(tmp_path / "links", rounds.key).links().__next__().names) > 0
    own = ["--out", tmp_path / "rounds", "--reviewers", "zoe", "--round", "q"]
    assert rounds.main("review", *own) == 1
    assert not [name for name in rounds.files() if name.startswith("q") and name.endswith(".wav")]


def test_a_round_lasts_a_day_at_least(rounds: Rounds) -> None:
    rounds.run()
    assert rounds.review("r", "--days", "0") == 2
    assert rounds.review("r") == 0
    assert not any("until" in row for row in rounds.history())


def test_an_audit_tells_of_rounds_that_last_too_long() -> None:
    settings = {"consent": "optional", "share": 1.0, "max_per_speaker": None, "max_per_reviewer": None}
    facts = {"programme": json.dumps({**settings, "keep_days": None, "round_days": 5})}
    row = {"file": "f", "day": "2026-01-01", "reviewer": "eve", "until": "2026-01-06"}
    assert audit_rounds(facts, [row], "2026-01-02") == []
    for wrong in ({**row, "until": "2026-01-07"}, {k: v for k, v in row.items() if k != "until"}):
        assert [broken.code for broken in audit_rounds(facts, [wrong], "2026-01-02")] == ["round"]
    assert audit_rounds(facts, [{"reviewer": "eve"}], "2026-01-02") == []
