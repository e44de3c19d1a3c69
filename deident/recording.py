"""A recording to be read, the tally of its outcome, and the observer of its reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from deident.errors import SettingError, kind_of, truth
from deident.segment import Segment
from deident.segmentation.turns import CARRIED, Turn, check_annotations, one_form

Labels = dict[str, str]

LENGTH_STEP = 0.5  # seconds

OnRead = Callable[[float], object]  # seconds of audio that were read


@dataclass(frozen=True, repr=False)
class Recording:
    """A recording to be read, with all that is known of it.

    Parameters
    ----------
    path : str or path-like
        A file or URI.
    speaker : str, optional
        The person who speaks, where there is only one.
    segments : tuple of Segment, optional
        Speech, in samples at 16 kHz. None leaves it to voice activity detection.
    labels : dict of str to str, optional
        Labels that its snippets have in the manifest.
    turns : tuple of Turn, optional
        Utterances with speakers, text and words, in place of segments.
    mute : tuple of Segment, optional
        Ranges to silence on all channels, in samples at 16 kHz.
    id : str, optional
        Its name in other files, where that is not its file's name.
    size : int, optional
        Bytes; `expand` looks it up where the path is a URI.
    version : str, optional
        A tag that changes with the bytes; `expand` looks it up where the path is a URI.
    follow_links : bool, default False
        Read it through symbolic links.
    kinds : tuple of str, optional
        Kinds of the ranges to mute, where they are known: for counting, in any order.
    consent : bool, default False
        Everybody who speaks in it consented.

    Raises
    ------
    SettingError
        If a value is of another type, segments come with turns, or a label is called text, words or speaker.

    Examples
    --------
    >>> from deident import Recording, Segment
    >>> Recording("call.wav", speaker="7", segments=(Segment(8_000, 24_000),))
    Recording(hidden)
    """

    path: str
    speaker: str | None = None
    segments: tuple[Segment, ...] | None = None
    labels: Labels = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()
    mute: tuple[Segment, ...] = ()
    id: str = ""
    size: int | None = None
    version: str = ""
    follow_links: bool = False
    kinds: tuple[str, ...] = ()
    consent: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | bytes | os.PathLike):
            raise SettingError(f"expected path as text or a Path; got {kind_of(self.path)}")
        object.__setattr__(self, "path", os.fsdecode(self.path))
        if isinstance(self.speaker, str):  # a number names a speaker as well
            object.__setattr__(self, "speaker", one_form(self.speaker))
        truth("consent", self.consent)
        check_annotations(self.segments or (), self.turns, self.mute)
        if self.segments is not None and self.turns:
            raise SettingError("expected segments or turns, which are segments too; got both")
        for labels in (self.labels, *(turn.labels for turn in self.turns if turn.labels)):
            if not labels.keys().isdisjoint(CARRIED):
                raise SettingError(
                    f"no label may be called {', '.join(CARRIED)}: the policy's carry is for those"
                )

    @property
    def is_timed(self) -> bool:
        """Tell whether times in it are given, which must fit its sound."""
        return self.segments is not None or bool(self.turns or self.mute)

    def __repr__(self) -> str:
        return "Recording(hidden)"


@dataclass
class Totals:
    """Seconds and counts of one recording or of many.

    Attributes
    ----------
    read_seconds, speech_seconds, released_seconds : float
        Decoded, found to be speech, and released in snippets.
    snippets : int
        Released.
    lengths : dict of str to int
        Released snippets by length, in steps of half a second, under where each step starts.
    dropped_seconds : dict of str to float
        By the reason.
    cancelled_seconds : float
        Read where the channels of a mix cancelled each other, from the louder one.
    shortened_seconds : float
        Pauses that cutting and the disguise took out, less what the disguise lengthened: speech is released,
        dropped or shortened.
    gated_seconds : float
        Refused by the gate of `find_speech` alone: noise, or speech in noise. No part of `speech_seconds`.
    separate_channels : int
        Mixed recordings of two channels with a person each.
    texts_left_out : int
        Texts to carry that no snippet was given: what they say was dropped or muted, or divided without word times.
    """

    read_seconds: float = 0.0
    speech_seconds: float = 0.0
    released_seconds: float = 0.0
    snippets: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    dropped_seconds: dict[str, float] = field(default_factory=dict)
    cancelled_seconds: float = 0.0
    shortened_seconds: float = 0.0
    gated_seconds: float = 0.0
    separate_channels: int = 0
    texts_left_out: int = 0

    def include(self, other: Totals) -> None:
        """Add the seconds and counts of another to these."""
        for total in fields(Totals):
            own, more = getattr(self, total.name), getattr(other, total.name)
            if isinstance(own, dict):
                for name, count in more.items():
                    own[name] = own.get(name, 0) + count
            else:
                setattr(self, total.name, own + more)

    def drop(self, reason: str, seconds: float) -> None:
        """Count speech that is dropped."""
        self.dropped_seconds[reason] = self.dropped_seconds.get(reason, 0.0) + seconds


@dataclass
class Tally(Totals):
    """Seconds and counts of one recording, with the attributes of `Totals` too.

    Attributes
    ----------
    partial : str or None
        The code of the reason why the recording's end is missing.
    content_sha256, head_sha256, file_sha256 : str
        Digests of the decoded audio, of its first three seconds that are not silence, and of the file.
    """

    partial: str | None = None
    content_sha256: str = field(default="", repr=False)  # they would tell recordings apart in a log
    head_sha256: str = field(default="", repr=False)
    file_sha256: str = field(default="", repr=False)

    def release(self, seconds: float) -> None:
        """Count a snippet.

        Parameters
        ----------
        seconds : float
        """
        self._count(seconds, 1)

    def withdraw(self, reason: str, seconds: float) -> None:
        """Count a snippet as dropped after all.

        Parameters
        ----------
        reason : str
        seconds : float
        """
        self._count(seconds, -1)
        self.drop(reason, seconds)

    def withdraw_all(self, reason: str) -> None:
        """Count all that was not dropped as dropped: the recording is refused or skipped after all.

        Parameters
        ----------
        reason : str
        """
        if self.snippets or self.shortened_seconds > 0.0:
            self.drop(reason, self.released_seconds + self.shortened_seconds)
        self.snippets, self.released_seconds, self.shortened_seconds, self.lengths = 0, 0.0, 0.0, {}
        self.texts_left_out = 0

    def _count(self, seconds: float, by: int) -> None:
        """Add to counts, or take back, snippets of a length."""
        step = f"{seconds // LENGTH_STEP * LENGTH_STEP:g}"
        self.snippets += by
        self.released_seconds += by * seconds
        self.lengths[step] = self.lengths.get(step, 0) + by
        if not self.lengths[step]:
            del self.lengths[step]


class CallbackError(Exception):
    """A function of the caller's failed; the recording did not."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class Observer:
    """Keeps the tally of one recording, and reports progress to a callback.

    Parameters
    ----------
    tally : Tally, optional
        By default a new one.
    on_read : callable, optional
        Called with seconds of audio that were read, about a minute at a time.
    """

    def __init__(self, tally: Tally | None = None, on_read: OnRead | None = None) -> None:
        self.tally = tally or Tally()
        self._on_read = on_read

    def read(self, seconds: float) -> None:
        """Report that more seconds were read. Raises `CallbackError` when the callback fails."""
        if self._on_read is None:
            return
        try:
            self._on_read(seconds)
        except Exception as error:
            raise CallbackError(error) from None
