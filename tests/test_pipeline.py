"""One recording's journey, whatever its length and the sizes in which it comes."""

import base64
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soxr

from deident.audio import RATE, Audio, Segment
from deident.codec import read
from deident.disguise import DISGUISES, Chain
from deident.dsp.level import rms
from deident.errors import RecordingError, SettingError
from deident.keys import Key
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Tally
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.turns import Turn
from tests.methods import Anew, Pair, Sine, Through, frequency
from tests.voices import MAN, WOMAN, speech

KEY = Key(bytes(32))
SINE = Policy(disguise=Sine())


@pytest.fixture(scope="module")
def call(recordings: Path) -> Path:
    return recordings / "call.wav"


def test_every_snippet_has_a_voice_of_its_own(call: Path) -> None:
    tally = Tally()
    snippets = list(deidentify(call, SINE, tally=tally))
    voices = {round(frequency(s.samples)) for s in snippets}
    assert len(snippets) >= 4
    assert len(voices) == len(snippets)
    assert all(len(s.name) == 32 for s in snippets)
    assert tally.snippets == len(snippets)
    assert tally.released_seconds == pytest.approx(sum(s.seconds for s in snippets))
    assert tally.released_seconds + sum(tally.dropped_seconds.values()) <= tally.speech_seconds + 1e-6
    assert tally.read_seconds == pytest.approx(20.6, abs=0.1)


@pytest.mark.parametrize(
    ("disguise", "cutting"),
    [
        ("psola", CuttingSettings(max_seconds=1.5)),
        ("vocoder", CuttingSettings(max_seconds=2.0, min_seconds=1.0)),
        ("mcadams", CuttingSettings(max_seconds=3.0, over_limit="split")),
    ],
)
def test_speech_is_released_dropped_or_shortened(
    long_audio: Audio, disguise: str, cutting: CuttingSettings
) -> None:
    tally, most = Tally(), 12
    policy = Policy(disguise=DISGUISES[disguise](), cutting=cutting, max_per_recording=most)
    out = list(deidentify(long_audio[Segment(0, 70 * RATE)], policy, tally=tally))
    assert len(out) == most
    dropped = sum(tally.dropped_seconds.values())
    assert tally.speech_seconds == pytest.approx(tally.released_seconds + dropped + tally.shortened_seconds)
    assert tally.shortened_seconds > 0.05


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("leak", [0.0, 0.05])
def test_two_people_on_two_channels_are_pointed_out(rate: int, leak: float) -> None:
    one, two = speech(MAN, 12.0, seed=1), speech(WOMAN, 12.0, seed=2)
    one[6 * RATE :], two[: 6 * RATE] = 0.0, 0.0
    rows = soxr.resample(np.stack([one + leak * two, two + leak * one], axis=1), RATE, rate).T
    for policy, separate in ((SINE, 1), (Policy(disguise=Sine(), channels="split"), 0)):
        tally = Tally()
        list(deidentify((rows, rate), policy, tally=tally))
        assert tally.separate_channels == separate


@pytest.mark.parametrize("balance", [1.0, 0.5, 0.01])
def test_one_person_on_two_channels_is_not_pointed_out(balance: float) -> None:
    one, tally = speech(MAN, 8.0, seed=1), Tally()
    list(deidentify((np.stack([one, balance * one]), RATE), SINE, tally=tally))
    assert tally.separate_channels == 0


def test_the_room_between_words_does_not_leave() -> None:
    """Quiet parts are replaced after a method that passes audio on, not after one that synthesises it."""
    rng, span = np.random.default_rng(7), slice(12_000, 16_000)
    sound = np.zeros(28_000, np.float32)
    for start in (0, 18_000):
        sound[start : start + 10_000] = 0.1 * rng.standard_normal(10_000)
    sound += np.float32(0.001) * np.sin(np.arange(28_000) / 9.0, dtype=np.float32)  # the room's own note

    def note(method: Through) -> float:
        whole = [Segment(0, 28_000)]
        [snippet] = deidentify(Audio(sound, RATE), Policy(disguise=method), segments=whole)
        gap = snippet.samples[span]
        return float(abs(np.dot(gap, np.exp(1j * np.arange(gap.size) / 9.0))) / np.linalg.norm(gap))

    assert note(Through()) < 5.0  # of 45 where nothing else sounds
    assert note(Anew()) > 20.0


