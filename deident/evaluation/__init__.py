"""Attacks on disguises, and what disguises cost."""
