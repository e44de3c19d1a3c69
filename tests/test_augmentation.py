"""A disguise as a transform: seeded, frozen, batched, and never the same in two workers."""

import json
import multiprocessing
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deident import Augmentation, McAdams, Policy, Psola, SettingError, Vocoder
from deident.audio import RATE
from tests.methods import Sine
from tests.voices import speech

SAID = speech(seconds=0.5)
DISGUISE = Sine()


def test_every_call_draws_anew_and_a_seed_repeats_all_of_them() -> None:
    def calls(seed: int | None) -> list[bytes]:
        augment = Augmentation(DISGUISE, seed=seed)
        return [augment(SAID, RATE).tobytes() for _ in range(4)]

    assert len(set(calls(1))) == 4
    assert calls(1) == calls(1)
    assert not set(calls(1)) & {*calls(2), *calls(None), *calls(None)}


@pytest.mark.parametrize("method", [Vocoder(), Psola(), McAdams()])
def test_frozen_parameters_give_the_same_sound(method: Any) -> None:
    augment = Augmentation(method)
    first = augment(SAID, RATE)
    augment.freeze_parameters()
    changed = augment(SAID, RATE)
    assert np.array_equal(first, changed)
    other = augment(speech(seconds=0.4), RATE)
    assert other.shape == (6_400,)
    augment.unfreeze_parameters()
    assert not np.array_equal(augment(SAID, RATE), first)


def test_half_of_the_calls_change_something() -> None:
    augment = Augmentation(DISGUISE, p=0.5, seed=3)
    changed = [not np.array_equal(augment(SAID, RATE), SAID) for _ in range(100)]
    assert 30 < sum(changed) < 70
    assert np.array_equal(Augmentation(DISGUISE, p=0.0)(SAID, RATE), SAID)


def test_a_batch_has_a_voice_for_each_and_channels_share_one() -> None:
    batch = np.stack([np.stack((SAID, SAID))] * 16)
    augment = Augmentation(DISGUISE, p=0.5, seed=3)
    before = batch.copy()
    out = augment(batch, RATE)
    assert (out.shape, out.dtype) == (batch.shape, np.float32)
    assert np.array_equal(batch, before)
    assert np.array_equal(out[:, 0], out[:, 1])  # a sine has no noise
    sounds = {sound.tobytes() for sound in out}
    untouched = sum(np.array_equal(sound, SAID.astype(np.float32)) for sound in out[:, 0])
    assert 2 < untouched < 14
    assert len(sounds) == 16 - untouched + 1
    assert json.loads(json.dumps(augment.serialize_parameters()))["should_apply"].count(False) == untouched
    augment.freeze_parameters()
    assert np.array_equal(augment(batch, RATE), out)


def test_lengths_and_types_are_kept() -> None:
    gap = np.zeros(RATE, np.float32)
    samples = np.concatenate((SAID, gap, SAID))
    for augment in (Augmentation(Vocoder()), Augmentation(Sine(by=1.2)), Augmentation(Sine(by=0.8))):
        assert augment(samples, RATE).shape == samples.shape
    assert augment(samples[:0], RATE).shape == (0,)


def test_audiomentations_composes_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audiomentations = pytest.importorskip("audiomentations")
    own = Augmentation(Psola(), p=1.0)
    compose = audiomentations.Compose([audiomentations.Gain(p=1.0), own])
    first = compose(samples=SAID, sample_rate=RATE)
    assert first.shape == SAID.shape
    assert not np.array_equal(compose(samples=SAID, sample_rate=RATE), first)
    compose.freeze_parameters()
    assert own.are_parameters_frozen
    kept = compose(samples=SAID, sample_rate=RATE)
    assert np.array_equal(compose(samples=SAID, sample_rate=RATE), kept)
    compose.unfreeze_parameters()
    assert not np.array_equal(compose(samples=SAID, sample_rate=RATE), kept)
    stereo = audiomentations.OneOf([own])(samples=np.stack((SAID, SAID)), sample_rate=RATE)
    assert stereo.shape == (2, SAID.size)


AUGMENT = Augmentation(DISGUISE, seed=11)


