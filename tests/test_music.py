"""Hold music is found by default and counted, and speech is not taken for it, monotone or sung."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deident import MuteSettings, Policy, SettingError
from deident.audio import RATE, Audio, Segment
from deident.codec import read
from deident.dsp import psola
from deident.dsp.music import find_music
from deident.dsp.pitch import PitchTracker
from deident.pipeline import deidentify
from deident.recording import Tally
from deident.segmentation.vad import find_speech
from tests.methods import Sine
from tests.voices import CHILD, MAN, WOMAN, Speaker, speech, telephone

SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
SECONDS = 20.0


def note(hz: float, seconds: float, partials: list[float], decay: float, vibrato: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    cycles = hz * (time + vibrato / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time))
    sound = sum(a * np.sin(2 * np.pi * k * cycles + k) for k, a in enumerate(partials, 1) if k * hz < 7_000)
    return np.asarray(sound * np.minimum(1.0, time / 0.005) * np.exp(-time / decay))


def played(seed: int, partials: list[float], decay: float, *, voices: int = 3, beat: float = 0.5,
           vibrato: float = 0.0, drums: float = 0.0, lowest_hz: float = 220.0) -> np.ndarray:  # fmt: skip
    """Play chords of `voices` notes on a scale that begins anywhere, (samples,)."""
    rng = np.random.default_rng(seed)
    root, out = lowest_hz * 2.0 ** (rng.integers(0, 12) / 12), np.zeros(round((SECONDS + 2) * RATE))
    for at in np.arange(0.0, SECONDS, beat):
        for degree in rng.choice(SCALE, voices, replace=False):
            hz = root * 2.0 ** ((degree + 12 * rng.integers(0, 2)) / 12)
            sound = note(hz, 1.1 * beat, partials, decay, vibrato)
            out[round(at * RATE) : round(at * RATE) + sound.size] += sound
        if drums:
            size = RATE // 10
            hit = rng.standard_normal(size) * np.exp(-np.arange(size) / 400)
            out[round(at * RATE) : round(at * RATE) + size] += drums * hit
    out = out[: round(SECONDS * RATE)]
    out = 0.1 * out / out.std() + 1e-4 * rng.standard_normal(out.size)
    return np.asarray(out, np.float32)


PIANO = [1.0, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.08]
PIECES: dict[str, Callable[[int], np.ndarray]] = {
    "piano": lambda seed: played(seed, PIANO, 0.6),
    "organ": lambda seed: played(seed, [1.0, 0.7, 0.5, 0.4, 0.1, 0.2], 9.0, beat=1.0),
    "melody": lambda seed: played(seed, PIANO, 0.5, voices=1, beat=0.4),
    "strings": lambda seed: played(seed, [1 / k for k in range(1, 13)], 9.0, beat=1.0, vibrato=0.003),
    "band": lambda seed: played(seed, PIANO, 0.5, drums=3.0),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("line", [np.asarray, telephone], ids=["clean", "telephone"])
@pytest.mark.parametrize("name", PIECES)
def test_music_is_not_released(name: str, line: Callable[[np.ndarray], np.ndarray], seed: int) -> None:
    tally = Tally()
    list(deidentify((line(PIECES[name](seed)), RATE), Policy(disguise=Sine()), tally=tally))
    told = tally.dropped_seconds.get("music", 0.0) + tally.dropped_seconds.get("tones", 0.0)
    assert told > 0.8 * tally.speech_seconds
    assert tally.speech_seconds == pytest.approx(
        tally.released_seconds + sum(tally.dropped_seconds.values()) + tally.shortened_seconds
    )


def whole(samples: np.ndarray) -> list[Segment]:
    return find_music(samples, [Segment(0, samples.size)])


def beside(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    return np.asarray(samples + noise * samples.std() * 10.0 ** (-snr_db / 20) / noise.std(), np.float32)


def hissed(seed: int) -> np.ndarray:
    """Play a piano under hiss above the band of a telephone."""
    samples = PIECES["piano"](seed)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples.size))
    hz = np.fft.rfftfreq(samples.size, 1 / RATE)
    return beside(samples, np.fft.irfft(spectrum * ((hz > 3_450) & (hz < 4_000)), samples.size), -10.0)


def brushed(seed: int) -> np.ndarray:
    """Play an organ with noise of 200 ms every 400 ms."""
    samples = PIECES["organ"](seed)
    noise = np.random.default_rng(seed).standard_normal(samples.size)
    noise *= np.arange(samples.size) // (RATE // 5) % 2 == 0
    return np.asarray(samples + noise * samples.std() * 10.0 ** (4.5 / 20), np.float32)


HARD: dict[str, Callable[[int], np.ndarray]] = {
    "wide vibrato": lambda seed: played(seed, [1 / k for k in range(1, 13)], 9.0, beat=1.0, vibrato=0.008),
    "low notes": lambda seed: played(
        seed, [k**-0.5 for k in range(1, 60)], 9.0, voices=4, beat=1.0, lowest_hz=27.5
    ),
    "hiss": hissed,
    "brushes": brushed,
    "quiet": lambda seed: PIECES["piano"](seed) * np.float32(0.003),
    "4.4 s": lambda seed: PIECES["piano"](seed)[: round(4.4 * RATE)],
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", HARD)
def test_music_is_found_whole_where_that_is_hard(name: str, seed: int) -> None:
    samples = HARD[name](seed)
    assert sum(map(len, whole(samples))) > 0.93 * samples.size


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_music_of_less_than_four_seconds_or_as_loud_as_rounding_is_not_found(seed: int) -> None:
    samples = PIECES["piano"](seed)
    assert whole(samples[: round(3.6 * RATE)]) == []
    assert whole(samples * np.float32(3e-4)) == []


@pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD])
def test_synthetic_speech_is_no_music(speaker: Speaker) -> None:
    assert whole(speech(speaker, 20.0)) == []


def test_noise_and_silence_are_no_music() -> None:
    noise = (0.1 * np.random.default_rng(1).standard_normal(10 * RATE)).astype(np.float32)
    for samples in (noise, np.zeros(10 * RATE, np.float32), noise[:100], np.zeros(0, np.float32)):
        assert find_music(samples, [Segment(0, samples.size)] if samples.size else []) == []


def test_speech_beside_music_is_kept() -> None:
    for seed, speaker in enumerate((MAN, WOMAN, CHILD)):
        talk = 2.0 * speech(speaker, 10.0)
        samples = np.concatenate([talk, PIECES["piano"](seed), talk]).astype(np.float32)
        found = whole(samples)
        assert sum(map(len, found)) > 0.9 * SECONDS * RATE
        assert found[0].start > talk.size - RATE
        assert found[-1].stop < samples.size - talk.size + RATE


def test_music_in_given_segments_is_kept() -> None:
    samples = PIECES["organ"](4)
    for seconds, kept in ((None, False), (SECONDS, True)):
        given = None if seconds is None else [Segment(0, round(seconds * RATE))]
        tally = Tally()
        list(deidentify((samples, RATE), Policy(disguise=Sine()), segments=given, tally=tally))
        assert ("music" not in tally.dropped_seconds) == kept


def test_music_is_kept_where_that_is_asked_for() -> None:
    for name in ("piano", "organ", "band"):
        tally = Tally()
        policy = Policy(disguise=Sine(), mute=MuteSettings(music="keep"))
        list(deidentify((PIECES[name](5), RATE), policy, tally=tally))
        assert "music" not in tally.dropped_seconds
    with pytest.raises(SettingError, match="expected music of mute"):
        MuteSettings(music="drop")  # type: ignore[arg-type]


def real(folder: Path) -> dict[str, np.ndarray]:
    """Join the snippets of every fourth reading's speaker, and take the longer recordings as they are."""
    speakers: dict[str, list[np.ndarray]] = {}
    for file in sorted((folder / "verify").rglob("*.flac")):
        speakers.setdefault(file.parent.name, []).append(read(file).mono)
    chosen = dict(list(speakers.items())[::4])
    for name in ("meeting", "conversation", "telephone", "noisy"):
        chosen |= {f.name: [read(f).mono] for f in (folder / name).iterdir() if f.suffix in (".flac", ".wav")}
    return {name: np.concatenate(parts) for name, parts in chosen.items()}


