"""Policies: from Python, from TOML, and what they refuse."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from deident.disguise import Chain
from deident.disguise.naming import disguise_named
from deident.errors import SettingError
from deident.policy import Policy
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.vad import VadSettings


def test_toml_says_the_same_as_python(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(
        """
        preset = "review"
        disguise = { method = "mcadams", alpha = [0.6, 0.8] }
        scope = "recording"
        channels = "split"
        max_per_recording = 3
        [vad]
        aggressiveness = 3
        [cutting]
        max_seconds = 8.0
        over_limit = "split"
        """
    )
    policy = Policy.from_toml(file)
    assert policy == Policy(
        disguise=disguise_named("mcadams:alpha=0.6..0.8"),
        scope="recording",
        channels="split",
        max_per_recording=3,
        vad=VadSettings(aggressiveness=3),
        cutting=CuttingSettings(max_seconds=8.0, over_limit="split"),
    )
    assert Policy.from_mapping(policy.to_mapping()) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_methods_can_be_listed(tmp_path: Path) -> None:
    policy = Policy.from_mapping({"disguise": ["psola", {"method": "mcadams"}]})
    assert policy.disguise == Chain((disguise_named("psola"), disguise_named("mcadams")))
    assert Policy.from_mapping(policy.to_mapping()) == policy


def test_the_fingerprint_changes_with_every_setting() -> None:
    base = Policy()
    changed = [
        dataclasses.replace(base, scope="recording"),
        dataclasses.replace(base, channels=0),
        dataclasses.replace(base, container="flac"),
        dataclasses.replace(base, strict=True),
        dataclasses.replace(base, vad=VadSettings(gate_db=11)),
        dataclasses.replace(base, cutting=CuttingSettings(max_seconds=9)),
        dataclasses.replace(base, disguise=disguise_named("mcadams")),
        dataclasses.replace(base, disguise=disguise_named("mcadams:alpha=0.5..0.8")),
    ]
    prints = {policy.fingerprint() for policy in (base, *changed)}
    assert len(prints) == len(changed) + 1
    assert base.fingerprint() == Policy().fingerprint()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scop": "snippet"}, "did you mean scope"),
        ({"cutting": {"max_second": 3}}, "did you mean max_seconds"),
        ({"cutting": {"max_seconds": 0}}, "max_seconds between"),
        ({"cutting": {"max_seconds": "ten"}}, "cutting: expected max_seconds as a number"),
        ({"cutting": 3}, "table of settings"),
        ({"scope": "everybody"}, "snippet, recording, speaker"),
        ({"channels": "left"}, "channels"),
        ({"channels": True}, "channels"),
        ({"channels": -1}, "channels"),
        ({"max_per_recording": 0}, "whole number from 1"),
        ({"container": "mp3"}, "wav, flac"),
        ({"disguise": "none"}, "expected a disguise of"),
        ({"disguise": []}, "expected disguise as"),
        ({"disguise": {"method": "mcadams", "alfa": 1}}, "did you mean alpha"),
        ({"preset": "strongest"}, "expected a preset"),
        ({"detector": "x"}, "detector as a callable or of silero"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Policy.from_mapping(settings)


def test_a_broken_file_is_refused_without_its_path(tmp_path: Path) -> None:
    file = tmp_path / "canary.toml"
    with pytest.raises(SettingError) as caught:
        Policy.from_toml(file)
    assert "canary" not in str(caught.value)
    file.write_text("scope = = 3")
    with pytest.raises(SettingError, match="not TOML"):
        Policy.from_toml(file)


def test_there_is_no_off_switch() -> None:
    for nothing in (None, False, "", {}):
        with pytest.raises(SettingError):
            Policy.from_mapping({"disguise": nothing})
        with pytest.raises(SettingError):
            Policy(disguise=nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"preset": ["review"]}, "preset of"),
        ({"max_seconds": 8}, r"belongs to \[cutting\]"),
        ({"presett": 1}, "preset?"),
    ],
)
def test_a_setting_in_the_wrong_table_is_an_error(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Policy.from_mapping(settings)


def test_a_path_given_as_a_channel_is_not_repeated() -> None:
    with pytest.raises(SettingError) as caught:
        Policy(channels="calls/canary.wav")  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)


def test_what_shows_no_settings_is_not_repeatable() -> None:
    """Every process would draw other voices: the key of a run follows from its settings."""

    class Mine:
        def draw(self, rng: object) -> None: ...

        def apply(self, audio: object, voice: object, rng: np.random.Generator) -> object: ...

    Policy(disguise=Mine())  # type: ignore[arg-type]
    for disguise in (Mine(), Chain((Mine(),))):  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="__repr__"):
            Policy(disguise=disguise, repeatable=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"canary": 1}, {"scope": "canary"}, {"container": "canary"}, {"max_per_recording": "canary"},
        {"vad": {"canary": 1}}, {"disguise": "canary"}, {"disguise": {"method": "psola", "canary": 1}},
        {"carry": ["canary"]}, {"nonfinite": "canary"}, {"preset": "canary"}, {"channels": "canary"},
    ],
)  # fmt: skip
def test_an_error_does_not_repeat_what_a_policy_holds(settings: dict[str, object]) -> None:
    with pytest.raises(SettingError) as caught:
        Policy.from_mapping(settings)
    assert "canary" not in str(caught.value)


def test_a_wrong_setting_is_told_by_its_number_and_the_nearest_name() -> None:
    with pytest.raises(SettingError, match=r"number 2 of 2; did you mean channels\?"):
        Policy.from_mapping({"scope": "snippet", "chanels": "mix"})
    with pytest.raises(SettingError, match=r"did you mean recording\?"):
        Policy(scope="recordng")  # type: ignore[arg-type]
