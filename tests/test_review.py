"""The review programme: what nobody may hear, and what everybody gets."""

import json
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from deident.audit import inspect
from deident.cli import main
from deident.errors import SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.review import Programme, deal, marks, page
from deident.runs.run import run
from deident.store import Disk, Link, Linkage, Sealed
from tests.methods import Sine

KEY = Key(bytes(32))


def links(recordings: int, snippets: int, speakers: int | None = None) -> list[Link]:
    return [
        Link(
            f"{r:04x}", f"{r:04x}", f"id{r}", f"/calls/{r}.wav",
            None if speakers is None else f"s{r % speakers}",
            tuple(f"{r}-{s}.wav" for s in range(snippets)), 20_000,
        )
        for r in range(recordings)
    ]  # fmt: skip


@pytest.mark.parametrize("speakers", [None, 13])
@pytest.mark.parametrize("most", [1, 3])
def test_no_reviewer_hears_anybody_twice(speakers: int | None, most: int) -> None:
    made = links(60, 5, speakers)
    whose = {name: marks(link, KEY) for link in made for name in link.names}
    of = {name: link.path for link in made for name in link.names}
    programme = Programme(("a", "b", "c"), per_reviewer=20, max_per_recording=most)
    batches = deal(made, programme, KEY)
    dealt = [name for batch in batches for name, _ in batch.names]
    assert len(dealt) == len(set(dealt)) > 30
    assert max(Counter(of[name] for name in dealt).values()) <= most
    for batch in batches:
        assert len(batch.names) <= 20
        assert max(Counter(mark for name, _ in batch.names for mark in whose[name]).values()) == 1
    fresh = [new for batch in batches for _, new in batch.names]
    assert len(set(fresh)) == len(fresh)
    assert not set(fresh) & set(dealt)


def test_earlier_rounds_count() -> None:
    made = links(10, 5)
    whose = {name: marks(link, KEY) for link in made for name in link.names}
    programme = Programme(("a",), per_reviewer=6)
    (first,) = deal(made, programme, KEY)
    heard = [("a", mark) for name, _ in first.names for mark in whose[name]]
    (second,) = deal(made, programme, KEY, heard=heard)
    assert len(first.names) == 6
    assert len(second.names) == 4
    assert not {whose[n] for n, _ in first.names} & {whose[n] for n, _ in second.names}


def test_a_share_is_drawn_by_key_and_round() -> None:
    made = links(2_000, 1)

    def drawn(name: str, key: Key = KEY) -> set[str]:
        programme = Programme(("a",), per_reviewer=2_000, share=0.1, round=name)
        return {n for n, _ in deal(made, programme, key)[0].names}

    one = drawn("one")
    assert 140 < len(one) < 260
    assert drawn("one") == one  # drawing again brings nobody else
    assert len(drawn("two") & one) < 60
    assert drawn("one", Key.fresh()) != one


def test_who_opted_out_takes_no_part() -> None:
    made = links(20, 2, speakers=10)
    out = frozenset({"s3", "/calls/4.wav", "id5"})
    dealt = {n.split("-")[0] for n, _ in deal(made, Programme(("a", "b")), KEY, opted_out=out)[0].names}
    assert dealt
    assert not dealt & {"3", "13", "4", "5"}


def test_whoever_speaks_in_a_recording_may_be_heard() -> None:
    """A recording has a link for each of its speakers; one snippet of it is of any of them."""
    (ann,) = links(1, 2, speakers=1)
    both = [ann, replace(ann, speaker="bob", names=("bob.wav",))]
    dealt = {deal(both, Programme(("a",)), KEY)[0].names[0][0] for _ in range(60)}
    assert dealt == {"0-0.wav", "0-1.wav", "bob.wav"}


