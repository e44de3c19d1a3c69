"""Voice activity detection, and cutting under the limit."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deident.audio import RATE, Audio, Segment, mask_of
from deident.codec import read
from deident.dsp.bands import BANDS, band_levels_db, noise_floor_db
from deident.dsp.bands import FRAME as LEVEL_FRAME
from deident.dsp.stft import BLOCK
from deident.errors import SettingError
from deident.segmentation import vad
from deident.segmentation.cutting import CuttingSettings, cut, split_at_quiet
from deident.segmentation.detectors import run_detector
from deident.segmentation.vad import (
    VadSettings,
    detect,
    find_speech,
    frame_level_db,
    join,
)
from tests.voices import noise

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def call(recordings: Path) -> Audio:
    return read(recordings / "call.wav", channels=0)


def share(found: list[Segment], of: Segment) -> float:
    return sum(s.overlap(of) for s in found) / len(of)


@pytest.mark.parametrize("level", [1e-4, 1e-2, 0.3, 1.0])
def test_noise_at_any_level_is_not_speech(level: float) -> None:
    noise = np.clip(RNG.standard_normal(10 * RATE) * level, -1, 1)
    assert find_speech(Audio(noise, RATE)) == []


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_silence_and_dc_are_not_speech(value: float) -> None:
    assert find_speech(Audio(np.full(5 * RATE, value), RATE)) == []
    assert find_speech(Audio(np.zeros(0), RATE)) == []
    assert find_speech(Audio(np.zeros(1), RATE)) == []


@pytest.mark.parametrize("gain", [0.02, 1.0])
@pytest.mark.parametrize("noise_db", [None, 20])
def test_speech_is_detected_between_pauses(call: Audio, gain: float, noise_db: int | None) -> None:
    samples = call.mono * np.float32(gain)
    if noise_db is not None:
        level = np.sqrt(np.mean(samples**2)) * 10 ** (-noise_db / 20)
        samples = samples + (RNG.standard_normal(samples.size) * level).astype(np.float32)
    found = find_speech(Audio(samples, RATE))
    # Made so by examples/make_recordings.sh: 0.8 s of pause, a question, 5.2 s of pause, another.
    pauses = Segment(0, round(0.7 * RATE)), Segment(round(5.5 * RATE), round(8.0 * RATE))
    assert all(share(found, pause) < 0.05 for pause in pauses)
    assert share(found, Segment(round(1.1 * RATE), round(3.0 * RATE))) > 0.85
    assert all(a.stop < b.start for a, b in itertools.pairwise(found))


def test_the_floor_follows_a_change_of_noise() -> None:
    quiet, loud = RNG.standard_normal(60 * RATE) * 1e-3, RNG.standard_normal(60 * RATE) * 3e-2
    floor = noise_floor_db(band_levels_db(np.concatenate([quiet, loud]).astype(np.float32)))
    assert floor[-1] - floor[0] == pytest.approx(np.full(16, 20 * np.log10(30)), abs=1.5)
    assert find_speech(Audio(np.concatenate([loud, quiet]), RATE)) == []


def test_a_sine_is_in_the_band_of_its_frequency() -> None:
    for hz in (300.0, 1_000.0, 4_000.0):
        samples = 0.1 * np.sin(2 * np.pi * hz / RATE * np.arange(RATE)).astype(np.float32)
        loudest = band_levels_db(samples)[10].argmax()
        assert BANDS.bands_hz[loudest] == pytest.approx(hz, rel=0.2)


def test_band_levels_are_continuous_across_blocks() -> None:
    samples = np.random.default_rng(5).standard_normal(BLOCK * LEVEL_FRAME * 2 + 777).astype(np.float32)
    frames = np.pad(samples, (0, -samples.size % LEVEL_FRAME)).reshape(-1, LEVEL_FRAME)
    window = np.hanning(LEVEL_FRAME + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window / np.linalg.norm(window))) ** 2 @ BANDS.weights
    around = np.pad(power, ((1, 1), (0, 0)), mode="edge")
    smooth = (around[:-2] + around[1:-1] + around[2:]) / 3
    assert band_levels_db(samples) == pytest.approx(10 * np.log10(smooth + 1e-10), abs=1e-3)


NOISES = ("white", "pink", "hiss", "telephone", "car", "babble")


def recall_in_noise(sound: np.ndarray, kind: str, level_db: float) -> float:
    """Measure the share of what is detected in clean sound that is still detected in noise."""
    clean = mask_of(find_speech(Audio(sound, RATE)), sound.size)
    level = float(np.sqrt(np.mean(sound[clean] ** 2))) * 10 ** (-level_db / 20)
    noisy = sound + np.float32(level) * noise(kind, sound.size, seed=3)
    return float(mask_of(find_speech(Audio(noisy, RATE)), sound.size)[clean].mean())


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(("level_db", "least"), [(15, 0.90), (10, 0.85)])
def test_speech_in_noise_is_detected(recordings: Path, kind: str, level_db: float, least: float) -> None:
    assert recall_in_noise(read(recordings / "reading.mp3").mono, kind, level_db) >= least


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(("level_db", "least"), [(15, 0.90), (10, 0.85)])
def test_real_speech_in_noise_is_detected(speech: Path, kind: str, level_db: float, least: float) -> None:
    """In every single reading, not on average."""
    files = sorted((speech / "verify").glob("2[0-9]*/*_00.flac"))[::2]
    recalls = [recall_in_noise(read(file).mono, kind, level_db) for file in files]
    assert len(recalls) >= 3
    assert min(recalls) >= least


@pytest.mark.parametrize(
    ("noise_db", "gate_db", "added_seconds"), [(60, 10.0, 0.0), (20, 10.0, 0.06), (20, 4.0, 0.0)]
)
def test_padding_grows_where_noise_lowers_the_gate(
    call: Audio, noise_db: float, gate_db: float, added_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise masks the edges of words. Nothing is added in clean recordings, nor where the gate is set low."""
    level = np.float32(np.sqrt(np.mean(call.mono**2)) * 10 ** (-noise_db / 20))
    noisy = Audio(call.mono + level * noise("white", len(call), seed=6), RATE)
    found = find_speech(noisy, VadSettings(gate_db=gate_db))
    monkeypatch.setattr(vad, "HANGOVER_SECONDS", 0.0)
    narrow = find_speech(noisy, VadSettings(gate_db=gate_db))
    assert narrow[0].start - found[0].start == round(added_seconds * RATE)
    assert found[-1].stop - narrow[-1].stop == round(added_seconds * RATE)


