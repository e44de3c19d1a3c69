"""Fit the learned map of the vocoder: it is to keep the words, and to leave a speaker encoder nothing to learn.

    DEIDENT_SPEECH=... python -m benchmarks.fit_context --encoder campplus_cn_en_common.pt --recogniser whisper-base

Reads the training speakers of `fit_tables`, and writes `deident/disguise/vocoder/context.npy`. Every step disguises a
few snippets under new voices, by a synthesis that can be differentiated, and moves the map so that Whisper is surer of
the words that it reads in the original, and CAM++ less sure of the speaker. CAM++ is trained on the outcome in turn, so
that what fools it must be new in every step. An hour on a processor core gives about 800 steps; the weights in the
package have seen 480."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import butter, sosfilt
from torch import nn
from torch.nn import functional

from benchmarks.whisper_torch import END, PROMPT, Whisper
from deident.audio import RATE
from deident.disguise.vocoder import Vocoder, context, normalisation, synthesis
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, Analysis, analyse
from deident.disguise.vocoder.context import DILATION, FURTHEST, HIDDEN, POOLED, SHAPES, SIDE
from deident.disguise.vocoder.tables import SPREADS
from deident.evaluation.layouts import read_corpus
from deident.evaluation.network import _network
from deident.evaluation.words import Whisper as Recogniser

LONGEST = 7.5  # seconds of a snippet
BATCH, REPLAYED = 8, 40  # snippets a step, and past steps that the encoder still trains on
FRAMES = 200  # of filterbanks that the encoder sees: 2 s
POOR = 0.2  # share of the snippets that come through a telephone band or noise
LIKENESS = 0.3  # weight of the distance of Whisper's features from those of the original
SURE_ENOUGH = (
    4.0  # nepers below certainty of the speaker at which hiding more earns nothing: chance of 73 is 4.3
)
SPREAD = torch.from_numpy(SPREADS[0])


class Map(nn.Module):
    """`context.move_in_context`, for torch."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv1d(CEPSTRUM.order + SIDE, HIDDEN, context.TAPS, padding="same")
        self.far = nn.Conv1d(HIDDEN, HIDDEN, context.DILATED_TAPS, dilation=DILATION, padding="same")
        self.pool = nn.Linear(2 * HIDDEN, POOLED)
        self.mix = nn.Linear(HIDDEN + POOLED, HIDDEN)
        self.out = nn.Linear(HIDDEN, CEPSTRUM.order)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, deviations: Any, side: Any) -> Any:
        """(frames, order) of (frames, order) and (frames, SIDE)."""
        hidden = torch.relu(self.near(torch.cat((deviations, side), 1).T[None]))
        hidden = torch.relu(self.far(hidden))[0].T
        weight = side[:, 2:]
        total = weight.sum() + 1e-3
        mean = (weight * hidden).sum(0) / total
        variance = (weight * (hidden - mean) ** 2).sum(0) / total
        pooled = torch.relu(self.pool(torch.cat((mean, torch.sqrt(variance + 1e-4)))))
        whole = pooled.expand(len(hidden), -1)
        moved = self.out(torch.relu(self.mix(torch.cat((hidden, whole), 1))))
        return deviations + float(FURTHEST) * torch.tanh(moved / float(FURTHEST))

    def weights(self) -> dict[str, Any]:
        """The arrays of `context.SHAPES`."""
        mix = self.mix.weight.T
        named = {
            "near": self.near.weight.permute(2, 1, 0), "near_bias": self.near.bias,
            "far": self.far.weight.permute(2, 1, 0), "far_bias": self.far.bias,
            "pool": self.pool.weight.T, "pool_bias": self.pool.bias,
            "mix": mix[:HIDDEN], "mix_snippet": mix[HIDDEN:], "mix_bias": self.mix.bias,
            "out": self.out.weight.T, "out_bias": self.out.bias,
        }  # fmt: skip
        return {name: named[name].detach().numpy().reshape(shape) for name, shape in SHAPES.items()}

    def save(self, path: Path) -> None:
        np.save(path, np.concatenate([array.ravel() for array in self.weights().values()]).astype(np.float16))


@dataclass(frozen=True)
class Example:
    """A snippet as the map sees it, and as it comes through a poor line."""

    speaker: int
    tokens: list[int]
    samples: int
    versions: tuple[tuple[Analysis, Any, Any], ...]  # analysis, deviations and means


