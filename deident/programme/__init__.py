"""The programme around a store: what is erased when, what was found in it, and the evidence that promises are kept."""