def drawn(_: int) -> tuple[str, bytes]:
    return multiprocessing.current_process().name, AUGMENT(SAID, RATE).tobytes()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_with_equal_seeds_do_not_repeat_each_other(method: str) -> None:
    AUGMENT(SAID, RATE)
    context = multiprocessing.get_context(method)
    made: list[tuple[str, bytes]] = [drawn(0)]
    for _ in range(2):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            made += pool.map(drawn, range(3))
    assert len({name for name, _ in made}) == 3
    assert len({sound for _, sound in made}) == 7


def test_ranks_with_equal_seeds_do_not_repeat_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        sounds.append(Augmentation(DISGUISE, seed=1)(SAID, RATE).tobytes())
    assert len(set(sounds)) == 2


class Utterances:
    """A map-style data set."""

    def __init__(self, augment: Any) -> None:
        self.augment = augment

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> npt.NDArray[np.float32]:
        sound: npt.NDArray[np.float32] = self.augment(SAID, RATE)
        return sound


@pytest.mark.filterwarnings("ignore")
def test_workers_of_a_loader_do_not_repeat_each_other() -> None:
    data = pytest.importorskip("torch.utils.data")

    def epochs() -> list[bytes]:
        augment = Augmentation(DISGUISE, seed=5)
        loader = data.DataLoader(Utterances(augment), batch_size=2, num_workers=2)
        batches = [batch for _ in range(2) for batch in loader]
        assert all(tuple(batch.shape) == (2, SAID.size) for batch in batches)
        return [sound.numpy().tobytes() for batch in batches for sound in batch]

    assert len(set(epochs())) == 16


def test_tensors_come_back_as_tensors() -> None:
    torch = pytest.importorskip("torch")
    batch = torch.from_numpy(np.stack([SAID[None]] * 3).astype(np.float32)).requires_grad_()
    out = Augmentation(Vocoder(), seed=1)(batch, RATE)
    assert isinstance(out, torch.Tensor)
    assert (tuple(out.shape), out.dtype) == (tuple(batch.shape), torch.float32)
    assert torch.isfinite(out).all()


def test_the_core_loads_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy, deident; deident.Augmentation(deident.Psola())(numpy.zeros(800), 16000);"
        "assert not {'torch', 'audiomentations'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_travels_and_hides_its_seed() -> None:
    augment = pickle.loads(pickle.dumps(Augmentation(Psola(), seed=987_654)))
    assert augment(SAID, RATE).shape == SAID.shape
    assert "987" not in repr(augment)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"disguise": Psola}, "draw and apply"), ({"p": 1.5}, "p"), ({"p": "half"}, "p"), ({"seed": -1}, "from 0"),
     ({"seed": 1.5}, "from 0"), ({"seed": True}, "from 0")],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Augmentation(**{"disguise": DISGUISE, **arguments})


def test_the_preset_for_training_keeps_time() -> None:
    assert Policy.preset("training").disguise.keeps_time
    assert not Policy.preset("review").disguise.keeps_time


def test_it_is_a_module_of_torch() -> None:
    torch = pytest.importorskip("torch")
    augment = Augmentation(Psola(), seed=3)
    chain = torch.nn.Sequential(augment.as_module(RATE), torch.nn.Identity())
    batch = torch.from_numpy(np.stack([SAID[None]] * 2).astype(np.float32))
    first, second = chain(batch), chain(batch)
    assert first.shape == batch.shape
    assert not torch.equal(first, second)
    chain[0].freeze_parameters()
    assert torch.equal(chain(batch), chain(batch))
    chain[0].unfreeze_parameters()
    assert not torch.equal(chain(batch), chain(batch))


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore")
def test_it_stands_in_a_compose_of_torch_audiomentations() -> None:
    torch = pytest.importorskip("torch")
    composed = pytest.importorskip("torch_audiomentations")
    augment = Augmentation(Psola(), seed=3)
    inverted = composed.PolarityInversion(p=1.0, output_type="dict")
    compose = composed.Compose([augment.as_module(RATE), inverted], output_type="dict")
    batch = torch.from_numpy(np.stack([SAID[None]] * 2).astype(np.float32))
    compose(batch, sample_rate=RATE)
    compose.freeze_parameters()
    out = compose(batch, sample_rate=RATE).samples
    assert torch.equal(out, -augment(batch, RATE))
    assert not torch.equal(out, -batch)
