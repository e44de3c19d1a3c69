"""Limits within which signalling tones are found: shares of the power, twists, levels, overtones, and bands."""

import numpy as np
import pytest

from deident.audio import RATE
from deident.dsp.short_tones import HOWL_HZ
from deident.dsp.tones import find_tones
from tests.test_tones import sines

Tones = tuple[tuple[float, float], ...]  # Hz and amplitude


def is_found(tone: np.ndarray) -> bool:
    """Tell that more than half of a tone is found in silence, and raise where only less is."""
    silence = np.zeros(RATE // 2)
    found = find_tones(np.concatenate([silence, tone, silence]).astype(np.float32))
    assert not found or sum(map(len, found)) > tone.size // 2
    return bool(found)


def beside(tones: Tones, share: float, other_hz: float) -> Tones:
    """Add a tone that leaves the others a share of the power."""
    power = sum(level**2 for _, level in tones)
    return (*tones, (other_hz, (power * (1.0 / share - 1.0)) ** 0.5))


PAIRS = {  # of each code, and of pulses: two tones, seconds, least share, most twist
    "keypad": ((697.0, 1_477.0), 0.06, 0.7, 12.0), "MF": ((1_100.0, 1_700.0), 0.06, 0.8, 8.0),
    "R2 forward": ((1_380.0, 1_860.0), 0.06, 0.8, 8.0), "R2 backward": ((540.0, 900.0), 0.06, 0.95, 8.0),
    "CAS": ((2_130.0, 2_750.0), 0.06, 0.8, 8.0), "stutter": ((350.0, 440.0), 0.12, 0.95, 8.0),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_has_a_share_of_the_power(name: str) -> None:
    (low, high), seconds, share, _ = PAIRS[name]
    pair = (low, 0.1), (high, 0.1)
    more, less = share + 0.25 * (1.0 - share), share - 0.25 * (1.0 - share)
    assert is_found(sines(seconds, *beside(pair, more, 3_000.0)))
    assert not is_found(sines(seconds, *beside(pair, less, 3_000.0)))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("louder", [0, 1])
def test_neither_tone_of_a_pair_is_much_louder(name: str, louder: int) -> None:
    hz, seconds, _, twist_db = PAIRS[name]

    def twisted(by_db: float) -> np.ndarray:
        levels = [0.1, 0.1]
        levels[1 - louder] *= 10.0 ** (-by_db / 20.0)
        return sines(seconds, *zip(hz, levels, strict=True))

    assert is_found(twisted(twist_db - 1.0))
    assert not is_found(twisted(twist_db + 1.5))


@pytest.mark.parametrize("hz", [(697.0, 1_446.0), (770.0, 1_367.0), (941.0, 1_664.0)])
def test_a_key_whose_tone_is_thirty_hertz_off_is_none(hz: tuple[float, float]) -> None:
    assert not is_found(sines(0.06, *((one, 0.1) for one in hz)))


@pytest.mark.parametrize("pair", [(2_130.0, 2_750.0), (2_400.0, 2_600.0), (2_130.0, 2_600.0)])
def test_high_pairs_are_found_above_a_low_tone(pair: tuple[float, float]) -> None:
    """High tones are weak in the sums of samples that choose what is looked at closely."""
    assert is_found(sines(0.06, *beside(tuple((hz, 0.1) for hz in pair), 0.84, 300.0)))


@pytest.mark.parametrize(
    ("levels", "share", "found"),
    [
        ((1.0, 1.0, 1.0, 1.0), 0.85, True), ((1.0, 1.0, 1.0, 1.0), 0.76, False),
        ((1.0, 1.0, 1.0, 0.38), 1.0, True), ((1.0, 1.0, 1.0, 0.24), 1.0, False),
        ((0.38, 1.0, 1.0, 1.0), 1.0, True), ((0.24, 1.0, 1.0, 1.0), 1.0, False),
    ],
)  # fmt: skip
def test_a_howl_has_all_its_tones_and_hardly_more(
    levels: tuple[float, ...], share: float, found: bool
) -> None:
    tones = tuple((hz, 0.1 * level) for hz, level in zip(HOWL_HZ, levels, strict=True))
    assert is_found(sines(0.1, *(tones if share == 1.0 else beside(tones, share, 300.0)))) == found


@pytest.mark.parametrize("harmonic", [2, 3, 4])
@pytest.mark.parametrize(("hz", "seconds"), [(400.0, 0.12), (500.0, 0.5)])
def test_a_tone_that_comes_alone_has_hardly_an_overtone(hz: float, seconds: float, harmonic: int) -> None:
    for overtone_db, found in ((-44.0, True), (-36.0, False)):
        overtone = (harmonic * hz, 0.1 * 10.0 ** (overtone_db / 20.0))
        assert is_found(sines(seconds, (hz, 0.1), overtone)) == found


@pytest.mark.parametrize(
    ("hz", "seconds", "level", "share"),
    [
        ((697.0, 1_477.0), 0.06, 1.63e-4, 0.375), ((350.0, 440.0), 0.12, 1.63e-4, 0.375),
        (HOWL_HZ, 0.1, 1.15e-4, 0.375), ((480.0, 620.0), 0.5, 1e-4, 1.0), ((1_800.0,), 0.5, 1.41e-4, 1.0),
    ],
)  # fmt: skip
def test_tones_under_80_db_are_silence(
    hz: tuple[float, ...], seconds: float, level: float, share: float
) -> None:
    assert len(hz) * level**2 / 2 * share == pytest.approx(1e-8, rel=0.02)  # the power in a window
    for factor, found in ((1.25, True), (0.8, False)):
        assert is_found(sines(seconds, *((one, factor * level) for one in hz))) == found


@pytest.mark.parametrize("tones", [(480.0, 620.0), (440.0, 480.0), (620.0, 1_400.0)])
def test_steady_tones_are_hardly_anything_else(tones: tuple[float, float]) -> None:
    pair = tuple((hz, 0.1) for hz in tones)
    assert is_found(sines(0.5, *beside(pair, 0.99, 1_900.0)))
    assert not is_found(sines(0.5, *beside(pair, 0.978, 1_900.0)))


@pytest.mark.parametrize("tones", [(480.0, 620.0), (560.0, 640.0), (620.0, 800.0)])
def test_the_level_of_steady_tones_hardly_changes(tones: tuple[float, float]) -> None:
    decay = np.arange(RATE) / RATE / 0.15  # in parts of 50 ms, from the first of 200 ms to the last
    for ratio, found in ((1.45, True), (1.9, False)):
        assert is_found(sines(1.0, *((hz, 0.1) for hz in tones)) * ratio ** (-decay / 2)) == found


@pytest.mark.parametrize("hz", [(620.0, 560.0), (560.0, 640.0), (640.0, 820.0)])
def test_the_weaker_of_two_steady_tones_is_less_than_17_db_under_the_other(hz: tuple[float, float]) -> None:
    for under_db, found in ((16.0, True), (18.5, False)):
        assert is_found(sines(0.5, (hz[0], 0.1), (hz[1], 0.1 * 10.0 ** (-under_db / 20.0)))) == found


@pytest.mark.parametrize(
    ("hz", "found"),
    [
        ((200.0, 330.0), False), ((250.0, 640.0), False), ((280.0, 410.0), False), ((320.0, 470.0), True),
        ((450.0, 600.0), False), ((400.0, 600.0), False), ((350.0, 700.0), False), ((320.0, 960.0), False),
        ((350.0, 1_400.0), False), ((450.0, 604.2), False), ((450.0, 609.0), True),
    ],
)  # fmt: skip
def test_low_tones_and_harmonics_are_no_pair(hz: tuple[float, float], found: bool) -> None:
    assert is_found(sines(0.5, *((one, 0.1) for one in hz))) == found


@pytest.mark.parametrize(
    ("hz", "found"),
    [
        (400.0, True), (425.0, True), (440.0, True), (450.0, True), (500.0, True),
        (415.0, False), (433.0, False), (460.0, False), (508.0, False),
    ],
)  # fmt: skip
def test_tones_that_come_alone_are_found_in_noise_of_the_line(hz: float, found: bool) -> None:
    """There the octave above is not clear enough to be taken for that of a modulated tone."""
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(RATE))
    band = np.fft.rfftfreq(RATE, 1 / RATE)
    noise = np.fft.irfft(spectrum * ((band > 300.0) & (band < 3_400.0)), RATE)
    tone = sines(1.0, (hz, 0.1))
    assert is_found(tone + noise * (tone.std() / noise.std() * 10.0 ** (-21.0 / 20.0))) == found


@pytest.mark.parametrize(("hz", "found"), [(400.0, True), (450.0, True), (250.0, False), (600.0, False)])
def test_modulated_tones_are_in_a_band_with_a_clear_octave(hz: float, found: bool) -> None:
    modulated = sines(1.0, (hz, 0.1)) * (1.0 + 0.8 * sines(1.0, (25.0, 1.0)))
    assert is_found(modulated) == found
    for octave_db in (-37.0, -31.0):
        octave = sines(1.0, (2.0 * hz, 0.115 * 10.0 ** (octave_db / 20.0)))
        assert is_found(modulated + octave) == (found and octave_db < -34.0)


@pytest.mark.parametrize(
    ("hz", "found"), [(700.0, False), (800.0, True), (900.0, True), (3_850.0, True), (4_300.0, False)]
)
def test_a_shifted_tone_is_in_the_band_of_a_line(hz: float, found: bool) -> None:
    assert is_found(sines(0.5, (hz, 0.1))) == found


@pytest.mark.parametrize("hz", [1_000.0, 1_800.0, 2_600.0])
def test_a_shifted_tone_is_nearly_all_and_even(hz: float) -> None:
    for share, found in ((0.965, True), (0.93, False)):
        assert is_found(sines(0.15, *beside(((hz, 0.1),), share, 250.0))) == found
    for other, found in ((0.14, True), (0.21, False)):  # beats are even over 2.5 ms
        assert is_found(sines(0.15, (hz, 0.1), (hz + 800.0, other * 0.1))) == found
    for depth, found in ((0.08, True), (0.14, False)):
        assert is_found(sines(0.15, (hz, 0.1)) * (1.0 + depth * sines(0.15, (30.0, 1.0)))) == found


@pytest.mark.parametrize("hz", [1_000.0, 1_800.0, 2_600.0])
def test_a_tone_of_less_than_a_tenth_of_a_second_is_no_beep(hz: float) -> None:
    assert not is_found(sines(0.07, (hz, 0.1)))
    assert is_found(sines(0.12, (hz, 0.1)))


@pytest.mark.parametrize(("share", "found"), [(0.93, True), (0.86, False)])
def test_an_answer_is_most_of_the_power(share: float, found: bool) -> None:
    turned = np.where(np.arange(2 * RATE) // round(0.45 * RATE) % 2, -1.0, 1.0)
    tone = sines(2.0, (2_100.0, 0.1)) * (1.0 + 0.2 * sines(2.0, (15.0, 1.0))) * turned
    other = tone.std() * (2.0 * (1.0 / share - 1.0)) ** 0.5
    assert is_found(tone + sines(2.0, (250.0, other))) == found