def test_real_speech_is_no_music(speech: Path) -> None:
    for samples in real(speech).values():
        assert find_music(samples, find_speech(Audio(samples, RATE))) == []


def on_notes(monkeypatch: pytest.MonkeyPatch, samples: np.ndarray, melody: tuple[float, ...]) -> np.ndarray:
    """Set the pitch of speech to notes, in Hz, of 0.6 s."""
    new_pulses = psola._new_pulses

    def steady_pulses(periods: np.ndarray, hop: float, length: int) -> np.ndarray:
        at = (np.arange(len(periods)) * hop / RATE / 0.6).astype(int) % len(melody)
        steady = RATE / np.array(melody)[at]
        return new_pulses(np.where(periods == psola.UNVOICED, periods, steady), hop, length)

    with monkeypatch.context() as patch:
        patch.setattr(psola, "_new_pulses", steady_pulses)
        return psola.repitch_all([samples], [PitchTracker().track(samples)], [1.0], [1.0])[0]


@pytest.mark.parametrize("pitch_hz", [110.0, 150.0, 220.0, 300.0])
@pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD])
def test_most_of_a_synthetic_voice_at_one_pitch_is_no_music(
    monkeypatch: pytest.MonkeyPatch, speaker: Speaker, pitch_hz: float
) -> None:
    """Its formants stand still too, as those of no person do."""
    moved = on_notes(monkeypatch, speech(speaker, 20.0), (pitch_hz,))
    assert sum(map(len, whole(moved))) < 0.45 * moved.size


@pytest.mark.parametrize("melody", [(150.0,), (150.0, 168.0, 189.0, 225.0, 199.5)], ids=["monotone", "sung"])
def test_speech_on_steady_notes_is_no_music(
    speech: Path, monkeypatch: pytest.MonkeyPatch, melody: tuple[float, ...]
) -> None:
    for samples in list(real(speech).values())[:8:2]:
        moved = on_notes(monkeypatch, samples, melody)
        assert find_music(moved, find_speech(Audio(moved, RATE))) == []