def test_every_snippet_is_as_loud_and_begins_and_ends_in_silence() -> None:
    tone = np.sin(np.arange(2 * RATE) / 9.0 + 1.0, dtype=np.float32)

    def released(amplitude: float) -> np.ndarray:
        audio, whole = Audio(np.float32(amplitude) * tone, RATE), [Segment(0, tone.size)]
        [snippet] = deidentify(audio, Policy(disguise=Anew()), segments=whole)
        return snippet.samples

    soft, loud = released(0.01), released(0.6)
    assert rms(soft) == pytest.approx(rms(loud), rel=0.02)
    for samples in (soft, loud):
        steps = np.array([0, 1, -2, -1])
        assert np.abs(samples[steps]).max() < 3 / 32_768
        middle = round(
            0.5 * CuttingSettings().fade_seconds * RATE
        )  # half way up two: before the disguise, and after it
        assert np.abs(samples[: 2 * middle]).max() < np.abs(samples).max()
        assert np.abs(samples[middle - 10 : middle + 10]).max() == pytest.approx(
            0.25 * np.abs(samples).max(), rel=0.5
        )


def test_scope_recording_keeps_one_voice_a_channel(call: Path) -> None:
    for channels, count in (("mix", 1), ("split", 2)):
        policy = Policy(disguise=Sine(), scope="recording", channels=channels)  # type: ignore[arg-type]
        voices = {round(frequency(s.samples), -1) for s in deidentify(call, policy)}
        assert len(voices) == count


@pytest.mark.parametrize("scope", ["recording", "speaker"])
def test_a_voice_that_is_kept_has_new_noise_in_every_snippet(
    call: Path, scope: Literal["recording", "speaker"]
) -> None:
    """The same noise in two snippets would link them."""
    applied: list[tuple[float, float]] = []

    @dataclass(frozen=True)
    class Listening(Pair):
        def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
            out = super().apply(audio, voice, rng)
            applied.append((float(out.mono[0]), float(out.mono[-1])))
            return out

    for method in (Listening(), Chain((Listening(), Through()))):
        applied.clear()
        policy = Policy(disguise=method, scope=scope, repeatable=True)
        snippets = list(deidentify(call, policy, key=KEY, speaker="a"))
        voices, noises = zip(*applied, strict=True)
        assert len(set(voices)) == 1
        assert len(set(noises)) == len(snippets) > 3
        assert [s.name for s in deidentify(call, policy, key=KEY, speaker="a")] == [s.name for s in snippets]
        assert applied[len(snippets) :] == applied[: len(snippets)]  # and the same when it is repeated


def test_silence_before_the_first_words_tells_no_recordings_apart() -> None:
    policy = Policy(disguise=Sine(), scope="recording", repeatable=True)

    def voice(seed: int) -> int:
        sound = np.zeros(66 * RATE, np.float32)
        sound[63 * RATE :] = speech(seconds=3.5, seed=seed)[: 3 * RATE]
        found = list(deidentify((sound, RATE), policy, key=KEY))
        assert found
        return round(frequency(found[0].samples), -1)

    assert voice(1) != voice(2)


def test_scope_speaker_follows_the_key(call: Path, recordings: Path) -> None:
    policy = Policy(disguise=Sine(), scope="speaker")

    def voice(path: Path, speaker: str, key: Key) -> set[float]:
        return {round(frequency(s.samples), -1) for s in deidentify(path, policy, key=key, speaker=speaker)}

    one = voice(call, "a", KEY)
    assert len(one) == 1
    assert voice(recordings / "reading.mp3", "a", KEY) == one
    assert voice(call, "b", KEY) != one
    assert voice(call, "a", Key.fresh()) != one
    with pytest.raises(SettingError, match="keygen"):
        list(deidentify(call, policy, speaker="a"))
    with pytest.raises(RecordingError, match="needs the speaker"):
        list(deidentify(call, policy, key=KEY))


def test_repeatable_is_repeatable_and_nothing_else_is(call: Path) -> None:
    policy = Policy(disguise=Sine(), repeatable=True)

    def out(policy: Policy, key: Key | None) -> list[tuple[str, bytes]]:
        return [(s.name, s.encode()) for s in deidentify(call, policy, key=key)]

    first = out(policy, KEY)
    assert out(policy, KEY) == first
    for other in (out(policy, Key.fresh()), out(SINE, KEY), out(SINE, None)):
        assert len(other) == len(first)
        assert not {name for name, _ in other} & {name for name, _ in first}
        assert not {data for _, data in other} & {data for _, data in first}
    with pytest.raises(SettingError, match="key"):
        list(deidentify(call, policy))


