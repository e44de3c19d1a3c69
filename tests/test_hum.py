"""Detection and removal of mains hum, without harm to speech."""

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise.naming import disguise_named
from deident.dsp.hum import find_hum, remove_hum, subtract_harmonics
from deident.keys import Key
from deident.pipeline import deidentify
from deident.policy import Policy
from tests import voices

HUM = {1: 1.0, 2: 0.5, 3: 0.7, 5: 0.3, 7: 0.2, 10: 0.1}  # harmonic: amplitude
RNG = np.random.default_rng(5)


def hum(seconds: float, mains: float, level: float = 0.01) -> np.ndarray:
    """Make (samples,) of the lines of `HUM`, with a grid's drift of a few thousandths of a hertz."""
    time = np.arange(round(seconds * RATE)) / RATE
    cycles = mains * time + 0.02 * np.sin(2 * np.pi * time / 40.0)
    parts = [a * np.cos(2 * np.pi * k * cycles + k) for k, a in HUM.items()]
    return (level * np.sum(parts, axis=0)).astype(np.float32)


def talk(seconds: float, noise: float = 0.001) -> np.ndarray:
    """(samples,) words of a second with pauses between, over a little noise."""
    out = (noise * RNG.standard_normal(round(seconds * RATE))).astype(np.float32)
    for number, start in enumerate(range(RATE // 2, out.size - 2 * RATE, 5 * RATE // 2)):
        out[start : start + 2 * RATE] += voices.speech(seconds=2.0, seed=number)[: 2 * RATE]
    return out


def excess_db(samples: np.ndarray, frequency: float) -> float:
    """Measure the level of a line above its neighbourhood of 3 Hz on either side."""
    window = np.hanning(samples.size)
    power = np.abs(np.fft.rfft(samples * window, 2 * samples.size)) ** 2
    step = RATE / (2 * samples.size)
    middle, near, far = (round(f / step) for f in (frequency, 0.5, 3.0))
    inside = power[middle - near // 4 : middle + near // 4 + 1].max()
    around = np.concatenate((power[middle - far : middle - near], power[middle + near : middle + far]))
    return float(10 * np.log10(inside / around.mean()))


@pytest.mark.parametrize("mains", [49.55, 49.8, 50.03, 50.45, 59.98, 60.2, 60.45])
@pytest.mark.parametrize("seconds", [6.0, 20.0])
def test_hum_is_detected_and_removed(mains: float, seconds: float) -> None:
    noise = (0.003 * RNG.standard_normal(round(seconds * RATE))).astype(np.float32)
    sound = noise + hum(seconds, mains)
    assert find_hum(sound) == pytest.approx(mains, abs=0.06 / seconds + 0.005)
    assert find_hum(noise) is None
    out = remove_hum(sound)
    for harmonic in HUM:
        assert excess_db(sound, harmonic * mains) > 15
        assert excess_db(out, harmonic * mains) < 9  # the most that chance makes of some dozens of bins
    assert np.std(out - noise) < 0.25 * np.std(noise)


@pytest.mark.parametrize(("mains", "harmonic"), [(50.0, 30), (49.9, 46), (60.05, 38)])
def test_harmonics_up_to_those_of_speech_are_removed(mains: float, harmonic: int) -> None:
    time = np.arange(10 * RATE) / RATE
    line = 0.002 * np.cos(2 * np.pi * harmonic * mains * time)
    sound = (hum(10.0, mains) + line + 0.003 * RNG.standard_normal(time.size)).astype(np.float32)
    assert excess_db(sound, harmonic * mains) > 15
    assert excess_db(remove_hum(sound), harmonic * mains) < 9


@pytest.mark.parametrize("mains", [50.0, 50.3, 60.0])
def test_a_second_is_the_least_in_which_hum_is_told_from_a_creaky_voice(mains: float) -> None:
    creak = voices.pulses(mains, RATE)
    assert find_hum(creak[: RATE - 160]) is None
    assert find_hum(creak) == pytest.approx(mains, abs=0.1)


def test_hum_is_removed_beside_a_range_that_was_muted() -> None:
    """Zeros tell nothing of the hum."""
    for seconds in (1.0, 2.0, 3.0):
        noise = (0.003 * RNG.standard_normal(10 * RATE)).astype(np.float32)
        sound = noise + hum(10.0, 50.03)
        muted = slice(4 * RATE, round((4.0 + seconds) * RATE))
        sound[muted] = 0.0
        left = remove_hum(sound) - noise
        for beside in (slice(muted.start - RATE, muted.start), slice(muted.stop, muted.stop + RATE)):
            assert np.std(left[beside]) < 0.5 * np.std(noise)


def test_sound_without_hum_is_unchanged() -> None:
    for sound in (talk(20.0), np.zeros(RATE, np.float32), talk(20.0)[:100], np.zeros(0, np.float32)):
        assert remove_hum(sound) is sound


def test_speech_survives_hum_removal() -> None:
    speech = talk(30.0)
    out = remove_hum(speech + hum(30.0, 50.03))
    assert np.std(out - speech) < 0.05 * np.std(hum(30.0, 50.03))
    assert np.std(subtract_harmonics(speech, 50.03) - speech) < 0.01 * np.std(speech)


def test_a_run_removes_hum_before_the_disguise(monkeypatch: pytest.MonkeyPatch) -> None:
    """McAdams moves formants and keeps lines, so hum would survive the disguise."""
    recording = Audio(talk(12.0) + hum(12.0, 50.03, 0.02), RATE)

    def released() -> list[np.ndarray]:
        policy = Policy(disguise=disguise_named("mcadams"))
        return [s.samples for s in deidentify(recording, policy, key=Key(bytes(32)))]  # the same draws

    taken_out = released()
    monkeypatch.setattr("deident.segmentation.streaming.remove_hum", lambda samples: samples)
    left_in = released()
    assert len(taken_out) == len(left_in) > 0

    def lines(snippets: list[np.ndarray]) -> float:
        spectrum = [np.abs(np.fft.rfft(s * np.hanning(s.size), 1 << 18)) ** 2 for s in snippets]
        band = np.mean([s / s.sum() for s in spectrum], axis=0)[
            round(20 * (1 << 18) / RATE) : round(90 * (1 << 18) / RATE)
        ]
        return float(band.max())

    assert lines(taken_out) < 0.2 * lines(left_in)
