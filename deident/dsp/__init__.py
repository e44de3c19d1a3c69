"""Signal-processing kernels: arrays in, arrays out. No files, no state, no randomness of their own."""