def test_recordings_of_every_kind_give_the_same(call: Path) -> None:
    policy = Policy(disguise=Sine(), repeatable=True)
    audio = read(call)
    with open(call, "rb") as file:
        by_file = [s.name for s in deidentify(file, policy, key=KEY)]
    assert by_file == [s.name for s in deidentify(call, policy, key=KEY)]
    assert [s.name for s in deidentify(audio, policy, key=KEY)] == [
        s.name for s in deidentify((audio.mono, RATE), policy, key=KEY)
    ]


def test_nothing_of_the_limit_or_longer_leaves(long_audio: Audio) -> None:
    tally = Tally()
    policy = Policy(disguise=Sine(by=1.2), cutting=CuttingSettings(max_seconds=4.0))
    snippets = list(deidentify(long_audio, policy, tally=tally))
    assert snippets
    assert all(s.pcm.size < 4 * RATE for s in snippets)
    assert tally.dropped_seconds["over_limit"] > 0
    honest = Policy(disguise=Sine(stretch=1.2, by=1.2), cutting=CuttingSettings(max_seconds=4.0))
    assert all(s.pcm.size < 4 * RATE for s in deidentify(long_audio, honest))


def test_max_per_recording_takes_a_fair_sample() -> None:
    audio = Audio(np.random.default_rng(2).standard_normal(60 * RATE) * 0.1, RATE)
    segments = [Segment(n * 24_000, n * 24_000 + 10_000 + n) for n in range(40)]  # each of its own length
    drawn = []
    for _ in range(40):
        tally = Tally()
        few = Policy(disguise=Sine(), max_per_recording=3)
        snippets = list(deidentify(audio, few, segments=segments, tally=tally))
        assert len(snippets) == 3
        drawn += [s.pcm.size - 10_000 for s in snippets]
        kept = sum(s.seconds for s in snippets)
        assert kept + tally.dropped_seconds["max_per_recording"] == pytest.approx(tally.speech_seconds)
    # 120 draws of 40: each is missed with a chance of 5 %, a half of them with none.
    assert len(set(drawn)) > 30
    assert abs(np.mean(drawn) - 19.5) < 5


def test_the_callers_detector_is_used(long_audio: Audio) -> None:
    policy = Policy(disguise=Sine(), detector=lambda samples, rate: [(0, 2 * rate)])
    snippets = list(deidentify(Audio(long_audio.mono[: 30 * RATE], RATE), policy))
    assert [s.pcm.size for s in snippets] == [2 * RATE]


@pytest.mark.parametrize(
    "answer",
    [
        np.ones(10**6, np.bool_), np.ones((2, 2), np.bool_), [(9, 9)], [(5, 1)], [(-5, 9)], [{"start": 1}], 7,
        {"speech": 1}, [(0.0, float("inf"))],
    ],
)  # fmt: skip
def test_a_wrong_answer_of_a_detector_refuses_the_recording(long_audio: Audio, answer: object) -> None:
    def detector(samples: np.ndarray, rate: int) -> object:
        return answer

    with pytest.raises(RecordingError, match="of a speech detector") as caught:
        list(deidentify(Audio(long_audio.mono[:RATE], RATE), Policy(detector=detector)))  # type: ignore[arg-type]
    assert caught.value.code == "detector"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Audio(np.zeros(0), RATE), lambda: Audio(np.zeros(RATE), 8_000), lambda: np.zeros(RATE), lambda: None,
        lambda: Audio(np.zeros((2, RATE)), RATE), lambda: Audio(np.full(RATE, np.nan), RATE),
    ],
)  # fmt: skip
def test_an_odd_answer_of_a_disguise_refuses_the_recording(
    long_audio: Audio, answer: Callable[[], Audio]
) -> None:
    @dataclass(frozen=True)
    class Odd(Through):
        def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
            return answer()

    with pytest.raises(RecordingError, match="the disguise cannot be used") as caught:
        list(deidentify(Audio(long_audio.mono[: 5 * RATE], RATE), Policy(disguise=Odd())))
    assert caught.value.code == "disguise"