@pytest.mark.parametrize("kind", [kind for kind in NOISES if kind != "babble"])
@pytest.mark.parametrize("level", [1e-3, 0.1])
def test_steady_noise_of_any_colour_is_not_speech(kind: str, level: float) -> None:
    samples = np.float32(level) * noise(kind, 40 * RATE, seed=4)
    found = detect(Audio(samples, RATE), VadSettings())
    assert found.segments == []
    assert sum(map(len, found.gated)) == mask_of(list(found.gated), samples.size).sum()


def test_what_the_gate_alone_refuses_is_counted(call: Audio) -> None:
    noisy = call.mono + np.float32(0.05) * noise("white", len(call), seed=1)
    strict = detect(Audio(noisy, RATE), VadSettings(gate_db=60.0))
    loose = detect(Audio(noisy, RATE), VadSettings(gate_db=0.0))
    assert sum(map(len, loose.gated)) < RATE
    refused = mask_of(list(strict.gated), len(call)) | mask_of(strict.segments, len(call))
    assert refused[mask_of(loose.segments, len(call))].mean() > 0.99
    assert not (mask_of(list(strict.gated), len(call)) & mask_of(strict.segments, len(call))).any()
    assert detect(Audio(np.zeros(3 * RATE), RATE), VadSettings()).gated == ()


def test_on_real_meetings(speech: Path) -> None:
    hits = said = alarms = silence = 0
    for file in sorted((speech / "meeting").glob("*.flac")):
        audio = read(file)
        truth = np.zeros(len(audio), dtype=bool)
        for line in file.with_suffix(".rttm").read_text().splitlines():
            start, length = (float(field) for field in line.split()[3:5])
            truth[round(start * RATE) : round((start + length) * RATE)] = True
        found = mask_of(find_speech(audio), len(audio))
        hits += int((found & truth).sum())
        said += int(truth.sum())
        alarms += int((found & ~truth).sum())
        silence += int((~truth).sum())
    assert hits / said >= 0.94
    assert alarms / silence <= 0.28


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=12),
    st.integers(0, 40),
    st.integers(0, 9),
)
def test_join_keeps_the_order_and_covers_all_segments(
    pairs: list[tuple[int, int]], gap: int, pad: int
) -> None:
    mask = np.zeros(300, dtype=bool)
    for start, length in pairs:
        mask[start : start + length] = True
    from deident.audio import segments_of

    segments = segments_of(mask)
    out = join(segments, gap, pad=pad, stop=300)
    assert all(b.start - a.stop >= max(gap, 1) for a, b in itertools.pairwise(out))
    assert all(any(o.start <= s.start and s.stop <= o.stop for o in out) for s in segments)
    assert all(o.start >= 0 and o.stop <= 300 for o in out)