def test_one_recording_under_two_records_is_one_recording() -> None:
    """Released again, with the speaker known only now; and from another place."""
    (first,) = links(1, 4)
    again = replace(first, place="ffff", speaker="ann", names=tuple(f"again-{n}.wav" for n in range(4)))
    moved = replace(first, place="eeee", path="/copies/0.wav", recording="other", names=("moved.wav",))
    for most in (1, 3):
        batches = deal([first, again, moved], Programme(("a", "b", "c"), 9, most), KEY)
        assert sorted(len(batch.names) for batch in batches) == sorted([1] * most + [0] * (3 - most))
    twice = deal([first, first], Programme(("a", "b", "c"), 9, 9), KEY)
    dealt = [name for batch in twice for name, _ in batch.names]
    assert len(dealt) == len(set(dealt)) == 3
    assert not deal([first, moved], Programme(("a",)), KEY, opted_out=frozenset({"/copies/0.wav"}))[0].names


@pytest.mark.parametrize(
    "bad",
    [{"reviewers": ()}, {"reviewers": ("a", "a")}, {"reviewers": ("../x",)}, {"reviewers": ("a",), "share": 0.0},
     {"reviewers": ("a",), "per_reviewer": 0}],
)  # fmt: skip
def test_settings_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Programme(**bad)  # type: ignore[arg-type]


def test_the_page_cannot_be_broken_out_of() -> None:
    text = page(["</script><script>alert(1)</script>.wav"], "a</script>b")
    assert "alert(1)</script>" not in text
    assert "<!--<script>" not in page([], "<!--<script>")


@pytest.fixture
def store(tmp_path: Path, recordings: Path) -> Path:
    key = Key.fresh()
    key.write(tmp_path / "key")
    sources = [Recording(str(p)) for p in sorted(recordings.iterdir()) if p.suffix != ".md"]
    run(sources, tmp_path / "s", Policy(disguise=Sine()), key=key, jobs=1, linkage=tmp_path / "links")
    return tmp_path / "s"


def review(folder: Path, *arguments: str) -> int:
    base = [
        "review",
        str(folder / "s"),
        "--linkage",
        str(folder / "links"),
        "--key-file",
        str(folder / "key"),
    ]
    return main([*base, "--out", str(folder / "rounds"), *arguments])


def test_a_round_on_disk(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    folder = tmp_path / "rounds" / "r1"
    files = sorted(folder.glob("*/*.wav"))
    assert len(files) == 3  # one a recording
    originals = {p.read_bytes() for p in store.glob("*.wav")}
    assert {p.read_bytes() for p in files} <= originals
    assert not {p.name for p in files} & {p.name for p in store.glob("*.wav")}
    for file in folder.rglob("*"):
        if file.is_file():
            assert file.stat().st_mtime_ns == 0
            assert file.stat().st_mode & 0o077 == 0
    for file in files:
        inspect(file.read_bytes(), max_seconds=10)
    tasks = json.loads((folder / "reviewer-1" / "tasks.json").read_text())
    assert {t["data"]["audio"].rpartition("=")[2] for t in tasks} == {
        p.name for p in (folder / "reviewer-1").glob("*.wav")
    }
    log = [json.loads(line) for line in (tmp_path / "rounds" / "review-log.jsonl").read_text().splitlines()]
    assert [row["snippets"] for row in log] == [
        len(list((folder / f"reviewer-{n}").glob("*.wav"))) for n in (1, 2)
    ]
    everything = b"".join(p.read_bytes() for p in (tmp_path / "rounds").rglob("*") if p.is_file())
    assert b"call" not in everything.replace(b"locally", b"")
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 4
    assert review(tmp_path, "--reviewers", "2", "--round", "r2") == 0
    assert review(tmp_path, "--reviewers", "2", "--round", "r3") == 1  # both have heard all three


def test_a_tar_tells_nothing_of_its_making(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "ann", "--round", "r1", "--tar") == 0
    with tarfile.open(tmp_path / "rounds" / "r1" / "ann.tar") as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == sorted(m.name for m in members)
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o600)}
    assert not (tmp_path / "rounds" / "r1" / "ann").exists()


