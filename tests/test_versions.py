"""A recording that changes between runs: no sound leaves twice, and none is forgotten."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import Segment
from deident.cli import main
from deident.codec import read
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from tests.methods import Replaced, Sine

KEY = Key(bytes(32))


def snippets(store: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in store.glob("*.wav")}


def test_what_changes_after_it_was_read_is_read_by_the_next_run(recordings: Path, tmp_path: Path) -> None:
    """Its new size and time must not be remembered with its old sound."""
    place, new = tmp_path / "in" / "a.wav", tmp_path / "new.wav"
    place.parent.mkdir()
    audio = read(recordings / "reading.mp3").mono
    soundfile.write(place, np.zeros(60_000), 16_000)
    soundfile.write(new, audio[:60_000], 16_000)
    policy = Policy(disguise=Sine(), detector=Replaced(str(new), str(place)))
    assert run([place], tmp_path / "s", policy, jobs=1).states["no-speech"] == 1
    assert not new.exists()
    assert run([place], tmp_path / "s", Policy(disguise=Sine()), jobs=1).states["released"] == 1


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [("wav", {}), ("flac", {}), ("mp3", {}), ("ogg", {"format": "OGG", "subtype": "OPUS"})],
)
def test_a_recording_that_grew_or_was_repaired_has_no_second_voice(
    recordings: Path, tmp_path: Path, suffix: str, kind: dict[str, str]
) -> None:
    place, out, policy = tmp_path / f"a.{suffix}", tmp_path / "s", Policy(disguise=Sine())
    silence = np.zeros(80_000)
    audio = np.concatenate((silence, read(recordings / "reading.mp3").mono[: 20 * 16_000], silence))
    soundfile.write(place, audio, 16_000, **kind)
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) * 2 // 3])
    first = run([place], out, policy, jobs=1)
    assert first.snippets
    before = snippets(out)
    place.write_bytes(whole)
    summary = run([place], out, policy, jobs=1)
    assert (summary.states["refused"], summary.codes) == (1, {"changed": 1})
    assert snippets(out) == before
    muted = Recording(str(place), mute=(Segment(0, 90_000),))
    assert run([muted], out, policy, jobs=1, again=True).codes == {"mute-changed": 1}
    assert run([place], out, policy, jobs=1, again=True).states["released"] == 1
    assert run([place], out, policy, jobs=1).states["skipped"] == 1
    other = np.concatenate((silence, audio[::-1][80_000:]))
    soundfile.write(
        place, other, 16_000, **kind
    )  # another recording in its place, that begins in silence too
    assert run([place], out, policy, jobs=1).states["released"] == 1


def test_another_version_of_what_was_erased_stays_out(recordings: Path, tmp_path: Path) -> None:
    place, out, links = tmp_path / "a.wav", tmp_path / "s", tmp_path / "links"
    audio, policy = read(recordings / "reading.mp3").mono, Policy(disguise=Sine())
    soundfile.write(place, audio[:100_000], 16_000)
    run([place], out, policy, key=KEY, jobs=1, linkage=links)
    KEY.write(tmp_path / "key")
    arguments = "erase", out, "--linkage", links, "--key-file", tmp_path / "key", "--source", place
    assert main(list(map(str, arguments))) == 0
    soundfile.write(place, audio[:200_000], 16_000)
    told: list[str] = []
    for again in (False, True):
        summary = run(
            [place], out, policy, key=KEY, jobs=1, again=again, progress=lambda o, _: told.append(o.message)
        )
        assert summary.codes == {"changed": 1}
    assert not any("--again" in message for message in told)
    assert snippets(out) == {}


def test_a_file_asked_for_in_another_way_has_no_second_voice(recordings: Path, tmp_path: Path) -> None:
    place, out = Path(shutil.copy(recordings / "call.wav", tmp_path)), tmp_path / "s"
    assert run([place], out, Policy(disguise=Sine()), jobs=1).states["released"] == 1
    os.utime(place, (1, 1))
    moved = place.rename(tmp_path / "moved.wav")
    for channels in ("mix", "split", 0):
        policy = Policy(disguise=Sine(), channels=channels)  # type: ignore[arg-type]
        assert run([moved], out, policy, jobs=1).codes == {"released-before": 1}
    split = Policy(disguise=Sine(), channels="split")
    assert run([moved], out, split, jobs=1, again=True).states["released"] == 1


def test_another_size_is_another_recording(tmp_path: Path) -> None:
    """Also where the time is the same, as some tools set it."""
    place, rng = tmp_path / "a.wav", np.random.default_rng(3)
    policy = Policy(disguise=Sine(), detector=lambda samples, rate: [(0, rate)])
    for seconds in (2, 3):
        soundfile.write(place, 0.1 * rng.standard_normal(seconds * 16_000), 16_000)
        os.utime(place, ns=(10**18, 10**18))
        assert run([place], tmp_path / "s", policy, jobs=1).states["released"] == 1
