"""Figures on pages that are light or dark: nothing is behind them, and words and colours stand out."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from deident import pages
from deident.evaluation import figures
from deident.evaluation.judge import judge
from deident.evaluation.report_html import page
from tests.test_judge import make_case, make_report


def luminance(colour: str) -> float:
    """Relative luminance of a colour, as WCAG defines it."""
    parts = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one) + 0.05, luminance(other) + 0.05))
    return high / low


@pytest.mark.parametrize("back", ["#ffffff", "#f6f7f9", "#14171a"])
def test_colours_stand_out_from_light_and_dark_pages(back: str) -> None:
    for colour in figures.COLOURS:
        assert contrast(colour, back) >= 3.0, colour  # WCAG 2.1, 1.4.11


def test_pictures_can_be_read_on_light_and_on_dark_pages() -> None:
    verdict = judge(make_case())
    report = make_report({"undisguised": verdict, "good": verdict}, [])
    report = replace(report, pictures={"good": np.zeros(4_000, np.float32)})
    drawn = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page(report))]
    assert len(drawn) >= 5
    style = (Path(pages.__file__).parent / "page.css").read_text()
    [(light, dark)] = re.findall(r"--back: light-dark\((#\w+), (#\w+)\)", style)
    for png in drawn:
        pixels = matplotlib.image.imread(io.BytesIO(png))
        assert pixels[0, 0, 3] == 0.0  # nothing lies behind
        assert pixels[..., 3].max() == 1.0
    assert contrast(light, figures.INK) > 4
    assert contrast(dark, figures.INK) > 4
