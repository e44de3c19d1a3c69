"""Bytes that are missing, overwritten or glued on in the containers that FFmpeg reads, who says nothing of them."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.test_read_streams import NARROW, WIDE, encoded, read

pytest.importorskip("av")


def written(form: str, codec: str, rate: int) -> bytes:
    file = io.BytesIO()
    encoded(file, form, codec, rate, 1)
    return file.getvalue()


@pytest.mark.parametrize(
    ("codec", "rate"), [("pcm_s16le", 44_100), ("adpcm_swf", 22_050), ("nellymoser", 22_050)]
)
def test_what_is_no_tag_of_an_flv_is_told(codec: str, rate: int) -> None:
    content, other = written("flv", codec, rate), np.random.default_rng(1).bytes(9_000)
    at = len(content) // 2
    assert read(content)[1] is None
    assert read(content[:at] + other + content[at:])[1] is not None
    assert read(content + content)[1] == "extra-data"


@pytest.mark.parametrize(("first", "second"), [(NARROW, NARROW), (WIDE, WIDE), (WIDE, NARROW)])
def test_amr_that_is_glued_to_amr_is_no_noise(first: bytes, second: bytes) -> None:
    samples, partial = read(first + second)
    assert (len(samples), partial) == (len(read(first)[0]), "extra-data")
