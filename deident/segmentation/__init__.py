"""Segmentation: voice activity detection, cutting, streaming, turns and muting."""
