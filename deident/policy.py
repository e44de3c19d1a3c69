"""The policy of a run: all its settings, in one frozen value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deident.disguise import DISGUISES, Chain, Method
from deident.disguise.base import Foreign, Scope, as_method
from deident.disguise.naming import build, check_names, disguise_named
from deident.disguise.presets import PRESETS
from deident.errors import SettingError, all_of, between, did_you_mean, kind_of, truth
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.detectors import Detector, check_detector
from deident.segmentation.mute import MuteSettings
from deident.segmentation.turns import CARRIED
from deident.segmentation.vad import VadSettings
from deident.segmentation.voices import Encoder

Channels = int | Literal["mix", "split"]
POLICY_VERSION = 1


@dataclass(frozen=True)
class ProgrammeSettings:
    """Promises over the life of a store, not of a run. The first run of a store makes them; later ones must too.

    Parameters
    ----------
    consent : {"required", "optional"}
        Required: a recording without consent is never read.
    share : float
        Of the recordings, above 0 and up to 1, drawn by the key. One that is not drawn is never read.
    max_per_speaker : int, optional
        Snippets of a speaker, at most; what was erased counts. By default any number.
    max_per_reviewer : int, optional
        Snippets that one reviewer gets in all rounds together, at most. By default any number.
    keep_days : int, optional
        Days after which `deident purge` erases a snippet. By default it is kept.
    round_days : int, optional
        Days after which reviewers must delete a round, at most. By default they may keep it as long as the snippets.
    seal_rounds : {"required", "optional"}
        Required: every part of a round is encrypted to its reviewer.

    Raises
    ------
    SettingError
        Outside the ranges.
    """

    consent: Literal["required", "optional"] = "optional"
    share: float = 1.0
    max_per_speaker: int | None = None
    max_per_reviewer: int | None = None
    keep_days: int | None = None
    round_days: int | None = None
    seal_rounds: Literal["required", "optional"] = "optional"

    def __post_init__(self) -> None:
        for name in ("consent", "seal_rounds"):
            _one_of(f"{name} of programme", getattr(self, name), ("required", "optional"))
        between("share of programme", self.share, 0.0, 1.0)
        if not self.share:
            raise SettingError("expected share of programme above 0: nothing would ever be released")
        for name in ("max_per_speaker", "max_per_reviewer", "keep_days", "round_days"):
            _check_count(f"{name} of programme", getattr(self, name))

    @property
    def is_active(self) -> bool:
        """True when anything is promised."""
        return self != ProgrammeSettings()


_TABLES: dict[str, type[Any]] = {
    "vad": VadSettings,
    "cutting": CuttingSettings,
    "mute": MuteSettings,
    "programme": ProgrammeSettings,
}
_CALLABLES = ("detector", "encoder", "verify")


def _default_disguise() -> Method[Any]:
    return PRESETS["review"].disguise


@dataclass(frozen=True)
class Policy:
    """The settings of a run. All recordings of a run are processed alike.

    Parameters
    ----------
    disguise : Method, optional
        One of `deident.DISGUISES` with its settings, or your own; by default that of the preset "review". It cannot be
        turned off.
    scope : {"snippet", "recording", "speaker"}, optional
        How long one voice is kept. Anything above "snippet" lets snippets be linked by their voice; "speaker" needs a
        key and speakers.
    channels : {"mix", "split"} or int, optional
        Mix the channels, cut each on its own, or take one by its number, 0 to 63.
    vad : VadSettings, optional
        Of `find_speech`.
    cutting : CuttingSettings, optional
        Of `cut`.
    detector : callable or "silero", optional
        A voice activity detector in place of `find_speech`: `detector(samples, rate)` returns a mask or pairs of
        (start, stop) in samples; "silero" is the network of the extra silero.
    encoder : callable, optional
        From (samples,) to an embedding of who speaks, for `cutting.one_voice`; without one, spectra are compared.
    verify : callable, optional
        Called with each snippet in its new voice, `verify(samples, rate)`: one of which it is not true is dropped.
    max_per_recording : int, optional
        Release at most so many snippets of a recording, chosen at random; by default all.
    mute : MuteSettings, optional
        How the ranges are silenced that come with a recording.
    carry : tuple of str, optional
        Shown in the manifest besides labels: each snippet's "text", its "words" and "phones" with their times, a keyed
        pseudonym of its "speaker" (needs a key; always shown where the scope is "speaker"). All of it may reveal who
        speaks.
    container : {"wav", "flac"}, optional
        Of the snippets.
    nonfinite : {"refuse", "zero"}, optional
        Refuse recordings with NaN or infinities, or read these as zero.
    live : bool, optional
        Release snippets seconds after their end, as `stream` must: speech is detected in sections of eight seconds, not
        of a minute. Not with `max_per_recording`, which has to wait for the end.
    strict : bool, optional
        Refuse a recording whose end is missing, instead of keeping what was read.
    programme : ProgrammeSettings, optional
        Consent, share and time over the life of a store; needs a key and a linkage.
    repeatable : bool, optional
        Derive voices, dither and names from the key and the recording's bytes, so that a run can be repeated; needs a
        key. Otherwise they come from the operating system.

    Raises
    ------
    SettingError
        When a setting is outside its range.

    Examples
    --------
    >>> import deident
    >>> policy = deident.Policy(channels="split", cutting=deident.CuttingSettings(max_seconds=8.0))
    >>> policy.scope
    'snippet'
    """

    disguise: Method[Any] = field(default_factory=_default_disguise)
    scope: Scope = "snippet"
    channels: Channels = "mix"
    vad: VadSettings = field(default_factory=VadSettings)
    cutting: CuttingSettings = field(default_factory=CuttingSettings)
    detector: Detector | str | None = None
    encoder: Encoder | None = None
    verify: Callable[..., bool] | None = None
    max_per_recording: int | None = None
    mute: MuteSettings = field(default_factory=MuteSettings)
    programme: ProgrammeSettings = field(default_factory=ProgrammeSettings)
    carry: tuple[str, ...] = ()
    container: Literal["wav", "flac"] = "wav"
    nonfinite: Literal["refuse", "zero"] = "refuse"
    live: bool = False
    strict: bool = False
    repeatable: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "disguise", as_method(self.disguise))
        for name, kind in _TABLES.items():
            all_of(kind, name, [getattr(self, name)], f"deident.{kind.__name__}(...)")
        if isinstance(self.detector, str):
            check_detector(self.detector)
        elif self.detector is not None and not callable(self.detector):
            raise SettingError(f"expected detector as a callable or a name; got {kind_of(self.detector)}")
        for name in ("encoder", "verify"):
            if (part := getattr(self, name)) is not None and not callable(part):
                raise SettingError(f"expected {name} as a callable; got {kind_of(part)}")
        if self.encoder and not self.cutting.one_voice:
            raise SettingError("an encoder tells voices apart for one_voice of [cutting], which is not set")
        _one_of("scope", self.scope, ("snippet", "recording", "speaker"))
        _one_of("container", self.container, ("wav", "flac"))
        _one_of("nonfinite", self.nonfinite, ("refuse", "zero"))
        truth("live", self.live)
        truth("strict", self.strict)
        truth("repeatable", self.repeatable)
        if self.repeatable and re.search(r" at 0x[0-9a-fA-F]+>", repr(self.disguise)):
            raise SettingError(
                "a repeatable run needs a disguise that shows its settings: make it a dataclass, or give it a __repr__"
            )
        if not isinstance(self.carry, tuple | list):
            raise SettingError(f"expected carry as a list of {', '.join(CARRIED)}; got {kind_of(self.carry)}")
        for name in self.carry:
            _one_of("carry", name, CARRIED)
        if isinstance(self.channels, bool) or not (
            self.channels in ("mix", "split") or (isinstance(self.channels, int) and 0 <= self.channels < 64)
        ):
            raise SettingError(
                f'expected channels "mix", "split" or a channel number from 0; got {kind_of(self.channels)}'
            )
        _check_count("max_per_recording", self.max_per_recording)
        if self.max_per_recording is not None and self.live:
            raise SettingError("expected live or max_per_recording, which has to wait for the end; got both")

    @classmethod
    def given(cls, policy: Policy | None) -> Policy:
        """Return the policy that a caller gave, or the default.

        Parameters
        ----------
        policy : Policy or None

        Returns
        -------
        Policy

        Raises
        ------
        SettingError
            For something else.
        """
        if policy is not None and not isinstance(policy, cls):
            raise SettingError(
                f"expected a deident.Policy, such as Policy.preset('review'); got {kind_of(policy)}"
            )
        return policy or cls()

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Policy:
        """Make a policy from a preset.

        Parameters
        ----------
        name : {"review", "strong", "natural", "training"}
            Decides disguise and scope.
        **changes
            Settings of `Policy`.

        Returns
        -------
        Policy

        Raises
        ------
        SettingError
            For another name, or a setting outside its range.
        """
        if not isinstance(name, str) or name not in PRESETS:
            near = did_you_mean(str(name), PRESETS)
            if isinstance(name, str) and name in DISGUISES:
                near = f"; {name} is a disguise: give it as disguise, or --disguise {name}"
            raise SettingError(f"expected a preset of {', '.join(PRESETS)}{near}")
        preset = PRESETS[name]
        return cls(**{"disguise": preset.disguise, "scope": preset.scope, **changes})

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Policy:
        """Make a policy from nested plain values, as TOML or JSON give them.

        Parameters
        ----------
        settings : mapping of str to values
            See docs/settings.md; all may be left out.

        Returns
        -------
        Policy

        Raises
        ------
        SettingError
            For an unknown name, or a setting outside its range.
        """
        settings = dict(settings)
        preset = settings.pop("preset", "review")
        names = [f.name for f in dataclasses.fields(cls)]
        for table, kind in _TABLES.items():
            if lost := settings.keys() & {f.name for f in dataclasses.fields(kind)} - set(names):
                raise SettingError(f"policy has no setting {min(lost)}; it belongs to [{table}]")
        check_names("policy", settings, [*names, "preset"])
        if "disguise" in settings:
            settings["disguise"] = disguise_named(settings["disguise"], presets=False)
        for table, kind in _TABLES.items():
            if table in settings:
                settings[table] = build(kind, settings[table], table)
        if isinstance(settings.get("carry"), list):
            settings["carry"] = tuple(settings["carry"])
        return cls.preset(preset, **settings)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Policy:
        """Read a policy from a TOML file.

        Parameters
        ----------
        path : path-like
            See docs/settings.md.

        Returns
        -------
        Policy

        Raises
        ------
        SettingError
            When the file cannot be read, is not TOML, or `from_mapping` refuses its values.
        """
        try:
            with open(path, "rb") as file:
                return cls.from_mapping(tomllib.load(file))
        except OSError as error:
            raise SettingError(f"the policy file cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingError(f"the policy file is not TOML: {error}") from None

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as nested plain values, the reverse of `from_mapping`.

        Returns
        -------
        dict
            A detector or a disguise of your own is there by the name of its type.
        """
        plain = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("disguise", *_CALLABLES, *_TABLES)
        }
        tables = {name: dataclasses.asdict(getattr(self, name)) for name in _TABLES}
        return {
            "disguise": _disguise_to(self.disguise),
            **plain,
            **tables,
            **{name: _callable_name(part) for name in _CALLABLES if (part := getattr(self, name))},
        }

    @property
    def needs_key(self) -> bool:
        """True when a run with this policy needs a key."""
        return self.repeatable or self.tells_speakers or self.programme.is_active

    @property
    def tells_speakers(self) -> bool:
        """True when the manifest shows which snippets are of one speaker."""
        return self.scope == "speaker" or "speaker" in self.carry

    def fingerprint(self) -> str:
        """Digest all settings.

        Returns
        -------
        str
            16 hexadecimal digits that differ when any setting differs.
        """
        text = json.dumps([POLICY_VERSION, self.to_mapping()], sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _disguise_to(disguise: object) -> Any:
    """Describe a disguise as plain values."""
    if isinstance(disguise, Chain):
        return [_disguise_to(method) for method in disguise.methods]
    names = {kind: name for name, kind in DISGUISES.items()}
    if isinstance(disguise, Foreign):
        disguise = disguise.inner
    if isinstance(disguise, Method) and type(disguise) in names and dataclasses.is_dataclass(disguise):
        return {"method": names[type(disguise)], **dataclasses.asdict(disguise)}
    return {"method": type(disguise).__qualname__, "settings": repr(disguise)}


def _callable_name(part: Callable[..., Any] | str) -> str:
    """Name a part of the caller's by its function or type."""
    return part if isinstance(part, str) else str(getattr(part, "__qualname__", type(part).__name__))


def _check_count(name: str, count: object) -> None:
    """Raise `SettingError` unless a value is None or a whole number from 1."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        got = count if isinstance(count, int | float) else kind_of(count)
        raise SettingError(f"expected {name} as a whole number from 1; got {got}")


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        got = (did_you_mean(value, allowed) if isinstance(value, str) else "") or f"; got {kind_of(value)}"
        raise SettingError(f"expected {name} of {', '.join(allowed)}{got}")