def test_a_custom_detector_returns_masks_or_pairs() -> None:
    audio = Audio(np.zeros(1_000), RATE)
    half = np.arange(10) < 5
    assert run_detector(lambda samples, rate: half, audio) == [Segment(0, 500)]
    assert run_detector(lambda samples, rate: [(200, 300), (0, 100)], audio) == [
        Segment(0, 100),
        Segment(200, 300),
    ]
    assert run_detector(lambda samples, rate: [(0, 100), (50, 2_000)], audio) == [Segment(0, 1_000)]
    for wrong in (3, [(5,)], [("a", "b")], np.zeros(2_000, bool), [(9, 3)]):
        with pytest.raises(SettingError):
            run_detector(lambda samples, rate, wrong=wrong: wrong, audio)  # type: ignore[misc]


@pytest.mark.parametrize("bad", [{"aggressiveness": 4}, {"gate_db": -1}, {"padding_seconds": 6}])
def test_settings_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(bad))):
        VadSettings(**bad)  # type: ignore[arg-type]


def bursts(lengths: list[float], pauses: list[float]) -> Audio:
    """Noise bursts with silence between."""
    parts = []
    for length, pause in zip(lengths, pauses, strict=True):
        parts += [
            RNG.standard_normal(round(length * RATE)) * 0.1,
            RNG.standard_normal(round(pause * RATE)) * 1e-4,
        ]
    return Audio(np.concatenate(parts), RATE)


def test_long_speech_is_divided_at_pauses(recordings: Path) -> None:
    audio = read(recordings / "reading.mp3")
    whole = Segment(0, len(audio))
    cuts = cut(audio, [whole])
    kept = [c.segment for c in cuts if c.dropped is None]
    assert len(kept) >= 3
    assert all(len(s) < 10 * RATE for s in kept)
    assert sum(map(len, kept)) > 0.9 * len(audio)
    energy = frame_level_db(audio.mono)
    loud = np.percentile(energy, 60)
    for segment in kept[:-1]:
        assert energy[segment.stop // 160 - 1] < loud - 15  # divided in a pause, not in a word


def test_speech_without_a_pause_is_dropped_or_split() -> None:
    audio = Audio(RNG.standard_normal(25 * RATE) * 0.1, RATE)
    whole = [Segment(0, len(audio))]
    assert [c.dropped for c in cut(audio, whole)] == ["over_limit"]
    parts = [c.segment for c in cut(audio, whole, CuttingSettings(over_limit="split"))]
    assert parts[0].start == 0
    assert parts[-1].stop == len(audio)
    assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
    assert all(len(p) < 10 * RATE for p in parts)


def test_split_cuts_where_speech_is_quietest() -> None:
    samples = RNG.standard_normal(15 * RATE) * 0.1
    samples[round(8.5 * RATE) : round(8.6 * RATE)] *= 0.01
    first = split_at_quiet(Audio(samples, RATE), Segment(0, 15 * RATE), 10 * RATE - 1)[0]
    assert 8.5 * RATE <= first.stop <= 8.6 * RATE


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.1, 30), min_size=1, max_size=4),
    st.floats(0.6, 12),
    st.sampled_from(["drop", "split"]),
    st.floats(1.0, 1.3),
)
def test_every_snippet_is_shorter_than_the_limit(
    lengths: list[float], limit: float, over: str, stretch: float
) -> None:
    audio = bursts(lengths, [0.4] * len(lengths))
    edges = np.cumsum([0, *(round(v * RATE) + round(0.4 * RATE) for v in lengths)])
    segments = [Segment(int(a), int(a) + round(v * RATE)) for a, v in zip(edges, lengths, strict=False)]
    cutting = CuttingSettings(max_seconds=limit, min_seconds=0.3, over_limit=over)  # type: ignore[arg-type]
    cuts = cut(audio, segments, cutting, stretch=stretch)
    for found in cuts:
        if found.dropped is None:
            assert len(found.segment) * stretch < limit * RATE
            assert len(found.segment) >= 0.3 * RATE
    total = np.zeros(len(audio), dtype=int)
    for found in cuts:
        total[found.segment.start : found.segment.stop] += 1
    assert total.max() <= 1  # no speech in two snippets


def test_the_limit_is_strict() -> None:
    audio = Audio(RNG.standard_normal(12 * RATE) * 0.1, RATE)
    assert cut(audio, [Segment(0, 10 * RATE)])[0].dropped == "over_limit"
    assert cut(audio, [Segment(0, 10 * RATE - 1)])[0].dropped is None
    assert cut(audio, [Segment(0, round(0.3 * RATE) - 1)])[0].dropped == "too_short"


@pytest.mark.parametrize("size", [1, 2, 3, 20, 21, 2_999])
@pytest.mark.parametrize("percent", [90, 95])
def test_a_percentile_lies_between_the_ranks(size: int, percent: int) -> None:
    values = np.random.default_rng(size).normal(-50.0, 20.0, size).astype(np.float32)
    assert vad._percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)), abs=1e-4)
