"""Evidence: what is signed is what is in the store, and one changed bit of either is noticed."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deident.cli import main
from deident.errors import KeyMaterialError
from deident.keys import Key
from deident.policy import Policy, ProgrammeSettings
from deident.programme.promises import PROMISES
from deident.programme.signing import (
    EvidenceError,
    make_signing_key,
    read_public_key,
    read_signing_key,
    signed,
    verified,
)
from deident.recording import Recording
from deident.review import RoundSettings, make_round
from deident.runs.run import run
from deident.store import FolderStore, Linkage
from tests.methods import Sine

TESTS = Path(__file__).parent
PROMISE = ProgrammeSettings(consent="required", share=0.999, max_per_speaker=5, keep_days=30)


class Evidence:
    """A store with a programme and a round, and the evidence of it."""

    def __init__(self, folder: Path, recordings: Path) -> None:
        self.folder = folder
        self.store, self.links, self.keyfile = folder / "s", folder / "links", folder / "key"
        self.signer, self.public, self.out = folder / "op.pem", folder / "op.pem.pub", folder / "evidence"
        self.key = Key(bytes(range(1, 33)))
        self.key.write(self.keyfile)
        make_signing_key(self.signer)
        given = [
            Recording(str(recordings / name), speaker, consent=True)
            for name, speaker in (("call.wav", "ann"), ("meeting.flac", "bob"), ("reading.mp3", "eve"))
        ]
        given.append(replace(given[0], path="/no/consent.wav", consent=False))
        policy = Policy(disguise=Sine(), programme=PROMISE)
        run(given, self.store, policy, key=self.key, jobs=1, linkage=self.links)
        with FolderStore(self.store, key=self.key) as store:
            rounds = RoundSettings(("zoe-the-reviewer", "max"), name="r")
            make_round(store, Linkage(self.links, self.key), self.key, rounds, folder / "rounds")
        self.own = ["--linkage", str(self.links), "--key-file", str(self.keyfile)]
        assert main(["erase", str(self.store), *self.own, "--speaker", "eve"]) == 0
        assert self.make() == 0

    def make(self) -> int:
        signer = ["--sign", str(self.signer), "--out", str(self.out)]
        return main(["report", str(self.store), *self.own, *signer])

    def check(self) -> int:
        public = ["--public", str(self.public), "--check", str(self.out)]
        return main(["report", str(self.store), *self.own, *public])

    def files(self) -> list[Path]:
        places = (*self.store.rglob("*"), *self.out.iterdir(), self.links)
        return sorted(path for path in places if path.is_file())


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"), TESTS.parent / "examples" / "recordings")


def test_the_evidence_says_what_is_in_the_store(evidence: Evidence) -> None:
    said = json.loads((evidence.out / "report.json").read_bytes())
    assert said["snippets"] == len(list(evidence.store.glob("*.wav")))
    assert said["audit"] == {"clean": True, "problems": {}}
    assert (said["recordings_offered"], said["recordings_read"], said["without_consent"]) == (3, 3, 0)
    assert (said["rounds"], said["reviewers"], said["most_of_one_subject_by_one_reviewer"]) == (1, 2, 1)
    assert [(row["kind"], row["day"]) for row in said["erasures"]] == [("speaker", said["day"])]
    assert said["programme"]["keep_days"] == 30
    assert (said["most_of_one_speaker"], said["oldest_days"]) == (5, 0)
    rows = [json.loads(line) for line in (evidence.store / "manifest.jsonl").read_text().splitlines()]
    assert said["longest_seconds"] == max(row["seconds"] for row in rows)
    assert [row["promise"] for row in said["promises"]] == [promise.words for promise in PROMISES]
    assert evidence.check() == 0


def test_nothing_in_it_says_who(evidence: Evidence) -> None:
    for name in ("report.json", "report.html"):
        text = (evidence.out / name).read_text()
        for who in ("ann", "bob", "eve", "zoe", "reviewer-", "call.wav", "consent.wav", str(evidence.folder)):
            assert not re.search(rf"\b{re.escape(who)}\b", text.replace("ann@", "")), who
        assert not any(path.name in text for path in evidence.store.glob("*.wav"))


def test_it_counts_as_people_do_and_shows_commands_as_code(evidence: Evidence) -> None:
    page = (evidence.out / "report.html").read_text()
    assert '<td class="">1 round, 2 reviewers; at most ' in page
    assert " on 1 day; kept out: 0 names<" in page
    assert "<code>deident purge</code> erases" in page
    assert "`" not in page.partition("<body>")[2]
    assert "::<wbr>test_<wbr>a_<wbr>recording_<wbr>without_<wbr>consent_<wbr>is_<wbr>not_<wbr>read" in page
    assert " s in all; the longest lasts " in page
    assert not re.search(r"\d\.\d\d+ s in all", page)


def changed(data: bytes, kind: str, at: int, bit: int) -> bytes:
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    return data[:at] if kind == "cut" else data + b"\n" if kind == "more" else data


@contextmanager
def change(path: Path, kind: str, at: int = 0, bit: int = 0) -> Iterator[None]:
    """Change a file, or what is beside it, and put everything back."""
    before, info = path.read_bytes(), path.stat()
    beside = path.with_name(f"{path.name[:-1]}0")
    try:
        if kind == "gone":
            path.unlink()
        elif kind == "renamed":
            path.rename(beside)
        elif kind == "added":
            beside.write_bytes(before)
            beside.chmod(info.st_mode)
        elif kind == "folder":
            beside.mkdir(mode=0o700)
        else:
            path.write_bytes(changed(before, kind, at, bit))
            path.chmod(0o644 if kind == "mode" else info.st_mode)
        yield
    finally:
        if beside.is_dir():
            beside.rmdir()
        beside.unlink(missing_ok=True)
        path.write_bytes(before)
        path.chmod(info.st_mode)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_change_is_noticed(evidence: Evidence, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(evidence.files()))
    size, is_published = path.stat().st_size, path.parent == evidence.out
    kinds = ["more", "gone", *(["flip", "cut"] if size else [])]
    if not is_published:  # a page has any mode, and what lies beside it is not part of it
        kinds += ["mode", "renamed"]
    if evidence.store in path.parents:
        kinds += ["added", "folder"]
    kind = data.draw(st.sampled_from(kinds))
    at, bit = data.draw(st.integers(0, max(0, size - 1))), data.draw(st.integers(0, 7))
    with change(path, kind, at, bit):
        assert evidence.check() != 0


@pytest.mark.parametrize("kind", ["flip", "gone", "added"])
def test_every_file_counts(evidence: Evidence, kind: str) -> None:
    """One bit of each, each gone, and one more beside each."""
    files = [path for path in evidence.files() if kind != "added" or evidence.store in path.parents]
    assert {path.parent for path in files} >= {evidence.store, evidence.store / ".private"}
    for path in files:
        if kind != "flip" or path.stat().st_size:
            with change(path, kind, path.stat().st_size // 2):
                assert evidence.check() != 0, path.name


@pytest.mark.parametrize("place", ["s/manifest.jsonl", "s/.private", "links"])
def test_another_mode_is_noticed_where_the_audit_had_a_complaint_already(
    evidence: Evidence, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The audit counts what lets others in, so that its count stays the same."""
    path = evidence.folder / place
    before = path.stat().st_mode
    try:
        path.chmod(before | 0o040)
        assert evidence.make() == 1
        said = json.loads((evidence.out / "report.json").read_bytes())
        assert sum(said["audit"]["problems"].values()) == 1
        for more, is_noticed in ((0o040, False), (0o044, True)):
            path.chmod(before | more)
            capsys.readouterr()
            assert evidence.check() == 1
            assert (
                "not as the evidence says any more, in store_sha256" in capsys.readouterr().err
            ) is is_noticed
    finally:
        path.chmod(before)
        assert evidence.make() == 0


