"""Disguising and finishing pieces: voice, level, fade, dither, name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from deident.audio import RATE, Audio, Samples, at_work_rate
from deident.disguise.base import apply_all
from deident.dsp.level import fade, replace_quiet, round_to_pcm, set_level
from deident.errors import RecordingError, SettingError, debug_traceback
from deident.pipeline.draws import Draws, Piece, PieceId
from deident.pipeline.snippet import Snippet
from deident.policy import Policy
from deident.recording import Recording
from deident.segmentation.cutting import Reason

EDGE = RATE // 100  # samples over which a piece begins and ends before its disguise
TOGETHER = 60 * RATE  # samples that are disguised at once: about as many as a section has


def grouped(sections: Iterator[list[Piece]], *, live: bool) -> Iterator[list[Piece]]:
    """Group successive pieces of `TOGETHER` samples in all, because a disguise costs less for several at once.

    Those of a live source never wait for the next section. Pieces before an error are passed on before it.
    """
    group: list[Piece] = []
    samples = 0
    try:
        for section in sections:
            for piece in section:
                if group and samples + len(piece.audio) > TOGETHER:
                    yield group
                    group, samples = [], 0
                group.append(piece)
                samples += len(piece.audio)
            if live and group:
                yield group
                group, samples = [], 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group


def disguised(pieces: list[Piece], policy: Policy, draws: Draws) -> Iterator[Snippet | Reason]:
    """Yield each piece in a drawn voice, finished, or the reason why it is dropped."""
    audios = [_faded(piece.audio) for piece in pieces]
    with _blamed_on_disguise():
        voices = [draws.voice(piece) for piece in pieces]
    method = policy.disguise

    def noise() -> list[np.random.Generator]:
        return [draws.rng("noise", *piece.id) for piece in pieces]

    try:
        changed: Iterable[Audio] = apply_all(method, audios, voices, noise())
    except Exception:  # one by one, so that it takes none of those before it along
        debug_traceback()
        changed = map(method.apply, audios, voices, noise())
    answers = iter(changed)
    for piece in pieces:
        with _blamed_on_disguise():
            samples = at_work_rate(next(answers, None))
            if not samples.size:
                raise SettingError("it left no sample of a snippet")
        yield _finished(piece, samples, policy, draws)


@contextmanager
def _blamed_on_disguise() -> Iterator[None]:
    """Turn an error of the caller's own disguise into one that refuses the recording, and ends no run."""
    try:
        yield
    except (SettingError, RecordingError) as error:
        debug_traceback()
        raise RecordingError(f"the disguise cannot be used: {error}", "disguise") from None


def _faded(audio: Audio) -> Audio:
    """Fade both ends of a piece.

    The steps of its cuts have energy in bands where the recording may have none, and a vocoder would make that as loud
    as speech.
    """
    return Audio.trusted(fade(audio.mono, EDGE)[np.newaxis], RATE)


def _finished(piece: Piece, changed: Samples, policy: Policy, draws: Draws) -> Snippet | Reason:
    """Set level, fades and noise floor, and round to 16 bits; or give the reason why it is dropped."""
    if changed.size > policy.cutting.max_samples:
        return "over_limit"
    if changed.size < policy.cutting.min_samples:
        return "shortened"
    level = set_level(changed)
    if not policy.disguise.replaces_quiet:
        level = replace_quiet(level, draws.rng("comfort", *piece.id))
    level = fade(level, round(policy.cutting.fade_seconds * RATE))
    return Snippet(
        draws.name(piece),
        round_to_pcm(level, draws.rng("dither", *piece.id)),
        piece.text,
        piece.words if policy.disguise.keeps_time else (),
        piece.turn,
        piece.phones if policy.disguise.keeps_time else (),
    )


def disguiser(policy: Policy) -> Callable[[Audio, int], Snippet | Reason]:
    """Make a function that disguises a piece of a channel as `deidentify` does, under voices of its own."""
    draws = Draws(policy, None, Recording(""))

    def disguise(audio: Audio, channel: int) -> Snippet | Reason:
        return next(disguised([Piece(audio, PieceId(channel, 0, b"", 0, 0))], policy, draws))

    return disguise
