"""Every disguise keeps every contract; and the contracts find a disguise that does nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise import DISGUISES, Method
from deident.disguise.psola import Psola, PsolaVoice
from deident.disguise.vocoder import Vocoder, VocoderVoice
from deident.errors import SettingError
from tests.contracts.disguise import (
    CONTRACTS,
    Contract,
    a_kept_voice_keeps_no_noise,
    speech_is_changed,
    voice_is_secret,
)
from tests.voices import speech


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("name", DISGUISES)
def test_contract(name: str, contract: Contract) -> None:
    contract(DISGUISES[name]())


@dataclass(frozen=True)
class Nothing(Method[Any]):
    """A disguise that forgot to disguise, and shows what it drew."""

    loudness: float = 1.0

    def draw(self, rng: np.random.Generator) -> Any:
        return rng.uniform()

    def apply(self, audio: Audio, voice: Any, rng: np.random.Generator) -> Audio:
        return audio


def test_contracts_find_a_disguise_that_does_nothing() -> None:
    for contract in (speech_is_changed, voice_is_secret):
        with pytest.raises(AssertionError):
            contract(Nothing())


class KeptExcitation(Vocoder):
    """Draws the excitation once a voice."""

    def apply(self, audio: Audio, voice: VocoderVoice, rng: np.random.Generator) -> Audio:
        return super().apply(audio, voice, np.random.default_rng(round(1e6 * voice.f0_hz)))


class KeptHiss(Psola):
    """Adds noise that is drawn once a voice."""

    def apply(self, audio: Audio, voice: PsolaVoice, rng: np.random.Generator) -> Audio:
        hiss = np.random.default_rng(round(1e6 * voice.formant_ratio)).standard_normal(len(audio))
        return Audio(np.clip(super().apply(audio, voice, rng).mono + 0.003 * hiss, -1.0, 1.0), RATE)


class KeptRoom(Nothing):
    """Adds the same background to every snippet, whatever the voice."""

    def apply(self, audio: Audio, voice: Any, rng: np.random.Generator) -> Audio:
        room = np.convolve(np.random.default_rng(1).standard_normal(len(audio)), np.hanning(8), "same")
        return Audio(np.clip(audio.mono + 0.003 * room, -1.0, 1.0), RATE)


@pytest.mark.parametrize("method", [KeptExcitation(), KeptHiss(), KeptRoom()], ids=lambda m: type(m).__name__)
def test_noise_that_two_snippets_share_is_found(method: Method[Any]) -> None:
    with pytest.raises(AssertionError, match="share their noise"):
        a_kept_voice_keeps_no_noise(method)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("psola", {"semitones": (0.0, 4.0)}),
        ("psola", {"semitones": (5.0, 3.0)}),
        ("psola", {"formant_ratio": (0.9, 1.2)}),
        ("mcadams", {"alpha": (0.5, 1.0)}),
        ("mcadams", {"alpha": (0.1, 0.9)}),
        ("pitch_shift", {"semitones": (-3.0, 3.0)}),
    ],
)
def test_settings_that_could_draw_no_disguise_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        DISGUISES[name](**settings)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_callable_keeps_the_length_at_any_rate(rate: int) -> None:
    method = DISGUISES["psola"]()
    sound = np.random.default_rng(1).standard_normal(5_100).astype(np.float32) * np.float32(0.1)
    for size in (1, 2, *range(5_000, 5_100, 7)):
        out = method(sound[:size], rate)
        assert (out.size, out.dtype) == (size, np.float32)


@pytest.mark.parametrize("name", DISGUISES)
def test_a_subclass_may_call_what_it_replaces(name: str) -> None:
    class Own(DISGUISES[name]):  # type: ignore[misc]
        def apply(self, audio: Audio, voice: Any, rng: np.random.Generator) -> Audio:
            return super().apply(audio, voice, rng)  # type: ignore[no-any-return]

    own, audio = Own(), Audio(speech(seconds=1.0), RATE)
    voice = own.draw(np.random.default_rng(1))
    assert own.apply(audio, voice, np.random.default_rng(0)) == DISGUISES[name]().apply(
        audio, voice, np.random.default_rng(0)
    )
    assert own.apply_all([audio], [voice], [np.random.default_rng(0) for _ in [audio]]) == [
        own.apply(audio, voice, np.random.default_rng(0))
    ]