def test_what_was_put_back_is_as_it_was(evidence: Evidence) -> None:
    assert evidence.check() == 0


def test_a_file_more_or_another_day_is_noticed(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = evidence.store / "empty"
    folder.mkdir()
    assert evidence.check() == 1
    folder.rmdir()
    for place in (evidence.store / "notes.txt", evidence.store / ".private" / "x"):
        place.write_bytes(b"")
        assert evidence.check() == 1
        place.unlink()
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 90 * 86_400)
    assert evidence.check() == 0  # as of its day
    assert evidence.make() == 1
    said = json.loads((evidence.out / "report.json").read_bytes())
    [days] = [row for row in said["promises"] if row["promise"].startswith("Kept")]
    assert (days["kept"], said["oldest_days"]) == (False, 90)
    monkeypatch.undo()
    assert evidence.make() == 0


def test_only_the_operator_can_sign(evidence: Evidence, tmp_path: Path) -> None:
    make_signing_key(tmp_path / "other")
    mine, other = read_signing_key(evidence.signer), read_signing_key(tmp_path / "other")
    data = signed({"a": 1}, mine)
    assert verified(data, read_public_key(evidence.public)) == {"a": 1}
    said = json.loads(data)
    forged = {**json.loads(signed({"a": 1}, other)), "signed_by": said["signed_by"]}
    for wrong in (
        signed({"a": 1}, other),
        json.dumps(said).encode(),
        json.dumps({**said, "b": 2}, indent=1).encode(),
        json.dumps(forged, indent=1).encode() + b"\n",
        data[:-1],
        b"[]",
        b"",
    ):
        with pytest.raises(EvidenceError):
            verified(wrong, read_public_key(evidence.public))
    with pytest.raises(EvidenceError):
        verified(data, read_public_key(tmp_path / "other.pub"))


