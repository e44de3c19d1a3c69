"""The programme of a store: consent, share, speakers and days, over its life."""

import itertools
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deident.audit.programme import audit_programme, audit_rounds
from deident.cli import main
from deident.errors import SettingError, StoreError
from deident.keys import Key
from deident.policy import Policy, ProgrammeSettings
from deident.recording import Recording
from deident.review import RoundSettings, copies, make_round
from deident.runs.gate import Gate
from deident.runs.run import Summary, dry_run, run
from deident.segment import Segment
from deident.segmentation.turns import Turn
from deident.store import FolderStore, Link, Linkage, audit_linkage, day_text, today
from tests.methods import Sine

DAY = 86_400


class Programme:
    """A store with a programme, its linkage and key, and a clock."""

    def __init__(self, folder: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.links, self.keyfile = folder / "s", folder / "links", folder / "key"
        self.key = Key(bytes(range(32)))
        self.key.write(self.keyfile)
        self.place = recordings
        self.now = 20_000.5
        monkeypatch.setattr(time, "time", lambda: self.now * DAY)

    def run(self, *recordings: Recording, **promise: object) -> Summary:
        policy = Policy(disguise=Sine(), programme=ProgrammeSettings(**promise))  # type: ignore[arg-type]
        return run(recordings, self.store, policy, key=self.key, jobs=1, linkage=self.links)

    def recording(self, name: str, speaker: str | None = "ann", *, consent: bool = True) -> Recording:
        return Recording(str(self.place / name), speaker, consent=consent)

    def kept(self) -> list[Link]:
        return [link for link in Linkage(self.links, self.key).links() if link.names]

    def files(self) -> set[str]:
        return {path.name for path in self.store.glob("*.wav")}

    def main(self, command: str, *arguments: str | Path) -> int:
        own = ["--linkage", str(self.links), "--key-file", str(self.keyfile)]
        return main([command, str(self.store), *own, *map(str, arguments)])

    def codes(self) -> set[str]:
        return {problem.code for problem in audit_linkage(self.store, self.links, self.key)}


@pytest.fixture
def programme(tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Programme:
    return Programme(tmp_path, recordings, monkeypatch)


def test_a_recording_without_consent_is_not_read(programme: Programme) -> None:
    missing = replace(programme.recording("call.wav", consent=False), path="/not/there.wav")
    summary = programme.run(missing, programme.recording("meeting.flac"), consent="required")
    assert (summary.states["skipped"], summary.states["refused"], summary.codes) == (1, 0, {"no-consent": 1})
    assert [Path(link.path).name for link in programme.kept()] == ["meeting.flac"]
    assert programme.codes() == set()


def test_consent_comes_as_a_column_of_every_row_or_as_a_label(tmp_path: Path, recordings: Path) -> None:
    from deident.datasets.table import read

    table = tmp_path / "t.csv"
    table.write_text("path,consent,speaker\na.wav,yes,1\nb.wav,No,1\nc.wav,,1\nd.wav,TRUE,1\n")
    assert [r.consent for r in read(table)] == [True, False, False, True]
    table.write_text("path,start,stop,consent\na.wav,0,1,yes\na.wav,1,2,no\nb.wav,0,1,1\n")
    assert [r.consent for r in read(table)] == [False, True]
    table.write_text("path,consent\na.wav,maybe\n")
    with pytest.raises(SettingError, match="line 2: expected consent as yes or no"):
        read(table)
    table.write_text("path\na.wav\n")
    assert [r.consent for r in read(table)] == [False]
    policy = Policy(programme=ProgrammeSettings(consent="required"))
    given = [
        Recording("a", labels={"consent": "yes"}),
        Recording("a", labels={"consent": "no"}, consent=True),
        Recording("a", turns=(Turn(Segment(0, 9), labels={"consent": "yes"}), Turn(Segment(9, 20)))),
        Recording("a", turns=(Turn(Segment(0, 9), labels={"consent": "yes"}),)),
    ]
    refused = [Gate(policy, None).refusal(recording) is not None for recording in given]
    assert refused == [False, True, True, False]


def test_consent_that_is_gone_is_told(programme: Programme) -> None:
    programme.run(programme.recording("call.wav"), consent="required")
    summary = programme.run(programme.recording("call.wav", consent=False), consent="required")
    assert (summary.states["refused"], summary.codes) == (1, {"consent-gone": 1})


def test_the_draw_is_of_the_recording_not_of_its_name_or_the_run(
    programme: Programme, tmp_path: Path
) -> None:
    for number in range(400):
        (tmp_path / f"{number}.wav").write_bytes(b"%d" % number)
    policy = Policy(programme=ProgrammeSettings(share=0.25))

    def drawn(key: Key, suffix: str = "wav") -> set[int]:
        gate = Gate(policy, key)
        return {n for n in range(400) if gate.refusal(Recording(str(tmp_path / f"{n}.{suffix}"))) is None}

    first = drawn(programme.key)
    assert drawn(programme.key) == first
    assert 70 < len(first) < 130
    assert len(first ^ drawn(Key(bytes(32)))) > 70
    for number in range(400):
        (tmp_path / f"{number}.wav").rename(tmp_path / f"{number}.mp3")
    assert drawn(programme.key, "mp3") == first
    assert drawn(programme.key) == set()  # what cannot be opened is not drawn


def test_a_share_is_counted_once_and_is_proved(programme: Programme, tmp_path: Path) -> None:
    given = []
    for number, name in enumerate(["call.wav", "meeting.flac", "reading.mp3"] * 4):
        copy = tmp_path / f"{number}{Path(name).suffix}"
        copy.write_bytes(
            (programme.place / name).read_bytes() + b"\0" * number
        )  # other bytes, the same sound
        given.append(Recording(str(copy)))
    first = programme.run(*given, share=0.5)
    assert (
        first.codes["not-drawn"]
        == dry_run(
            given, Policy(disguise=Sine(), programme=ProgrammeSettings(share=0.5)), key=programme.key
        ).codes["not-drawn"]
    )
    with FolderStore(programme.store, key=programme.key) as store:
        before = store.sounds()
    assert before["not-drawn"] == first.codes["not-drawn"] > 0
    again = programme.run(*given, share=0.5)
    assert again.codes["not-drawn"] == first.codes["not-drawn"]
    assert again.snippets == 0
    with FolderStore(programme.store, key=programme.key) as store:
        assert store.sounds() == before
    assert programme.codes() == set()


def test_a_speaker_is_capped_over_the_life_of_a_store(programme: Programme) -> None:
    names = ["call.wav", "meeting.flac", "reading.mp3"]
    first = programme.run(programme.recording(names[0]), max_per_speaker=2)
    assert (first.snippets, len(programme.files())) == (2, 2)
    assert first.dropped_seconds["max_per_speaker"] > 0
    assert programme.run(programme.recording(names[1]), max_per_speaker=2).codes == {"max-per-speaker": 1}
    assert programme.main("erase", "--speaker", "ann") == 0
    assert programme.run(programme.recording(names[1]), max_per_speaker=2).codes == {"max-per-speaker": 1}
    other = programme.run(programme.recording(names[2], "bob"), max_per_speaker=2)
    assert (other.snippets, len(programme.files())) == (2, 2)
    nobody = programme.run(programme.recording(names[1], None), max_per_speaker=2)
    assert (nobody.states["refused"], nobody.codes) == (1, {"no-speaker": 1})
    assert programme.codes() == set()


def test_two_recordings_of_a_batch_share_the_cap(programme: Programme) -> None:
    given = [programme.recording(name) for name in ("call.wav", "meeting.flac", "reading.mp3")]
    assert programme.run(*given, max_per_speaker=3).snippets == len(programme.files()) == 3


def test_days_are_kept_to_the_day(programme: Programme, capsys: pytest.CaptureFixture[str]) -> None:
    programme.run(programme.recording("call.wav"), keep_days=30)
    first = programme.files()
    programme.now += 10
    programme.run(programme.recording("meeting.flac"), keep_days=30)
    second = programme.files() - first
    programme.now += 19
    assert programme.main("purge") == 0
    assert programme.files() == first | second
    programme.now += 1
    assert programme.codes() == set()
    programme.now += 1
    assert programme.codes() == {"expired"}
    assert programme.main("audit") == 1
    assert "are a day over the 30 that they may be kept" in capsys.readouterr().out
    assert programme.main("purge") == 0
    assert programme.files() == second
    assert {name for link in programme.kept() for name in link.names} == second
    assert (programme.codes(), programme.main("audit")) == (set(), 0)
    before = {path: path.read_bytes() for path in programme.store.glob("*") if path.is_file()}
    assert programme.main("purge") == 0
    assert {path: path.read_bytes() for path in programme.store.glob("*") if path.is_file()} == before
    assert programme.run(programme.recording("call.wav"), keep_days=30).codes == {}
    assert programme.files() == second  # what is over stays out


def test_rounds_are_purged_too(programme: Programme, tmp_path: Path) -> None:
    programme.run(programme.recording("call.wav"), keep_days=30)
    with FolderStore(programme.store, key=programme.key) as store:
        linkage = Linkage(programme.links, programme.key)
        make_round(store, linkage, programme.key, RoundSettings(("eve",), name="r"), tmp_path / "rounds")
    programme.now += 30
    receipt = tmp_path / "receipt.json"
    assert programme.main("purge", "--receipt", receipt) == 0
    said = json.loads(receipt.read_text())
    assert (said["kind"], said["day"], len(said["withdraw"])) == ("purge", day_text(today()), 1)

    def listed() -> int:
        with FolderStore(programme.store, key=programme.key) as store:
            return len(copies(store, programme.key))

    assert listed() == 1  # to withdraw, for as long again
    programme.now += 31
    assert programme.codes() == {"expired"}
    assert programme.main("purge") == 0
    assert (listed(), programme.codes()) == (0, set())
    # The same speaker comes back, and the reviewer who had a snippet of them gets no other.
    programme.run(programme.recording("meeting.flac"), keep_days=30)
    with FolderStore(programme.store, key=programme.key) as store:
        linkage = Linkage(programme.links, programme.key)
        parts = make_round(store, linkage, programme.key, RoundSettings(("eve",), name="q"), tmp_path / "q")
    assert not parts[0].files


def test_a_reviewer_gets_no_more_than_is_allowed(programme: Programme, tmp_path: Path) -> None:
    given = [programme.recording(f"{name}", name) for name in ("call.wav", "meeting.flac", "reading.mp3")]
    programme.run(*given, max_per_reviewer=2)

    def deal(name: str, *reviewers: str) -> list[int]:
        with FolderStore(programme.store, key=programme.key) as store:
            linkage = Linkage(programme.links, programme.key)
            settings = RoundSettings(reviewers, name=name)
            parts = make_round(store, linkage, programme.key, settings, tmp_path / "rounds")
        return [len(part.files) for part in parts]

    assert deal("a", "eve") == [2]
    with pytest.raises(SettingError, match="1 of the reviewers"):
        deal("b", "eve", "zoe")
    assert not (tmp_path / "rounds" / "b").exists()
    assert deal("c", "zoe") == [2]
    assert programme.codes() == set()
    history = programme.store / ".private" / "reviews"
    history.write_bytes(history.read_bytes()[:-1])
    assert programme.codes() == {"history"}


def test_a_purge_that_is_stopped_goes_on(programme: Programme, monkeypatch: pytest.MonkeyPatch) -> None:
    from deident.store import Disk

    def stopped(at: int) -> Callable[..., None]:
        left = itertools.count()

        def call(self: Disk, *arguments: object) -> None:
            if next(left) == at:
                raise KeyboardInterrupt
            originals[name](self, *arguments)

        return call

    whole = programme.store.parent / "whole"
    programme.run(programme.recording("call.wav"), programme.recording("meeting.flac", "bob"), keep_days=3)
    programme.now += 3
    shutil.copytree(programme.store, whole / "s")
    shutil.copy(programme.links, whole / "links")
    originals = {name: getattr(Disk, name) for name in ("unlink", "rename", "sync", "write")}
    stops = 0
    for name, at in itertools.product(originals, (0, 1, 4)):
        shutil.rmtree(programme.store)
        shutil.copytree(whole / "s", programme.store)
        shutil.copy2(whole / "links", programme.links)
        programme.links.chmod(0o600)
        with monkeypatch.context() as patched:
            patched.setattr(Disk, name, stopped(at))
            stops += programme.main("purge") == 130
        assert programme.main("purge") == 0
        assert (programme.files(), programme.kept(), programme.codes()) == (set(), [], set())
        assert programme.main("audit") == 0
    assert stops > 6


def test_whoever_withdraws_is_erased_and_kept_out(
    programme: Programme, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programme.run(programme.recording("call.wav"), programme.recording("meeting.flac", "bob"), keep_days=9)
    path = str(programme.place / "reading.mp3")
    listed = tmp_path / "withdrawn.txt"
    listed.write_text(f"ann\n\n{path}\n")
    assert programme.main("erase", "--withdrawn", listed) == 0
    assert "kept out from now on: 2 entries" in capsys.readouterr().out
    assert {link.speaker for link in programme.kept()} == {"bob"}
    ledger = b"".join(p.read_bytes() for p in (programme.store / ".private").iterdir() if p.is_file())
    assert b"ann" not in ledger
    assert b"reading" not in ledger
    new = shutil.copy(programme.place / "reading.mp3", tmp_path / "new.mp3")
    turns = (Turn(Segment(0, 32_000), "bob"), Turn(Segment(32_000, 64_000), "ann"))
    for recording in (Recording(new, "ann"), Recording(path, "bob"), Recording(new, turns=turns)):
        assert programme.run(recording, keep_days=9).codes == {"withdrawn": 1}
    assert programme.run(Recording(new, "eve"), keep_days=9).snippets > 0
    listed.write_text("nobody we know\n")
    assert programme.main("erase", "--withdrawn", listed) == 0
    listed.write_text("\n")
    assert programme.main("erase", "--withdrawn", listed) == 2


def test_a_programme_begins_before_anything_is_released(programme: Programme, tmp_path: Path) -> None:
    listed = tmp_path / "withdrawn.txt"
    listed.write_text("ann\n")
    refused = programme.recording("meeting.flac", "bob", consent=False)
    assert programme.run(refused, consent="required", keep_days=9).snippets == 0
    assert programme.codes() == set()
    assert programme.main("purge") == 0
    assert programme.main("erase", "--withdrawn", listed) == 0
    came = programme.run(programme.recording("call.wav"), consent="required", keep_days=9)
    assert came.codes == {"withdrawn": 1}
    programme.links.unlink()
    assert programme.main("purge") == 2


def test_a_programme_holds_for_the_life_of_a_store(programme: Programme, tmp_path: Path) -> None:
    promise = {"consent": "required", "share": 0.9, "max_per_speaker": 50, "keep_days": 9}
    programme.run(programme.recording("call.wav"), **promise)
    for name, value in (
        ("consent", "optional"),
        ("share", 0.8),
        ("max_per_speaker", None),
        ("keep_days", 10),
    ):
        with pytest.raises(StoreError, match="begun with another"):
            programme.run(programme.recording("call.wav"), **{**promise, name: value})
    with pytest.raises(StoreError, match="begun with another"):
        programme.run(programme.recording("call.wav"))
    programme.run(programme.recording("call.wav"), **{**promise, "keep_days": 5})
    with pytest.raises(StoreError, match="begun with another"):
        programme.run(programme.recording("call.wav"), **promise)
    programme.store = tmp_path / "other"
    programme.run(programme.recording("call.wav"))
    with pytest.raises(StoreError, match="begun without"):
        programme.run(programme.recording("meeting.flac"), keep_days=1)
    assert programme.main("purge") == 2


def test_a_programme_needs_a_key_and_a_linkage(programme: Programme) -> None:
    policy = Policy(disguise=Sine(), programme=ProgrammeSettings(keep_days=1))
    with pytest.raises(SettingError, match="key"):
        run([programme.place], programme.store, policy)
    with pytest.raises(SettingError, match="linkage"):
        run([programme.place], programme.store, policy, key=programme.key)
    assert not programme.store.exists()
    for wrong in (
        {"share": 0},
        {"share": 1.1},
        {"consent": "yes"},
        {"keep_days": 0},
        {"max_per_speaker": 1.5},
    ):
        with pytest.raises(SettingError, match="of programme"):
            ProgrammeSettings(**wrong)  # type: ignore[arg-type]


LINK = Link("", "", "", "", "ann", ("a", "b"), 100, consent=True, draw=f"{1 << 60:016x}")
PROMISE = {
    "consent": "required",
    "share": 0.25,
    "max_per_speaker": 2,
    "max_per_reviewer": 3,
    "keep_days": 10,
}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"consent": False}, "consent"),
        ({"draw": f"{1 << 62:016x}"}, "share"),
        ({"draw": f"{(1 << 62) - 1:016x}"}, None),
        ({"draw": ""}, "share"),
        ({"draw": "-1"}, "share"),
        ({"day": 95}, None),
        ({"day": 94}, "expired"),
        ({"day": 107}, "expired"),
        ({"names": ("a", "b", "c")}, "speaker"),
        ({"names": (), "consent": False, "day": 1, "draw": ""}, None),
    ],
)
def test_an_audit_names_what_is_not_kept(change: dict[str, object], code: str | None) -> None:
    facts = {"programme": json.dumps(PROMISE)}
    link = replace(LINK, **change)  # type: ignore[arg-type]
    assert {broken.code for broken in audit_programme(facts, {"speaker:a": 2}, [link], 105)} == (
        {code} if code else set()
    )
    assert audit_programme({}, {"speaker:a": 9}, [link], 105) == []


def test_an_audit_reads_counts_and_facts_by_itself() -> None:
    facts = {"programme": json.dumps(PROMISE)}
    for counts, broken in (({"speaker:a": 3}, ["speaker"]), ({"found:a": 9}, [])):
        assert [b.code for b in audit_programme(facts, counts, [LINK], 105)] == broken
    for damaged in ("{", "[]", "{}", json.dumps({**PROMISE, "share": "much"})):
        assert [b.code for b in audit_programme({"programme": damaged}, {}, [], 1)] == ["programme"]
    row = {"file": "f", "day": "2026-01-01", "reviewer": "eve"}
    assert audit_rounds(facts, 3 * [row], "2026-01-02") == []
    assert [b.code for b in audit_rounds(facts, 4 * [row], "2026-01-02")] == ["reviewer"]
    assert audit_rounds(facts, [row], "2026-01-21") == []
    assert [b.code for b in audit_rounds(facts, [row], "2026-01-22")] == ["expired"]
    assert audit_rounds(facts, [{"reviewer": "eve"}], "2027-01-01") == []
