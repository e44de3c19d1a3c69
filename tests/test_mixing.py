"""Channels that cancel each other are told, and lose no speech; others are averaged."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import RATE
from deident.codec import decode, read
from deident.codec.mixing import ChannelActivity, Mixer, Shaper
from deident.policy import Policy
from deident.runs.run import run
from tests.methods import Sine

NOISE = (0.1 * np.random.default_rng(5).standard_normal(10 * RATE)).astype(np.float32)
RISE = np.repeat([1.0, 1.0, -1.0, -1.0, 1.0], 2 * RATE).astype(np.float32)
CANCELLING = {
    "inverted": (np.stack([NOISE, -NOISE], 1), 10.0),
    "inverted with gain": (np.stack([NOISE, -0.8 * NOISE], 1), 10.0),
    "inverted for a part": (np.stack([NOISE, RISE * NOISE], 1), 4.0),
    "four channels": (np.stack([NOISE, -NOISE, 0.5 * NOISE, -0.5 * NOISE], 1), 10.0),
}
SOUND = {
    "equal": np.stack([NOISE, NOISE], 1),
    "apart": np.stack([NOISE, np.roll(NOISE, 999)], 1),
    "one silent": np.stack([NOISE, 0 * NOISE], 1),
    "partly inverted": np.stack([NOISE, -0.5 * NOISE], 1),
    "silence": np.zeros((10 * RATE, 2), np.float32),
    "offsets": np.full((10 * RATE, 2), (0.1, -0.1), np.float32),
}


def mixed(samples: np.ndarray, sizes: list[int] | None = None, rate: int = RATE) -> tuple[np.ndarray, float]:
    shaper = Shaper(rate, samples.shape[1], "mix", out_rate=rate)
    blocks = np.split(samples, np.cumsum(sizes)) if sizes else [samples]
    parts = [shaper.push(block) for block in blocks] + [shaper.finish()]
    return np.concatenate(parts, axis=1)[0], shaper.cancelled_seconds


@pytest.mark.parametrize("name", CANCELLING)
def test_of_channels_that_cancel_the_louder_is_taken(name: str) -> None:
    samples, seconds = CANCELLING[name]
    out, cancelled = mixed(samples)
    assert cancelled == seconds
    assert out.shape == NOISE.shape
    changes = 2 if name == "inverted for a part" else 0
    assert np.count_nonzero(np.abs(out - NOISE) > 1e-6) <= changes * RATE // 100
    level = np.sqrt(np.mean(out.reshape(-1, RATE) ** 2, axis=1))
    assert level.min() > 0.09


@pytest.mark.parametrize("offsets", [(0.1, 0.1), (0.4, -0.3), (0.0, 0.3), (-0.02, -0.02)])
@pytest.mark.parametrize("level", [1.0, 0.1])
def test_an_offset_hides_no_channels_that_cancel(offsets: tuple[float, float], level: float) -> None:
    sound = level * NOISE
    out, cancelled = mixed(np.stack([sound + np.float32(offsets[0]), np.float32(offsets[1]) - sound], 1))
    assert cancelled == 10.0
    assert np.abs(out - out.mean()).mean() == pytest.approx(np.abs(sound).mean(), rel=0.01)


def test_integers_and_floats_in_one_recording_are_of_one_scale() -> None:
    mixer = Mixer(RATE, 2)
    half = np.full((RATE // 2, 2), 0.5, np.float32)
    out = [mixer.push((half * 32_768).astype(np.int16)), mixer.push(half), mixer.push(half), mixer.finish()]
    assert np.array_equal(np.concatenate(out), np.full((3 * RATE // 2, 1), 0.5, np.float32))


@pytest.mark.parametrize("name", SOUND)
def test_other_channels_are_averaged(name: str) -> None:
    out, cancelled = mixed(SOUND[name])
    assert cancelled == 0.0
    assert np.abs(out - SOUND[name].mean(axis=1)).max() < 1e-6


@pytest.mark.parametrize("name", CANCELLING)
def test_the_sizes_of_blocks_change_nothing(name: str) -> None:
    samples, _ = CANCELLING[name]
    whole = mixed(samples)
    rng = np.random.default_rng(1)
    for sizes in ([1_000] * 159, [7], [RATE] * 9, rng.integers(1, 40_000, 6).tolist()):
        out, cancelled = mixed(samples, sizes)
        assert np.array_equal(out, whole[0])
        assert cancelled == whole[1]


def test_a_change_of_channels_makes_no_step() -> None:
    time = np.arange(10 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 100 * time)).astype(np.float32)
    out, cancelled = mixed(np.stack([0.5 * tone, RISE * tone], 1) * np.float32([1, -1]))
    assert cancelled == 0.0
    out, cancelled = mixed(np.stack([-tone, RISE * tone], 1))
    assert 0.0 < cancelled < 10.0
    assert np.abs(np.diff(out)).max() < 2.5 * np.abs(np.diff(tone)).max()


def test_memory_is_bounded_for_many_channels_of_high_rate() -> None:
    mixer = Mixer(384_000, 64)
    assert mixer._window * 64 <= 1 << 22
    for _ in range(8):
        mixer.push(np.zeros((50_000, 64), np.float32))
        assert mixer._buffer.nbytes <= 4 << 22


def test_a_recording_tells_of_them_in_every_way_it_is_given(recordings: Path, tmp_path: Path) -> None:
    speech = read(recordings / "reading.mp3").mono
    stereo = np.stack([speech, -speech], 1)
    file = io.BytesIO()
    soundfile.write(file, stereo, RATE, "PCM_16", format="WAV")
    for source in (io.BytesIO(file.getvalue()), (stereo.T, RATE)):
        with decode(source) as decoding:
            out = np.concatenate(list(decoding), axis=1)[0]
        assert decoding.cancelled_seconds == pytest.approx(speech.size / RATE, abs=0.01)
        assert np.abs(out - speech).max() < 1e-4
    (tmp_path / "a.wav").write_bytes(file.getvalue())
    soundfile.write(tmp_path / "b.wav", speech, RATE)
    summary = run([tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert summary.cancelled == 1
    assert summary.cancelled_seconds == pytest.approx(speech.size / RATE, abs=0.01)
    assert summary.snippets > 3


def test_the_command_says_so(deident, recordings: Path, tmp_path: Path) -> None:
    speech = read(recordings / "reading.mp3").mono
    soundfile.write(tmp_path / "a.wav", np.stack([speech, -speech], 1), RATE)
    told = deident("run", tmp_path / "a.wav", "--out", tmp_path / "s", "--jobs", "1", "--quiet")
    assert told.returncode == 0
    told = deident("run", tmp_path / "a.wav", "--out", tmp_path / "s", "--jobs", "1", "--dry-run")
    assert "the channels of 1 recording cancel each other" in told.stdout


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_two_people_are_told_apart_in_seconds_in_blocks_of_any_size(rate: int, dtype: str) -> None:
    noise = 3_000 * np.random.default_rng(0).standard_normal(3 * rate)
    apart = np.zeros((3 * rate, 2))
    apart[: rate * 3 // 2, 0], apart[rate * 3 // 2 :, 1] = np.split(noise, [rate * 3 // 2])
    for sound, expected in ((apart, True), (np.stack([noise, noise], axis=1), False)):
        pairs = np.array(sound, dtype)
        for size in (800, rate, 3 * rate):
            activity = ChannelActivity(rate)
            for start in range(0, len(pairs), size):
                activity.add(pairs[start : start + size], np.float32(2.0**-15))
            assert activity.separate is expected


@pytest.mark.parametrize(("frames", "expected"), [(9, False), (10, True)])
def test_a_tenth_of_a_second_is_counted_once_wherever_blocks_end(frames: int, expected: bool) -> None:
    size = RATE // 20  # of a tenth of a second at 8 kHz
    pairs = np.zeros((90 * size, 2), np.int16)
    pairs[: 30 * size, 0] = pairs[70 * size : (70 + frames) * size, 1] = 1_000
    for step in (808, 10_000, len(pairs)):
        activity = ChannelActivity(RATE // 2)
        for start in range(0, len(pairs), step):
            activity.add(pairs[start : start + step], np.float32(2.0**-15))
        assert activity.separate is expected
