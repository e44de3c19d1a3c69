"""The transforms are scipy's, bit by bit, whether they are loaded alone or with all of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from deident.dsp import fft

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [None, 7, 20, 64, 75])
def test_transforms_are_those_of_scipy(kind: type, size: int | None) -> None:
    rows = RNG.standard_normal((3, 5, 64)).astype(kind)
    rows = rows if size is None or size >= 64 else rows[..., :size]
    own = fft.Direct()
    for given in (rows, rows[:, ::2], rows.transpose(1, 0, 2)):
        spectra = own.rfft(given, size)
        assert np.array_equal(spectra, scipy.fft.rfft(given, size))
        assert np.array_equal(own.fft(given + 1j * given, size), scipy.fft.fft(given + 1j * given, size))
        length = size or 64
        assert np.array_equal(own.irfft(spectra, length), scipy.fft.irfft(spectra, length))


def test_fast_lengths_are_those_of_scipy() -> None:
    own, sizes = fft.Direct(), range(1, 2_000)
    for real in (False, True):
        assert [own.next_fast_len(n, real) for n in sizes] == [
            scipy.fft.next_fast_len(n, real) for n in sizes
        ]


def test_another_scipy_is_asked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(fft.transforms(), fft.Direct)
    monkeypatch.setattr(fft, "EXTENSION_SUFFIXES", [".elsewhere"])
    assert fft.transforms() is scipy.fft
    monkeypatch.undo()
    monkeypatch.setattr(fft.Direct, "rfft", lambda self, rows, size=None: np.zeros((2, 5)))
    assert fft.transforms() is scipy.fft


def test_a_run_loads_no_more_of_scipy_than_that() -> None:
    code = "import sys, deident.pipeline, deident.batch; print('scipy.fft' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, check=True
    )
    assert said.stdout.split() == [b"False"]
