"""The vocoder: analysis, normalisation and synthesis under a drawn voice."""

from deident.disguise.vocoder.synthesis import Vocoder, VocoderVoice

__all__ = ["Vocoder", "VocoderVoice"]
