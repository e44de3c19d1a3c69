"""The vocoder: many voices to one. Each test states something that a voice merely moved would not do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise.vocoder import Vocoder, VocoderVoice
from deident.disguise.vocoder.analysis import CEPSTRUM, TRACKER, Analysis, analyse
from deident.disguise.vocoder.method import ORDER
from deident.disguise.vocoder.normalisation import (
    normalise_means,
    normalise_spread,
    rewarp,
    tract_ratio,
)
from deident.disguise.vocoder.synthesis import LEVEL
from deident.disguise.vocoder.tables import CENTRES, MEANS, SPREADS
from deident.dsp.level import rms
from deident.dsp.mel import HIGHEST_HZ, MelCepstrum, hertz, mel
from deident.dsp.pitch import PitchTracker
from deident.dsp.ragged import Ragged
from deident.dsp.stft import Stft
from tests.voices import CHILD, MAN, WOMAN, Speaker, speech

METHOD = Vocoder()
EVERYTHING = {"mean": 1.0, "spread": 1.0, "tract_norm": 1.0, "noise": 1.0}
RNG = np.random.default_rng(3)


def voice(seed: int = 1, **changes: object) -> VocoderVoice:
    return dataclasses.replace(METHOD.draw(np.random.default_rng(seed)), **changes)  # type: ignore[arg-type]


def test_channels_keep_one_length_whatever_their_pauses() -> None:
    stereo = np.stack((speech(MAN, 4.0, seed=1)[: 4 * RATE], speech(WOMAN, 9.0, seed=2)[: 4 * RATE]))
    stereo[1, RATE : 3 * RATE] = 0.0
    out = METHOD(stereo, RATE, keep_length=False)
    assert out.shape[0] == 2
    assert 0 < out.shape[1] <= stereo.shape[1]
    assert not out[1, -RATE // 4 :].any()  # the shorter one


def revoiced(samples: np.ndarray, drawn: VocoderVoice | None = None, method: Vocoder = METHOD) -> np.ndarray:
    return method.apply(Audio(samples, RATE), drawn or voice(), np.random.default_rng(0)).mono


def median_hz(samples: np.ndarray) -> float:
    return PitchTracker().track(np.ascontiguousarray(samples)).median_hz


def long_term_db(samples: np.ndarray) -> np.ndarray:
    """(40,) level of each mel band over the loud frames, about its mean."""
    powers = MelCepstrum(Stft()).band_powers(np.ascontiguousarray(samples))
    loud = powers[powers.mean(axis=1) > 0.03 * np.percentile(powers.mean(axis=1), 95)]
    spectrum = 10 * np.log10(loud.mean(axis=0) + 1e-9)
    return spectrum - spectrum.mean()


def distance_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((long_term_db(one) - long_term_db(other)) ** 2)))


@pytest.mark.parametrize("target", [100.0, 150.0, 205.0])
@pytest.mark.parametrize("speaker", [Speaker(75.0), MAN, WOMAN, CHILD], ids=["low", "man", "woman", "child"])
def test_pitch_is_the_drawn_one_whoever_spoke(speaker: Speaker, target: float) -> None:
    out = revoiced(speech(speaker, 4.0, seed=2), voice(f0_hz=target))
    assert abs(12 * np.log2(median_hz(out) / target)) < 1.0


def test_melody_is_pressed_flat() -> None:
    lively = speech(Speaker(120.0), 4.0, seed=5)
    track = PitchTracker().track(np.ascontiguousarray(revoiced(lively, voice(f0_octaves=0.0))))
    octaves = np.log2(track.f0_hz[track.voiced] / track.median_hz)
    assert np.percentile(np.abs(octaves), 80) < 0.08


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("bright", lambda x: x - 0.9 * np.concatenate(([0], x[:-1]))),
        ("dull", lambda x: np.convolve(x, np.hanning(9) / np.hanning(9).sum(), "same")),
        ("boxy", lambda x: x + 0.7 * np.concatenate((np.zeros(20), x[:-20]))),
    ],
)
def test_the_microphone_is_gone(name: str, colour: object) -> None:
    plain = speech(MAN, 5.0, seed=4)
    other = colour(plain).astype(np.float32)  # type: ignore[operator]
    before, after = distance_db(plain, other), distance_db(revoiced(plain), revoiced(other))
    assert before > 2.0
    assert after < 0.4 * before


def test_vocal_tracts_come_together() -> None:
    """The same words from a man's and a child's vocal tract: further apart going in than coming out."""
    one, other = speech(Speaker(120.0, 0.92), 6.0, seed=6), speech(Speaker(120.0, 1.12), 6.0, seed=6)
    assert distance_db(revoiced(one), revoiced(other)) < 0.5 * distance_db(one, other)


def test_nothing_of_the_sources_waveform_is_kept() -> None:
    source = speech(WOMAN, 4.0, seed=7)
    out = revoiced(source)
    spectra = [np.fft.rfft(x, 1 << 17) for x in (source, out)]
    whitened = [s / (np.abs(s) + 1e-6) for s in spectra]
    peak = np.abs(np.fft.irfft(whitened[0] * np.conj(whitened[1]))).max()  # phase alone, at every delay
    assert peak < 0.05
    again = np.abs(np.fft.irfft(whitened[0] * np.conj(spectra[0] / (np.abs(spectra[0]) + 1e-6)))).max()
    assert again > 0.9  # the same measure sees the source itself


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0])
def test_level_does_not_follow_the_source(gain: float) -> None:
    out = revoiced(np.float32(gain) * speech(MAN, 4.0, seed=8))
    frames = out[: out.size // 400 * 400].reshape(-1, 400)
    power = (frames**2).mean(axis=1)
    loud = np.sqrt(power[power > 0.1 * np.percentile(power, 95)].mean())
    assert abs(20 * np.log10(loud / LEVEL)) < 3.0
    reference = revoiced(speech(MAN, 4.0, seed=8))
    assert abs(20 * np.log10(rms(out) / rms(reference))) < 1.0


def test_the_room_between_words_is_replaced() -> None:
    dry = speech(MAN, 4.0, seed=9)
    hum = 0.004 * np.sin(2 * np.pi * 700 * np.arange(dry.size) / RATE)
    drawn = voice()

    def tone(samples: np.ndarray) -> float:
        """Level of 700 Hz over its surroundings in the quietest quarter, dB."""
        frames = samples[: samples.size // 1600 * 1600].reshape(-1, 1600)
        quiet = frames[np.argsort((frames**2).mean(axis=1))[: len(frames) // 4]]
        power = (np.abs(np.fft.rfft(quiet * np.hanning(1600))) ** 2).mean(axis=0)
        return float(10 * np.log10(power[70] / np.median(power[40:100])))

    assert tone(dry + hum) > 15.0
    assert tone(revoiced((dry + hum).astype(np.float32), drawn)) < 6.0


def test_consonants_stay_noise() -> None:
    """A hiss comes out as a hiss, not as a buzz: no period stands out."""
    noise = np.convolve(RNG.standard_normal(RATE), [1, -0.95], "same").astype(np.float32) * 0.1
    padded = np.concatenate((np.zeros(4_000, np.float32), noise, np.zeros(4_000, np.float32)))
    track = PitchTracker().track(np.ascontiguousarray(revoiced(padded)))
    assert track.voiced.mean() < 0.1


def test_pauses_are_cut_short_and_nothing_grows() -> None:
    words = speech(MAN, 2.0, seed=10)
    gap = (1e-4 * RNG.standard_normal(2 * RATE)).astype(np.float32)
    source = np.concatenate((words, gap, words))
    out = revoiced(source, voice(pause_seconds=0.25))
    assert out.size < source.size - RATE
    for seed in range(6):
        assert revoiced(words, voice(seed)).size <= words.size


def test_comfort_noise_is_the_same_whatever_the_room() -> None:
    """Pauses hold a soft noise of our own, as loud after a quiet room as after a noisy one."""
    words, gap = speech(MAN, 1.5, seed=12), RATE
    drawn = voice(pause_seconds=10.0)

    def between(level: float) -> float:
        rest = (level * np.random.default_rng(1).standard_normal(gap)).astype(np.float32)
        out = revoiced(np.concatenate((words, rest, words)), drawn)
        middle = out.size // 2
        return 20 * np.log10(rms(np.ascontiguousarray(out[middle - 2_000 : middle + 2_000])) + 1e-12)

    quiet, noisy = between(1e-4), between(1e-3)  # 20 dB apart going in
    assert -90 < quiet < -45
    assert abs(noisy - quiet) < 3


def test_draws_fill_their_ranges() -> None:
    method = dataclasses.replace(METHOD, tract=(0.9, 1.12))
    drawn = [method.draw(np.random.default_rng(seed)) for seed in range(400)]
    for name in ("f0_hz", "tract", "breath", "f0_octaves", "pause_seconds"):
        low, high = getattr(method, name)
        values = np.array([getattr(v, name) for v in drawn])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    octaves = np.log2([v.f0_hz for v in drawn])
    assert np.median(octaves) == pytest.approx(np.mean(np.log2(METHOD.f0_hz)), abs=0.08)  # evenly in octaves
    assert np.std([v.tilt_db for v in drawn]) == pytest.approx(METHOD.tilt_db, rel=0.2)
    slopes = np.log([np.diff(v.warp, prepend=0.0) for v in drawn])
    against_first = np.std(
        slopes[:, 1:] - slopes[:, :1], axis=0
    )  # their sum is fixed, so only ratios are free
    expected = METHOD.warp * np.hypot(0.5, (1.0, 1.3, 1.3))
    assert against_first == pytest.approx(expected, rel=0.15)


# The erasing, stage by stage


def found(frames: int = 600, spread: float = 1.0) -> tuple[np.ndarray, Analysis]:
    """Cepstra about the common means, and a speech all of whose frames are loud and voiced."""
    moves = spread * RNG.standard_normal((frames, ORDER))
    cepstra = (MEANS[0, :ORDER] + moves * SPREADS[0, :ORDER]).astype(np.float32)
    return cepstra, all_voiced(cepstra)


def all_voiced(cepstra: np.ndarray) -> Analysis:
    ones = np.ones(len(cepstra), np.float32)
    return Analysis(Ragged((len(cepstra),)), cepstra, ones, ones, ones, 0 * ones, np.ones(1, np.float32))


def test_means_become_the_common_ones() -> None:
    cepstra, about = found()
    offset = np.linspace(-0.5, 0.5, ORDER).astype(np.float32)
    common, moves = normalise_means(cepstra + offset, about, 1.0)
    assert common == pytest.approx(np.broadcast_to(MEANS[0, :ORDER], cepstra.shape), abs=1e-5)
    assert np.abs(moves.mean(axis=0)).max() < 0.05
    kept, _ = normalise_means(cepstra + offset, about, 0.0)
    assert np.abs((kept - common).mean(axis=0) - offset).max() < 0.25


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_spreads_become_the_common_ones(spread: float) -> None:
    _, about = found()
    moves = (spread * RNG.standard_normal((600, ORDER))).astype(np.float32)
    out = normalise_spread(moves, about, 1.0)
    assert out.std(axis=0) == pytest.approx(np.ones(ORDER), abs=0.15)
    assert normalise_spread(moves, about, 0.0) == pytest.approx(moves)


@pytest.mark.parametrize("ratio", [0.88, 1.12])
def test_a_moved_vocal_tract_is_noticed(ratio: float) -> None:
    """Formants moved by a ratio change the estimate by about as much, and in that direction."""
    cepstrum = MelCepstrum(Stft())
    which = RNG.integers(len(CENTRES), size=1_500)
    cepstra = (MEANS[0, :ORDER] + CENTRES[which, :ORDER] * SPREADS[0, :ORDER]).astype(np.float32)
    about = all_voiced(cepstra)
    moved = dataclasses.replace(about, cepstra=cepstra @ rewarp(cepstrum, ratio))
    [change] = tract_ratio(moved, cepstrum) / tract_ratio(about, cepstrum)
    assert np.log(change) / np.log(ratio) == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize("setting", ["mean", "spread", "context", "tract_norm", "noise"])
def test_each_stage_matters(setting: str) -> None:
    """Turned off, something else comes out; what each erases is shown above."""
    on = Vocoder(**EVERYTHING)
    off = dataclasses.replace(on, **{setting: 0.0})
    source = (speech(WOMAN, 3.0, seed=11) + 0.003 * RNG.standard_normal(3 * RATE)).astype(np.float32)
    drawn = voice()
    one, other = revoiced(source, drawn, on), revoiced(source, drawn, off)
    assert one.size != other.size or np.abs(one - other).max() > 1e-3


# The drawing


@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_a_drawn_tract_moves_every_formant(ratio: float) -> None:
    """Peaks of the envelope that the matrix gives lie at the ratio times those of the envelope before."""
    for centre_hz in (900.0, 1_500.0, 2_400.0):
        bump = np.exp(-0.5 * ((CEPSTRUM.bands_hz - centre_hz) / 250.0) ** 2) @ CEPSTRUM.analysis
        moved = bump @ rewarp(CEPSTRUM, np.array([ratio]), np.linspace(0.25, 1.0, 4)[None])[0]
        fine = np.arange(300.0, 6_000.0, 10.0)
        before, after = (fine[(row @ CEPSTRUM.basis(fine)).argmax()] for row in (bump, moved))
        assert after / before == pytest.approx(ratio, abs=0.03)


def test_a_drawn_warp_moves_frequencies_as_its_knots_say() -> None:
    """The source of the middle of the mel scale is where the knots put it."""
    highest = mel(HIGHEST_HZ)
    knots = np.array([[0.3, 0.6, 0.8, 1.0]])
    source = float(hertz(0.6 * highest))
    bump = np.exp(-0.5 * ((CEPSTRUM.bands_hz - source) / 300.0) ** 2) @ CEPSTRUM.analysis
    moved = bump @ rewarp(CEPSTRUM, np.ones(1), knots)[0]
    fine = np.arange(300.0, 6_000.0, 10.0)
    peak = fine[(moved @ CEPSTRUM.basis(fine)).argmax()]
    assert mel(peak) / highest == pytest.approx(0.5, abs=0.02)


# The line


def banded(samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Cut the band to one of a line, over a noise 80 dB below the speech."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(samples.size, 1.0 / RATE)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0.0
    noise = 1e-5 * np.random.default_rng(7).standard_normal(samples.size)
    return (np.fft.irfft(spectrum, samples.size) + noise).astype(np.float32)


def movement(samples: np.ndarray) -> np.ndarray:
    """(40,) standard deviation over the loud frames of the log envelope in each band, with a floor at -40 dB."""
    [pitch] = TRACKER.track_all([samples])
    about = analyse([samples], [pitch], [np.random.default_rng(0)], floor_db=40.0, noise=0.0, gate_db=60.0)
    return (about.cepstra[about.weight > 0.5] @ CEPSTRUM.basis(CEPSTRUM.bands_hz)).std(axis=0)


@pytest.mark.parametrize("band", [(0.0, 3_950.0), (300.0, 3_400.0), (0.0, 5_500.0)])
@pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD], ids=["man", "woman", "child"])
def test_bands_that_a_line_has_cut_move_as_the_others_do(speaker: Speaker, band: tuple[float, float]) -> None:
    """Raised to the common level alone, what is nothing would be a steady noise."""
    narrow = movement(banded(speech(speaker, 4.0, seed=5), *band))
    inside = (CEPSTRUM.bands_hz > band[0] + 100.0) & (CEPSTRUM.bands_hz < band[1] - 300.0)
    outside = (CEPSTRUM.bands_hz < band[0] - 100.0) | (CEPSTRUM.bands_hz > band[1] + 300.0)
    assert narrow[outside].mean() > 0.75 * narrow[inside].mean()


def test_snippets_in_a_batch_are_filled_each_by_its_own_bands() -> None:
    wide = speech(MAN, 3.0, seed=5)
    narrow = banded(wide, 0.0, 3_950.0)
    how = {"floor_db": 25.0, "noise": 0.5, "gate_db": 50.0}
    rngs = [np.random.default_rng(seed) for seed in (1, 2)]
    together = analyse([wide, narrow], TRACKER.track_all([wide, narrow]), rngs, **how)
    for seed, own, samples in zip((1, 2), together.ragged.slices, (wide, narrow), strict=True):
        alone = analyse([samples], TRACKER.track_all([samples]), [np.random.default_rng(seed)], **how)
        assert together.cepstra[own] == pytest.approx(alone.cepstra, abs=1e-3)
