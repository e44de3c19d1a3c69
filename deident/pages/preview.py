"""A page that shows one recording before a run: detected speech, kept and dropped pieces, and several disguises.

The page is for the person who prepares a run: it shows when each snippet was said.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deident.audio import RATE, Audio, Samples, Segment
from deident.codec.decoding import Source
from deident.disguise import DISGUISES
from deident.disguise.base import Method, Scope
from deident.disguise.naming import disguise_named
from deident.disguise.presets import PRESETS
from deident.disguise.strength import measured
from deident.dsp.level import round_to_pcm
from deident.dsp.pitch import PitchTracker
from deident.errors import SettingError
from deident.keys import fresh_rng
from deident.pages.page import data_slot, filled
from deident.pipeline import Snippet, cut_section, decode, disguiser, segmenters_for
from deident.policy import Policy
from deident.process import one_thread
from deident.recording import Recording
from deident.segmentation.streaming import Section, StreamSegmenter, segment_stream
from deident.segmentation.turns import Turn

PAGE = "preview.html"
METHODS = ("vocoder", "psola", "mcadams")
ENVELOPE = RATE // 20  # samples a peak: 50 ms show where speech is, and not which words
MOST_SECONDS = 1_800.0
MOST_BYTES = 19_000_000  # of sound in a page, so that a browser opens it at once
_TRACKER = PitchTracker(hop=256)


@dataclass(frozen=True)
class Part:
    """The part of a recording that a page shows.

    Parameters
    ----------
    start_seconds, seconds : float
        Start and length.
    snippets : int
        How many get players, from the first.

    Raises
    ------
    SettingError
        When a value is outside its range.
    """

    start_seconds: float = 0.0
    seconds: float = 300.0
    snippets: int = 20

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_seconds < 1e7:
            raise SettingError(f"expected a start from 0 seconds; got {self.start_seconds:g}")
        if not 1.0 <= self.seconds <= MOST_SECONDS:
            raise SettingError(f"expected 1 to {MOST_SECONDS:g} seconds to show; got {self.seconds:g}")
        if not 1 <= self.snippets <= 200:
            raise SettingError(f"expected 1 to 200 snippets to play; got {self.snippets}")

    @property
    def start(self) -> int:
        """The first sample, at 16 kHz."""
        return round(self.start_seconds * RATE)

    @property
    def stop(self) -> int:
        """The sample after the last, at 16 kHz."""
        return self.start + round(self.seconds * RATE)


@dataclass(frozen=True)
class Preview:
    """A page.

    Attributes
    ----------
    html : str
        The page itself.
    snippets : int
        With players.
    without_player : int
        More that were kept.
    """

    html: str = field(repr=False)
    snippets: int
    without_player: int


@dataclass(frozen=True)
class _Piece:
    """A piece of speech and its position. `audio` is None where it is dropped, for that reason."""

    segment: Segment
    channel: int
    dropped: str | None
    audio: Audio | None


class _PartContents:
    """Levels, detected speech and pieces of the part. Audio is kept of pieces alone."""

    def __init__(self, part: Part, segmenters: int) -> None:
        self.part = part
        self.levels: list[list[Samples]] = [[] for _ in range(segmenters)]
        self.speech: list[tuple[int, Segment]] = []
        self.pieces: list[_Piece] = []
        self.ends = [0] * segmenters
        self.partial: str | None = None

    @property
    def stop(self) -> int:
        return max(self.part.start, min(self.part.stop, max(self.ends)))

    @property
    def goes_on(self) -> bool:
        return max(self.ends) > self.part.stop

    def add(self, segmenter: StreamSegmenter, section: Section, policy: Policy) -> None:
        """Take over what of a section lies in the part."""
        channel, start = segmenter.channel, section.offset
        self.ends[channel] = start + len(section.audio)
        here = (segment.shift(start) for segment in section.segments)
        self.speech += [(channel, s) for s in here if s.stop > self.part.start and s.start < self.part.stop]
        for where, audio, dropped in cut_section(segmenter, section, policy):
            if self.part.start <= where.start < self.part.stop:
                self.pieces.append(_Piece(where, channel, dropped, None if dropped else audio))
        inside = section.audio.mono[max(0, self.part.start - start) : max(0, self.part.stop - start)]
        self.levels[channel].append(np.array(inside))

    def envelopes(self) -> list[bytes]:
        """Return the peak of each 50 ms of each channel as bytes; square roots, so that soft speech can be seen."""
        peaks = [_peaks(np.concatenate(pieces)) for pieces in self.levels]
        loudest = max([float(p.max(initial=0.0)) for p in peaks]) or 1.0
        return [np.rint(255.0 * np.sqrt(p / loudest)).astype(np.uint8).tobytes() for p in peaks]


def preview(
    recording: Source,
    policy: Policy | None = None,
    *,
    disguises: Mapping[str, Method[Any]] | None = None,
    include_original: bool = False,
    part: Part | None = None,
    segments: Sequence[Segment] | None = None,
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
    follow_links: bool = False,
    title: str = "Preview of a recording",
) -> Preview:
    """Make a self-contained page of a recording: its speech, its snippets, and these in several disguises.

    Parameters
    ----------
    recording : path, binary file, Audio, or (samples, rate)
        As `deidentify` takes it.
    policy : Policy, optional
        Decides how it is cut; by default the preset "review".
    disguises : mapping of str to Method, optional
        By the names to show; by default `METHODS`.
    include_original : bool, optional
        Also play each snippet as it was. Without it, the page holds of the original the peak level of each 50 ms and
        the positions of speech; no audio, no spectrum and no pitch.
    part : Part, optional
        Of a long recording.
    segments : sequence of Segment, optional
        As `deidentify` takes them.
    turns : sequence of Turn, optional
        As `deidentify` takes them.
    mute : sequence of Segment, optional
        As `deidentify` takes them; silent in the original too.
    follow_links : bool, optional
        As `deidentify` takes it.
    title : str, optional
        Shown in the page.

    Returns
    -------
    Preview

    Raises
    ------
    RecordingError
        When the recording cannot be used.
    SettingError
        When a setting is outside its range, or the recording ends before the part.
    """
    policy = Policy.given(policy)
    part = part or Part()
    disguises = {name: disguise_named(name) for name in METHODS} if disguises is None else disguises
    known = Recording(
        "",
        segments=None if segments is None else tuple(segments),
        turns=tuple(turns),
        mute=tuple(mute),
        follow_links=follow_links,
    )
    contents = _read_part(recording, policy, part, known)
    if contents.stop <= part.start:
        raise SettingError("the recording ends before the part to show: start earlier")
    kept = [piece for piece in contents.pieces if piece.audio is not None]
    shown = []
    size = 0
    for snippet in _snippets(kept[: part.snippets], policy, disguises, include_original):
        size += sum(len(voice["wav"]) for voice in snippet["voices"] if "wav" in voice)
        if size > MOST_BYTES:
            break
        shown.append(snippet)
    data = {
        "title": title,
        "original": include_original,
        "start": part.start / RATE,
        "stop": contents.stop / RATE,
        "goesOn": contents.goes_on,
        "partial": contents.partial is not None,
        "envelopeStep": ENVELOPE / RATE,
        "envelopes": [_text(envelope) for envelope in contents.envelopes()],
        "speech": [{"channel": channel, **_times(s)} for channel, s in contents.speech],
        "drops": [
            {"channel": p.channel, "reason": p.dropped, **_times(p.segment)}
            for p in contents.pieces
            if p.dropped
        ],
        "unplayed": [{"channel": p.channel, **_times(p.segment)} for p in kept[len(shown) :]],
        "snippets": shown,
        "disguises": list(disguises),
        "scope": policy.scope,
        "maxSeconds": policy.cutting.max_seconds,
        "minSeconds": policy.cutting.min_seconds,
    }
    return Preview(filled(PAGE, {"DATA": data_slot(data)}), len(shown), len(kept) - len(shown))


def _read_part(
    recording: Source,
    policy: Policy,
    part: Part,
    known: Recording,
) -> _PartContents:
    """Read a recording as a run does, from its beginning to the part's end."""
    with decode(recording, known, policy) as decoding:
        contents = _PartContents(part, decoding.channels)
        segmenters = segmenters_for(decoding, known, policy)
        for segmenter, section in segment_stream(decoding, segmenters):
            contents.add(segmenter, section, policy)
            if min(contents.ends) >= part.stop:
                break
        else:
            if not decoding.partial:
                for segmenter in segmenters:
                    segmenter.mute.check(segmenter.end)
        contents.partial = decoding.partial
    contents.pieces.sort(key=lambda piece: (piece.segment, piece.channel))
    return contents


