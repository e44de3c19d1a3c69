"""Where speech is in a recording, and how it is cut: detection, cutting, streaming, turns, mute."""
