"""The obvious wrong calls: each error says what was expected and what came, and shows nothing of the input."""

import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deident
from deident import (
    DISGUISES,
    Audio,
    Chain,
    CuttingSettings,
    DeidentError,
    KeyMaterialError,
    MuteSettings,
    Policy,
    Recording,
    RecordingError,
    Segment,
    SettingError,
    Turn,
    VadSettings,
)
from deident.datasets.recordings import expand

X = np.zeros(16_000, np.float32)
S = Segment(0, 9)
ZERO = Policy(nonfinite="zero")


class Tensor:
    """As one that gradients are taken of, or another that numpy cannot read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise self.error


TENSOR = Tensor(RuntimeError("Can't call numpy() on Tensor that requires grad."))
BFLOAT16 = Tensor(TypeError("Got unsupported ScalarType BFloat16"))
CUDA = Tensor(TypeError("can't convert cuda:0 device type tensor to numpy."))


def of(*arguments: Any, **settings: Any) -> list[deident.Snippet]:
    return list(deident.deidentify(*arguments, **settings))


WRONG: list[tuple[str, Callable[[], Any], type[DeidentError], str]] = [
    ("rate first", lambda: of((16_000, X)), RecordingError, "sample rate, after the samples.*ndarray"),
    ("rate as text", lambda: of((X, "16000")), RecordingError, "sample rate.*type str"),
    ("no rate", lambda: of(X), RecordingError, r"\(samples, rate\); got a value of type ndarray"),
    ("masked", lambda: of((np.ma.array(X, mask=X == 0), 16_000)), RecordingError, "masked.*mute"),
    ("masked zero", lambda: of((np.ma.array(X, mask=X == 0), 16_000), ZERO), RecordingError, "masked.*mute"),
    ("tensor", lambda: of((TENSOR, 16_000)), RecordingError, "detach"),
    ("bfloat16", lambda: of((BFLOAT16, 16_000)), RecordingError, "give it as float32"),
    ("another device", lambda: DISGUISES["psola"]()(CUDA, sample_rate=16_000), RecordingError, "float32"),
    ("tensor zero", lambda: of((TENSOR, 16_000), ZERO), RecordingError, "detach"),
    ("ragged zero", lambda: of(([[1.0, 2.0], [1.0]], 16_000), ZERO), RecordingError, "differ in length"),
    ("rate as policy", lambda: of(X, 16_000), SettingError, r"expected a deident.Policy.*type int"),
    ("three in a tuple", lambda: of((X, 16_000, 1)), RecordingError, "type tuple"),
    ("other bytes", lambda: of(b"RIFF"), RecordingError, "container on the list"),
    ("channels last", lambda: of((X.reshape(-1, 2), 16_000)), RecordingError, "transpose"),
    ("ragged rows", lambda: of(([[1.0, 2.0], [1.0]], 16_000)), RecordingError, "differ in length"),
    ("policy by name", lambda: of((X, 16_000), "review"), SettingError, r"Policy.preset.*type str"),
    ("policy as a class", lambda: of((X, 16_000), Policy), SettingError, "the class Policy itself"),
    ("key as a path", lambda: of((X, 16_000), key="key"), KeyMaterialError, r"Key.read\(path\).*type str"),
    ("pairs", lambda: of((X, 16_000), segments=[(0, 9)]), SettingError, r"Segment\(start, stop\).*tuple"),
    ("mute pairs", lambda: Recording("x", mute=((0, 9),)), SettingError, "expected mute as"),  # type: ignore[arg-type]
    ("turn pairs", lambda: Recording("x", turns=((0, 9),)), SettingError, r"deident.Turn"),  # type: ignore[arg-type]
    ("seconds", lambda: Segment(0.1, 1.0), SettingError, r"in samples.*round\(seconds \* 16000\)"),  # type: ignore[arg-type]
    ("backwards", lambda: Segment(9, 1), SettingError, "start < stop; got 9, 1"),
    ("class of disguise", lambda: Policy(disguise=DISGUISES["psola"]), SettingError, "class Psola itself"),  # type: ignore[arg-type]
    (
        "cutting as a dict",
        lambda: Policy(cutting={}),
        SettingError,
        r"deident.CuttingSettings\(\.\.\.\).*dict",
    ),  # type: ignore[arg-type]
    ("detector", lambda: Policy(detector=3), SettingError, "detector as a callable"),  # type: ignore[arg-type]
    ("strict no", lambda: Policy(strict="no"), SettingError, "strict as true or false.*str"),  # type: ignore[arg-type]
    ("half a snippet", lambda: Policy(max_per_recording=1.5), SettingError, "whole number from 1; got 1.5"),  # type: ignore[arg-type]
    ("carry as text", lambda: Policy(carry="text"), SettingError, "carry as a list of.*type str"),  # type: ignore[arg-type]
    ("limit as text", lambda: CuttingSettings(max_seconds="8"), SettingError, "max_seconds as a number"),  # type: ignore[arg-type]
    ("whole no", lambda: CuttingSettings(whole_turns="no"), SettingError, "whole_turns as true or false"),  # type: ignore[arg-type]
    ("gate as text", lambda: VadSettings(gate_db="x"), SettingError, "gate_db as a number"),  # type: ignore[arg-type]
    ("fill", lambda: MuteSettings(fill="beep"), SettingError, "got 'beep'"),  # type: ignore[arg-type]
    ("one bound", lambda: DISGUISES["psola"](semitones=3), SettingError, r"\(lower, upper\); got 3"),  # type: ignore[call-arg]
    ("chain of one", lambda: Chain(DISGUISES["psola"]()), SettingError, "as a tuple"),  # type: ignore[arg-type]
    ("chain of names", lambda: Chain(("psola",)), SettingError, "draw and apply.*str"),  # type: ignore[arg-type]
    ("array to find", lambda: deident.find_speech(X), SettingError, "deident.Audio"),  # type: ignore[arg-type]
    ("another rate", lambda: deident.find_speech(Audio(X, 8_000)), SettingError, "16000 Hz.*got 8000"),
    ("another rate to cut", lambda: deident.cut(Audio(X, 8_000), []), SettingError, "16000 Hz.*got 8000"),
    ("a number to run", lambda: list(expand(3)), SettingError, "as a list of paths.*type int"),  # type: ignore[arg-type]
    ("a number as path", lambda: Recording(3), SettingError, "path as text.*type int"),  # type: ignore[arg-type]
    ("segments and turns", lambda: Recording("x", segments=(S,), turns=(Turn(S),)), SettingError, "got both"),
    ("label", lambda: Recording("x", labels={"text": "y"}), SettingError, "no label.*carry"),
    (
        "label of a turn",
        lambda: Recording("x", turns=(Turn(S, labels={"words": "y"}),)),
        SettingError,
        "no label",
    ),
    ("samples to run", lambda: list(expand([(X, 16_000)])), SettingError, "as paths.*type tuple"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("call", "kind", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_call_is_an_error(call: Callable[[], Any], kind: type[DeidentError], said: str) -> None:
    with pytest.raises(kind, match=said):
        call()


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({"policy": "review"}, SettingError, "deident.Policy"),
        ({"key": "key"}, KeyMaterialError, "deident.Key"),
        ({"jobs": 0}, SettingError, "jobs of at least 1; got 0"),
        ({"jobs": "2"}, SettingError, "jobs as a number of processes.*str"),
        ({"on_read": 3}, SettingError, "on_read as a callable.*int"),
        ({"progress": 3}, SettingError, "progress as a callable.*int"),
        ({"again": "no"}, SettingError, "again as true or false.*str"),
        ({"linkage": 3, "key": deident.Key(bytes(32))}, SettingError, "linkage as a path.*int"),
    ],
)
def test_run_checks_before_it_makes_a_store(
    settings: dict[str, Any], kind: type[DeidentError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        deident.run([], tmp_path / "store", **settings)
    assert not any(tmp_path.iterdir())


def test_arguments_of_run_in_the_wrong_order_are_an_error(tmp_path: Path) -> None:
    for out in (["call.wav"], None):
        with pytest.raises(SettingError, match="expected out as a path"):
            deident.run(str(tmp_path / "store"), out)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_numpy_integers_are_positions() -> None:
    assert len(Segment(np.int64(1), np.int32(3))) == 2  # type: ignore[arg-type]
    assert Audio(X, np.float64(16_000)).rate == 16_000  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [str, Path, Recording])
def test_one_path_is_not_taken_for_a_list_of_letters(kind: Callable[[str], Any], tmp_path: Path) -> None:
    """An absolute path begins with "/", which is a folder with every recording of the machine."""

    def found() -> Iterator[Recording]:
        return expand(kind(str(tmp_path / "call.wav")))

    assert list(map(operator.attrgetter("path"), found())) == [str(tmp_path / "call.wav")]


@pytest.mark.parametrize("kept", ["ledger.sqlite", "format.json"])
def test_a_store_below_the_recordings_is_not_disguised_again(kept: str, tmp_path: Path) -> None:
    store = tmp_path / "calls" / "store"
    (store / ".private").mkdir(parents=True)
    (store / ".private" / kept).touch()
    (store / f"{0:032}.wav").touch()
    (tmp_path / "calls" / "call.wav").touch()
    (tmp_path / "calls" / "more" / ".private").mkdir(parents=True)  # somebody's own, and no store
    (tmp_path / "calls" / "more" / "call.wav").touch()
    found = [Path(recording.path) for recording in expand([tmp_path / "calls"])]
    assert found == [tmp_path / "calls" / "call.wav", tmp_path / "calls" / "more" / "call.wav"]
