"""The protocol of a disguise, and the base that all of them share."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Audio
from deident.dsp.level import fade, remove_offset
from deident.errors import SettingError, between, kind_of
from deident.keys import fresh_rng
from deident.process import one_thread

V = TypeVar("V")

Scope = Literal["snippet", "recording", "speaker"]


class Disguise(Protocol[V]):
    """The protocol of a disguise: any object with these two functions.

    A voice decides how a speaker sounds. Noise is drawn in `apply`, anew for every snippet: two snippets with the same
    noise could be linked sample by sample, whatever is said in them. `Method` adds the traits that a run asks for.
    """

    def draw(self, rng: np.random.Generator) -> V:
        """Draw a voice.

        Parameters
        ----------
        rng : numpy.random.Generator
            The only source of randomness: the same state gives the same voice.

        Returns
        -------
        object
            All that the snippets in this voice share. It can be pickled, and its repr shows no drawn number.
        """

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        """Disguise one snippet.

        Parameters
        ----------
        audio : Audio
            One channel at 16 kHz.
        voice : object
            From `draw`.
        rng : numpy.random.Generator
            For noise, and whatever else no two snippets may share.

        Returns
        -------
        Audio
            One channel at 16 kHz, at most `stretch` times as long as the input. The same for the same audio, voice and
            state of the generator.
        """


class Method(Generic[V]):
    """The base of all disguises: a frozen dataclass of settings that is also a plain callable.

    A subclass defines `draw` and `apply`, and overrides the traits that differ from the defaults, as class attributes,
    fields or properties.

    Attributes
    ----------
    stretch : float
        Upper bound of the output's length over the input's, default 1. A run cuts snippets shorter by it.
    keeps_time : bool
        Every word stays at its time, so that word times remain valid, and the length is that of the input. Default
        False.
    replaces_quiet : bool
        The method replaces the background between words. A run replaces it itself after a method that does not.
        Default False.
    needs_fades : bool
        The input has to be faded in and out where it begins or ends abruptly. Default False.
    scope : "snippet", "recording" or "speaker"
        How long one voice is kept when the disguise is evaluated. Default "snippet".

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Louder(Method[float]):
    ...     keeps_time = True
    ...     most: float = 2.0
    ...     def draw(self, rng):
    ...         return float(rng.uniform(1.0, self.most))
    ...     def apply(self, audio, voice, rng):
    ...         return Audio(audio.mono * np.float32(voice), audio.rate)
    >>> Louder()(np.full(800, 0.1), 16_000).shape
    (800,)
    """

    stretch: float = 1.0
    keeps_time: bool = False
    replaces_quiet: bool = False
    needs_fades: ClassVar[bool] = False
    scope: Scope = "snippet"

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        # An inherited `apply_all` would bypass the subclass's own `apply`.
        if "apply" in vars(cls) and "apply_all" not in vars(cls):
            cls.apply_all = Method.apply_all  # type: ignore[method-assign]  # of the class, before it is used

    def draw(self, rng: np.random.Generator) -> V:
        """Draw a voice; see `Disguise.draw`."""
        raise NotImplementedError

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; see `Disguise.apply`."""
        raise NotImplementedError

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[V], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise several snippets, each in its voice.

        A method overrides this when it is faster on short snippets together. The samples are those of `apply`, but for
        rounding.

        Parameters
        ----------
        audios : sequence of Audio
        voices : sequence of object
        rngs : sequence of numpy.random.Generator
            One of each for every snippet.

        Returns
        -------
        list of Audio
        """
        return [self.apply(*one) for one in zip(audios, voices, rngs, strict=True)]

    def keeping_time(self) -> Method[V]:
        """Give the method as it is with every word at its time; one that cannot keep time is given as it is.

        Returns
        -------
        Method
        """
        return self

    def __call__(
        self,
        samples: npt.NDArray[Any],
        sample_rate: int,
        *,
        rng: np.random.Generator | int | None = None,
        keep_length: bool = True,
    ) -> npt.NDArray[np.float32]:
        """Disguise an array under a drawn voice.

        Parameters
        ----------
        samples : (samples,) or (channels, samples)
            Every channel gets the same voice.
        sample_rate : int
            In Hz.
        rng : numpy.random.Generator or int, optional
            Decides voice and noise; a number is a seed. For training only: whoever knows it knows the voice. By default
            they come from the operating system.
        keep_length : bool, default True
            Use the method as it is by `keeping_time`, and cut or pad what is of another length all the same.

        Returns
        -------
        (samples,) or (channels, samples) float32
            At the same rate. Where a method shortens pauses by different amounts, zeros follow the shorter channels.
            Where the method `needs_fades`, the first and last 10 ms are faded.
        """
        audio, own = Audio(samples, sample_rate), _generator(rng)
        method = self.keeping_time() if keep_length else self
        voice = method.draw(own)
        with one_thread():
            rows = [method._one(row, audio.rate, voice, own) for row in audio.samples]
        size = len(audio) if keep_length else max(row.size for row in rows)
        out = np.zeros((len(rows), size), dtype=np.float32)
        for target, row in zip(out, rows, strict=True):
            target[: row.size] = row[:size]
        return out if np.ndim(samples) > 1 else out[0]

    def _one(
        self, row: npt.NDArray[np.float32], rate: int, voice: V, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        """Disguise one channel, (samples,), at its own rate: resampled to the work rate and back."""
        row = remove_offset(row)
        if self.needs_fades:
            row = fade(row, rate // 100)
        if rate == RATE:
            return np.array(self.apply(Audio(row, RATE), voice, rng).mono)
        import soxr

        inside = Audio(soxr.resample(row, rate, RATE), RATE)
        changed = self.apply(inside, voice, rng).mono
        out: npt.NDArray[np.float32] = soxr.resample(changed, RATE, rate)
        return out


def _generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Make a generator of a seed, or of the operating system's for None."""
    if rng is None:
        return fresh_rng()
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise SettingError(f"expected rng as a numpy.random.Generator or a seed from 0; got {kind_of(rng)}")
    return np.random.default_rng(rng)


