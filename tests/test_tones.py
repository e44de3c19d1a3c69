"""Signalling tones are found exactly, muted by default, and speech and singing are not taken for them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deident import Policy
from deident.audio import RATE, Audio, Segment, mask_of
from deident.codec import read
from deident.dsp.short_tones import BACKWARD_HZ, FORWARD_HZ, HIGH_HZ, HOWL_HZ, LOW_HZ, MF_HZ
from deident.dsp.tones import find_tones
from deident.pipeline import deidentify
from deident.recording import Tally
from deident.segmentation.mute import MuteSettings
from tests.methods import Sine
from tests.voices import CHILD, MAN, VOWELS, WOMAN, Speaker, speech, telephone, vowel

KEYS = "123A456B789C*0#D"


def sines(seconds: float, *tones: tuple[float, float]) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(level * np.sin(2 * np.pi * hz * time) for hz, level in tones)  # type: ignore[return-value]


def dial(keys: str, on: float = 0.12, off: float = 0.1, level: float = 0.2, twist_db: float = 0.0,
         deviation: float = 1.0) -> tuple[np.ndarray, list[Segment]]:  # fmt: skip
    """Make the tones of keys, half a second after the start, and their segments."""
    parts, places, at = [np.zeros(RATE // 2)], [], RATE // 2
    for key in keys:
        row, column = divmod(KEYS.index(key), 4)
        quiet = level * 10 ** (-twist_db / 20)
        tone = sines(on, (LOW_HZ[row] * deviation, quiet), (HIGH_HZ[column] * deviation, level))
        places.append(Segment(at, at + tone.size))
        parts += [tone, np.zeros(round(off * RATE))]
        at += tone.size + round(off * RATE)
    return np.concatenate([*parts, np.zeros(RATE // 2)]), places


def least_share(samples: np.ndarray, places: list[Segment], noise: float = 1e-3) -> float:
    """Find the tone of which the smallest share is found."""
    noisy = samples + noise * np.random.default_rng(1).standard_normal(samples.size)
    found = mask_of(find_tones(noisy.astype(np.float32)), samples.size)
    return min(float(found[place.start : place.stop].mean()) for place in places)


@pytest.mark.parametrize(
    "how",
    [
        {}, {"on": 0.04, "off": 0.04}, {"on": 0.05, "off": 0.05}, {"twist_db": 8.0}, {"twist_db": -8.0},
        {"deviation": 1.015}, {"deviation": 0.985}, {"level": 0.003},
    ],
)  # fmt: skip
def test_every_key_is_found_to_its_ends(how: dict[str, float]) -> None:
    assert least_share(*dial(KEYS, **how), noise=1e-4) == 1.0


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_keys_are_found_in_noise(noise: float) -> None:
    assert least_share(*dial(KEYS), noise=noise) == 1.0


def digits(code: tuple[float, ...], on: float = 0.068, off: float = 0.068, level: float = 0.2, twist_db: float = 0.0,
           deviation: float = 1.0) -> tuple[np.ndarray, list[Segment]]:  # fmt: skip
    """Make each pair of the tones of a code, half a second after the start, and their segments."""
    parts, places, at = [np.zeros(RATE // 2)], [], RATE // 2
    for low, high in itertools.combinations(code, 2):
        tone = sines(on, (low * deviation, level * 10 ** (-twist_db / 20)), (high * deviation, level))
        places.append(Segment(at, at + tone.size))
        parts += [tone, np.zeros(round(off * RATE))]
        at += tone.size + round(off * RATE)
    return np.concatenate([*parts, np.zeros(RATE // 2)]), places


@pytest.mark.parametrize("code", [MF_HZ, FORWARD_HZ, BACKWARD_HZ])
@pytest.mark.parametrize(
    "how",
    [
        {}, {"on": 0.055}, {"on": 0.12}, {"on": 0.06, "off": 0.04}, {"twist_db": 6.0}, {"twist_db": -6.0},
        {"deviation": 1.007}, {"deviation": 0.993}, {"level": 0.003},
    ],
)  # fmt: skip
def test_digits_between_exchanges_are_found_to_their_ends(
    code: tuple[float, ...], how: dict[str, float]
) -> None:
    assert least_share(*digits(code, **how), noise=1e-4) == 1.0


@pytest.mark.parametrize("code", [MF_HZ, FORWARD_HZ])
@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_digits_between_exchanges_are_found_in_noise(code: tuple[float, ...], noise: float) -> None:
    assert least_share(*digits(code), noise=noise) == 1.0


@pytest.mark.parametrize(
    ("tones", "seconds"),
    [
        ((440, 480), 2.0), ((480, 620), 0.5), ((480, 620), 0.25), ((350, 440), 1.0), ((400, 450), 0.4),
        ((425,), 1.0), ((425,), 0.25), ((950,), 0.33), ((1400,), 0.33), ((913.8,), 0.27), ((985.2,), 0.38),
        ((1370.6,), 0.27), ((1428.5,), 0.38), ((1776.7,), 0.38), ((440,), 0.3), ((1100,), 0.5),
        ((400, 425, 450), 0.4),
    ],
)  # fmt: skip
def test_call_progress_tones_are_found(tones: tuple[float, ...], seconds: float) -> None:
    tone = sines(seconds, *((hz, 0.1) for hz in tones))
    samples = np.concatenate([np.zeros(RATE // 2), tone, np.zeros(RATE // 2)])
    assert least_share(samples, [Segment(RATE // 2, RATE // 2 + tone.size)]) > 0.95


@pytest.mark.parametrize("noise", [1e-4, 3e-3])
@pytest.mark.parametrize(
    ("hz", "beat_hz", "seconds"),
    [(400, 16, 1.0), (400, 20, 1.0), (400, 25, 0.4), (425, 25, 0.4), (450, 25, 0.4)],
)
def test_modulated_ringback_tones_are_found(hz: float, beat_hz: float, seconds: float, noise: float) -> None:
    """As in Japan, India and Australia."""
    tone = sines(seconds, (hz, 0.1)) * (1.0 + 0.8 * sines(seconds, (beat_hz, 1.0))) / 1.8
    samples = np.concatenate([np.zeros(RATE // 2), tone, np.zeros(RATE // 2)])
    assert least_share(samples, [Segment(RATE // 2, RATE // 2 + tone.size)], noise) > 0.9


@pytest.mark.parametrize("f0_hz", [90.0, 150.0, 210.0, 300.0, 400.0, 425.0, 440.0, 450.0, 600.0])
@pytest.mark.parametrize("name", VOWELS)
def test_sung_vowels_are_not_tones(name: str, f0_hz: float) -> None:
    for tract in (1.0, 1.17, 1.35):
        assert find_tones(np.asarray(vowel(name, f0_hz, 1.0, tract), np.float32)) == []


@pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD])
def test_synthetic_speech_holds_no_tones(speaker: Speaker) -> None:
    assert find_tones(speech(speaker, 10.0)) == []


def test_real_speech_holds_no_tones(speech: Path) -> None:
    found = total = 0
    for file in (*sorted((speech / "verify").rglob("*.flac"))[::4], *(speech / "meeting").glob("*.flac")):
        samples = read(file).mono
        found += sum(map(len, find_tones(samples)))
        total += samples.size
    assert found < 1e-4 * total


def test_a_flute_that_is_no_signal_stays() -> None:
    assert find_tones(sines(2.0, (523.25, 0.1), (1_046.5, 0.02), (1_569.75, 0.004)).astype(np.float32)) == []


def spoken_number(recordings: Path) -> Audio:
    """Put keys between two sentences."""
    sentence = read(recordings / "reading.mp3").mono[: 3 * RATE]
    samples = np.concatenate([sentence, dial("4929123456780")[0], sentence])
    return Audio(samples + 1e-4 * np.random.default_rng(2).standard_normal(samples.size), RATE)


class Keep(Sine):
    """Keeps what it is given."""

    received: list[np.ndarray] = []  # noqa: RUF012

    def apply(self, audio, voice, rng):  # type: ignore[no-untyped-def]
        Keep.received.append(audio.mono)
        return super().apply(audio, voice, rng)


@pytest.mark.parametrize("given", [False, True])
def test_keypad_tones_do_not_reach_the_disguise(recordings: Path, given: bool) -> None:
    audio = spoken_number(recordings)
    segments = [Segment(0, len(audio))] if given else None
    for setting in ("mute", "keep"):
        Keep.received.clear()
        tally = Tally()
        policy = Policy(disguise=Keep(), mute=MuteSettings(tones=setting))  # type: ignore[arg-type]
        assert list(deidentify(audio, policy, segments=segments, tally=tally))
        spectrum = np.abs(np.fft.rfft(np.concatenate(Keep.received))) ** 2
        hz = np.fft.rfftfreq(2 * (len(spectrum) - 1), 1 / RATE)
        tone = spectrum[np.abs(hz - HIGH_HZ[0]) < 2].sum() / spectrum.sum()
        assert (tone > 0.01) == (setting == "keep")
        if not given:
            lost = tally.dropped_seconds.get("tones", 0.0)
            assert lost == pytest.approx(2.8 if setting == "mute" else 0.0, abs=0.5)
            assert tally.speech_seconds == pytest.approx(
                tally.released_seconds + sum(tally.dropped_seconds.values()) + tally.shortened_seconds
            )


@pytest.mark.parametrize(
    ("tones", "on", "off"),
    [((440, 480), 2.0, 4.0), ((480, 620), 0.5, 0.5), ((400, 450), 0.4, 0.2), ((425,), 1.0, 4.0)],
)
def test_no_ringback_or_busy_tone_is_released(tones: tuple[float, ...], on: float, off: float) -> None:
    """480 Hz is a harmonic of hum at 60 Hz, which is taken out, and what is left was speech."""
    one = np.concatenate([sines(on, *((hz, 0.2) for hz in tones)), np.zeros(round(off * RATE))])
    samples = np.tile(one, round(20.0 / (on + off))).astype(np.float32)
    tally = Tally()
    assert list(deidentify((samples, RATE), Policy(disguise=Sine()), tally=tally)) == []
    assert not tally.speech_seconds or "tones" in tally.dropped_seconds


def test_no_information_tone_is_released() -> None:
    """Three tones in a row, those of North America."""
    for three in ((913.8, 1370.6, 1776.7), (985.2, 1428.5, 1776.7), (950.0, 1400.0, 1800.0)):
        one = np.concatenate([*(sines(0.33, (hz, 0.3)) for hz in three), np.zeros(RATE)])
        samples = np.tile(one, 8).astype(np.float32)
        assert list(deidentify((samples, RATE), Policy(disguise=Sine()))) == []


@pytest.mark.parametrize("seed", range(3))
def test_segments_are_looked_at_on_their_own(seed: int) -> None:
    """Together they give what each one gives alone: no frame spans two, and no margin reaches the next."""
    rng = np.random.default_rng(seed)
    tone = sines(0.4, (440.0, 0.1), (480.0, 0.1))
    keys = dial("".join(rng.choice(list(KEYS), 6)), off=0.06)[0]
    samples = np.concatenate([keys, tone, speech(WOMAN, 1.0), tone, keys, np.zeros(RATE)]).astype(np.float32)
    cuts = np.sort(rng.choice(samples.size - RATE, 12, replace=False))
    segments = [Segment(int(a), int(b)) for a, b in itertools.pairwise(cuts)]
    segments += [
        Segment(segments[-1].stop, segments[-1].stop + 1),
        Segment(samples.size - RATE // 2, samples.size),
    ]
    alone = [tone.shift(s.start) for s in segments for tone in find_tones(samples[s.start : s.stop])]
    assert find_tones(samples, segments) == alone
    assert find_tones(samples, []) == find_tones(samples[:0]) == []
    assert sum(map(len, alone)) > RATE // 4


def answer(seconds: float, hz: float = 2_100.0, modulated: float = 0.0, turned: bool = False) -> np.ndarray:
    """Make the answer tone of a fax or modem; V.25 turns its phase every 450 ms, V.8 modulates it at 15 Hz."""
    turns = np.where(np.arange(round(seconds * RATE)) // round(0.45 * RATE) % 2, -1.0, 1.0)
    tone = sines(seconds, (hz, 0.2)) * (1.0 + modulated * sines(seconds, (15.0, 1.0)))
    return tone * turns if turned else tone


@pytest.mark.parametrize("noise", [1e-4, 0.02])
@pytest.mark.parametrize(
    "tone",
    [
        answer(3.0), answer(2.6, 2_085.0), answer(4.0, 2_115.0), answer(3.3, turned=True),
        answer(4.0, modulated=0.2), answer(5.0, modulated=0.2, turned=True),
    ],
)  # fmt: skip
def test_the_answer_of_a_fax_is_not_released(tone: np.ndarray, noise: float) -> None:
    samples = np.concatenate([np.zeros(RATE), tone, np.zeros(RATE)])
    assert least_share(samples, [Segment(RATE, RATE + tone.size)], noise) > 0.9
    noisy = samples + noise * np.random.default_rng(3).standard_normal(samples.size)
    assert list(deidentify((noisy.astype(np.float32), RATE), Policy(disguise=Sine()))) == []


@pytest.mark.parametrize("levels", [(1.0, 1.0, 1.0, 1.0), (1.0, 0.7, 0.5, 0.5), (0.5, 1.0, 1.0, 0.7)])
@pytest.mark.parametrize("seconds", [2.0, 15.0])
def test_the_howl_of_a_receiver_off_the_hook_is_not_released(
    levels: tuple[float, ...], seconds: float
) -> None:
    tone = sines(seconds, *((hz, 0.15 * level) for hz, level in zip(HOWL_HZ, levels, strict=True)))
    tone *= np.arange(tone.size) // (RATE // 10) % 2 == 0
    samples = np.concatenate([np.zeros(RATE), tone, np.zeros(RATE)])
    samples = (samples + 1e-3 * np.random.default_rng(4).standard_normal(samples.size)).astype(np.float32)
    tally = Tally()
    assert list(deidentify((samples, RATE), Policy(disguise=Sine()), tally=tally)) == []
    assert tally.dropped_seconds["tones"] > 0.9 * seconds


def shifted(zero_hz: float, one_hz: float, baud: float, seconds: float = 2.0, bits: str = "") -> np.ndarray:
    """Shift a tone between two frequencies by bits: random ones, or some that repeat."""
    count = int(seconds * baud) + 1
    given = (
        np.random.default_rng(5).integers(0, 2, count) if not bits else np.resize([*map(int, bits)], count)
    )
    hz = np.where(given[(np.arange(round(seconds * RATE)) * baud / RATE).astype(int)], one_hz, zero_hz)
    return np.asarray(0.1 * np.sin(2 * np.pi * np.cumsum(hz) / RATE))


def sweep(lowest_hz: float, highest_hz: float, period: float, seconds: float = 4.0) -> np.ndarray:
    """Sweep a tone up and down."""
    phase = np.abs(2.0 * (np.arange(round(seconds * RATE)) / RATE / period % 1.0) - 1.0)
    return np.asarray(
        0.1 * np.sin(2 * np.pi * np.cumsum(lowest_hz + (highest_hz - lowest_hz) * phase) / RATE)
    )


MODEMS = {
    "V.21 calls": shifted(1_180, 980, 300), "V.21 answers": shifted(1_850, 1_650, 300),
    "T.30 flags": shifted(1_850, 1_650, 300, bits="01111110"),
    "Bell 103 calls": shifted(1_070, 1_270, 300), "Bell 103 answers": shifted(2_025, 2_225, 300),
    "V.23": shifted(2_100, 1_300, 1_200, 0.5), "Bell 202": shifted(2_200, 1_200, 1_200, 0.5),
    "channel seizure": shifted(2_200, 1_200, 1_200, 0.3, bits="01"),
    "British howler": sweep(800, 3_200, 0.5), "slow howler": sweep(900, 3_000, 1.5), "siren": sweep(800, 1_500, 1.0),
    "1 kHz in the rhythm of Morse code": np.concatenate(
        [sines(on, (1_000.0, 0.1 if n % 2 == 0 else 0.0)) for n, on in enumerate((0.18, 0.06, 0.06, 0.06) * 8)]
    ),
    "beeps of 120 ms": np.tile(np.concatenate([sines(0.12, (1_800.0, 0.1)), np.zeros(RATE // 10)]), 8),
    "Quindar": sines(0.25, (2_525.0, 0.1)), "beep": sines(0.3, (1_000.0, 0.1)), "high beep": sines(0.3, (3_000.0, 0.1)),
}  # fmt: skip


@pytest.mark.parametrize("line", [np.asarray, telephone], ids=["clean", "telephone"])
@pytest.mark.parametrize("noise", [1e-4, 0.01])
@pytest.mark.parametrize("name", MODEMS)
def test_modems_and_sweeping_howlers_are_not_released(
    name: str, noise: float, line: Callable[[np.ndarray], np.ndarray]
) -> None:
    check_is_told(MODEMS[name], noise, line)


def check_is_told(tone: np.ndarray, noise: float, line: Callable[[np.ndarray], np.ndarray]) -> None:
    samples = np.concatenate([np.zeros(RATE), tone, np.zeros(RATE)])
    noisy = line(samples + noise * np.random.default_rng(6).standard_normal(samples.size)).astype(np.float32)
    found = mask_of(find_tones(noisy), noisy.size)
    assert found[RATE : RATE + tone.size][tone != 0.0].mean() > 0.7
    assert not found[: RATE - RATE // 10].any()
    assert not found[RATE + tone.size + RATE // 10 :].any()
    assert list(deidentify((noisy, RATE), Policy(disguise=Sine()))) == []


def pulses(on: float, off: float, count: int, *tones: float) -> np.ndarray:
    """Repeat tones of 0.1 each, and silence after each."""
    one = np.concatenate([sines(on, *((hz, 0.1) for hz in tones)), np.zeros(round(off * RATE))])
    return np.tile(one, count)


PULSES = {
    "stutter dial tone": pulses(0.1, 0.1, 20, 350, 440), "slow stutter": pulses(0.12, 0.13, 10, 350, 440),
    "stutter and dial tone": np.concatenate([pulses(0.1, 0.1, 5, 350, 440), sines(2.0, (350, 0.1), (440, 0.1))]),
    "British call waiting": pulses(0.1, 2.0, 3, 400), "three of 400 Hz": pulses(0.1, 0.1, 3, 400),
    "long beeps of 400 Hz": pulses(0.15, 0.5, 4, 400),
    "CAS": pulses(0.08, 1.0, 3, 2_130, 2_750), "one CAS": pulses(0.085, 0.0, 1, 2_130, 2_750),
    "CAS off by 0.5 %": pulses(0.075, 0.2, 3, 2_119, 2_764),
    "C5 clears": pulses(0.15, 0.1, 3, 2_400, 2_600), "one of C5": pulses(0.1, 0.0, 1, 2_400, 2_600),
    "C5 off by 6 Hz": pulses(0.2, 0.1, 3, 2_394, 2_606),
    "conference": pulses(0.3, 1.0, 3, 500), "long conference beep": pulses(0.5, 0.5, 3, 500),
    "conference beep 4 Hz off": pulses(0.4, 1.0, 2, 504),
}  # fmt: skip


@pytest.mark.parametrize("line", [np.asarray, telephone], ids=["clean", "telephone"])
@pytest.mark.parametrize("noise", [1e-4, 3e-3])
@pytest.mark.parametrize("name", PULSES)
def test_pulses_of_call_progress_tones_are_not_released(
    name: str, noise: float, line: Callable[[np.ndarray], np.ndarray]
) -> None:
    check_is_told(PULSES[name], noise, line)


@pytest.mark.parametrize(
    ("tones", "other"),
    [
        ((350, 440), (790, 0.05)), ((700, 1_500), (3_200, 0.1)), ((1_380, 1_860), (3_200, 0.1)),
        ((540, 900), (3_200, 0.1)), ((2_130, 2_750), (3_300, 0.1)), ((2_400, 2_600), (3_300, 0.1)),
    ],
)  # fmt: skip
def test_two_tones_among_others_are_no_signal(tones: tuple[float, float], other: tuple[float, float]) -> None:
    chord = sines(0.12, *((hz, 0.1) for hz in tones), other)
    assert find_tones(np.concatenate([np.zeros(RATE), chord, np.zeros(RATE)]).astype(np.float32)) == []


@pytest.mark.parametrize("twist_db", [-7.0, 7.0])
@pytest.mark.parametrize("tones", [(350, 440), (2_130, 2_750), (2_400, 2_600)])
def test_pulses_of_unlike_levels_are_found(tones: tuple[float, float], twist_db: float) -> None:
    tone = sines(0.12, (tones[0], 0.1), (tones[1], 0.1 * 10 ** (twist_db / 20)))
    samples = np.concatenate([np.zeros(RATE), tone, np.zeros(RATE)])
    assert least_share(samples, [Segment(RATE, RATE + tone.size)], 1e-4) > 0.9