def test_a_disguise_that_loses_a_snippet_of_several_is_asked_for_each(long_audio: Audio) -> None:
    @dataclass(frozen=True)
    class Losing(Sine):
        def apply_all(
            self, audios: Sequence[Audio], voices: Sequence[float], rngs: Sequence[np.random.Generator]
        ) -> list[Audio]:
            return super().apply_all(audios, voices, rngs)[1:]

    given = [Segment(at, at + RATE + at // 10) for at in range(0, 8 * RATE, 2 * RATE)]
    snippets = deidentify(long_audio, Policy(disguise=Losing()), segments=given)
    assert [s.pcm.size for s in snippets] == [len(segment) for segment in given]


def test_a_snippet_that_its_disguise_makes_too_short_is_dropped(long_audio: Audio) -> None:
    cutting, tally = CuttingSettings(min_seconds=1.0), Tally()
    given = [Segment(0, 3 * RATE), Segment(4 * RATE, 4 * RATE + 18_000), Segment(6 * RATE, 8 * RATE)]
    policy = Policy(disguise=Sine(by=0.5), cutting=cutting)
    snippets = list(deidentify(long_audio, policy, segments=given, tally=tally))
    assert [s.seconds for s in snippets] == [1.5, 1.0]
    assert tally.dropped_seconds == {"shortened": 18_000 / RATE}
    assert tally.lengths == {"1": 1, "1.5": 1}


def test_the_digest_is_of_audio_not_of_tags(recordings: Path) -> None:
    def digest(source: object) -> str:
        tally = Tally()
        list(deidentify(source, SINE, tally=tally))  # type: ignore[arg-type]
        return tally.content_sha256

    audio = read(recordings / "call.wav")
    changed = np.array(audio.mono)
    changed[8 * 12_345] += np.float32(1e-3)
    assert digest(audio) == digest(audio)
    assert digest(audio) != digest(Audio(changed, RATE))


def test_snippets_pickle_and_hide(call: Path) -> None:
    snippet = next(deidentify(call, SINE))
    again = pickle.loads(pickle.dumps(snippet))
    assert (again.pcm == snippet.pcm).all()
    assert snippet.name not in repr(snippet)


def test_segments_past_the_end_refuse_the_recording(call: Path) -> None:
    """Milliseconds taken for seconds, say; an end that is a little late is not."""
    late = Segment(1_000 * RATE, 2_000 * RATE)
    for told in ({"segments": [Segment(0, RATE), late]}, {"turns": [Turn(late, text="so")]}):
        with pytest.raises(RecordingError, match="begins past the end") as caught:
            list(deidentify(call, SINE, **told))
        assert caught.value.code == "segment-range"
    assert list(deidentify(call, SINE, segments=[Segment(20 * RATE, 30 * RATE)]))


def test_a_segment_seconds_past_the_end_refuses_the_recording() -> None:
    sound, given = (
        Audio(np.full(10 * RATE, 0.1), RATE),
        [Segment(RATE, 2 * RATE), Segment(15 * RATE, 16 * RATE)],
    )
    with pytest.raises(RecordingError) as caught:
        list(deidentify(sound, SINE, segments=given))
    assert caught.value.code == "segment-range"


def test_a_snippet_is_written_as_wav_or_flac(call: Path) -> None:
    snippet = next(deidentify(call, SINE))
    assert {snippet.encode(kind)[:4] for kind in ("wav", "flac")} == {b"RIFF", b"fLaC"}
    with pytest.raises(SettingError, match="wav, flac"):
        snippet.encode("mp3")


def test_a_snippet_is_saved_and_shown_as_it_is_released(call: Path, tmp_path: Path) -> None:
    snippet = next(deidentify(call))
    for container in ("wav", "flac"):
        snippet.save(tmp_path / f"a.{container}")
        assert (tmp_path / f"a.{container}").read_bytes() == snippet.encode(container)
    with pytest.raises(SettingError, match="ends in"):
        snippet.save(tmp_path / "a.ogg")
    html = snippet._repr_html_()
    assert base64.b64encode(snippet.encode("wav")).decode() in html
    assert "<svg" in html
    assert snippet.name not in html


def test_a_tally_shows_no_digest(call: Path) -> None:
    tally = Tally()
    list(deidentify(call, tally=tally))
    for digest in (tally.content_sha256, tally.head_sha256, tally.file_sha256):
        assert len(digest) == 64
        assert digest not in repr(tally)
