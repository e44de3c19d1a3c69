"""A recording to be read, with what is known of it. It goes whole through a run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from deident.errors import SettingError, kind_of
from deident.segment import Segment
from deident.segmentation.turns import CARRIED, Turn, check_places

Labels = dict[str, str]


@dataclass(frozen=True, repr=False)
class Recording:
    """A recording to be read, with what is known of it.

    path : where it lies.   speaker : who speaks.   segments : where speech is, `Segment(start, stop)` in
    samples at 16 kHz, None when that is to be found.   labels : carried to its snippets in the manifest.
    turns : in place of segments, where who says what.   mute : what nobody may hear, in samples at 16 kHz.
    id : what other files call it, where that is not its file's name.
    size, version : bytes, and what changes when they do, where `path` is a URI; found by `expand`."""

    path: str
    speaker: str | None = None
    segments: tuple[Segment, ...] | None = None
    labels: Labels = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()
    mute: tuple[Segment, ...] = ()
    id: str = ""
    size: int | None = None
    version: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | bytes | os.PathLike):
            raise SettingError(f"expected path as text or a Path; got {kind_of(self.path)}")
        object.__setattr__(self, "path", os.fsdecode(self.path))
        check_places(self.segments or (), self.turns, self.mute)
        if self.segments and self.turns:
            raise SettingError("expected segments or turns, which are segments too; got both")
        for labels in (self.labels, *(turn.labels for turn in self.turns if turn.labels)):
            if not labels.keys().isdisjoint(CARRIED):
                raise SettingError(
                    f"no label may be called {', '.join(CARRIED)}: the policy's carry is for those"
                )

    def __repr__(self) -> str:
        return "Recording(hidden)"