@dataclass
class Fit:
    """The state of a fit: the map, the encoder that it defies, and the recogniser that it serves."""

    method: Vocoder
    map: Map
    whisper: Whisper
    encoder: Any
    centre: Any
    directions: Any
    rng: np.random.Generator

    def disguised(self, example: Example) -> Any:
        """(samples,) of an example under a new voice: the synthesis of the vocoder, differentiable."""
        speech, deviations, means = example.versions[int(self.rng.random() < POOR)]
        voice = self.method.draw(self.rng)
        side = torch.from_numpy(np.stack((speech.voiced, speech.presence, speech.weight), 1))
        moved = self.map(deviations, side)
        warp = normalisation.rewarp(CEPSTRUM, np.array([voice.tract]), np.array([voice.warp]))[0]
        cepstra = (moved * SPREAD + means + torch.tensor(voice.colour) * SPREAD) @ torch.from_numpy(warp)
        cepstra = torch.cat((cepstra[:, :1] + torch.log(side[:, 1:2] + 1e-12), cepstra[:, 1:]), 1)
        tilt = torch.full((len(cepstra), 1), voice.tilt_db)
        envelope = torch.exp(torch.cat((cepstra, tilt), 1) @ torch.from_numpy(synthesis._basis(CEPSTRUM)))
        envelope = envelope + torch.from_numpy(synthesis._comfort_noise([voice], self.method.comfort_db))
        pieces = torch.fft.irfft(self._excitation(speech, voice, example.samples) * envelope, STFT.size)
        pieces = pieces * torch.from_numpy(STFT.synthesis_window)
        nothing = torch.zeros(1, STFT.hop)
        halves = torch.cat((pieces[:, : STFT.hop], nothing)) + torch.cat((nothing, pieces[:, STFT.hop :]))
        sound = halves.reshape(-1)[STFT.hop : STFT.hop + example.samples]
        return sound * (synthesis.LEVEL / (sound.detach().square().mean().sqrt() + 1e-6))

    def _excitation(self, speech: Analysis, voice: Any, samples: int) -> Any:
        """(frames, bins) spectra of pulses and noise."""
        octaves = normalisation.contour(speech, np.array([voice.f0_octaves], np.float32))
        parameters = synthesis.SynthesisParameters(
            [samples], speech.ragged, np.empty(0, np.float32), speech.voiced, speech.presence, octaves
        )
        excitation = synthesis._excitation(parameters, [voice], [self.rng])
        spectra = np.concatenate([block.copy() for _, block in STFT.blocks(excitation)])
        spectra[:, :2] = 0.0
        return torch.from_numpy(spectra)

    def words(self, sounds: list[Any], examples: list[Example], originals: list[Any], spread: Any) -> Any:
        """Give the doubt of the recogniser about the words, and the distance of its features from the originals."""
        longest = max(len(sound) for sound in sounds)
        padded = torch.stack([recogniser_input(functional.pad(s, (0, longest - len(s)))) for s in sounds])
        features = self.whisper.encode(self.whisper.log_mel(padded)).float()
        distance: Any = 0.0
        for own, original in zip(features, originals, strict=True):
            frames = min(len(own), len(original)) - 25  # less the silence behind
            distance = distance + ((own[:frames] - original[:frames]) ** 2 / spread).mean() / len(sounds)
        most = max(len(e.tokens) for e in examples)
        rows = [[*PROMPT, *e.tokens, *[END] * (1 + most - len(e.tokens))] for e in examples]
        tokens = torch.tensor(rows)
        told = torch.zeros(len(rows), tokens.shape[1] - 1, dtype=torch.bool)
        for row, example in zip(told, examples, strict=True):
            row[len(PROMPT) - 1 : len(PROMPT) + len(example.tokens)] = True
        logits = self.whisper.decode(tokens[:, :-1], features).float()
        return functional.cross_entropy(logits[told], tokens[:, 1:][told]), distance

    def cosines(self, frames: Any) -> Any:
        """(snippets, speakers) cosines of the embeddings of filterbanks with the directions of the speakers."""
        embedded = self.encoder(frames).float() - self.centre
        return functional.normalize(embedded) @ functional.normalize(self.directions).T


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_context", description=__doc__)
    parser.add_argument("--encoder", required=True, help="weights of CAM++ for torch")
    parser.add_argument("--recogniser", required=True, help="folder of Whisper in CTranslate2's format")
    parser.add_argument(
        "--hiding", type=float, default=0.3, help="weight of the encoder's loss (default 0.3)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="default 60")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    method = Vocoder().keeping_time()
    whisper = Whisper(Path(args.recogniser))
    examples, originals = material(method, whisper, Recogniser(args.recogniser), rng)
    speakers = 1 + max(example.speaker for example in examples)
    fit = Fit(method, Map(), whisper, _network(args.encoder), None, None, rng)
    begin_encoder(fit, examples, speakers)
    run(fit, examples, originals, args.hiding, 60.0 * args.minutes)
    fit.map.save(Path(context.__file__).with_name("context.npy"))
    return 0


def run(fit: Fit, examples: list[Example], originals: list[Any], hiding: float, seconds: float) -> None:
    """Move the map and train the encoder in turn, until the time is over."""
    rate, started, order, replay = 1e-3, time.monotonic(), [], []
    optimiser = torch.optim.Adam(fit.map.parameters(), lr=rate)
    encoder = encoder_optimiser(fit)
    spread = torch.stack([features.var(0) for features in originals]).mean(0)
    log: list[tuple[float, ...]] = []
    while (done := (time.monotonic() - started) / seconds) < 1.0:
        optimiser.param_groups[0]["lr"] = (
            rate * min(1.0, (len(log) + 1) / 30) * 0.5 * (1 + math.cos(math.pi * done))
        )
        if len(order) < BATCH:
            order = fit.rng.permutation(len(examples)).tolist()
        chosen = [order.pop() for _ in range(BATCH)]
        own = [examples[k] for k in chosen]
        speakers = torch.tensor([example.speaker for example in own])
        sounds = [fit.disguised(example) for example in own]
        frames = torch.stack([encoder_input(sound, fit.rng) for sound in sounds])
        with torch.autocast("cpu", torch.bfloat16):
            unsure, distance = fit.words(sounds, own, [originals[k] for k in chosen], spread)
            fit.encoder.eval().requires_grad_(False)
            sure = functional.log_softmax(16.0 * fit.cosines(frames), 1)[torch.arange(BATCH), speakers]
        told = torch.relu(sure + SURE_ENOUGH).mean()
        optimiser.zero_grad()
        (unsure + LIKENESS * distance + hiding * told).backward()
        nn.utils.clip_grad_norm_(fit.map.parameters(), 1.0)
        optimiser.step()
        replay = [*replay, (frames.detach(), speakers)][-REPLAYED:]
        past, whose = replay[int(fit.rng.integers(len(replay)))]
        right = train_encoder(
            fit, encoder, torch.cat((frames.detach()[:6], past[:4])), torch.cat((speakers[:6], whose[:4]))
        )
        log.append((float(unsure.detach()), float(distance.detach()), float(told.detach()), right))
        if len(log) % 20 == 0:
            figures = " ".join(f"{value:.3f}" for value in np.mean(log[-40:], 0))
            print(f"{len(log)} steps: words, features, speaker, encoder right: {figures}", file=sys.stderr)


def material(
    method: Vocoder, whisper: Whisper, recogniser: Recogniser, rng: np.random.Generator
) -> tuple[list[Example], list[Any]]:
    """Examples of the training speakers, and Whisper's features of the undisguised ones."""
    folder = Path(os.environ["DEIDENT_SPEECH"])
    corpora = (read_corpus(folder / "files.tsv", "verify/"), read_corpus(folder / "nonnative" / "files.tsv"))
    train = [u for corpus in corpora for u in corpus.utterances if u.role == "train"]
    names = sorted({u.speaker for u in train})
    examples, originals = [], []
    for utterance in train:
        samples = utterance.load().mono.copy()
        if not 1.5 * RATE <= len(samples) <= LONGEST * RATE:
            continue
        tokens = [t for part in recogniser._segments(samples) for t in part.tokens if t < END]
        if len(tokens) < 3:
            continue
        versions = tuple(seen(method, version) for version in (samples, poor(samples, rng)))
        examples.append(Example(names.index(utterance.speaker), tokens, len(samples), versions))
        with torch.no_grad():
            log_mel = whisper.log_mel(recogniser_input(torch.from_numpy(samples))[None])
            originals.append(whisper.encode(log_mel)[0])
    return examples, originals


def seen(method: Vocoder, samples: Any) -> tuple[Analysis, Any, Any]:
    """Analyse and normalise samples as the vocoder does before the map: analysis, deviations and means."""
    speech = analyse(
        [samples], TRACKER.track_all([samples]), [np.random.default_rng(0)],
        floor_db=method.floor_db, noise=method.noise, gate_db=method.gate_db,
    )  # fmt: skip
    means, deviations = method.normalised(speech)
    return speech, torch.from_numpy(deviations.copy()), torch.from_numpy(means.copy())


def poor(samples: Any, rng: np.random.Generator) -> Any:
    """Samples through a telephone band, in white noise, or both."""
    kind = rng.integers(3)
    if kind == 0:
        samples = sosfilt(butter(6, (300, 3400), "bandpass", fs=RATE, output="sos"), samples)
    if kind or rng.random() < 0.5:
        level = np.sqrt(np.mean(np.square(samples))) * 10 ** (-rng.uniform(12, 25) / 20)
        samples = samples + level * rng.standard_normal(len(samples))
    return samples.astype(np.float32)


def recogniser_input(sound: Any) -> Any:
    """Sound at one level, with silence around it, as `words.Whisper` gets it."""
    return functional.pad(sound * (0.7 / (sound.detach().abs().max() + 1e-6)), (3_200, 8_000))


def encoder_input(sound: Any, rng: np.random.Generator) -> Any:
    """(FRAMES, 80) log filterbanks as Kaldi computes them, from anywhere in a sound, their mean taken off."""
    pieces = (32_768.0 * sound).unfold(-1, 400, 160)
    pieces = pieces - pieces.mean(-1, keepdim=True)
    pieces = torch.cat((0.03 * pieces[:, :1], pieces[:, 1:] - 0.97 * pieces[:, :-1]), 1)
    spectra = torch.fft.rfft(pieces * torch.from_numpy(np.hanning(400) ** 0.85).float(), 512)
    frames = torch.log(((spectra.real**2 + spectra.imag**2) @ kaldi_bank()).clamp(min=1.2e-7))
    while len(frames) < FRAMES:
        frames = torch.cat((frames, frames))
    start = int(rng.integers(len(frames) - FRAMES + 1))
    crop = frames[start : start + FRAMES]
    return crop - crop.mean(0)


def kaldi_bank(bins: int = 80) -> Any:
    """(257, bins) triangles, even on the mel scale from 20 Hz to 8 kHz."""
    mels = 1127.0 * np.log(1.0 + np.arange(257) * RATE / 512 / 700.0)
    edges = 1127.0 * np.log(1.0 + np.array((20.0, 8_000.0)) / 700.0)
    low, step = edges[0], (edges[1] - edges[0]) / (bins + 1)
    at = (mels[:, None] - low) / step - np.arange(bins)
    triangles = np.maximum(0.0, np.minimum(at, 2.0 - at))
    triangles[-1] = 0.0
    return torch.from_numpy(triangles.astype(np.float32))


def begin_encoder(fit: Fit, examples: list[Example], speakers: int, steps: int = 150) -> None:
    """Point the directions at the speakers' mean embeddings, and train the encoder before the map moves."""
    with torch.no_grad():
        fit.encoder.eval()
        found = torch.cat(
            [
                fit.encoder(encoder_input(fit.disguised(example), fit.rng)[None]).float()
                for example in examples
            ]
        )
        fit.centre = nn.Parameter(found.mean(0))
        sums = torch.zeros(speakers, found.shape[1])
        for example, own in zip(examples, functional.normalize(found - fit.centre), strict=True):
            sums[example.speaker] += own
        fit.directions = nn.Parameter(functional.normalize(sums))
    optimiser = encoder_optimiser(fit)
    for _ in range(steps):
        own = [examples[k] for k in fit.rng.integers(len(examples), size=2 * BATCH)]
        with torch.no_grad():
            frames = torch.stack([encoder_input(fit.disguised(example), fit.rng) for example in own])
        train_encoder(fit, optimiser, frames, torch.tensor([example.speaker for example in own]))


def encoder_optimiser(fit: Fit) -> Any:
    slow, fast = (
        {"params": fit.encoder.parameters(), "lr": 3e-4},
        {"params": [fit.directions, fit.centre], "lr": 3e-3},
    )
    return torch.optim.AdamW([slow, fast], weight_decay=1e-4)


def train_encoder(fit: Fit, optimiser: Any, frames: Any, speakers: Any) -> float:
    """Take a step with a margin (ArcFace), a band of the filterbanks masked; give the share that it told right."""
    fit.encoder.train().requires_grad_(True)
    frames, width = frames.clone(), int(fit.rng.integers(11))
    low = int(fit.rng.integers(80 - width + 1))
    frames[:, :, low : low + width] = 0.0
    with torch.autocast("cpu", torch.bfloat16):
        cosine = fit.cosines(frames).float()
    own = functional.one_hot(speakers, cosine.shape[1]).bool()
    angle = torch.acos(cosine.clamp(-1.0 + 1e-6, 1.0 - 1e-6))
    loss = functional.cross_entropy(20.0 * torch.where(own, torch.cos(angle + 0.1), cosine), speakers)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(fit.encoder.parameters(), 5.0)
    optimiser.step()
    return float((cosine.argmax(1) == speakers).float().mean())


if __name__ == "__main__":
    sys.exit(main())
