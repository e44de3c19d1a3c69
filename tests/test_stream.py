"""A live source gives the snippets of the whole recording, soon, and in constant memory."""

import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deident import (
    Audio,
    CuttingSettings,
    Key,
    Policy,
    RecordingError,
    SettingError,
    Tally,
    deidentify,
    read,
    stream,
)
from deident.audio import RATE
from deident.disguise import DISGUISES
from deident.segmentation.streaming import LIVE_SECTION, StreamSegmenter, segment_stream
from deident.segmentation.vad import Detection
from tests.methods import Sine

KEY = Key(bytes(range(32)))
QUICK = Policy(disguise=Sine(), live=True, repeatable=True)
LONGEST = CuttingSettings().max_seconds


def in_blocks(samples: npt.NDArray[Any], *sizes: int) -> Iterator[npt.NDArray[Any]]:
    at = turn = 0
    while at < samples.shape[-1]:
        size = sizes[turn % len(sizes)]
        yield samples[..., at : at + size]
        at, turn = at + size, turn + 1


def whole(audio: Audio, policy: Policy) -> tuple[list[tuple[str, bytes]], Tally]:
    tally = Tally()
    return [(s.name, s.encode()) for s in deidentify(audio, policy, key=KEY, tally=tally)], tally


def live(blocks: Iterator[Any], rate: int, policy: Policy) -> tuple[list[tuple[str, bytes]], Tally]:
    tally = Tally()
    return [(s.name, s.encode()) for s in stream(blocks, rate, policy, key=KEY, tally=tally)], tally


