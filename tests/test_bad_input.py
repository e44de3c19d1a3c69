"""Unusable recordings end in one state with one clear line, and the rest of the batch goes on."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.policy import Policy
from deident.runs.run import run
from deident.runs.worker import Outcome
from tests.methods import Sine

GOOD = "good.mp3"


def wav_header(data_size: int, rate: int = 16_000, channels: int = 1) -> bytes:
    form = struct.pack(
        "<HHIIHH", 1, channels, rate, 2 * rate * channels & 0xFFFFFFFF, 2 * channels & 0xFFFF, 16
    )
    return (
        struct.pack("<4sI4s4sI", b"RIFF", (data_size + 36) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16)
        + form
        + struct.pack("<4sI", b"data", data_size)
    )


@pytest.fixture(scope="module")
def outcomes(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("canary-folder")
    speech, rate = soundfile.read(recordings / "reading.mp3")
    (folder / GOOD).write_bytes((recordings / "reading.mp3").read_bytes())
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("canary: this is text")
    soundfile.write(folder / "whole.wav", speech[: 8 * rate], rate)
    (folder / "truncated.wav").write_bytes((folder / "whole.wav").read_bytes()[: -4 * rate])
    soundfile.write(
        folder / "nan.wav", np.where(np.arange(speech.size) == 9_000, np.nan, speech), rate, "FLOAT"
    )
    soundfile.write(folder / "dc.wav", np.full(5 * rate, 0.5), rate)
    soundfile.write(folder / "one.wav", np.array([0.5]), rate)
    (folder / "no-samples.wav").write_bytes(wav_header(0))
    (folder / "rate.wav").write_bytes(wav_header(2_000, rate=3_000_000_000) + b"\1\2" * 1_000)
    (folder / "channels.wav").write_bytes(wav_header(2_000, channels=60_000) + b"\1\2" * 1_000)
    (folder / "missing.wav").symlink_to(folder / "nowhere")
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "fifo.wav")
    seen: dict[str, Outcome] = {}
    names = [p for p in sorted(folder.iterdir()) if p.name != "folder.wav"]
    run(
        [*names, folder / "absent.wav"], folder / "store", Policy(disguise=Sine()), jobs=1,
        progress=lambda o, r: seen.update({Path(r.path).name: o}),
    )  # fmt: skip
    return seen


@pytest.mark.parametrize(
    ("name", "state"),
    [
        (GOOD, "released"),
        ("whole.wav", "released"),
        ("truncated.wav", "partial"),
        ("empty.wav", "refused"),
        ("text.wav", "refused"),
        ("nan.wav", "refused"),
        ("dc.wav", "no-speech"),
        ("one.wav", "no-speech"),
        ("no-samples.wav", "refused"),
        ("rate.wav", "refused"),
        ("channels.wav", "refused"),
        ("missing.wav", "refused"),
        ("fifo.wav", "refused"),
        ("absent.wav", "refused"),
    ],
)
def test_bad_input_ends_in_its_state(name: str, state: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.state == state, outcome.code
    if state in ("refused", "partial"):
        assert outcome.code
        assert outcome.message
        assert "\n" not in outcome.message
        assert "canary" not in outcome.message
    if state != "released":
        assert outcome.tally.snippets == 0 or state == "partial"


def test_a_folder_named_like_a_recording_is_searched(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub.wav").mkdir(parents=True)
    (tmp_path / "in" / "sub.wav" / "a.mp3").write_bytes((recordings / "reading.mp3").read_bytes())
    summary = run([tmp_path / "in"], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert summary.states["released"] == summary.recordings == 1


def test_nan_can_be_zeroed(recordings: Path, tmp_path: Path) -> None:
    speech, rate = soundfile.read(recordings / "reading.mp3")
    speech[5_000:5_010] = np.nan
    soundfile.write(tmp_path / "nan.wav", speech, rate, "FLOAT")
    summary = run([tmp_path / "nan.wav"], tmp_path / "s", Policy(disguise=Sine(), nonfinite="zero"), jobs=1)
    assert summary.states["released"] == 1


def test_strict_refuses_truncated_recordings(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.wav").write_bytes((recordings / "call.wav").read_bytes()[:200_000])
    seen: list[Outcome] = []
    run(
        [tmp_path / "cut.wav"], tmp_path / "s", Policy(disguise=Sine(), strict=True), jobs=1,
        progress=lambda o, r: seen.append(o),
    )  # fmt: skip
    assert [(o.state, o.code) for o in seen] == [("refused", "truncated")]
    assert not list((tmp_path / "s").glob("*.wav"))
