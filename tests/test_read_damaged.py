"""Bytes that are missing, overwritten or glued on in the containers that FFmpeg reads, who says nothing of them."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.test_read_streams import NARROW, WIDE, encoded, piped, read

pytest.importorskip("av")

CODECS = [("libmp3lame", 44_100), ("mp2", 44_100), ("ac3", 48_000)]


def written(form: str, codec: str, rate: int) -> bytes:
    file = io.BytesIO()
    encoded(file, form, codec, rate, 1)
    return file.getvalue()


@pytest.mark.parametrize(("codec", "rate"), CODECS)
@pytest.mark.parametrize("form", ["matroska", "asf"])
def test_bytes_that_are_missing_in_the_middle_are_told(form: str, codec: str, rate: int) -> None:
    content = written(form, codec, rate)
    at = len(content) // 2
    assert read(content)[1] is None
    assert read(content[:at] + content[at + 9_000 :])[1] is not None


@pytest.mark.parametrize(("codec", "rate"), CODECS)
@pytest.mark.parametrize("is_live", [False, True])
def test_zeros_in_the_middle_of_matroska_are_told(codec: str, rate: int, is_live: bool) -> None:
    content = piped("matroska", codec, rate) if is_live else written("matroska", codec, rate)
    at = len(content) // 2
    samples, partial = read(content[:at] + bytes(9_000) + content[at + 9_000 :])
    assert partial is not None
    assert len(samples) == pytest.approx(len(read(content)[0]), abs=2_000)  # times of what follows stay right


@pytest.mark.parametrize(("codec", "rate"), CODECS)
def test_what_is_glued_to_a_live_matroska_is_read_or_told(codec: str, rate: int) -> None:
    live, whole = piped("matroska", codec, rate), written("matroska", codec, rate)
    length = len(read(live)[0])
    for following in (live, whole):
        samples, partial = read(live + following)
        assert partial == "extra-data" or len(samples) > 1.9 * length


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