def _snippets(
    pieces: Sequence[_Piece], policy: Policy, disguises: Mapping[str, Method[Any]], include_original: bool
) -> Iterator[dict[str, Any]]:
    """Yield each piece in every disguise, as the page's data."""
    scope: Scope = "snippet" if policy.scope == "snippet" else "recording"  # the speaker is unknown here
    disguisers = {
        name: disguiser(replace(policy, disguise=disguise, scope=scope, repeatable=False))
        for name, disguise in disguises.items()
    }
    for piece in pieces:
        assert piece.audio is not None
        voices = [_original(piece.audio)] if include_original else []
        for name, revoice in disguisers.items():
            with one_thread():
                changed = revoice(piece.audio, piece.channel)
            voices.append(
                {"name": name, "dropped": changed}
                if isinstance(changed, str)
                else {**_voice(name, changed), "protection": _protection(name)}
            )
        yield {"channel": piece.channel, **_times(piece.segment), "voices": voices}


def _original(audio: Audio) -> dict[str, Any]:
    return {**_voice("original", Snippet("", round_to_pcm(audio.mono, fresh_rng()))), "original": True}


def _voice(name: str, snippet: Snippet) -> dict[str, Any]:
    """Describe a rendering: audio, duration and pitch contour."""
    pitch = _TRACKER.track(snippet.samples)
    return {
        "name": name,
        "wav": _text(snippet.encode("wav")),
        "seconds": snippet.seconds,
        "f0": np.rint(pitch.f0_hz).astype(int).tolist(),
        "f0Step": pitch.hop / RATE,
        "medianHz": round(pitch.median_hz),
    }


def _protection(name: str) -> str:
    """Look up the equal error rate that was measured of a method or preset; a name with settings has none."""
    default = DISGUISES[name]() if name in DISGUISES else None
    names = [name, *(preset for preset, made in PRESETS.items() if made.disguise == default)]
    figures = (pair for name in names for pair in measured(name))
    return next((value for figure, value in figures if figure.startswith("EER")), "")


def _peaks(samples: Samples) -> Samples:
    """Reduce samples to peaks for drawing."""
    padded = np.pad(np.abs(samples), (0, -samples.size % ENVELOPE))
    peaks: Samples = padded.reshape(-1, ENVELOPE).max(axis=1, initial=0.0)
    return peaks


def _times(segment: Segment) -> dict[str, float]:
    return {"start": round(segment.start / RATE, 3), "stop": round(segment.stop / RATE, 3)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
