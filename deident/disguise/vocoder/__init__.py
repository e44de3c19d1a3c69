"""The vocoder: analysis, normalisation and synthesis under a drawn voice."""

from deident.disguise.vocoder.method import Vocoder
from deident.disguise.vocoder.synthesis import VocoderVoice

__all__ = ["Vocoder", "VocoderVoice"]
