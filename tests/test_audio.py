"""Audio is validated once and immutable; segments are half-open."""

import base64
import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deident.audio import Audio, Segment, mask_of, segments_of
from deident.codec import decode
from deident.disguise import DISGUISES
from deident.errors import RecordingError, SettingError
from tests.browser import Page


def test_audio_owns_its_samples() -> None:
    mine = np.ones((2, 5), dtype=np.float32)
    audio = Audio(mine, 16_000)
    mine[:] = 0
    assert audio.samples.min() == 1
    with pytest.raises(ValueError, match="read-only"):
        audio.samples[0, 0] = 2
    assert audio.channels == 2
    assert len(audio) == 5
    assert pickle.loads(pickle.dumps(audio)) == audio


def test_a_slice_is_a_copy_that_never_changes() -> None:
    whole = Audio(np.arange(10, dtype=np.float32), 16_000)
    part = whole[Segment(2, 5)]
    assert part == Audio([2.0, 3.0, 4.0], 16_000)
    assert not np.shares_memory(part.samples, whole.samples)  # a short slice must not keep an hour in memory
    with pytest.raises(ValueError, match="read-only"):
        part.samples[0, 0] = 2


def test_integers_are_scaled_to_full_scale() -> None:
    assert Audio(np.array([-32_768, 16_384], dtype=np.int16), 8_000).mono.tolist() == [-1.0, 0.5]


@pytest.mark.parametrize(
    ("samples", "rate", "code"),
    [
        ([np.nan, 0], 16_000, "not-finite"),
        ([np.inf], 16_000, "not-finite"),
        ([1e300], 16_000, "not-finite"),
        (np.zeros((2, 2, 2)), 16_000, "bad-samples"),
        (np.zeros(3, dtype=complex), 16_000, "bad-samples"),
        (np.zeros(3, dtype=np.uint8), 16_000, "bad-samples"),
        (np.zeros((65, 3)), 16_000, "channels"),
        (np.zeros(3), 3_999, "rate"),
        (np.zeros(3), 384_001, "rate"),
        (np.zeros(3), 16_000.5, "rate"),
    ],
)
def test_invalid_samples_are_refused(samples: object, rate: int, code: str) -> None:
    with pytest.raises(RecordingError) as caught:
        Audio(samples, rate)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_mono_of_two_channels_is_refused() -> None:
    with pytest.raises(RecordingError, match="mix"):
        _ = Audio(np.zeros((2, 3)), 16_000).mono


@given(arrays(np.bool_, st.integers(0, 50)))
def test_masks_and_segments_convert_both_ways(mask: np.ndarray) -> None:
    assert (mask_of(segments_of(mask), mask.size) == mask).all()


