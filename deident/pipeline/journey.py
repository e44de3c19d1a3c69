"""The journey of one recording: decode, detect speech, cut, disguise, finish."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from deident.audio import Segment
from deident.codec.decoding import Source
from deident.keys import Key, check_key
from deident.pipeline.disguising import disguised, grouped
from deident.pipeline.draws import Draws
from deident.pipeline.pieces import pieces_of
from deident.pipeline.snippet import Snippet
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
    recording : path, binary file, Audio, or (samples, rate)
        Samples are (samples,) or (channels, samples), full scale ±1; rate in Hz.
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


def snippets_of(
    source: Source, recording: Recording, policy: Policy, key: Key | None, observer: Observer
) -> Generator[Snippet]:
    """Yield the snippets of the audio in `source`, with the annotations of `recording`."""
    check_key(key)
    draws = Draws(policy, key, recording)
    with closing(pieces_of(source, recording, policy, draws, observer)) as pieces:
        for group in grouped(pieces):
            for piece, snippet in zip(group, disguised(group, policy, draws), strict=True):
                if isinstance(snippet, str):
                    observer.tally.drop(snippet, piece.audio.seconds)
                else:
                    observer.tally.release(snippet.seconds)
                    observer.tally.shortened_seconds += piece.audio.seconds - snippet.seconds
                    yield snippet


def plan(source: Source, recording: Recording, policy: Policy, key: Key | None, observer: Observer) -> Tally:
    """Tally what `snippets_of` would release, without disguising anything: seconds are those before it."""
    draws = Draws(policy, key or Key.fresh(), recording)  # no name is kept, so any key will do
    for piece in each_on_one_thread(pieces_of(source, recording, policy, draws, observer)):
        observer.tally.release(piece.audio.seconds)
    return observer.tally
