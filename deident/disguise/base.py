"""The protocol of a disguise, and the base that all of them share."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
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
    """A method of disguise: anything with these two functions. `Method` has defaults for all else.

    A voice decides how a speaker sounds. Noise is drawn in `apply`, anew for every snippet: the same noise in two
    snippets would link them, sample by sample, whatever is said in them."""

    def draw(self, rng: np.random.Generator) -> V:
        """Draw a voice. Everything that one voice shares comes from this generator."""

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        """Say the same in a voice.

        Parameters
        ----------
        audio : Audio
            One channel at 16 kHz.
        voice : object
            One that `draw` gave.
        rng : numpy.random.Generator
            For noise, and whatever else no two snippets may share.

        Returns
        -------
        Audio
            One channel at 16 kHz; of another length where the method changes timing. The same for the same audio,
            voice and state of the generator."""


class Method(Generic[V]):
    """The base of all disguises: a frozen dataclass of settings that is also a plain callable.

    Attributes
    ----------
    stretch : float
        How many times as long as the input the output can be, at most. A run cuts snippets shorter by it.
    keeps_time : bool
        What is said stays where it was, so that word times hold.
    replaces_quiet : bool
        The method replaces what lies between words. Where it does not, a run does so afterwards.
    needs_fades : bool
        Audio that begins or ends abruptly has to be faded first.
    scope : "snippet", "recording" or "speaker"
        How long one voice is kept when the disguise is evaluated."""

    keeps_time: bool = False
    replaces_quiet: bool = False
    needs_fades: ClassVar[bool] = False
    scope: Scope = "snippet"

    @property
    def stretch(self) -> float:
        return 1.0

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        # An `apply_all` that is inherited would pass an `apply` of its own by.
        if "apply" in vars(cls) and "apply_all" not in vars(cls):
            cls.apply_all = Method.apply_all  # type: ignore[method-assign]  # of the class, before it is used

    def draw(self, rng: np.random.Generator) -> V:
        raise NotImplementedError

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        raise NotImplementedError

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[V], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """`apply` for each audio, its voice and its generator. A method that processes short ones faster together does
        so here, with the same samples but for rounding."""
        return [self.apply(*one) for one in zip(audios, voices, rngs, strict=True)]

    def __call__(self, samples: npt.NDArray[Any], sample_rate: int) -> npt.NDArray[np.float32]:
        """Disguise an array under a fresh voice.

        Parameters
        ----------
        samples : (samples,) or (channels, samples)
            Every channel gets the same voice.
        sample_rate : int
            In Hz.

        Returns
        -------
        (samples,) or (channels, samples) float32
            At the same rate. A method that shortens pauses may leave channels of different lengths: zeros follow the
            shorter ones. Where the method `needs_fades`, the first and last 10 ms are faded.
        """
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
        rng = fresh_rng()
        if self.needs_fades:
            row = fade(row, rate // 100)
        if rate == RATE:
            return np.array(self.apply(Audio(row, RATE), voice, rng).mono)
        import soxr

        inside = Audio(soxr.resample(row, rate, RATE), RATE)
        changed = self.apply(inside, voice, rng).mono
        out: npt.NDArray[np.float32] = soxr.resample(changed, RATE, rate)
        if changed.size != len(inside):
            return out
        out = out[: row.size]  # what two roundings of the length took or gave
        return np.concatenate((out, np.zeros(row.size - out.size, dtype=np.float32)))


@dataclass(frozen=True, repr=False)
class Foreign(Method[V]):
    """Somebody's own disguise, with the traits that it declares and the defaults for all others."""

    inner: Disguise[V]

    def __post_init__(self) -> None:
        for name in _TRAITS:
            if hasattr(self.inner, name):
                object.__setattr__(self, name, getattr(self.inner, name))

    @property
    def stretch(self) -> float:
        return float(getattr(self.inner, "stretch", 1.0))

    def draw(self, rng: np.random.Generator) -> V:
        return self.inner.draw(rng)

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        return self.inner.apply(audio, voice, rng)

    def __repr__(self) -> str:
        return repr(self.inner)


_TRAITS = ("keeps_time", "replaces_quiet", "needs_fades", "scope")


@dataclass(frozen=True)
class Scoped(Method[V]):
    """A disguise with the scope of its voices: how long one is kept."""

    disguise: Method[V]
    scope: Scope = "speaker"

    @property
    def stretch(self) -> float:
        return self.disguise.stretch

    def draw(self, rng: np.random.Generator) -> V:
        return self.disguise.draw(rng)

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        return self.disguise.apply(audio, voice, rng)


def as_method(value: object) -> Method[Any]:
    """A disguise with all its traits: as it is, or somebody's own wrapped.

    Raises `SettingError` unless value can draw a voice and apply it to audio with a generator."""
    if isinstance(value, Method):
        return value
    if isinstance(value, type) or not (callable(getattr(value, "draw", None)) and hasattr(value, "apply")):
        raise SettingError(
            f"expected a disguise with draw and apply, such as deident.DISGUISES['vocoder'](); got {kind_of(value)}"
        )
    try:
        inspect.signature(value.apply).bind(None, None, None)
    except (TypeError, ValueError):
        raise SettingError("expected a disguise whose apply takes (audio, voice, rng)") from None
    return Foreign(value)  # type: ignore[arg-type]  # has what the protocol asks for


def apply_all(
    method: Method[V], audios: Sequence[Audio], voices: Sequence[V], rngs: Sequence[np.random.Generator]
) -> list[Audio]:
    """Each audio in its voice. Raises `SettingError` when the method loses one."""
    changed = method.apply_all(audios, voices, rngs)
    if len(changed) != len(audios):
        raise SettingError(f"expected of apply_all {len(audios)} audios, as it got; got {len(changed)}")
    return changed


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
