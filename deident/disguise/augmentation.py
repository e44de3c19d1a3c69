"""A disguise as a transform for training: seeded, frozen and batched as such transforms are."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import numpy as np

from deident.disguise.base import as_method
from deident.errors import SettingError, between
from deident.keys import fresh_rng


class Augmentation:
    """A disguise as a transform, with the functions of those of audiomentations.

    It stands in an `audiomentations.Compose`, in the `__getitem__` of a torch data set, or is called on batches of
    arrays or tensors. The length stays the same, and so do the times of words.

    Every process draws for itself: the workers of a `DataLoader`, and the ranks of a distributed training (by the
    variable RANK), never repeat each other. With a seed, and as many processes begun before, a run repeats another.
    A seed is for training only: whoever knows it knows the voices.

    Parameters
    ----------
    disguise : Method
    p : float, default 1
        Probability with which a sound is disguised, 0 to 1.
    seed : int, optional
        By default every draw comes from the operating system.

    Attributes
    ----------
    parameters : dict
        Of the last call: "should_apply" and "seed", lists for a batch.
    are_parameters_frozen : bool

    Raises
    ------
    SettingError
        For what is no disguise, and for p or a seed out of range.

    Examples
    --------
    >>> import numpy as np, deident
    >>> augment = deident.Augmentation(deident.Psola(), p=0.5, seed=7)
    >>> augment(np.zeros((2, 1, 8_000), np.float32), 16_000).shape
    (2, 1, 8000)
    """

    supports_mono = True
    supports_multichannel = True

    def __init__(self, disguise: object, p: float = 1.0, seed: int | None = None) -> None:
        between("p", p, 0.0, 1.0)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise SettingError(f"expected seed as a whole number from 0; got {seed!r:.20}")
        self.disguise = as_method(disguise)
        self.p = p
        self.seed = seed
        self.parameters: dict[str, Any] = {"should_apply": None, "seed": None}
        self.are_parameters_frozen = False
        self._process = ""
        self._rng: np.random.Generator | None = None

    def __call__(self, samples: Any, sample_rate: int) -> Any:
        """Disguise sounds, each with probability p.

        Parameters
        ----------
        samples : (samples,), (channels, samples) or (batch, channels, samples) array or tensor
            The channels of a sound have one voice, those of a batch one each.
        sample_rate : int
            Hz.

        Returns
        -------
        array or tensor
            Of the same shape, float32.
        """
        if not self.are_parameters_frozen or self.parameters["should_apply"] is None:
            self.randomize_parameters(samples, sample_rate)
        return self.apply(samples, sample_rate)

    def randomize_parameters(self, samples: Any, sample_rate: int) -> None:
        """Draw the parameters of the next call.

        Parameters
        ----------
        samples : array or tensor
            As for a call.
        sample_rate : int
            Hz.
        """
        rng, count = self._generator(), len(samples) if samples.ndim == 3 else 1
        chosen = (rng.random(count) < self.p).tolist()
        seeds = rng.integers(2**63, size=count).tolist()
        single = samples.ndim < 3
        self.parameters = {
            "should_apply": chosen[0] if single else chosen,
            "seed": seeds[0] if single else seeds,
        }

    def apply(self, samples: Any, sample_rate: int) -> Any:
        """Disguise sounds under the drawn parameters.

        Parameters
        ----------
        samples : array or tensor
            As for a call.
        sample_rate : int
            Hz.

        Returns
        -------
        array or tensor
        """
        is_tensor = hasattr(samples, "new_tensor")
        array = np.asarray(samples.detach().cpu() if is_tensor else samples)
        chosen, seeds = np.atleast_1d(self.parameters["should_apply"]), np.atleast_1d(self.parameters["seed"])
        batch = array if array.ndim == 3 else array[np.newaxis]
        if not batch.size or not chosen.any():
            return samples
        out = batch.astype(np.float32)
        for k, sound in enumerate(batch):
            if chosen[k % chosen.size]:
                out[k] = self.disguise(sound, sample_rate, rng=int(seeds[k % seeds.size]))
        out = out.reshape(array.shape)
        return samples.new_tensor(out) if is_tensor else out

    def freeze_parameters(self) -> None:
        """Keep voices and noise from now on."""
        self.are_parameters_frozen = True

    def unfreeze_parameters(self) -> None:
        """Draw anew at every call again."""
        self.are_parameters_frozen = False

    def serialize_parameters(self) -> dict[str, Any]:
        """Return the parameters, which JSON can hold.

        Returns
        -------
        dict
        """
        return self.parameters

    def as_module(self, sample_rate: int) -> Any:
        """Make a `torch.nn.Module` of it, which a `Compose` of torch-audiomentations takes, or a `torch.nn.Sequential`.

        Such a `Compose` tells the sample rate to its own transforms alone, so it is given here.

        Parameters
        ----------
        sample_rate : int
            Hz, of all batches.

        Returns
        -------
        torch.nn.Module
            A function of (batch, channels, samples) tensors. Freezing its parameters freezes those of this transform.
        """
        import torch

        augment = self

        class Module(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
            supported_modes = frozenset({"per_batch", "per_example"})

            def forward(self, samples: Any) -> Any:
                return augment(samples, sample_rate)

            def freeze_parameters(self) -> None:
                augment.freeze_parameters()

            def unfreeze_parameters(self) -> None:
                augment.unfreeze_parameters()

        return Module()

    def _generator(self) -> np.random.Generator:
        """Return the generator of this process: a copy that came from another would repeat its draws."""
        process = f"{os.environ.get('RANK', '')}/{multiprocessing.current_process().name}/{os.getpid()}"
        if self._rng is None or process != self._process:
            self._process = process
            names = process.rpartition("/")[0]
            self._rng = (
                fresh_rng() if self.seed is None else np.random.default_rng([self.seed, *names.encode()])
            )
        return self._rng

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_rng": None}  # whoever gets the copy draws anew

    def __repr__(self) -> str:
        return f"Augmentation({self.disguise!r}, p={self.p:g})"
