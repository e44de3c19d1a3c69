"""Runs of many recordings: one state each, whatever the number of workers, and when workers die."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import Segment
from deident.audit import AuditError, audit_store
from deident.codec import ENCODERS, read
from deident.errors import SettingError
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import Summary, dry_run, run
from deident.runs.worker import Outcome
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.turns import Turn
from deident.store.proof import audit_linkage
from tests.methods import Deadly, Failing, Sine, frequency

KEY = Key(bytes(32))


def snippets(store: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in store.glob("*.wav")}


def test_every_recording_ends_in_one_state(many: Path, tmp_path: Path) -> None:
    seen: list[Outcome] = []
    summary = run(
        [many], tmp_path / "s", Policy(disguise=Sine()), jobs=1, progress=lambda o, r: seen.append(o)
    )
    assert summary.recordings == 15
    assert {k: v for k, v in summary.states.items() if v} == {"released": 12, "no-speech": 1, "refused": 2}
    assert sorted(o.number for o in seen) == list(range(15))
    assert not summary.fine
    assert summary.snippets == len(snippets(tmp_path / "s")) > 12
    assert audit_store(tmp_path / "s", max_seconds=10).clean
    refused = [o for o in seen if o.state == "refused"]
    assert all(
        o.code and o.message and "canary" not in o.message and str(many) not in o.message for o in refused
    )


def test_bytes_do_not_depend_on_the_number_of_jobs(many: Path, tmp_path: Path) -> None:
    policy = Policy(disguise=Sine(), repeatable=True)
    run([many], tmp_path / "one", policy, key=KEY, jobs=1)
    run([many], tmp_path / "two", policy, key=KEY, jobs=2)
    with ThreadPoolExecutor(3) as executor:
        run([many], tmp_path / "three", policy, key=KEY, executor=executor)
    one = snippets(tmp_path / "one")
    assert one
    assert snippets(tmp_path / "two") == one
    assert snippets(tmp_path / "three") == one
    manifests = {(tmp_path / n / "manifest.jsonl").read_bytes() for n in ("one", "two", "three")}
    assert len(manifests) == 1


def test_a_worker_that_dies_takes_only_its_recording(many: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(many, folder)
    tone = np.clip(0.99 * read(folder / "r00.wav").mono / np.abs(read(folder / "r00.wav").mono).max(), -1, 1)
    for number in range(12):  # all quieter than the one that kills
        audio = read(folder / f"r{number:02}.wav").mono
        soundfile.write(folder / f"r{number:02}.wav", audio * 0.3, 16_000)
    soundfile.write(folder / "deadly.wav", tone, 16_000)
    seen: dict[str, Outcome] = {}
    summary = run(
        [folder], tmp_path / "s", Policy(disguise=Deadly(above=0.9)), jobs=2,
        progress=lambda o, r: seen.update({Path(r.path).name: o}),
    )  # fmt: skip
    assert seen["deadly.wav"].state == "refused"
    assert seen["deadly.wav"].code == "worker-died"
    assert summary.states["released"] == 12
    assert audit_store(tmp_path / "s", max_seconds=10).clean
    assert not list((tmp_path / "s" / ".private" / "staging").iterdir())


def test_an_unforeseen_failure_leaks_nothing(many: Path, tmp_path: Path) -> None:
    seen: list[Outcome] = []
    summary = run(
        [many], tmp_path / "s", Policy(disguise=Failing()), jobs=1, progress=lambda o, r: seen.append(o)
    )
    assert summary.states["refused"] == 14
    assert {o.code for o in seen if o.state == "refused"} >= {"failed"}
    assert not any("canary" in o.message for o in seen)
    assert any("ZeroDivisionError" in o.message for o in seen)
    assert snippets(tmp_path / "s") == {}


def test_the_second_run_skips_and_the_third_goes_on(many: Path, tmp_path: Path) -> None:
    folder, out, policy = tmp_path / "in", tmp_path / "s", Policy(disguise=Sine())
    folder.mkdir()
    for name in ("r00.wav", "silence.wav"):
        shutil.copy2(many / name, folder / name)
    run([folder], out, policy, jobs=1)
    before = snippets(out)
    again = run([folder], out, policy, jobs=1)
    assert again.states["skipped"] == 2
    assert again.fine
    assert snippets(out) == before
    shutil.copy2(many / "r05.wav", folder)
    more = run([folder], out, policy, jobs=1)
    assert more.states["released"] == 1
    assert snippets(out).items() > before.items()


def test_the_same_audio_at_another_path_is_not_released_again(many: Path, tmp_path: Path) -> None:
    out, policy = tmp_path / "s", Policy(disguise=Sine())
    shutil.copy(many / "r00.wav", tmp_path / "copy.wav")
    soundfile.write(tmp_path / "retagged.flac", soundfile.read(many / "r00.wav", dtype="int16")[0], 16_000)
    first = run([many / "r00.wav"], out, policy, jobs=1)
    second = run([tmp_path / "copy.wav", tmp_path / "retagged.flac"], out, policy, jobs=1)
    assert second.states["skipped"] == 2
    assert second.snippets == 0
    assert len(snippets(out)) == first.snippets
    third = run([tmp_path / "copy.wav"], out, policy, jobs=1, again=True)
    assert third.states["released"] == 1
    assert len(snippets(out)) == 2 * first.snippets
    assert second.speech_seconds == pytest.approx(2 * first.speech_seconds)
    muted = Recording(str(tmp_path / "retagged.flac"), mute=(Segment(0, 800),))
    last = run([muted], out, policy, jobs=1)
    assert last.codes == {"mute-changed": 1}
    planned = dry_run([many / "r00.wav", tmp_path / "copy.wav"], policy, jobs=1)
    for summary in (first, second, third, last, planned):
        dropped = sum(summary.dropped_seconds.values())
        assert summary.speech_seconds == pytest.approx(
            summary.released_seconds + dropped + summary.shortened_seconds
        )


def test_a_later_run_that_drops_all_forgets_no_release(many: Path, tmp_path: Path) -> None:
    out, policy = tmp_path / "s", Policy(disguise=Sine())
    strict = Policy(disguise=Sine(), cutting=CuttingSettings(min_seconds=9.0))
    assert run([many / "r00.wav"], out, policy, jobs=1).states["released"] == 1
    assert run([many / "r00.wav"], out, strict, jobs=1, again=True).snippets == 0
    assert run([many / "r00.wav"], out, policy, jobs=1).states["skipped"] == 1


def test_corrected_segments_are_read_again(many: Path, tmp_path: Path) -> None:
    states = []
    for segments in ((), (Segment(0, 48_000),), ()):
        recording = Recording(str(many / "r00.wav"), segments=segments)
        summary = run([recording], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
        states.append(next(state for state, count in summary.states.items() if count))
    assert states == ["no-speech", "released", "skipped"]


def test_a_label_that_is_not_text_refuses_its_recording_alone(many: Path, tmp_path: Path) -> None:
    bad = Recording(str(many / "r00.wav"), labels={"said": json.loads('"\\ud83d"')})
    summary = run([bad, many / "r01.wav"], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert (summary.states["released"], summary.codes) == (1, {"text": 1})


def test_no_task_of_a_stopped_run_goes_on(many: Path, tmp_path: Path) -> None:
    def stop(outcome: Outcome, recording: Recording) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        run([many], tmp_path / "s", Policy(disguise=Sine()), executor=executor, progress=stop)
    assert not list((tmp_path / "s" / ".private" / "staging").iterdir())


def test_labels_travel_and_nothing_else_does(many: Path, tmp_path: Path) -> None:
    recording = Recording(str(many / "r00.wav"), speaker="canary-speaker", labels={"language": "en"})
    run([recording], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    text = (tmp_path / "s" / "manifest.jsonl").read_text()
    assert '"labels":{"language":"en"}' in text
    ledger = b"".join(p.read_bytes() for p in (tmp_path / "s" / ".private").rglob("*") if p.is_file())
    for secret in (b"canary", b"r00", str(many).encode()):
        assert secret not in text.encode()
        assert secret not in ledger


def test_every_snippet_gets_its_own_voice_over_processes(many: Path, tmp_path: Path) -> None:
    run([many], tmp_path / "s", Policy(disguise=Sine()), jobs=2)
    voices = [round(frequency(soundfile.read(p)[0])) for p in (tmp_path / "s").glob("*.wav")]
    assert len(voices) > 12
    assert max(Counter(voices).values()) <= 2


def test_dry_run_writes_nothing_and_tells_the_truth(many: Path, tmp_path: Path) -> None:
    planned = dry_run([many], Policy(disguise=Sine()))
    done = run([many], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert planned.states == done.states
    assert planned.snippets == done.snippets
    assert planned.released_seconds == pytest.approx(done.released_seconds, abs=0.01)
    pieces = CuttingSettings(max_seconds=1.0, over_limit="split")
    few = Policy(disguise=Sine(), cutting=pieces, max_per_recording=1)
    assert dry_run([many / "r00.wav"], few).snippets == 1
    spoken = Policy(disguise=Sine(), scope="speaker")
    assert dry_run([many / "r00.wav"], spoken, key=KEY).codes == {"no-speaker": 1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_dry_run_ends_as_the_run_will(many: Path, tmp_path: Path, jobs: int) -> None:
    folder, told = tmp_path / "in", ([], [])  # type: ignore[var-annotated]
    shutil.copytree(many, folder)
    shutil.copy(folder / "r00.wav", folder / "copy.wav")
    whole = (folder / "r01.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    done = run([folder], tmp_path / "s", Policy(disguise=Sine()), progress=lambda o, _: told[0].append(o))
    planned = dry_run([folder], Policy(disguise=Sine()), jobs=jobs, progress=lambda o, _: told[1].append(o))
    assert planned.codes == done.codes == {"truncated": 1, "released-before": 1, "not-audio": 1, "empty": 1}
    assert planned.lengths == done.lengths
    assert sum(planned.lengths.values()) == planned.snippets == done.snippets
    ends = [sorted((o.state, o.code, o.message) for o in outcomes) for outcomes in told]
    assert ends[0] == ends[1]


def test_a_recording_whose_snippets_become_too_short_is_dropped(many: Path, tmp_path: Path) -> None:
    summary = run([many / "r00.wav"], tmp_path / "s", Policy(disguise=Sine(by=0.01)), jobs=1)
    assert (summary.states["dropped"], list(summary.dropped_seconds)) == (1, ["shortened"])


def test_a_key_is_asked_for_before_anything_is_made(many: Path, tmp_path: Path) -> None:
    for policy in (Policy(disguise=Sine(), repeatable=True), Policy(disguise=Sine(), scope="speaker")):
        with pytest.raises(SettingError, match="keygen"):
            run([many], tmp_path / "s", policy)
        with pytest.raises(SettingError, match="keygen"):
            dry_run([many], policy)
    assert not (tmp_path / "s").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_runs_lose_nothing_and_double_nothing(many: Path, tmp_path: Path) -> None:
    """kill -9, of a command with its workers and then at random moments of forks, which have all imported."""
    started = time.monotonic()
    whole = run([many], tmp_path / "whole", jobs=1)
    took, out, moments = time.monotonic() - started, tmp_path / "s", random.Random(11)
    kill_with_its_workers(many, out)
    killed = 0
    for _ in range(10):
        one = multiprocessing.get_context("fork").Process(target=run, args=([many], out), kwargs={"jobs": 1})
        one.start()
        one.join(moments.uniform(0.0, 0.6 * took))
        one.kill()
        one.join()
        killed += one.exitcode == -signal.SIGKILL
    assert killed > 3
    last = run([many], out, jobs=1)
    assert last.states["refused"] == whole.states["refused"] == 2  # tried again every time
    assert audit_store(out, max_seconds=10).clean
    assert not list((out / ".private" / "staging").iterdir())
    assert len(snippets(out)) == whole.snippets


def kill_with_its_workers(many: Path, out: Path) -> None:
    """A run over two processes, killed as soon as one of them writes."""
    command = [sys.executable, "-m", "deident", "run", str(many), "--out", str(out), "--jobs", "2", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        while not list(out.glob(".private/staging/*.spool")):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_snippet_that_fails_the_audit_is_not_released(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that goes wrong by one byte stops the run, and nothing leaves."""
    whole = ENCODERS["wav"]
    monkeypatch.setitem(ENCODERS, "wav", lambda pcm: whole(pcm) + b"\0")
    with pytest.raises(AuditError):
        run([recordings / "call.wav"], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert not list((tmp_path / "s").glob("*.wav"))


def test_recordings_that_begin_alike_release_nothing_twice(tmp_path: Path) -> None:
    """In a repeatable run names follow from the sound: what two recordings have in common is released once, and a
    piece that is cut elsewhere is another."""
    sound = 0.1 * np.random.default_rng(3).standard_normal(130 * 16_000)
    for name, seconds in (("short", 80), ("long", 130)):
        soundfile.write(tmp_path / f"{name}.wav", sound[: seconds * 16_000], 16_000)
    policy = Policy(disguise=Sine(), repeatable=True, carry=("text",))

    def turns(name: str, *places: tuple[int, int]) -> Recording:
        told = [Turn(Segment(a * 16_000, b * 16_000), text=f"{name} {a}") for a, b in places]
        return Recording(str(tmp_path / f"{name}.wav"), turns=tuple(told))

    same = turns("short", (1, 3), (10, 12), (20, 23)), turns("long", (1, 3), (10, 12), (20, 24), (100, 102))
    first, linkage = (
        run(same[0], tmp_path / "s", policy, key=KEY, jobs=1, linkage=tmp_path / "l"),
        tmp_path / "l",
    )
    before = snippets(tmp_path / "s")
    assert (first.snippets, len(before)) == (3, 3)
    second = run(same[1], tmp_path / "s", policy, key=KEY, jobs=1, linkage=linkage)
    after = snippets(tmp_path / "s")
    assert second.snippets == 2
    assert second.dropped_seconds == {"released_before": pytest.approx(4.0)}
    assert (first.texts_left_out, second.texts_left_out) == (0, 2)
    assert second.to_mapping()["texts_left_out"] == 2
    assert len(after) == 5
    assert before.items() <= after.items()
    rows = [json.loads(line) for line in (tmp_path / "s" / "manifest.jsonl").read_text().splitlines()]
    texts = {row["labels"]["text"] for row in rows}
    assert texts == {"short 1", "short 10", "short 20", "long 20", "long 100"}
    assert not audit_linkage(tmp_path / "s", linkage, KEY)

    third = run(same, tmp_path / "together", policy, key=KEY, jobs=1)
    assert third.snippets == len(snippets(tmp_path / "together")) == 5
    part = turns("long", (1, 3), (10, 12))
    fourth = (
        run(part, tmp_path / "t", policy, key=KEY, jobs=1),
        run(turns("short", (1, 3)), tmp_path / "t", policy, key=KEY),
    )
    assert [list(filter(fourth[k].states.get, fourth[k].states)) for k in (0, 1)] == [
        ["released"],
        ["skipped"],
    ]
    assert fourth[1].codes == {"released-before": 1}


def test_a_script_without_a_main_guard_is_an_error(recordings: Path, tmp_path: Path) -> None:
    """Its workers read it before they work: nothing is refused, released or held for that."""
    script = tmp_path / "script.py"
    script.write_text("import sys, deident\ndeident.run([sys.argv[1]], sys.argv[2], jobs=2)\n")
    command = [sys.executable, str(script), str(recordings), str(tmp_path / "s")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("deident.errors.SettingError: worker processes could not")
    assert "a worker of this run started the run again" in ended.stderr
    assert not snippets(tmp_path / "s")


def test_a_notebook_shows_a_summary_as_a_table() -> None:
    summary = Summary(recordings=3, codes={"<b>": 1}, released_seconds=12.345)
    summary.states["refused"] = 2
    html = summary._repr_html_()
    assert "<tr><th>recordings</th><td>3</td></tr>" in html
    assert "<td>refused: 2</td>" in html
    assert "<td>12.3</td>" in html
    assert "<b>" not in html
    assert html.count("<tr>") == len(summary.to_mapping())


@pytest.mark.parametrize(
    ("seconds", "number", "word"),
    [(-1e-15, 0.0, "0.0"), (0.1 + 0.2, 0.3, "0.3"), (332.518 + 3e-14, 332.518, "332.5")],
)
def test_a_summary_has_no_digits_that_say_nothing(seconds: float, number: float, word: str) -> None:
    lengths = {"2.5": 1, "10": 2, "2": 3}
    summary = Summary(shortened_seconds=seconds, dropped_seconds={"too_short": seconds}, lengths=lengths)
    told = summary.to_mapping()
    for value in (told["shortened_seconds"], told["dropped_seconds"]["too_short"]):
        assert str(value) == str(number)
    assert [*told["lengths"]] == ["2", "2.5", "10"]
    assert f"<th>shortened_seconds</th><td>{word}<" in summary._repr_html_()
    assert "<th>codes</th><td>none<" in summary._repr_html_()
