"""`python -m deident.codec`: print the layers of confinement that decoders on this system have."""

from deident.codec.confine import LAYERS
from deident.codec.decoding import confinement

in_force = confinement()
for layer in LAYERS:
    print(f"{layer}: {'yes' if layer in in_force else 'no'}")  # noqa: T201  # asked for