def test_segment_algebra() -> None:
    segment = Segment(10, 20)
    assert len(segment) == 10
    assert segment.overlap(Segment(18, 40)) == 2
    assert segment.overlap(Segment(20, 40)) == 0
    for start, stop in ((5, 5), (6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="start < stop"):
            Segment(start, stop)


@pytest.mark.parametrize("suffix", ["wav", "flac", "FLAC"])
@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (2, 48_000)])
def test_audio_is_saved_as_it_is(suffix: str, channels: int, rate: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    audio = Audio(rng.uniform(-0.9, 0.9, (channels, rate // 10)), rate)
    audio.save(tmp_path / f"a.{suffix}")
    samples, found = soundfile.read(tmp_path / f"a.{suffix}", always_2d=True)
    assert found == rate
    assert pytest.approx(audio.samples, abs=1 / 32_768) == samples.T
    assert (tmp_path / f"a.{suffix}").read_bytes()[:4] == (b"RIFF" if suffix == "wav" else b"fLaC")


@pytest.mark.parametrize("name", ["a.mp3", "a", "wav"])
def test_only_wav_and_flac_are_saved(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"ends in \.wav or \.flac"):
        Audio(np.zeros(100), 16_000).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_notebook_shows_and_plays_audio() -> None:
    audio = Audio(np.sin(np.arange(16_000) / 20) * np.linspace(0, 1, 16_000), 16_000)
    html = audio._repr_html_()
    sound = re.search(r'<audio controls src="data:audio/wav;base64,([^"]+)">', html)
    assert sound
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound[1])))
    assert rate == 16_000
    assert samples == pytest.approx(audio.mono, abs=1 / 32_768)
    heights = [int(tall) for tall in re.findall(r"M\d+ \d+v(\d+)", html)]
    assert 450 <= len(heights) <= 480
    assert heights[0] < heights[len(heights) // 2] < heights[-1] <= 64  # it grows, as the audio does
    assert "http" not in html
    assert len(html) < 60_000


def test_a_narrow_notebook_shows_all_of_the_waveform(chromium: Page, tmp_path: Path) -> None:
    html = Audio(np.sin(np.arange(16_000) / 20), 16_000)._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<meta name='viewport' content='width=device-width'>{html}")
    for width in (1280, 400):
        chromium.show(width)
        chromium.open(tmp_path / "notebook.html")
        assert chromium.ask("document.documentElement.scrollWidth") <= width
        assert chromium.ask("document.querySelector('svg').clientWidth") > 350
    assert chromium.complaints == []


def test_a_notebook_keeps_no_long_audio() -> None:
    html = Audio(np.zeros(61 * 16_000), 16_000)._repr_html_()
    assert "<audio" not in html
    assert "longer than 60 s" in html
    assert len(html) < 10_000
    assert "<svg" in Audio(np.zeros(0), 16_000)._repr_html_()


VALUES = (20_000 * np.sin(np.arange(4_000) / 9.0)).astype(np.int16)
SIXTEEN_BITS: dict[str, Any] = {
    "a list": VALUES.tolist(),
    "a list of channels": [VALUES.tolist(), VALUES.tolist()],
    "int64": VALUES.astype(np.int64),
    "int32": VALUES.astype(np.int32),
    "int32, quiet": (VALUES // 50).astype(np.int32),
    "int64, the lowest of all": np.array([-32_768, 1] * 50),
}
OTHER_SCALES: dict[str, Any] = {
    "int64 of 64 bits": VALUES.astype(np.int64) << 48,
    "int64 with 24 bits": VALUES.astype(np.int64) << 8 | 1,
    "int64 with 8 bits": VALUES.astype(np.int64) >> 8,
    "a list of bytes": list(range(256)),
    "int32 with 24 bits": VALUES.astype(np.int32) << 8,
    "int32 with quiet samples of 24 bits": (VALUES >> 8).astype(np.int32) << 8,
    "int32 with the lowest of 16 bits": np.full(100, -32_768, np.int32),
}


@pytest.mark.parametrize("name", SIXTEEN_BITS)
def test_samples_of_16_bits_in_a_wider_type_are_scaled_by_theirs(name: str) -> None:
    samples = SIXTEEN_BITS[name]
    expected = np.atleast_2d(np.asarray(samples, np.float32)) / 32_768
    assert np.array_equal(Audio(samples, 16_000).samples, expected)
    assert np.array_equal(np.concatenate(list(decode((samples, 16_000))), axis=1), expected[:1])


@pytest.mark.parametrize("name", OTHER_SCALES)
def test_integers_of_another_scale_are_refused_with_the_remedy(name: str) -> None:
    """Scaled by their type, they would be silence."""
    samples = OTHER_SCALES[name]
    for use in (lambda: Audio(samples, 16_000), lambda: next(iter(decode((samples, 16_000)))),
                lambda: DISGUISES["psola"]()(np.asarray(samples), sample_rate=16_000)):  # fmt: skip
        with pytest.raises(RecordingError, match=r"np\.int16|astype") as caught:
            use()
        assert caught.value.code == "bad-samples"


def test_integers_that_use_their_range_are_scaled_by_it() -> None:
    wide = Audio(VALUES.astype(np.int32) << 16, 16_000)
    assert np.allclose(wide.samples, Audio(VALUES, 16_000).samples)
    assert np.allclose(wide.mono, VALUES / 32_768)
    for silence in (np.zeros(100, np.int32), np.zeros(100, np.int64), [0] * 100):
        assert not Audio(silence, 16_000).samples.any()
