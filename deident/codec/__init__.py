"""Recordings in, clean bytes out."""

from deident.codec.decoding import Decoding, decode, read
from deident.codec.limits import Limits
from deident.codec.write import ENCODERS, encode_flac, encode_wav

__all__ = ["ENCODERS", "Decoding", "Limits", "decode", "encode_flac", "encode_wav", "read"]
