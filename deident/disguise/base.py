"""What every disguise is: settings that draw a voice, and a function that applies it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio
from deident.dsp.level import fade
from deident.errors import SettingError, between, kind_of
from deident.keys import fresh_rng
from deident.process import one_thread

V = TypeVar("V")

Scope = Literal["snippet", "recording", "speaker"]


class Disguise(Protocol[V]):
    """A method of disguise. Choosing the voice is apart from making the sound.

    draw : one voice from a generator; the only place where chance enters.
    apply : the recording in that voice, (1, samples) at 16 kHz in, the same out (another length where the
    method changes timing). Deterministic: the same audio and voice give the same samples."""

    def draw(self, rng: np.random.Generator) -> V: ...

    def apply(self, audio: Audio, voice: V) -> Audio: ...


class Method(Generic[V]):
    """The base of the methods here: a frozen dataclass of settings that is also a plain callable.

    replaces_quiet : whether what lies between words is made anew. Where it is not, a run does that after it.
    hears_cuts : whether sound that begins or ends in a step, as if cut, has to be faded before."""

    replaces_quiet: ClassVar[bool] = False
    hears_cuts: ClassVar[bool] = False

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        # An `apply_all` that is inherited would pass an `apply` of its own by.
        if "apply" in vars(cls) and "apply_all" not in vars(cls):
            cls.apply_all = Method.apply_all  # type: ignore[method-assign]  # of the class, before it is used

    def draw(self, rng: np.random.Generator) -> V:
        raise NotImplementedError

    def apply(self, audio: Audio, voice: V) -> Audio:
        raise NotImplementedError

    def renewed(self, voice: V, rng: np.random.Generator) -> V:
        """The same voice for another snippet. A method whose voice holds noise draws that anew: the same noise in
        two snippets would link them, sample by sample, whatever is said in them."""
        return voice

    def apply_all(self, audios: Sequence[Audio], voices: Sequence[V]) -> list[Audio]:
        """`apply` for each audio and its voice. A method that can do short ones together does so here, with the
        same samples but for rounding."""
        return [self.apply(audio, voice) for audio, voice in zip(audios, voices, strict=True)]

    def __call__(self, samples: npt.NDArray[Any], sample_rate: int) -> npt.NDArray[np.float32]:
        """`samples` under a fresh voice.

        samples : (samples,) or (channels, samples).   sample_rate : Hz.
        Returns float32 of the same number of axes and rate; every channel gets the same voice. A method that
        shortens pauses may leave channels of different lengths: zeros follow the shorter ones. Where the method
        hears cuts, the sound begins and ends within 10 ms."""
        audio = Audio(samples, sample_rate)
        voice = self.draw(fresh_rng())
        with one_thread():
            rows = [self._one(row, audio.rate, voice) for row in audio.samples]
        if np.ndim(samples) == 1:
            return rows[0]
        out = np.zeros((len(rows), max(row.size for row in rows)), dtype=np.float32)
        for own, row in zip(out, rows, strict=True):
            own[: row.size] = row
        return out

    def _one(self, row: npt.NDArray[np.float32], rate: int, voice: V) -> npt.NDArray[np.float32]:
        if self.hears_cuts:
            row = fade(row, rate // 100)
        if rate == RATE:
            return np.array(self.apply(Audio(row, RATE), voice).mono)
        import soxr

        inside = Audio(soxr.resample(row, rate, RATE), RATE)
        changed = self.apply(inside, voice).mono
        out: npt.NDArray[np.float32] = soxr.resample(changed, RATE, rate)
        if changed.size != len(inside):
            return out
        out = out[: row.size]  # what two roundings of the length took or gave
        return np.concatenate((out, np.zeros(row.size - out.size, dtype=np.float32)))


@dataclass(frozen=True)
class Scoped(Generic[V]):
    """A disguise with the scope of its voices: how long one is kept."""

    disguise: Disguise[V]
    scope: Scope

    def draw(self, rng: np.random.Generator) -> V:
        return self.disguise.draw(rng)

    def renewed(self, voice: V, rng: np.random.Generator) -> V:
        return renewed(self.disguise, voice, rng)

    def apply(self, audio: Audio, voice: V) -> Audio:
        return self.disguise.apply(audio, voice)


def apply_all(method: Disguise[V], audios: Sequence[Audio], voices: Sequence[V]) -> list[Audio]:
    """Each audio in its voice: together where the method knows how, one by one where it is anybody's own."""
    if isinstance(method, Method):
        changed = method.apply_all(audios, voices)
        if len(changed) != len(audios):
            raise SettingError(f"expected of apply_all {len(audios)} audios, as it got; got {len(changed)}")
        return changed
    return [method.apply(audio, voice) for audio, voice in zip(audios, voices, strict=True)]


def renewed(method: Disguise[V], voice: V, rng: np.random.Generator) -> V:
    """A voice that is kept, for another snippet: as it is, unless the method has `renewed`, see `Method`."""
    own: Callable[[V, np.random.Generator], V] | None = getattr(method, "renewed", None)
    return own(voice, rng) if own else voice


def check_disguise(value: object) -> None:
    """Raise `SettingError` unless value can draw and apply."""
    if isinstance(value, type) or not (hasattr(value, "draw") and hasattr(value, "apply")):
        raise SettingError(
            f"expected a disguise with draw and apply, such as deident.DISGUISES['vocoder'](); got {kind_of(value)}"
        )


def ordered(name: str, bounds: tuple[float, float], low: float, high: float) -> None:
    """Raise `SettingError` unless bounds is a (lower, upper) pair within low to high."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise SettingError(f"expected {name} as (lower, upper); got {bounds!r}")
    for bound in bounds:
        between(name, bound, low, high)
    if bounds[0] > bounds[1]:
        raise SettingError(f"expected {name} as (lower, upper); got {bounds!r}")


def bounded(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """(samples,) float32, divided by its peak where that passes full scale: nothing is clipped."""
    peak = max(float(np.max(samples, initial=0.0)), -float(np.min(samples, initial=0.0)))
    return (samples / peak if peak > 1.0 else samples).astype(np.float32, copy=False)
