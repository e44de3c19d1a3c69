"""The default disguise: every snippet synthesised anew in a voice drawn without regard to the speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from deident.audio import Audio, Doubles, Floats
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, Analysis, analyse
from deident.disguise.vocoder.envelope import (
    FRAMES_PER_SECOND,
    ORDER,
    RANGES,
    EnvelopeMethod,
    drawn,
    in_batches,
)
from deident.disguise.vocoder.normalisation import contour
from deident.disguise.vocoder.synthesis import (
    COMFORT_KNOTS,
    SynthesisParameters,
    VocoderVoice,
    batch_key,
    levelled,
    synthesise,
)
from deident.dsp.timing import interpolate_rows, limit_runs, source_positions


@dataclass(frozen=True)
class Vocoder(EnvelopeMethod[VocoderVoice]):
    """Synthesise every snippet anew: analysis, normalisation, and synthesis under a drawn voice.

    Normalisation brings to common averages what tells speakers apart; drawing gives every voice a pitch, a vocal tract
    and a colour that do not depend on the speaker. The excitation is new, so that nothing of the waveform remains. The
    output is never longer than the input. Pauses are shortened, so word times do not hold.

    Parameters
    ----------
    mean : float, 0 to 1
        Fraction by which the snippet's mean envelope moves to the common one. Default 1.
    spread : float, 0 to 1
        Fraction by which the standard deviation of each cepstrum moves to the common one. Default 1.
    floor_db : float, 6 to 60
        Floor of each band of the envelope, in dB below the band's average. Default 25.
    noise : float, 0 to 3
        Times the noise floor of a band that is subtracted from its power. Default 1.
    tract_norm : float, 0 to 1
        Fraction by which the estimated vocal tract moves to the average one. Default 1.
    sounds : float, 0 to 1
        Fraction by which each kind of sound moves to its mean in average speech. Default 1.
    covariance : float, 0 to 1
        Fraction by which the covariance of the cepstra moves to the common one. Default 1.
    gate_db : float, 6 to 60
        Gate for speech, in dB below the loud frames; comfort noise replaces what is softer. Default 30.
    f0_hz : (lower, upper), 60 to 400
        Range of the drawn median pitch in Hz, uniform in its logarithm. Default (95, 215).
    f0_octaves : (lower, upper), 0 to 0.5
        Range of the drawn standard deviation of the pitch contour in octaves. Default (0, 0.06).
    tract : (lower, upper), 0.6 to 1.6
        Range of the drawn ratio of all formants, uniform in its logarithm; higher for higher pitch. Default (1, 1).
    warp : float, 0 to 0.4
        Standard deviation of the log slopes of a drawn frequency warp, in nepers. Default 0.
    tilt_db : float, 0 to 12
        Standard deviation of the drawn spectral tilt, in dB over the band. Default 1.5.
    breath : (lower, upper), 0 to 1
        Range of the drawn share of aspiration noise. Default (0, 0.25).
    loudness_jitter : float, 0 to 1
        Standard deviation of the drawn log scale of the first cepstrum, in nepers. Default 0.4.
    spread_jitter : float, 0 to 0.5
        The same for each other cepstrum. Default 0.2.
    colour : float, 0 to 2
        Standard deviation of the drawn offsets of each cepstrum, in common standard deviations. Default 0.8.
    mixing : float, 0 to 0.3
        Amount of a drawn linear map of all cepstra but the first, the exponential of amount times a unit normal matrix.
        Default 0.
    speaker : float, 0 to 5
        Standard deviation of drawn coordinates in a space of speakers, in that of real ones. Default 0.
    wander : float, 0 to 0.15
        Standard deviation of a drawn wandering of all formants within a snippet, in nepers. Default 0.
    sharpness : float, 0.5 to 2
        Scale of all cepstra but the first: above 1, formants are sharper than found. Default 1.15.
    pause_seconds : (lower, upper), 0 to 10
        Range of the drawn length to which longer pauses are shortened. Default (0.18, 0.33).
    delay_seconds : float, 0 to 0.004
        Range of the drawn group delay of the pulses. Default 0.0015.
    comfort_db : float, 20 to 90
        Level of the comfort noise, in dB below the speech. Default 45.

    Raises
    ------
    SettingError
        For a setting out of its range.

    Examples
    --------
    >>> from deident.disguise import DISGUISES
    >>> DISGUISES["vocoder"]()(np.zeros(16_000), 16_000).shape
    (16000,)
    """

    replaces_quiet = True
    needs_fades: ClassVar[bool] = True

    noise: float = 1.0
    f0_octaves: tuple[float, float] = (0.0, 0.06)
    breath: tuple[float, float] = (0.0, 0.25)
    pause_seconds: tuple[float, float] = (0.18, 0.33)
    delay_seconds: float = 0.0015
    comfort_db: float = 45.0

    @classmethod
    def ranges(cls) -> Sequence[tuple[str, float, float]]:
        return (
            *RANGES,
            ("noise", 0.0, 3.0),
            ("f0_octaves", 0.0, 0.5),
            ("breath", 0.0, 1.0),
            ("pause_seconds", 0.0, 10.0),
            ("delay_seconds", 0.0, 0.004),
            ("comfort_db", 20.0, 90.0),
        )

    def draw(self, rng: np.random.Generator) -> VocoderVoice:
        """Draw a voice; see `Disguise.draw`."""
        delays = rng.uniform(-0.5, 0.5, 9) * self.delay_seconds
        return VocoderVoice(
            **self._drawn_envelope(rng),
            f0_octaves=float(rng.uniform(*self.f0_octaves)),
            breath=float(rng.uniform(*self.breath)),
            pause_seconds=float(rng.uniform(*self.pause_seconds)),
            delays=tuple((delays - delays.min()).tolist()),
            comfort=tuple(rng.standard_normal(COMFORT_KNOTS).tolist()),
        )

    def apply(self, audio: Audio, voice: VocoderVoice, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; the output is as long as the input, or shorter."""
        return in_batches(self._batch, batch_key, [audio], [voice], [rng])[0]

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[VocoderVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise several snippets in one pass, at the cost per second of a long one."""
        return in_batches(self._batch, batch_key, audios, voices, rngs)

    def _batch(
        self, snippets: list[Floats], voices: list[VocoderVoice], rngs: list[np.random.Generator]
    ) -> list[Audio]:
        """Disguise (samples,) snippets in voices of one `batch_key`."""
        speech = analyse(
            snippets,
            TRACKER.track_all(snippets),
            floor_db=self.floor_db,
            noise=self.noise,
            gate_db=self.gate_db,
        )
        rate = _shortened_pauses(speech, voices)
        most = speech.ragged.segment_sum(rate) * STFT.hop - (STFT.size - STFT.hop)
        lengths = [max(1, min(len(s), int(m))) for s, m in zip(snippets, most.tolist(), strict=True)]
        parameters = self._parameters(speech, voices, rngs, rate, lengths)
        sound = synthesise(parameters, CEPSTRUM, voices, rngs, self.comfort_db)
        return levelled(sound, parameters, speech.level)

    def _parameters(
        self,
        speech: Analysis,
        voices: list[VocoderVoice],
        rngs: list[np.random.Generator],
        rate: Doubles,
        lengths: list[int],
    ) -> SynthesisParameters:
        """Change the envelopes, and time-warp the speech to these lengths in samples."""
        ragged, into = speech.ragged, STFT.ragged(lengths)
        tracks = np.empty((ragged.frames, ORDER + 4), dtype=np.float32)
        tracks[:, :ORDER] = self._changed(speech, voices, rngs)
        tracks[:, ORDER] = ragged.spread(drawn(voices, "tilt_db"))
        tracks[:, -3] = speech.voiced
        tracks[:, -2] = speech.presence
        tracks[:, -1] = contour(speech, drawn(voices, "f0_octaves"))
        tracks = interpolate_rows(tracks, source_positions(rate, ragged, into))
        cepstra = tracks[:, : ORDER + 1]
        voiced, presence, octaves = np.ascontiguousarray(tracks[:, -3:].T)
        cepstra[:, 0] += np.log(presence + np.float32(1e-12))  # the gate, as log power
        return SynthesisParameters(lengths, into, cepstra, voiced, presence, octaves)


def _shortened_pauses(speech: Analysis, voices: list[VocoderVoice]) -> Doubles:
    """Shorten pauses to those of the voices: (frames,) frames of output per frame of input."""
    pauses = np.array([voice.pause_seconds for voice in voices]) * FRAMES_PER_SECOND
    return limit_runs(np.ones(speech.ragged.frames), speech.presence < 0.3, pauses, speech.ragged)
