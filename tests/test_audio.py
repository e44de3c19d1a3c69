"""Audio is validated once and immutable; segments are half-open."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deident.audio import Audio, Segment, mask_of, segments_of
from deident.errors import RecordingError


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