def test_a_reviewer_may_have_a_dot(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "ann.a,ann.b", "--round", "r1", "--tar") == 0
    assert sorted(p.name for p in (tmp_path / "rounds" / "r1").iterdir()) == ["ann.a.tar", "ann.b.tar"]


def test_an_opt_out_list_may_come_from_a_spreadsheet(store: Path, tmp_path: Path) -> None:
    opted_out = tmp_path / "out.txt"
    paths = [link.path for link in Linkage(tmp_path / "links", Key.read(tmp_path / "key")).links()]
    opted_out.write_text("\r\n".join(paths), encoding="utf-8-sig")
    assert review(tmp_path, "--reviewers", "ann", "--round", "r1", "--opt-out", str(opted_out)) == 1
    assert not list((tmp_path / "rounds").rglob("*.wav"))
    opted_out.write_bytes("Zoë".encode("latin-1"))
    assert review(tmp_path, "--reviewers", "ann", "--round", "r2", "--opt-out", str(opted_out)) == 2


def test_a_stopped_round_leaves_nothing_and_counts_as_heard(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    rename = Disk.rename

    def stopping(self: Disk, old: Path, new: Path) -> None:
        calls.append(new)
        if len(calls) > 4:
            raise KeyboardInterrupt
        rename(self, old, new)

    monkeypatch.setattr(Disk, "rename", stopping)
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 130
    assert not (tmp_path / "rounds" / "r1").exists()
    monkeypatch.undo()
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    assert sorted(p.name for p in (tmp_path / "rounds").iterdir()) == ["r1", "review-log.jsonl"]
    assert review(tmp_path, "--reviewers", "2", "--round", "r2") == 1  # either round's three have been dealt


def test_the_history_names_nobody(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "2", "--round", "r1") == 0
    history = Sealed(store / ".private" / "reviews", Key.read(tmp_path / "key"), "reviews")
    text = json.dumps(list(history.records()))
    assert text.count("reviewer-") == 3
    for link in Linkage(tmp_path / "links", Key.read(tmp_path / "key")).links():
        assert not any(secret in text for secret in (link.path, link.recording, link.content, *link.names))


def test_without_linkage_it_refuses(store: Path, tmp_path: Path) -> None:
    (tmp_path / "links").unlink()
    assert review(tmp_path, "--reviewers", "2") == 2
    assert not (tmp_path / "rounds").exists()


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_the_page_works_in_a_browser(store: Path, tmp_path: Path) -> None:
    assert review(tmp_path, "--reviewers", "ann", "--round", "r1") == 0
    index = tmp_path / "rounds" / "r1" / "ann" / "index.html"
    dump = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000", "--dump-dom", index.as_uri()],
        capture_output=True, text=True, timeout=90, check=True, env={**os.environ, "HOME": str(tmp_path)},
    ).stdout  # fmt: skip
    assert dump.count("<audio") == 3
    assert "0 of 3 labelled" in dump


def test_several_speakers_of_one_recording_are_not_heard_by_one_reviewer() -> None:
    made = [
        Link(f"{r}", f"{r}", f"id{r}", f"/m/{r}.wav", f"s{(r + n) % 7}", (f"{r}-{n}.wav",), 20_000)
        for r in range(20)
        for n in range(3)
    ]
    (batch,) = deal(made, Programme(("a",), max_per_recording=3), KEY)
    of = {name: (link.path, link.speaker) for link in made for name in link.names}
    dealt = [of[name] for name, _ in batch.names]
    assert len(dealt) > 3
    assert len({path for path, _ in dealt}) == len({speaker for _, speaker in dealt}) == len(dealt)
    everyone = deal(made, Programme(tuple("abcdefg"), max_per_recording=2), KEY)
    counts = Counter(of[name][0] for one in everyone for name, _ in one.names)
    assert max(counts.values()) <= 2
