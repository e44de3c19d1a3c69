"""Errors of the caller's own parts: silent by default, with a traceback when debugging."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deident.audio import Audio, Segment
from deident.errors import RecordingError, SettingError
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.runs.run import run
from tests.methods import Failing, Sine


class WrongSetting(Sine):
    """Fails with an error of this library's, as a disguise of one's own may."""

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        raise SettingError("canary-setting")


def failing_detector(samples: np.ndarray, rate: int) -> list[Segment]:
    raise ZeroDivisionError("canary-detector")


def odd_detector(samples: np.ndarray, rate: int) -> int:
    return rate


OWN_PARTS = {
    "disguise": (Policy(disguise=Failing()), "ZeroDivisionError: secret-canary"),
    "disguise-setting": (Policy(disguise=WrongSetting()), "SettingError: canary-setting"),
    "detector": (Policy(disguise=Sine(), detector=failing_detector), "ZeroDivisionError: canary-detector"),
    "detector-answer": (
        Policy(disguise=Sine(), detector=odd_detector),
        "SettingError: expected of a speech detector",
    ),
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("part", "how"),
    [
        *((part, "here") for part in OWN_PARTS),
        *(("disguise", how) for how in ("processes", "threads", "dask")),
    ],
)
def test_the_traceback_of_ones_own_part_is_shown_when_debugging(
    part: str, how: str, debug: bool, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if debug:
        monkeypatch.setenv("DEIDENT_DEBUG", "1")
    else:
        monkeypatch.delenv("DEIDENT_DEBUG", raising=False)
    policy, shown = OWN_PARTS[part]
    recordings = [many / "r00.wav", many / "r01.wav"]
    with ExitStack() as stack:
        executor: Any = None
        if how == "threads":
            executor = stack.enter_context(ThreadPoolExecutor(1))
        if how == "dask":
            distributed = pytest.importorskip("distributed")
            executor = stack.enter_context(
                distributed.Client(
                    n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
                )
            )
        jobs = 2 if how == "processes" else 1
        summary = run(recordings, tmp_path / "s", policy, jobs=jobs, executor=executor)
    said = capfd.readouterr().err
    assert summary.states["refused"] == 2
    assert bool(re.search(shown, said)) is debug
    assert ("may name recordings" in said) is debug
    assert ("Traceback" in said) is debug


@pytest.mark.parametrize("debug", [False, True])
def test_a_callable_shows_the_traceback_of_ones_own_disguise(
    debug: bool, many: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEIDENT_DEBUG", "1" if debug else "")
    with pytest.raises(RecordingError, match="the disguise cannot be used"):
        list(deidentify(many / "r00.wav", Policy(disguise=WrongSetting())))
    assert ("in apply" in capfd.readouterr().err) is debug
