"""Muting: no released byte depends on muted audio."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

from deident.audio import RATE, Audio, Segment, mask_of
from deident.codec import read
from deident.disguise import DISGUISES
from deident.errors import RecordingError, SettingError
from deident.keys import Key
from deident.pipeline import EDGE, Snippet, deidentify
from deident.policy import Policy
from deident.recording import Recording, Tally
from deident.runs.run import dry_run, run
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.mute import TONE_HZ, Mute, MuteSettings
from deident.segmentation.streaming import SECTION
from deident.segmentation.turns import Turn, Word
from deident.segmentation.vad import find_speech
from tests.methods import Anew, Sine, frequency, planned

KEY = Key(bytes(32))


def seconds(start: float, stop: float) -> Segment:
    return Segment(round(start * RATE), round(stop * RATE))


@pytest.fixture(scope="module")
def reading(recordings: Path) -> Audio:
    return read(recordings / "reading.mp3")


def otherwise(audio: Audio, where: list[Segment], kind: str) -> Audio:
    """Replace some ranges of a recording."""
    samples = np.array(audio.mono)
    for segment in where:
        here = samples[segment.start : segment.stop]
        here[:] = {
            "silence": np.zeros_like(here),
            "loud": np.random.default_rng(5).uniform(-1, 1, here.size),
            "backwards": here[::-1],
        }[kind]
    return Audio(samples, audio.rate)


def released(audio: Audio, mute: list[Segment], policy: Policy, **more: object) -> list[tuple[str, bytes]]:
    return [(s.name, s.encode()) for s in deidentify(audio, policy, key=KEY, mute=mute, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize("fill", ["silence", "tone"])
@pytest.mark.parametrize("method", ["vocoder", "psola"])
def test_released_bytes_do_not_depend_on_muted_audio(reading: Audio, method: str, fill: str) -> None:
    """Names, number, lengths and bytes of snippets are the same for any audio in the muted ranges."""
    policy = Policy(disguise=DISGUISES[method](), mute=MuteSettings(fill, 0.0), repeatable=True)  # type: ignore[arg-type]
    short = reading[seconds(0, 12)]
    mute = [seconds(1.0, 1.7), seconds(5, 7.2)]
    assert short.mono[mute[0].start : mute[0].stop].std() > 0.01  # there was something
    reference = released(short, mute, policy)
    assert reference
    for kind in ("silence", "loud", "backwards"):
        assert released(otherwise(short, mute, kind), mute, policy) == reference
    assert released(otherwise(short, mute, "loud"), [], policy) != reference


def test_resampling_does_not_leak_muted_audio(reading: Audio) -> None:
    """Resampling spreads sound by some milliseconds over the edges of a range; the margin covers that."""
    import soxr

    policy = Policy(disguise=Sine(), repeatable=True)
    for rate in (8_000, 44_100):
        sound = Audio(soxr.resample(reading.mono[: 8 * RATE], RATE, rate), rate)
        where = Segment(round(2.0 * rate), round(3.5 * rate))
        quiet, loud = (otherwise(sound, [where], kind) for kind in ("silence", "loud"))
        assert released(loud, [seconds(2, 3.5)], policy) == released(quiet, [seconds(2, 3.5)], policy)


def test_ranges_are_muted_across_blocks_and_sections(reading: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "deident.segmentation.streaming.remove_hum", lambda samples: samples
    )  # the reading hums
    monkeypatch.setattr("deident.pipeline.disguising.EDGE", 0)  # pieces are found by their sound
    long = Audio(np.tile(reading.mono, 9), RATE)
    assert len(long) > 2 * SECTION
    rng = np.random.default_rng(1)
    mute = [
        Segment(int(at), int(at) + int(rng.integers(800, 40_000))) for at in rng.integers(0, len(long), 30)
    ]
    mute += [Segment(SECTION - 9_000, SECTION + 9_000)]
    mute = [s for s in mute if s.stop < len(long)]
    policy = Policy(
        disguise=Echo(), mute=MuteSettings(margin_seconds=0.02), cutting=CuttingSettings(fade_seconds=0.0)
    )
    everything = Mute(mute, policy.mute)
    whole = Mute(mute, policy.mute).silence(long.mono, 0)
    assert not whole[np.concatenate([np.arange(s.start, s.stop) for s in mute])].any()
    snippets = list(deidentify(long, policy, mute=mute, key=KEY))
    assert len(snippets) > 20
    at = 0
    for piece in Echo.received:
        at = _place(whole, piece, at)
        assert at >= 0
        inside = everything.within(Segment(at, at + piece.size))
        assert not any(piece[s.start - at : s.stop - at].any() for s in inside)


def _place(whole: np.ndarray, piece: np.ndarray, after: int) -> int:
    """Locate a piece in the whole."""
    key = piece[np.flatnonzero(piece)[0] :][:64]
    for start in np.flatnonzero(whole[after:] == key[0]) + after:
        first = start - int(np.flatnonzero(piece)[0])
        if np.array_equal(whole[first : first + piece.size], piece):
            return int(first)
    return -1


class Echo(Sine):
    """Keeps its inputs."""

    received: list[np.ndarray] = []  # noqa: RUF012

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        Echo.received.append(np.array(audio.mono))
        return audio


def test_a_tone_marks_muted_ranges() -> None:
    sound = Audio(0.05 * np.random.default_rng(2).standard_normal(4 * RATE), RATE)
    Echo.received.clear()
    turns = [Turn(seconds(0, 4))]
    policy = Policy(disguise=Echo(), mute=MuteSettings("tone", 0.0))
    list(deidentify(sound, policy, turns=turns, mute=[seconds(1, 2)]))
    (piece,) = Echo.received
    assert frequency(piece[RATE : 2 * RATE]) == pytest.approx(TONE_HZ, abs=1)
    assert piece[RATE : 2 * RATE].std() == pytest.approx(0.05, rel=0.02)
    assert np.array_equal(piece[EDGE:RATE], sound.mono[EDGE:RATE])


def test_muting_does_not_change_the_noise_floor(reading: Audio) -> None:
    """With a fifth of the recording muted, the noise in between is still not speech."""
    sound = np.concatenate([reading.mono, np.zeros(10 * RATE, np.float32)])  # the reader hardly pauses
    noise = np.random.default_rng(4).standard_normal(sound.size).astype(np.float32)
    noisy = Audio(sound + 0.007 * noise, RATE)
    mute = Mute(
        [Segment(at, at + 9_600) for at in range(8_000, len(noisy) - RATE, 48_000)],
        MuteSettings(margin_seconds=0.0),
    )
    silent = Audio(mute.silence(noisy.mono, 0), RATE)
    audible = ~mask_of(mute.ranges, len(noisy))
    before = mask_of(find_speech(noisy), len(noisy))[audible]
    after = mask_of(find_speech(silent, muted=mute.within_audio(silent, 0)), len(noisy))[audible]
    assert 0.5 < before.mean() < 0.9
    assert abs(after.mean() - before.mean()) < 0.05
    assert mask_of(find_speech(silent), len(noisy))[audible].mean() > before.mean() + 0.1


def test_a_snippet_that_is_all_muted_is_dropped() -> None:
    sound = Audio(0.05 * np.random.default_rng(2).standard_normal(6 * RATE), RATE)
    tally = Tally()
    turns = [Turn(seconds(0, 2)), Turn(seconds(3, 5))]
    kept = list(
        deidentify(sound, Policy(disguise=Sine()), turns=turns, mute=[seconds(0.1, 1.9)], tally=tally)
    )
    assert [s.seconds for s in kept] == [2.0]
    assert tally.dropped_seconds == {"muted": 2.0}
    assert planned(sound, turns=turns, mute=[seconds(0.1, 1.9)]).snippets == 1


def test_muted_words_are_not_released() -> None:
    sound = Audio(0.05 * np.random.default_rng(2).standard_normal(6 * RATE), RATE)
    words = tuple(
        Word(seconds(n, n + 1), text) for n, text in enumerate(["i", "am", "anna", "smith", "of", "here"])
    )
    policy = Policy(disguise=DISGUISES["psola"](), carry=("text", "words"))

    def text(turn: Turn) -> list[Snippet]:
        return list(deidentify(sound, policy, turns=[turn], mute=[seconds(2.0, 3.8)]))

    (snippet,) = text(Turn(seconds(0, 6), text="i am anna smith of here", words=words))
    # "am" ends where the range begins: its end is muted with the margin, so the word is not there to read
    assert snippet.text == "i of here"
    assert [word.text for word in snippet.words] == ["i", "of", "here"]
    (untimed,) = text(Turn(seconds(0, 6), text="i am anna smith of here"))
    assert untimed.text is None


def test_ranges_of_another_recording_are_refused(reading: Audio, tmp_path: Path) -> None:
    sound = reading[seconds(0, 8)]
    for mute in ([seconds(7.9, 8.4)], [seconds(1, 2)]):
        assert list(deidentify(sound, Policy(disguise=Sine()), mute=mute))
    with pytest.raises(RecordingError, match="past the end"):
        list(deidentify(sound, Policy(disguise=Sine()), mute=[seconds(1, 2), seconds(9, 10)]))
    with pytest.raises(RecordingError, match="past the end"):
        planned(sound, mute=[seconds(7, 10)])
    soundfile.write(tmp_path / "r.wav", sound.mono, RATE)
    wrong = Recording(str(tmp_path / "r.wav"), mute=(seconds(9, 10),))
    summary = run([wrong], tmp_path / "s", Policy(disguise=Sine()), jobs=1)
    assert (summary.states["refused"], summary.codes) == (1, {"mute-range": 1})
    assert not list((tmp_path / "s").glob("*.wav"))
    assert dry_run([wrong], Policy(disguise=Sine())).states["refused"] == 1


def test_an_unmuted_release_is_reported(reading: Audio, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "r.wav", reading.mono[: 8 * RATE], RATE)
    plain = Recording(str(tmp_path / "r.wav"))
    muted = Recording(plain.path, mute=(seconds(1, 2),))
    other = Recording(plain.path, mute=(seconds(1, 3),))
    policy = Policy(disguise=Sine())

    def states(recording: Recording, store: str) -> tuple[dict[str, int], dict[str, int]]:
        summary = run([recording], tmp_path / store, policy, jobs=1)
        return {k: v for k, v in summary.states.items() if v}, summary.codes

    assert states(plain, "a") == ({"released": 1}, {})
    assert states(muted, "a") == ({"refused": 1}, {"mute-changed": 1})
    assert states(plain, "a") == ({"skipped": 1}, {})
    assert states(muted, "b") == ({"released": 1}, {})
    assert states(muted, "b") == ({"skipped": 1}, {})
    assert states(other, "b") == ({"refused": 1}, {"mute-changed": 1})
    # the same sound under another name or time is known, muted or not
    (tmp_path / "r.wav").rename(tmp_path / "moved.wav")
    moved = str(tmp_path / "moved.wav")
    assert states(Recording(moved, mute=other.mute), "a") == ({"refused": 1}, {"mute-changed": 1})
    assert states(Recording(moved, mute=other.mute), "b") == ({"refused": 1}, {"mute-changed": 1})
    assert states(Recording(moved, mute=muted.mute), "b") == ({"skipped": 1}, {"released-before": 1})
    assert states(Recording(moved), "a") == ({"skipped": 1}, {"released-before": 1})


def test_an_unmuted_release_is_replaced_by_the_muted_one(reading: Audio, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "r.wav", reading.mono[: 8 * RATE], RATE)
    plain = Recording(str(tmp_path / "r.wav"))
    (tmp_path / "copy.wav").write_bytes((tmp_path / "r.wav").read_bytes())
    policy = Policy(disguise=Sine())
    run([plain], tmp_path / "s", policy, jobs=1)
    before = sorted((tmp_path / "s").glob("*.wav"))
    for path in ("r.wav", "copy.wav"):
        muted = Recording(str(tmp_path / path), mute=(seconds(1, 2),))
        summary = run([muted], tmp_path / "s", policy, jobs=1, again=True)
        assert (summary.states["refused"], summary.codes) == (1, {"mute-changed": 1})
    assert sorted((tmp_path / "s").glob("*.wav")) == before


def test_an_erased_release_is_not_reported_as_unmuted(
    deident: Callable[..., CompletedProcess[str]],
    reading: Audio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soundfile.write(tmp_path / "r.wav", reading.mono[: 8 * RATE], RATE)
    plain = Recording(str(tmp_path / "r.wav"))
    muted = Recording(plain.path, mute=(seconds(1, 2),))
    policy = Policy(disguise=Sine())
    run([plain], tmp_path / "s", policy, key=KEY, jobs=1, linkage=tmp_path / "links")
    key = tmp_path / "key"
    key.write_text(bytes(32).hex())
    key.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    erased = deident("erase", "s", "--linkage", "links", "--key-file", "key", "--source", "r.wav")
    assert erased.returncode == 0, erased.stderr
    (tmp_path / "copy.wav").write_bytes((tmp_path / "r.wav").read_bytes())
    copy = Recording(str(tmp_path / "copy.wav"), mute=muted.mute)
    for recording in (muted, copy):
        summary = run([recording], tmp_path / "s", policy, key=KEY, jobs=1)
        assert (summary.states["skipped"], summary.fine) == (1, True)


def test_the_command_mutes(
    deident: Callable[..., CompletedProcess[str]], recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "names.json").write_text('{"reading": [[0, 6]]}')
    (tmp_path / "words.ctm").write_text("reading 1 1 0.5 anna\nreading 1 7 0.5 gone\n")
    result = deident(
        "run", recordings / "reading.mp3", "--out", tmp_path / "s", "--mute", tmp_path / "names.json",
        "--mute-fill", "tone", "--words", tmp_path / "words.ctm", "--carry", "text", "--jobs", "1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    manifest = (tmp_path / "s" / "manifest.jsonl").read_text()
    assert "gone" in manifest
    assert "anna" not in manifest
    (tmp_path / "names.json").write_text('{"canary": [[0, 6]]}')
    result = deident(
        "run", recordings / "reading.mp3", "--out", tmp_path / "t", "--mute", tmp_path / "names.json"
    )
    assert result.returncode == 2
    assert "not in this run" in result.stderr
    assert "canary" not in result.stderr
    assert not (tmp_path / "t").exists()


def test_settings_have_ranges() -> None:
    with pytest.raises(SettingError, match="margin"):
        MuteSettings(margin_seconds=-1)
    with pytest.raises(SettingError, match="fill"):
        MuteSettings("noise")  # type: ignore[arg-type]
    policy = Policy.from_mapping({"mute": {"fill": "tone", "margin_seconds": 0.2}, "carry": ["text"]})
    assert policy.mute == MuteSettings("tone", 0.2)
    assert Policy.from_mapping(policy.to_mapping()).fingerprint() == policy.fingerprint()


def noise(length: float) -> np.ndarray:
    return 0.1 * np.random.default_rng(3).standard_normal(round(length * RATE))


def test_a_tone_marks_muted_ranges_in_later_sections() -> None:
    policy = Policy(disguise=Anew(), mute=MuteSettings("tone", 0.0))
    segments = [seconds(10, 15), seconds(99, 103)]
    _, snippet = deidentify((noise(150), RATE), policy, segments=segments, mute=[seconds(100, 101)])
    assert frequency(snippet.samples[RATE + 1_600 : 2 * RATE - 1_600]) == pytest.approx(TONE_HZ, abs=5)


def test_a_snippet_has_the_minimum_length_without_its_muted_part() -> None:
    tally, policy = Tally(), Policy(disguise=Sine(), mute=MuteSettings(margin_seconds=0.0))
    given = {"segments": [seconds(1, 2)], "mute": [seconds(1.1, 2)]}
    assert not list(deidentify((noise(5), RATE), policy, tally=tally, **given))  # type: ignore[arg-type]
    assert tally.dropped_seconds == {"muted": 1.0}


def test_hum_removal_leaves_no_hum_in_muted_ranges() -> None:
    time = np.arange(20 * RATE) / RATE
    hum = 0.1 * sum(np.sin(2 * np.pi * 50 * harmonic * time) for harmonic in (1, 2, 3))
    policy = Policy(disguise=Anew(), mute=MuteSettings(margin_seconds=0.0))
    (snippet,) = deidentify(
        (0.2 * noise(20) + hum, RATE), policy, segments=[seconds(5, 9)], mute=[seconds(6, 8)]
    )
    assert np.abs(snippet.samples[RATE + 200 : 3 * RATE - 200]).max() < 1e-3


def test_a_wider_margin_mutes_again(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(6), RATE)
    recording = Recording(str(tmp_path / "a.wav"), segments=(seconds(0, 6),), mute=(seconds(2, 3),))

    def codes(margin_seconds: float) -> dict[str, int]:
        policy = Policy(disguise=Sine(), mute=MuteSettings(margin_seconds=margin_seconds))
        return run([recording], tmp_path / "s", policy, jobs=1).codes

    assert codes(0.1) == {}
    assert codes(0.5) == {"mute-changed": 1}