def test_signing_keys_are_checked(evidence: Evidence, tmp_path: Path) -> None:
    assert evidence.signer.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyMaterialError, match="exists"):
        make_signing_key(evidence.signer)
    loose = tmp_path / "loose"
    shutil.copy(evidence.signer, loose)
    loose.chmod(0o640)
    with pytest.raises(KeyMaterialError, match="readable by others"):
        read_signing_key(loose)
    with pytest.raises(KeyMaterialError, match="expected a signing key"):
        read_signing_key(evidence.keyfile)
    with pytest.raises(KeyMaterialError, match="public key"):
        read_public_key(evidence.signer)
    with pytest.raises(KeyMaterialError, match="cannot be read"):
        read_public_key(tmp_path / "none")


def test_openssl_reads_the_key_that_it_is_given(evidence: Evidence, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl here")
    made = tmp_path / "made.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", made], check=True, capture_output=True
    )
    made.chmod(0o600)
    public = subprocess.run(
        ["openssl", "pkey", "-in", made, "-pubout"], check=True, capture_output=True
    ).stdout
    (tmp_path / "pub").write_bytes(public)
    assert verified(signed({}, read_signing_key(made)), read_public_key(tmp_path / "pub")) == {}


def test_a_receipt_is_signed(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, links, receipt = tmp_path / "s", tmp_path / "links", tmp_path / "receipt.json"
    shutil.copytree(evidence.store, store)
    for folder in (store, store / ".private"):
        folder.chmod(0o700)
    shutil.copy(evidence.links, links)
    own = ["--linkage", str(links), "--key-file", str(evidence.keyfile)]
    sign = ["--receipt", str(receipt), "--sign", str(evidence.signer)]
    assert main(["erase", str(store), *own, "--speaker", "bob", *sign]) == 0
    public = ["--public", str(evidence.public), "--check", str(receipt)]
    capsys.readouterr()
    assert main(["report", str(store), *public]) == 0
    assert capsys.readouterr().out.startswith("signed: speaker, ")
    said = json.loads(receipt.read_bytes())["snippets"]
    receipt.write_text(receipt.read_text().replace(f'"snippets": {said}', f'"snippets": {said + 1}'))
    assert main(["report", str(store), *public]) == 1
    assert main(["erase", str(store), *own, "--speaker", "ann", "--sign", str(evidence.signer)]) == 2
    assert list(store.glob("*.wav"))


def test_every_promise_names_a_test_that_is_there() -> None:
    for promise in PROMISES:
        for named in promise.tests:
            file, _, name = named.partition("::")
            assert f"def {name or 'test_'}" in (TESTS / file).read_text(encoding="utf-8"), named


def test_what_is_missing_is_told(
    evidence: Evidence, deident: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    store = str(evidence.store)
    own = evidence.own
    for arguments, said in (
        (["--out", str(tmp_path / "e")], "--sign"),
        (["--out", str(tmp_path / "e"), "--sign", str(evidence.signer)], "--linkage"),
        (["--check", str(evidence.out)], "--public"),
        ([*own, "--out", str(evidence.store / "e"), "--sign", str(evidence.signer)], "outside"),
        ([*own, "--out", str(evidence.folder), "--sign", str(evidence.signer)], "new folder"),
    ):
        result = deident("report", store, *arguments)
        assert (result.returncode, said in result.stderr) == (2, True), said
    assert not (tmp_path / "e").exists()
