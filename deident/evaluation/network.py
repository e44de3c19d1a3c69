"""An attacker that trains a network on disguised speech of other speakers.

It fine-tunes a given encoder, or trains a small one from nothing, to tell the attacker's training speakers apart, with
new voices in every epoch. torch is imported when it trains or embeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from deident.audio import RATE, Audio, Floats, Ints
from deident.disguise.base import Method
from deident.disguise.naming import object_named
from deident.dsp.resample import exact_ratio, resample
from deident.errors import ExtraMissingError, SettingError
from deident.evaluation import filterbanks
from deident.evaluation.attack import Attack, Attacker, Evidence
from deident.evaluation.cache import Cache, digest, file_digest, fingerprint, source_digest
from deident.evaluation.copies import CopyJob, disguise
from deident.evaluation.corpus import InMemory, Utterance
from deident.evaluation.scoring import Cosine

CROP = 200  # frames: 2 s
BATCH = 16
FREQUENCY_MASK, TIME_MASK = 10, 20  # bins and frames that are set to the mean, at most
SPEEDS = (0.95, 1.0, 1.05)  # of the undisguised utterance
NOISY = 0.3  # share of the crops with noise added
NOISE_DB = (10.0, 30.0)  # of the speech over the noise
SHRINKAGE = 0.2  # of the covariance within speakers, whose directions outnumber a few dozen speakers


@dataclass(frozen=True)
class Recipe:
    """The training of a network.

    Attributes
    ----------
    start : str
        Path of CAM++'s weights for torch (package `speakerlab`); or `package.module:NAME`, a callable that gives a
        torch module from (batch, frames, 80) to (batch, dims); "" for a small network from nothing.
    crops : int
        Of two seconds, in all. An epoch has one of every utterance, disguised under a voice of its own.
    rate : float
        Highest learning rate; that of the speakers' directions is ten times as high.
    margin, scale : float
        Of the additive angular margin softmax, Deng et al., "ArcFace", CVPR 2019.
    """

    start: str = ""
    crops: int = 8_000
    rate: float = 5e-4
    margin: float = 0.2
    scale: float = 30.0

    def fingerprint(self) -> str:
        """Stands for the recipe and the weights it starts from."""
        weights = file_digest(self.start) if self.start.endswith(".pt") else self.start
        values = (weights, self.crops, self.rate, self.margin, self.scale)
        return digest("network", *values, source_digest(__name__, filterbanks.__name__))


@dataclass(frozen=True)
class TrainedEncoder:
    """A speaker encoder with weights from a file that `train` wrote."""

    start: str
    weights: str

    @property
    def fingerprint(self) -> str:
        return digest(
            "trained", self.start, file_digest(self.weights), source_digest(__name__, filterbanks.__name__)
        )

    def __call__(self, samples: Floats) -> Floats:
        """(dims,) embedding of (samples,) at 16 kHz."""
        import torch

        network, device = _loaded(self.start, self.weights)
        frames = filterbanks.centred(filterbanks.filterbanks(samples))
        with torch.inference_mode():
            embedded: Floats = network(torch.from_numpy(frames[None]).to(device))[0].float().cpu().numpy()
        return embedded


@cache
def _loaded(start: str, weights: str) -> tuple[Any, Any]:
    """Load a trained network for inference."""
    import torch

    torch.set_num_threads(1)
    device = _device()
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network = torch.nn.Sequential(_network(start), torch.nn.Linear(*reversed(state["1.weight"].shape)))
    network.load_state_dict(state)
    return network.to(device).eval(), device


class Trained(Attacker):
    """Semi-informed with a network of its own, which is trained for every method."""

    summary = "has trained a network on other speakers disguised by the same method"
    fused = "none"  # its network has seen all training speakers: none can be held out for a fusion
    trains = True
    uses = ()

    def __init__(self, recipe: Recipe | None = None) -> None:
        self.recipe = recipe or Recipe()

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        return evidence.compare(Cosine(), "cosine")

    def encoder(
        self, method: Method[Any], utterances: Sequence[Utterance], seed: int, cache: Cache
    ) -> TrainedEncoder:
        return train(self.recipe, method, utterances, seed, cache)


def attacker_named(text: str) -> tuple[str, object]:
    """A name for the report, and the attacker: trained, trained:PATH.pt, or package.module:NAME.

    Raises `ExtraMissingError` or `SettingError` when its network cannot be made.
    """
    kind, _, start = text.partition(":")
    if kind != "trained":
        return start, object_named(text)
    filterbanks.check_extras()
    _network(start)
    # From nothing it takes more crops and a higher rate to learn anything; the small network is twenty times as fast.
    return kind, Trained(Recipe(start) if start else Recipe(crops=60_000, rate=2e-3))


def train(
    recipe: Recipe, method: Method[Any], utterances: Sequence[Utterance], seed: int, cache: Cache
) -> TrainedEncoder:
    """Train a network to tell speakers of disguised speech apart.

    Parameters
    ----------
    recipe : Recipe
    method : Method
        The disguise. Its voices are drawn anew for every copy.
    utterances : sequence of Utterance
        Undisguised speech of the training speakers.
    seed : int
    cache : Cache
        Keeps the weights by all of the above.

    Returns
    -------
    TrainedEncoder
    """
    sounds = digest(sorted((u.speaker, u.digest()) for u in utterances))
    name = digest(recipe.fingerprint(), fingerprint(method), method.scope, sounds, seed)
    weights = cache.file(name, ".pt")
    if not weights.exists():
        import torch

        torch.set_num_threads(1)
        network = _fitted(recipe, method, utterances, seed)
        beside = weights.with_suffix(f".{seed}.part")
        torch.save(network.state_dict(), beside)
        beside.chmod(0o600)
        beside.replace(weights)
    return TrainedEncoder(recipe.start, str(weights))


def _crops(method: Method[Any], utterances: Sequence[Utterance], seed: int, epoch: int) -> Floats:
    """(utterances, frames, bins) masked filterbanks of new copies."""
    job = CopyJob(method, f"network {epoch}", 1, seed, method.scope, {})
    rng = np.random.default_rng((seed, epoch))
    copies = (copy.mono for u in utterances for copy in disguise(job, _at_a_speed(u, rng)))
    return np.stack([_crop(filterbanks.filterbanks(_noisy(samples, rng)), rng) for samples in copies])


def _at_a_speed(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """Play an utterance a little slower or faster, or as it is."""
    ratio, samples = exact_ratio(rng.choice(SPEEDS)), utterance.load().mono
    faster = resample(samples, ratio, round(len(samples) / ratio))
    return replace(utterance, load=InMemory(Audio(faster[None], RATE)))


def _noisy(samples: Floats, rng: np.random.Generator) -> Floats:
    """Samples, some of them with white or brown noise added."""
    if rng.random() > NOISY:
        return samples
    noise = rng.standard_normal(len(samples))
    if rng.random() < 0.5:
        noise = lfilter([1.0], [1.0, -0.98], noise)
    below = np.sqrt(np.mean(np.square(samples))) * 10.0 ** (-rng.uniform(*NOISE_DB) / 20.0)
    noise *= below / np.sqrt(np.mean(np.square(noise)))
    return np.asarray(samples + noise, np.float32)


def _crop(frames: Floats, rng: np.random.Generator) -> Floats:
    """Two seconds from anywhere, with a band and a span masked. Park et al., "SpecAugment", Interspeech 2019."""
    frames = filterbanks.at_least(frames, CROP)
    start = int(rng.integers(len(frames) - CROP + 1))
    crop = filterbanks.centred(frames[start : start + CROP])
    band, span = int(rng.integers(FREQUENCY_MASK + 1)), int(rng.integers(TIME_MASK + 1))
    low, early = int(rng.integers(crop.shape[1] - band + 1)), int(rng.integers(CROP - span + 1))
    crop[:, low : low + band] = 0.0
    crop[early : early + span] = 0.0
    return crop


def _fitted(recipe: Recipe, method: Method[Any], utterances: Sequence[Utterance], seed: int) -> Any:
    """Train the network; a layer behind it takes off the mean of its embeddings."""
    import torch
    from torch.nn import functional

    device = _device()
    labels = np.unique([u.speaker for u in utterances], return_inverse=True)[1]
    speakers, epochs = int(labels.max()) + 1, max(1, round(recipe.crops / len(utterances)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _network(recipe.start).to(device)
        inputs = _crops(method, utterances, seed, 0)
        layer, directions = _whitening(network, inputs, labels, bool(recipe.start))
        network, top = (
            torch.nn.Sequential(network, layer).to(device),
            torch.nn.Parameter(directions.to(device)),
        )
    parameters = [{"params": network.parameters(), "share": 1.0}, {"params": [top], "share": 10.0}]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=1e-4)
    rng = np.random.default_rng(seed)
    network.train()
    for epoch in range(epochs):
        inputs = inputs if epoch == 0 else _crops(method, utterances, seed, epoch)
        batches = _batches(len(inputs), rng)
        for number, rows in enumerate(batches):
            done = (epoch + number / len(batches)) / epochs
            for group in optimiser.param_groups:
                # Half a cosine down, after a tenth of the way up.
                group["lr"] = (
                    recipe.rate * group["share"] * min(1.0, 10.0 * done) * 0.5 * (1.0 + np.cos(np.pi * done))
                )
            cosine = (
                functional.normalize(_embedded(network[0], network[1], inputs[rows]))
                @ functional.normalize(top).T
            )
            speaker = torch.from_numpy(labels[rows]).to(device)
            own = functional.one_hot(speaker, speakers).bool()
            angle = torch.acos(cosine.clamp(-1.0 + 1e-6, 1.0 - 1e-6))
            logits = recipe.scale * torch.where(
                own, torch.cos((angle + recipe.margin).clamp(max=np.pi)), cosine
            )
            loss: Any = functional.cross_entropy(logits, speaker)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
    # The layer has fitted the training speakers; others are told apart better by what lies under it.
    centre = torch.from_numpy(_embeddings(network[0], inputs).mean(0))
    with torch.no_grad():
        network[1].weight.copy_(torch.eye(len(centre)))
        network[1].bias.copy_(-centre)
    return network.cpu()


def _embedded(network: Any, layer: Any, inputs: Floats) -> Any:
    """(crops, dims) embeddings, with the network in half precision where the processor has it."""
    import torch

    device = next(network.parameters()).device
    halved = (
        device.type == "cuda" or getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    )  # twice as fast; torch has no public question for it
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=halved):
        hidden = network(torch.from_numpy(inputs).to(device))
    return layer(hidden.float())


def _embeddings(network: Any, inputs: Floats) -> Floats:
    """(crops, dims) embeddings by the network as it stands, which goes on training afterwards."""
    import torch

    parts = np.array_split(inputs, -(-len(inputs) // BATCH))
    network.eval()
    with torch.no_grad():
        found = [_embedded(network, torch.nn.Identity(), part).cpu().numpy() for part in parts]
    network.train()
    return np.concatenate(found)


def _whitening(network: Any, inputs: Floats, labels: Ints, pretrained: bool) -> tuple[Any, Any]:
    """Make a layer that brings the covariance within speakers to the identity, and each speaker's direction after it.

    So the training begins where a retrained back end ends. A network from nothing gets random ones.
    """
    import torch

    found = _embeddings(network, inputs)
    dims, speakers = found.shape[1], int(labels.max()) + 1
    layer, directions = torch.nn.Linear(dims, dims), 0.05 * torch.randn(speakers, dims)
    if pretrained:
        centre = found.mean(0)
        means = np.stack([found[labels == speaker].mean(0) for speaker in range(speakers)])
        within = found - means[labels]
        covariance = (1.0 - SHRINKAGE) * within.T @ within / len(within)
        covariance += SHRINKAGE * np.trace(covariance) / dims * np.eye(dims)
        values, vectors = np.linalg.eigh(covariance)
        whitening = (vectors / np.sqrt(values)) @ vectors.T
        whitening *= np.sqrt(dims) / np.linalg.norm(whitening)
        directions = torch.from_numpy((means - centre) @ whitening).float()
        directions /= directions.norm(dim=1, keepdim=True)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(whitening))
            layer.bias.copy_(torch.from_numpy(-whitening @ centre))
    return layer, directions


def _batches(count: int, rng: np.random.Generator) -> list[Ints]:
    """Rows in random order, a batch at a time; the last has at least two, as batch normalisation needs."""
    return [part.astype(np.intp) for part in np.array_split(rng.permutation(count), max(1, count // BATCH))]


def _device() -> Any:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _network(start: str) -> Any:
    """The network that a recipe starts from."""
    try:
        import torch
    except ImportError:
        raise ExtraMissingError.of("attackers", "an attacker that trains a network") from None
    if not start:
        return _small_network()
    if not start.endswith(".pt"):
        return object_named(start)()
    try:
        from speakerlab.models.campplus.DTDNN import CAMPPlus
    except ImportError:
        raise ExtraMissingError(
            "fine-tuning CAM++ needs the code of its network: pip install --no-deps speakerlab-slim"
        ) from None
    network = CAMPPlus(filterbanks.BINS, 192, memory_efficient=False)
    try:
        network.load_state_dict(torch.load(Path(start), map_location="cpu", weights_only=True))
    except Exception:
        # torch raises kinds of its own, whose messages hold the path.
        raise SettingError("expected the weights of CAM++ for torch, with 192 dimensions") from None
    return network.to(memory_format=torch.channels_last)  # a quarter faster


def _small_network(channels: int = 128, dims: int = 128) -> Any:
    """An x-vector network of half a million weights. Snyder et al., "X-vectors", ICASSP 2018."""
    from torch import cat, nn

    def layer(given: int, width: int, dilation: int) -> Any:
        return nn.Sequential(
            nn.Conv1d(given, channels, width, dilation=dilation), nn.ReLU(), nn.BatchNorm1d(channels)
        )

    class Pooled(nn.Module):  # type: ignore[misc]  # torch counts as untyped, installed or not
        def __init__(self) -> None:
            super().__init__()
            self.frames = nn.Sequential(
                layer(filterbanks.BINS, 5, 1),
                layer(channels, 3, 2),
                layer(channels, 3, 3),
                layer(channels, 1, 1),
            )
            self.top = nn.Sequential(nn.Linear(2 * channels, dims), nn.BatchNorm1d(dims))

        def forward(self, frames: Any) -> Any:
            hidden = self.frames(frames.transpose(1, 2))
            return self.top(cat((hidden.mean(2), hidden.std(2)), 1))

    return Pooled()