@pytest.mark.parametrize("sizes", [(160,), (48_000 * 50,), (1, 77_777, 0, 4_096)])
@pytest.mark.parametrize("channels", ["mix", "split", 1])
def test_a_stream_equals_its_recording(recordings: Path, sizes: tuple[int, ...], channels: Any) -> None:
    one, two = (read(recordings / name, rate=None) for name in ("call.wav", "reading.mp3"))
    rate, size = one.rate, min(len(one), len(two))
    both = Audio(np.stack((one.samples[0, :size], np.roll(two.samples[0, :size], size // 3))), rate)
    policy = Policy(disguise=Sine(), live=True, repeatable=True, channels=channels)
    expected, tally = whole(both, policy)
    assert len(expected) > 2
    assert live(in_blocks(both.samples, *sizes), rate, policy) == (expected, tally)


@pytest.mark.parametrize(
    "name",
    ["long/jfk_44k_stereo.flac", "telephone/call_p225_p226_stereo8k.flac", "meeting/ami_tst01.flac",
     "noisy/reading_26_snr5.flac", "telephone/apollo11_8k.flac"],
)  # fmt: skip
@pytest.mark.parametrize("channels", ["mix", "split"])
def test_a_stream_equals_its_real_recording(speech: Path, name: str, channels: Any) -> None:
    audio = read(speech / name, channels="split", rate=None)
    for disguise in ("vocoder", "psola"):
        policy = Policy(disguise=DISGUISES[disguise](), live=True, repeatable=True, channels=channels)
        expected, tally = whole(audio, policy)
        assert expected
        assert live(in_blocks(audio.samples, 512, 1_000), audio.rate, policy) == (expected, tally)
        assert [(s.name, s.encode()) for s in deidentify(speech / name, policy, key=KEY)] == expected


def test_integers_and_floats_are_alike(recordings: Path) -> None:
    audio = read(recordings / "call.wav")
    pcm = np.rint(audio.samples * 32_768).astype(np.int16)
    expected, _ = whole(Audio(pcm, RATE), QUICK)
    assert live(in_blocks(pcm, 800), RATE, QUICK)[0] == expected
    assert live(in_blocks(pcm[0] / 32_768.0, 800), RATE, QUICK)[0] == expected


class Clock:
    """Plays (samples,) at 16 kHz in blocks of 50 ms, and tells how much has been read."""

    def __init__(self, samples: npt.NDArray[Any]) -> None:
        self.samples, self.read = samples, 0

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for block in in_blocks(self.samples, 800):
            self.read += len(block)
            yield block


def ends(samples: npt.NDArray[Any], policy: Policy) -> list[int]:
    """Find where snippets end, by pieces of the same policy."""
    from deident.pipeline.draws import Draws
    from deident.pipeline.pieces import pieces_of
    from deident.recording import Observer, Recording

    known = Recording("")
    draws = Draws(policy, KEY, known)
    return [
        piece.id.stop
        for section in pieces_of(Audio(samples, RATE), known, policy, draws, Observer())
        for piece in section
    ]


def talk(recordings: Path, seconds: int) -> npt.NDArray[np.float32]:
    parts = [read(recordings / name).mono for name in ("call.wav", "reading.mp3", "meeting.flac")]
    once = np.concatenate(parts)
    return np.tile(once, -(-seconds * RATE // once.size))[: seconds * RATE]


def without_pauses(recordings: Path, seconds: int) -> npt.NDArray[np.float32]:
    samples = talk(recordings, seconds)
    loud = np.abs(samples[: samples.size // 320 * 320].reshape(-1, 320)).max(axis=1) > 0.02
    kept = samples[: loud.size * 320].reshape(-1, 320)[loud].ravel()
    return np.tile(kept, -(-seconds * RATE // kept.size))[: seconds * RATE]


@pytest.mark.parametrize("kind", [talk, without_pauses])
def test_a_snippet_comes_soon_after_its_end(recordings: Path, kind: Any) -> None:
    policy = Policy(disguise=Sine(), live=True, repeatable=True, cutting=CuttingSettings(over_limit="split"))
    clock = Clock(kind(recordings, 150))
    came = [clock.read for _ in stream(clock, RATE, policy, key=KEY)]
    stops = ends(clock.samples, policy)
    assert len(came) == len(stops) > 10
    delays = [(read - stop) / RATE for read, stop in zip(came, stops, strict=True)]
    assert max(delays) < 10.0 + LONGEST
    assert np.median(delays) < 10.0
    assert min(delays) >= 0.0


def test_the_next_block_is_read_when_a_snippet_is_asked_for(recordings: Path) -> None:
    clock = Clock(talk(recordings, 60))
    snippets = stream(clock, RATE)
    assert clock.read == 0
    next(snippets)
    assert clock.read < LIVE_SECTION + 2 * RATE


def peak(samples: npt.NDArray[Any], seconds: int, policy: Policy) -> int:
    def blocks() -> Iterator[npt.NDArray[Any]]:
        for at in range(seconds * 10):
            start = at * 1_600 % (samples.size - 1_600)
            yield samples[start : start + 1_600]

    tracemalloc.start()
    try:
        assert sum(1 for _ in stream(blocks(), RATE, policy)) > seconds / 20
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seconds", [240, pytest.param(3_600, marks=pytest.mark.slow)])
def test_memory_does_not_grow(recordings: Path, seconds: int) -> None:
    policy, samples = Policy(disguise=Sine(), live=True), talk(recordings, 60)
    peak(samples, 30, policy)  # tables that are made once
    assert peak(samples, seconds, policy) < 1.2 * peak(samples, 90, policy)


def test_speech_in_noise_is_detected_by_what_came_before(speech: Path) -> None:
    audio = read(speech / "telephone" / "apollo11_8k.flac")
    tallies = [Tally(), Tally()]
    for policy, tally in zip((Policy(disguise=Sine()), QUICK), tallies, strict=True):
        list(deidentify(audio, policy, key=KEY, tally=tally))
    minute, live = tallies
    assert live.speech_seconds > 0.9 * minute.speech_seconds


def test_an_error_of_the_source_comes_after_the_snippets_before_it(recordings: Path) -> None:
    class UnpluggedError(Exception):
        pass

    def blocks() -> Iterator[npt.NDArray[Any]]:
        yield from in_blocks(talk(recordings, 40), 1_600)
        raise UnpluggedError

    out = []
    with pytest.raises(UnpluggedError):
        out.extend(stream(blocks(), RATE, Policy(disguise=Sine(), live=True)))
    assert len(out) > 3


ONE, TWO = np.zeros(800, np.float32), np.zeros((2, 800), np.float32)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [([ONE, TWO], "in every block"), ([np.full(800, np.nan)], "NaN"), ([], "no samples"), ([ONE[:0]], "no samples"),
     ([np.zeros(800, np.int32)], "int16"), ([[0, 1, 2]], "int16"), ([TWO.T], "transpose"),
     ([np.zeros((2, 2, 2))], "axes"), ([np.zeros((64, 1))], "transpose"), ([np.zeros((64, 2))], "transpose"),
     ([np.zeros((32, 8), np.int16)], "transpose")],
)  # fmt: skip
def test_blocks_that_cannot_be_used_are_refused(blocks: Any, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        list(stream(iter(blocks), RATE))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((ONE, RATE, Policy()), "live=True"), ((ONE, RATE, QUICK), "key"), ((None, RATE), "iterable"),
     ((b"pcm", RATE), "iterable"), ((ONE, RATE, {"live": True}), "Policy")],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        list(stream(*arguments))


def test_a_live_policy_does_not_wait_for_the_end() -> None:
    with pytest.raises(SettingError, match="max_per_recording"):
        Policy(live=True, max_per_recording=3)
    with pytest.raises(SettingError, match="live"):
        Policy(live=1)  # type: ignore[arg-type]
    assert Policy(live=True).fingerprint() != Policy().fingerprint()


def test_of_a_block_of_many_channels_no_channel_keeps_the_others() -> None:
    """Channels end their sections at different times; sixty-four would keep minutes of each other."""
    kept = []

    def blocks() -> Iterator[np.ndarray]:
        for number in range(6):
            block = np.full((4, RATE), 0.1 * number, np.float32)
            kept.append(weakref.ref(block))
            yield block
            del block

    segmenters = [
        StreamSegmenter(lambda _audio, _offset: Detection([]), channel, RATE) for channel in range(4)
    ]
    assert next(segment_stream(blocks(), segmenters))
    assert len(kept) == 6
    assert sum(block() is not None for block in kept) <= 1
