"""The transforms equal scipy's bit by bit, loaded alone or with all of scipy."""

import subprocess
import sys
from pathlib import Path

import pytest

SAME = """
import sys
import numpy as np
from deident.dsp import fft
own = fft._own
assert "scipy.fft" not in sys.modules, "loaded for nothing"
import scipy.fft
assert scipy.fft._pocketfft.basic.pfft is own._own, "loaded twice"
for kind in (np.float32, np.float64):
    rows = np.random.default_rng(1).standard_normal((3, 6, 64)).astype(kind)
    for given in (rows, rows[:, ::2], rows.transpose(1, 0, 2), rows[..., :7]):
        for size in (None, 64, 75):
            spectra = own.rfft(given, size)
            assert np.array_equal(spectra, scipy.fft.rfft(given, size))
            assert np.array_equal(own.fft(given + 1j * given, size), scipy.fft.fft(given + 1j * given, size))
            length = size or given.shape[-1]
            assert np.array_equal(own.irfft(spectra, length), scipy.fft.irfft(spectra, length))
for real in (False, True):
    for size in range(1, 2_000):
        assert own.next_fast_len(size, real) == scipy.fft.next_fast_len(size, real)
"""

FALLS_BACK = """
import scipy.fft
import deident.dsp.fft as fft
assert fft._own is scipy.fft
"""


def python(code: str) -> None:
    """Run code in a process of its own and check its exit: an extension loaded twice would crash it."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_transforms_are_those_of_scipy() -> None:
    python(SAME)


def test_a_loaded_scipy_is_used() -> None:
    python(FALLS_BACK)


@pytest.mark.parametrize(
    "broken", ["fft.EXTENSION_SUFFIXES[:] = ['.elsewhere']", "fft.Direct._check = lambda self: 1 / 0"]
)
def test_an_unknown_scipy_is_used_as_a_whole(broken: str) -> None:
    code = (
        "import sys, deident.dsp.fft as fft\n"
        + broken
        + "\nassert not isinstance(fft.transforms(), fft.Direct)"
    )
    python(code)


def test_a_wrong_transform_is_not_used() -> None:
    code = (
        "import numpy as np, deident.dsp.fft as fft\n"
        "fft.Direct.rfft = lambda self, rows, size=None: np.zeros((2, 5))\n"
        "assert not isinstance(fft.transforms(), fft.Direct)"
    )
    python(code)


def test_a_run_loads_no_more_of_scipy_than_that() -> None:
    load = "import sys, deident.pipeline, deident.runs.run, deident.cli.policy as policy\n"
    python(load + "policy._disguise('psola+mcadams:alpha=0.8..0.9')\nassert 'scipy.fft' not in sys.modules")
