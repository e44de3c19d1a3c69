"""Sections of long recordings: what is cut, disguised together and read does not depend on them."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from deident.audio import RATE, Audio, Segment
from deident.disguise import Chain
from deident.disguise.vocoder import Vocoder
from deident.errors import RecordingError
from deident.pipeline import Snippet, deidentify
from deident.policy import Policy
from deident.recording import Tally
from deident.segmentation.streaming import SECTION, StreamSegmenter
from deident.segmentation.vad import Detection, VadSettings, detect, find_speech
from tests.methods import Sine, Through, Together, frequency
from tests.test_pipeline import KEY, SINE
from tests.voices import speech

LENGTHS = [9, 9, 9, 9, 9, 9, 5, 9, 3, 9, 9, 9, 9, 9, 9, 2]  # seconds


def in_segments(method: Together, tally: Tally, mute: tuple[Segment, ...] = ()) -> Iterator[Snippet]:
    starts = np.cumsum([0, *LENGTHS])
    segments = [Segment(int(a) * RATE, int(b) * RATE - 800) for a, b in itertools.pairwise(starts)]
    audio = Audio(np.random.default_rng(3).standard_normal(starts[-1] * RATE) * 0.1, RATE)
    policy = Policy(
        disguise=method, repeatable=True
    )  # the same voices every time: two might be near each other
    return deidentify(audio, policy, key=KEY, segments=segments, mute=mute, tally=tally)


def test_a_minute_of_pieces_goes_together() -> None:
    method, tally = Together(), Tally()
    snippets = list(in_segments(method, tally))
    assert [round(s.seconds) for s in snippets] == LENGTHS
    together = [[round(samples / RATE) for samples in group] for group in method.given]
    assert together == [[9, 9, 9, 9, 9, 9, 5], [9, 3, 9, 9, 9, 9, 9], [9, 2]]
    assert len({round(frequency(s.samples), 1) for s in snippets}) == len(LENGTHS)


def test_snippets_before_a_failing_one_are_kept() -> None:
    tally = Tally()
    out: list[int] = []
    with pytest.raises(ArithmeticError):
        out.extend(round(s.seconds) for s in in_segments(Together(refused=3 * RATE - 800), tally))
    assert out == LENGTHS[:8]
    assert tally.snippets == 8
    assert tally.released_seconds == pytest.approx(sum(LENGTHS[:8]) - 8 * 0.05)


def test_snippets_before_an_error_come_before_it() -> None:
    tally, past_its_end = Tally(), (Segment(200 * RATE, 201 * RATE),)
    out: list[int] = []
    with pytest.raises(RecordingError):
        out.extend(round(s.seconds) for s in in_segments(Together(), tally, past_its_end))
    assert out == LENGTHS
    assert tally.snippets == len(out)


@pytest.mark.parametrize("sizes", [(7_000,), (RATE * 200,), (1, 99_999, 3)])
def test_sections_do_not_depend_on_block_sizes(long_audio: Audio, sizes: tuple[int, ...]) -> None:
    def sections(sizes: tuple[int, ...]) -> list[tuple[int, list[Segment], bytes]]:
        made = StreamSegmenter(lambda audio, offset: detect(audio, VadSettings()), 0, RATE)
        out = []
        at = turn = 0
        while at < len(long_audio):
            size = sizes[turn % len(sizes)]
            out += list(made.push(long_audio.mono[at : at + size]))
            at, turn = at + size, turn + 1
        return [(len(c.audio), c.segments, c.audio_sha256) for c in (*out, *made.finish())]

    reference = sections((RATE,))
    assert len(reference) >= 4
    assert sections(sizes) == reference
    assert sum(length for length, _, _ in reference) == len(long_audio)


def test_sections_give_the_segments_of_the_whole(long_audio: Audio) -> None:
    made = StreamSegmenter(lambda audio, offset: detect(audio, VadSettings()), 0, RATE)
    offset = 0
    found = []
    for section in (*made.push(long_audio.mono), *made.finish()):
        assert len(section.audio) <= 2 * SECTION
        found += [s.shift(offset) for s in section.segments]
        offset += len(section.audio)
    whole = find_speech(long_audio)
    both = sum(a.overlap(b) for a in found for b in whole)
    assert both / sum(map(len, whole)) > 0.98
    assert both / sum(map(len, found)) > 0.98


@pytest.mark.parametrize("start", [0, 9_600, 30 * RATE])
def test_endless_speech_is_cut(start: int) -> None:
    """Also with a detector that finds its start a little later each time."""
    made = StreamSegmenter(
        lambda audio, offset: Detection([Segment(min(start, len(audio) - 1), len(audio))]), 0, RATE
    )
    noise = np.random.default_rng(1).standard_normal(600 * RATE).astype(np.float32)
    sections = [c for second in noise.reshape(-1, RATE) for c in made.push(second)]
    sections += made.finish()
    assert sum(len(c.audio) for c in sections) == noise.size
    assert all(len(c.segments) <= 1 for c in sections)
    assert sum(len(s) for c in sections for s in c.segments) > 0.4 * noise.size
    assert max(len(c.audio) for c in sections) <= 3 * SECTION


def test_given_segments_are_used_across_sections(long_audio: Audio) -> None:
    given = [Segment(at, at + 3 * RATE) for at in range(RATE, len(long_audio) - 4 * RATE, 5 * RATE)]
    tally = Tally()
    snippets = list(deidentify(long_audio, SINE, segments=given, tally=tally))
    assert len(snippets) == len(given)
    assert tally.speech_seconds == pytest.approx(3 * len(given))
    assert all(s.pcm.size == 3 * RATE for s in snippets)


def test_audio_is_reported_while_it_is_read(long_audio: Audio) -> None:
    seconds_read: list[float] = []
    for policy in (SINE, Policy(disguise=Sine(), channels="split")):
        seconds_read.clear()
        both = Audio(np.stack([long_audio.mono] * 2), RATE)
        snippets = deidentify(both, policy, on_read=seconds_read.append)
        next(snippets)
        assert 30.0 < sum(seconds_read) < 130.0  # of 240
        list(snippets)
        assert sum(seconds_read) == pytest.approx(long_audio.seconds)


def test_the_next_section_begins_with_the_end_of_the_last() -> None:
    """A detector needs the noise before speech to tell it from speech."""
    under_way = Segment(58 * RATE, 66 * RATE)

    def find(audio: Audio, offset: int) -> Detection:
        here = Segment(max(0, under_way.start - offset), min(under_way.stop - offset, len(audio)))
        return Detection([here])

    section = next(iter(StreamSegmenter(find, 0, RATE).push(np.full(90 * RATE, 1e-4, np.float32))))
    assert section.offset + len(section.audio) == 58 * RATE - RATE // 2


def test_no_cut_is_detected_as_speech() -> None:
    """On the telephone there is nothing above 3.4 kHz, but in the step of a cut there is: it was made into a burst."""
    spectrum = np.fft.rfft(speech(seconds=20.0, seed=5))
    spectrum[int(3_400 / 8_000 * len(spectrum)) :] = 0.0
    sound = np.fft.irfft(spectrum).astype(np.float32)
    segments = [Segment(at, at + 16_000) for at in range(3_000, len(sound) - 16_000, 18_000)]

    def louder(samples: np.ndarray) -> float:
        """Return the level of the ends over that of the speech between them."""
        level = np.sqrt(np.mean(samples[: samples.size // 80 * 80].reshape(-1, 80) ** 2, axis=1))
        return float(max(level[:3].max(), level[-3:].max()) / np.percentile(level[4:-4], 95))

    snippets = list(deidentify((sound, RATE), Policy(repeatable=True), segments=segments, key=KEY))
    assert len(snippets) > 10
    assert np.median([louder(s.samples) for s in snippets]) < 1.0
    for disguise in (Vocoder(), Chain((Through(), Vocoder()))):  # called as a function, too
        faded = [louder(disguise(sound[s.start : s.stop], RATE)) for s in segments]
        assert np.median(faded) < 1.0  # 0.5 to 0.8 by what is drawn; 3 to 9 where the cuts are left hard
