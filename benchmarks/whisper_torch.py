"""Whisper for torch, from a model in CTranslate2's format, so that what it reads can be followed back to the sound."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

SIZE, HOP, BINS = 400, 160, 80
PROMPT = (50258, 50259, 50359, 50363)  # start, English, transcribe, no times
END = 50257
TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)


class Whisper:
    """The network of a folder, with weights that stay as they are.

    Radford et al., "Robust speech recognition via large-scale weak supervision", 2022.
    """

    def __init__(self, folder: Path, heads: int = 8) -> None:
        import librosa

        self.weights = {
            name: torch.from_numpy(array) for name, array in variables(folder / "model.bin").items()
        }
        self.heads = heads
        self.layers = sum(name.endswith("ffn/linear_0/weight") for name in self.weights) // 2
        self.bank = torch.from_numpy(
            librosa.filters.mel(sr=16_000, n_fft=SIZE, n_mels=BINS).astype(np.float32)
        )

    def log_mel(self, samples: Any) -> Any:
        """(snippets, bins, frames) of (snippets, samples) at 16 kHz."""
        spectra = torch.stft(samples, SIZE, HOP, window=torch.hann_window(SIZE), return_complex=True)[
            ..., :-1
        ]
        power = self.bank @ (spectra.real**2 + spectra.imag**2)
        logs = torch.log10(power.clamp(min=1e-10))
        logs = torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8.0)
        return (logs + 4.0) / 4.0

    def encode(self, log_mel: Any) -> Any:
        """(snippets, frames, dims) features; of a window as long as the sound, in place of 30 s."""
        hidden = functional.gelu(self._convolution(log_mel, "encoder/conv1", 1))
        hidden = functional.gelu(self._convolution(hidden, "encoder/conv2", 2)).transpose(1, 2)
        hidden = hidden + self.weights["encoder/position_encodings/encodings"][: hidden.shape[1]]
        for layer in range(self.layers):
            hidden = self._own_attention(hidden, f"encoder/layer_{layer}", causal=False)
            hidden = self._feed_forward(hidden, f"encoder/layer_{layer}")
        return self._normalised(hidden, "encoder/layer_norm")

    def decode(self, tokens: Any, features: Any) -> Any:
        """(snippets, tokens, vocabulary) logits of what follows each of (snippets, tokens)."""
        hidden = self.weights["decoder/embeddings/weight"][tokens]
        hidden = hidden + self.weights["decoder/position_encodings/encodings"][: tokens.shape[1]]
        for layer in range(self.layers):
            name = f"decoder/layer_{layer}"
            hidden = self._own_attention(hidden, name, causal=True)
            asked = self._linear(
                self._normalised(hidden, f"{name}/attention/layer_norm"), f"{name}/attention/linear_0"
            )
            keys, values = self._linear(features, f"{name}/attention/linear_1").chunk(2, -1)
            hidden = hidden + self._linear(self._attended(asked, keys, values), f"{name}/attention/linear_2")
            hidden = self._feed_forward(hidden, name)
        return functional.linear(
            self._normalised(hidden, "decoder/layer_norm"), self.weights["decoder/projection/weight"]
        )

    def _own_attention(self, hidden: Any, name: str, causal: bool) -> Any:
        name += "/self_attention"
        parts = self._linear(self._normalised(hidden, f"{name}/layer_norm"), f"{name}/linear_0").chunk(3, -1)
        return hidden + self._linear(self._attended(*parts, causal=causal), f"{name}/linear_1")

    def _feed_forward(self, hidden: Any, name: str) -> Any:
        inner = self._linear(self._normalised(hidden, f"{name}/ffn/layer_norm"), f"{name}/ffn/linear_0")
        return hidden + self._linear(functional.gelu(inner), f"{name}/ffn/linear_1")

    def _attended(self, asked: Any, keys: Any, values: Any, causal: bool = False) -> Any:
        split = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (asked, keys, values))
        return functional.scaled_dot_product_attention(*split, is_causal=causal).transpose(1, 2).flatten(2)

    def _linear(self, hidden: Any, name: str) -> Any:
        return functional.linear(hidden, self.weights[f"{name}/weight"], self.weights.get(f"{name}/bias"))

    def _convolution(self, hidden: Any, name: str, stride: int) -> Any:
        kernel, bias = self.weights[f"{name}/weight"], self.weights[f"{name}/bias"]
        return functional.conv1d(hidden, kernel, bias, stride=stride, padding=1)

    def _normalised(self, hidden: Any, name: str) -> Any:
        gamma, beta = self.weights[f"{name}/gamma"], self.weights[f"{name}/beta"]
        return functional.layer_norm(hidden.float(), hidden.shape[-1:], gamma, beta)


def variables(path: Path) -> dict[str, Any]:
    """Read the arrays of numbers with a fraction from a file of CTranslate2's."""
    data, at = path.read_bytes(), 0

    def number(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return int(value)

    def name() -> str:
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    number("I"), name(), number("I")  # versions of the format and of the model, and the model's kind
    found = {}
    for _ in range(number("I")):
        own, rank = name(), number("B")
        shape = [number("I") for _ in range(rank)]
        kind, size = np.dtype(TYPES[number("B")]), number("I")
        if kind.kind == "f":
            found[own] = (
                np.frombuffer(data, kind, size // kind.itemsize, at).reshape(shape).astype(np.float32)
            )
        at += size
    for _ in range(number("I")):
        own, other = name(), name()
        if other in found:
            found[own] = found[other]
    return found
