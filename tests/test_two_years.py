"""Two years of a programme on a simulated clock, with withdrawals, purges, rounds and kill -9 at any call or moment."""

import hashlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from threading import Event

import pytest

from deident.audit import audit_store
from deident.cli import main
from deident.errors import SettingError
from deident.keys import Key
from deident.policy import Policy, ProgrammeSettings
from deident.programme.signing import make_signing_key, read_public_key, verified
from deident.recording import Recording, Tally
from deident.review import RoundSettings, make_round
from deident.review.history import history, snippet_id
from deident.runs.commit import Commits
from deident.runs.worker import Outcome
from deident.store import Disk, FolderStore, Link, Linkage, audit_linkage
from tests.killed import die_after, fork, was_killed
from tests.methods import Sine
from tests.store_contract import stage

wait_for = Event().wait  # `time` is simulated
DAY, DAYS, KEEP, ROUND, MOST, MOST_ASSIGNED, SHARE = 86_400, 730, 60, 20, 4, 8, 0.6
CALLS = ("create", "write", "sync", "rename", "unlink", "sync_folder")


class World:
    """A store, the people of its recordings, and what is known of both without it."""

    def __init__(self, folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rng, self.folder, self.monkeypatch = random.Random(seed), folder, monkeypatch
        self.store, self.links = folder / "s", folder / "links"
        self.key, self.keyfile, self.signer = Key(bytes([seed]) * 32), folder / "key", folder / "op"
        self.key.write(self.keyfile)
        make_signing_key(self.signer)
        self.day = 20_000
        monkeypatch.setattr(time, "time", lambda: self.day * DAY + 0.5)
        self.consent = {f"person-{n}": self.rng.random() < 0.7 for n in range(25)}
        self.withdrawn: set[str] = set()
        self.receipts: dict[str, int] = {}
        self.recordings: list[Recording] = []
        self.released: dict[str, tuple[str, str, int]] = {}  # by snippet: person, recording, day
        self.rounds, self.kills, self.refused = 0, 0, 0
        promise = ProgrammeSettings("required", SHARE, MOST, MOST_ASSIGNED, KEEP, ROUND)
        self.policy = Policy(disguise=Sine(), programme=promise)

    def killed(self, act: Callable[[], object]) -> bool:
        """Act in a process that is killed at a call of the disk, or at any moment; tells whether it was in time."""
        calls = self.rng.randrange(60) if self.rng.random() < 0.7 else None
        seconds, seed = self.rng.expovariate(1 / 0.02), self.rng.random()

        def work() -> None:
            self.rng = random.Random(seed)
            if calls is not None:
                die_after(calls, {Disk: CALLS})
            act()

        child = fork(work)
        if calls is None:
            wait_for(seconds)
            os.kill(child, signal.SIGKILL)
        return was_killed(child)

    def sometimes_killed(self, act: Callable[[], object]) -> None:
        """Act, perhaps being killed once or twice before."""
        while self.rng.random() < 0.4:
            self.kills += self.killed(act)
            self.look()
        act()
        self.look()

    def record(self) -> None:
        for _ in range(self.rng.randrange(1, 5)):
            person = self.rng.choice(sorted(self.consent))
            path = self.folder / f"{len(self.recordings)}.wav"
            path.write_bytes(self.rng.randbytes(self.rng.randrange(1, 200)))
            self.recordings.append(Recording(str(path), person, consent=self.consent[person]))

    def run(self) -> None:
        with FolderStore(self.store, key=self.key) as store:
            linkage = Linkage(self.links, self.key)
            commits = Commits(store, self.recordings, self.policy, again=False, linkage=linkage, key=self.key)
            todo = [n for n in range(len(self.recordings)) if commits.known(n) is None]
            commits.count_not_drawn()
            for number in todo:
                staged, spool = stage(store, 1 + number % 3)
                sound = Tally(content_sha256=hashlib.sha256(b"%d" % number).hexdigest())
                outcome = Outcome(number, "released", sound, snippets=staged, turns=[None] * len(staged))
                commits.add([outcome], spool)
            store.recover()

    def command(self, *arguments: str) -> int:
        own = ["--linkage", str(self.links), "--key-file", str(self.keyfile)]
        return main([arguments[0], str(self.store), *own, *arguments[1:]])

    def withdraw(self) -> None:
        person = self.rng.choice(sorted(self.consent))
        listed = self.folder / "withdrawn.txt"
        listed.write_text(f"{person}\n")
        receipt = self.folder / "receipt.json"

        def act() -> None:
            signed = ["--receipt", str(receipt), "--sign", str(self.signer)]
            if not receipt.exists():  # of an erasure that was killed when it had written all
                assert self.command("erase", "--withdrawn", str(listed), *signed) == 0

        before = self.files()
        receipt.unlink(missing_ok=True)
        self.sometimes_killed(act)
        self.withdrawn.add(person)
        said = verified(receipt.read_bytes(), read_public_key(f"{self.signer}.pub"))
        gone = before - self.files()
        # A kill between a receipt and the end: it is written again, alone or with the next.
        assert said["snippets"] == len(gone) + self.receipts.get(said["id"], 0)
        for other in said.get("earlier", ()):
            assert other["snippets"] == self.receipts[other["id"]]
        self.receipts[said["id"]] = said["snippets"]
        assert {self.released[name][0] for name in gone} <= {person}
        assert person not in json.dumps(said)

    def deal(self) -> None:
        self.rounds += 1
        number = self.rounds

        def act() -> None:
            with FolderStore(self.store, key=self.key) as store:
                settings = RoundSettings(("r-1", "r-2"), 3, name=f"{number}-{self.rng.randrange(10**9)}")
                try:
                    make_round(
                        store, Linkage(self.links, self.key), self.key, settings, self.folder / "rounds"
                    )
                except SettingError:
                    self.refused += 1

        self.sometimes_killed(act)

    def files(self) -> set[str]:
        return {path.name for path in self.store.glob("*.wav")}

    def kept(self) -> list[Link]:
        return [link for link in Linkage(self.links, self.key).links() if link.names]

    def look(self) -> None:
        """Prove, from what lies on the disk, that nothing is there that may not be."""
        if not self.links.exists():
            assert not self.files()
            return
        by_name = {name: link for link in self.kept() for name in link.names}
        for name in self.files():
            link = by_name.get(name)
            if link is None:  # an erasure that was killed between ledger and file
                assert name in self.released
                continue
            assert link.speaker is not None
            assert self.consent[link.speaker]
            self.released.setdefault(name, (link.speaker, link.path, self.day))
        draw = self.key.subkey("programme")
        for _, path, _ in self.released.values():
            data = Path(path).read_bytes()
            identity = hashlib.sha256(len(data).to_bytes(8, "big") + data).digest()
            assert int.from_bytes(draw.derive("share", identity)[:8], "big") < SHARE * 2**64
        assert max(Counter(person for person, _, _ in self.released.values()).values(), default=0) <= MOST

    def check(self) -> None:
        """Prove what must hold at the end of a day."""
        present = self.files()
        for name in present:
            person, _, day = self.released[name]
            assert person not in self.withdrawn
            assert self.day - day <= KEEP
        assert {name for link in self.kept() for name in link.names} == present
        assert audit_linkage(self.store, self.links, self.key) == []
        assert audit_store(self.store, max_seconds=10).clean
        with FolderStore(self.store, key=self.key) as store:
            records = list(history(store, self.key).records())
        assigned = [(row["reviewer"], subject) for row in records for subject in row["subjects"]]
        assert max(Counter(assigned).values(), default=0) <= 1
        day_of = {snippet_id(self.key, name): day for name, (_, _, day) in self.released.items()}
        for row in records:
            if "file" in row:
                last = date.fromisoformat(row["until"])
                assert last <= date.fromisoformat(row["day"]) + timedelta(days=ROUND)
                assert last <= date(1970, 1, 1) + timedelta(days=day_of[row["snippet"]] + KEEP)
        by_reviewer = Counter(row["reviewer"] for row in records)
        assert max(by_reviewer.values(), default=0) <= MOST_ASSIGNED
        for part in (self.folder / "rounds").glob("[0-9]*/*"):
            assert len(list(part.glob("*.wav"))) <= 3


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 20))])
def test_every_promise_is_kept_for_two_years(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, seed, monkeypatch)
    first = world.day
    while world.day < first + DAYS:
        world.day += world.rng.randrange(1, 40)
        world.record()
        world.sometimes_killed(world.run)
        if world.rng.random() < 0.3:
            world.withdraw()
        if world.rng.random() < 0.4:
            world.deal()
        world.sometimes_killed(lambda: world.command("purge"))
        world.check()
    assert world.kills > 5
    assert world.refused
    assert world.withdrawn
    assert len(world.released) > 20
    assert len(world.released) > len(world.files())
