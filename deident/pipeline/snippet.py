"""Snippets: what is released of a recording."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deident import codec
from deident.audio import RATE, Pcm, Samples, container_of, player
from deident.errors import SettingError
from deident.segmentation.turns import Turn, Word


@dataclass(frozen=True, eq=False, repr=False)
class Snippet:
    """A short piece of speech in another voice, ready for release.

    Attributes
    ----------
    name : str
        32 hexadecimal digits that reveal nothing.
    pcm : (samples,) int16
        Mono at 16 kHz.
    text : str or None
        The words spoken in it, None where they are not known.
    words : tuple of Word
        The same word by word, with times in this snippet; empty where the disguise changes the timing.
    turn : Turn or None
        The turn it was cut from, as given. It names the speaker, and is not for release.
    phones : tuple of Word
        The phones in it, as `words`.
    """

    name: str
    pcm: Pcm
    text: str | None = None
    words: tuple[Word, ...] = ()
    turn: Turn | None = None
    phones: tuple[Word, ...] = ()

    @property
    def samples(self) -> Samples:
        """The audio as (samples,) float32, full scale ±1."""
        return self.pcm.astype(np.float32) / np.float32(32_768.0)

    @property
    def rate(self) -> int:
        """The sample rate, 16,000 Hz."""
        return RATE

    @property
    def seconds(self) -> float:
        """The length."""
        return self.pcm.size / RATE

    def encode(self, container: str = "wav") -> bytes:
        """Encode the snippet as a canonical file, with nothing in it besides audio.

        Parameters
        ----------
        container : {"wav", "flac"}, optional

        Returns
        -------
        bytes

        Raises
        ------
        SettingError
            For another container.
        """
        if container not in codec.ENCODERS:
            raise SettingError(f"expected a container of {', '.join(codec.ENCODERS)}")
        return codec.ENCODERS[container](self.pcm)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snippet to a canonical file.

        Parameters
        ----------
        path : path-like
            Its suffix, .wav or .flac, decides the container.

        Raises
        ------
        SettingError
            For another suffix.
        """
        Path(path).write_bytes(self.encode(container_of(path)))

    def _repr_html_(self) -> str:
        return player(self.encode("wav"), self.samples, repr(self))

    def __repr__(self) -> str:
        return f"Snippet({self.seconds:.2f} s)"
