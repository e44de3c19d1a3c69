"""Containers: one table of them, and one parser a header, which decoding and scanning share."""

from deident.containers.table import CONTAINERS, FFMPEG, SUFFIXES, Container, recognise

__all__ = ["CONTAINERS", "FFMPEG", "SUFFIXES", "Container", "recognise"]