_TRAITS = ("stretch", "keeps_time", "replaces_quiet", "needs_fades", "scope")


@dataclass(frozen=True, repr=False)
class Foreign(Method[V]):
    """A disguise that is no `Method`, with the traits that it declares and the defaults for all others."""

    inner: Disguise[V]

    def __post_init__(self) -> None:
        for name in _TRAITS:
            if hasattr(self.inner, name):
                object.__setattr__(self, name, getattr(self.inner, name))

    def draw(self, rng: np.random.Generator) -> V:
        return self.inner.draw(rng)

    def apply(self, audio: Audio, voice: V, rng: np.random.Generator) -> Audio:
        return self.inner.apply(audio, voice, rng)

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[V], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        together = getattr(self.inner, "apply_all", None) or super().apply_all
        return cast(list[Audio], together(audios, voices, rngs))

    def __repr__(self) -> str:
        return repr(self.inner)


@dataclass(frozen=True)
class Scoped(Foreign[V]):
    """A disguise, and how long one of its voices is kept."""

    scope: Scope = "speaker"

    def __post_init__(self) -> None:
        scope = self.scope
        super().__post_init__()
        object.__setattr__(self, "scope", scope)


def as_method(value: object) -> Method[Any]:
    """Give a disguise all traits: a `Method` as it is, any other object wrapped in `Foreign`.

    Parameters
    ----------
    value : object

    Returns
    -------
    Method

    Raises
    ------
    SettingError
        Unless value has `draw` and an `apply` that takes audio, a voice and a generator.
    """
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
    """Call `method.apply_all`. Raises `SettingError` unless as many snippets come back as went in."""
    changed = method.apply_all(audios, voices, rngs)
    if len(changed) != len(audios):
        raise SettingError(
            f"expected {len(audios)} audios from apply_all, one for each given; got {len(changed)}"
        )
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
    """Divide (samples,) by the peak where that exceeds full scale, so that nothing is clipped."""
    peak = max(float(np.max(samples, initial=0.0)), -float(np.min(samples, initial=0.0)))
    return (samples / peak if peak > 1.0 else samples).astype(np.float32, copy=False)
