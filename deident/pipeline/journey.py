"""The journey of one recording: decode, detect speech, cut, disguise, finish."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing

import numpy.typing as npt

from deident.audio import Segment
from deident.codec.arrays import Blocks
from deident.codec.decoding import Source
from deident.errors import SettingError
from deident.keys import Key, check_key
from deident.pipeline.disguising import disguised, grouped
from deident.pipeline.draws import Draws
from deident.pipeline.pieces import pieces_of
from deident.pipeline.snippet import Snippet
from deident.pipeline.texts import TextCount
from deident.policy import Policy
from deident.process import each_on_one_thread
from deident.recording import CallbackError, Observer, Recording, Tally
from deident.segmentation.turns import Turn


def deidentify(
    recording: Source,
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    speaker: str | None = None,
    segments: Sequence[Segment] | None = None,
    turns: Sequence[Turn] = (),
    mute: Sequence[Segment] = (),
    follow_links: bool = False,
    tally: Tally | None = None,
    on_read: Callable[[float], object] | None = None,
) -> Iterator[Snippet]:
    """Yield the snippets of one recording one by one.

    Parameters
    ----------
    recording : path, URI, bytes, binary file, Audio, or (samples, rate)
        A URI is text such as "s3://bucket/call.wav"; bytes are those of a whole file. Samples are (samples,) or
        (channels, samples), full scale ±1; rate in Hz.
    policy : Policy, optional
        By default the preset `review`.
    key : Key, optional
        Needed where the policy is repeatable or its scope is "speaker".
    speaker : str, optional
        Who speaks, where the scope is "speaker".
    segments : sequence of Segment, optional
        Segments with speech, in samples at 16 kHz; by default they are detected.
    turns : sequence of Turn, optional
        In place of segments, who says what and when: no snippet is of two turns.
    mute : sequence of Segment, optional
        Ranges to silence before anything else, in samples at 16 kHz; `policy.mute` says how. Words in them are
        left out.
    follow_links : bool, default False
        Read a path that is a symbolic link.
    tally : Tally, optional
        Filled with seconds and counts.
    on_read : callable, optional
        Called with the seconds of audio that were read since, about a minute at a time.

    Yields
    ------
    Snippet

    Raises
    ------
    RecordingError
        When the recording cannot be used, also at its end: when a range to mute lies past it, the snippets before
        must not be used either.
    SettingError, KeyMaterialError
        When key or speaker are missing, or an argument is of the wrong type.

    Examples
    --------
    >>> import deident
    >>> snippets = list(deident.deidentify("examples/recordings/call.wav"))
    >>> all(0.3 <= snippet.seconds < 10.0 for snippet in snippets)
    True
    """
    known = Recording(
        "",
        speaker,
        None if segments is None else tuple(segments),
        turns=tuple(turns),
        mute=tuple(mute),
        follow_links=follow_links,
    )
    observer = Observer(tally, on_read)
    policy = Policy.given(policy)
    try:
        yield from each_on_one_thread(snippets_of(recording, known, policy, key, observer))
    except CallbackError as error:
        raise error.cause from None


def stream(
    blocks: Iterable[npt.ArrayLike],
    rate: int,
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    speaker: str | None = None,
    tally: Tally | None = None,
) -> Iterator[Snippet]:
    """Yield the snippets of a live source, each within about ten seconds of its end.

    They are those that `deidentify` makes of all blocks joined, to the byte where the policy is repeatable. Memory
    stays the same for any length.

    Parameters
    ----------
    blocks : iterable of (samples,) or (channels, samples) array_like
        The audio as it comes, in blocks of any size: floats with full scale ±1, or int16. The next one is read when a
        snippet is asked for.
    rate : int
        Sample rate of the blocks, Hz.
    policy : Policy, optional
        One with `live`; by default the preset `review` with it.
    key : Key, optional
        Needed where the policy is repeatable or its scope is "speaker".
    speaker : str, optional
        Who speaks, where the scope is "speaker".
    tally : Tally, optional
        Filled with seconds and counts.

    Yields
    ------
    Snippet

    Raises
    ------
    RecordingError
        When a block cannot be used.
    SettingError, KeyMaterialError
        When the policy is not for a live source, key or speaker are missing, or an argument is of the wrong type.

    Examples
    --------
    >>> import numpy as np, deident
    >>> audio = deident.read("examples/recordings/call.wav")
    >>> blocks = np.array_split(audio.mono, 500)  # as a sound card gives them
    >>> sum(1 for snippet in deident.stream(blocks, audio.rate)) > 3
    True
    """
    policy = Policy(live=True) if policy is None else Policy.given(policy)
    if not policy.live:
        raise SettingError(
            "a live source needs a policy with live=True, such as Policy.preset('review', live=True)"
        )
    known = Recording("", speaker)
    yield from each_on_one_thread(snippets_of(Blocks(blocks, rate), known, policy, key, Observer(tally)))


def snippets_of(
    source: Source, recording: Recording, policy: Policy, key: Key | None, observer: Observer
) -> Generator[Snippet]:
    """Yield the snippets of the audio in `source`, with the annotations of `recording`."""
    check_key(key)
    draws = Draws(policy, key, recording)
    texts = TextCount(recording, policy, observer.tally)
    with closing(pieces_of(source, recording, policy, draws, observer)) as sections:
        for group in grouped(sections, live=policy.live):
            for piece, snippet in zip(group, disguised(group, policy, draws), strict=True):
                if isinstance(snippet, str):
                    observer.tally.drop(snippet, piece.audio.seconds)
                elif policy.verify is not None and not policy.verify(snippet.samples, snippet.rate):
                    observer.tally.drop("found", piece.audio.seconds)
                else:
                    observer.tally.release(snippet.seconds)
                    observer.tally.shortened_seconds += piece.audio.seconds - snippet.seconds
                    texts.give(snippet.turn, snippet.text)
                    yield snippet


def plan(source: Source, recording: Recording, policy: Policy, key: Key | None, observer: Observer) -> Tally:
    """Tally what `snippets_of` would release, without disguising anything: seconds are those before it."""
    draws = Draws(policy, key or Key.fresh(), recording)  # no name is kept, so any key will do
    texts = TextCount(recording, policy, observer.tally)
    for section in each_on_one_thread(pieces_of(source, recording, policy, draws, observer)):
        for piece in section:
            observer.tally.release(piece.audio.seconds)
            texts.give(piece.turn, piece.text)
    return observer.tally
