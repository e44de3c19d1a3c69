"""Fit the tables of average speech that the vocoder brings everyone to.

    DEIDENT_SPEECH=... python -m benchmarks.fit_tables > deident/disguise/vocoder/tables.py

and `bands.npy` beside it, after which bands are predicted.

Reads the snippets of the role `dev_train` in `verify/` (LibriSpeech, CC BY 4.0) and `nonnative/` (speechocean762), and
writes averages over all of their speakers: no recording, and no one speaker,
can be recovered from them."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from deident.disguise.vocoder import analysis, bandwidth
from deident.disguise.vocoder import normalisation as erase
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, Analysis, analyse

SOUNDS, ORDER, ROUNDS = 32, CEPSTRUM.order, 5
HOW = {"floor_db": 25.0, "noise": 0.5, "gate_db": 50.0}  # as `Vocoder` has them by default


def main() -> None:
    recordings = training_speech(Path(os.environ["DEIDENT_SPEECH"]))
    cepstrum = replace(CEPSTRUM, order=ORDER)
    analysis.BANDS = average_bands(recordings, cepstrum)
    analyses = [analysed(samples, floor_db=25.0, noise=1.0, gate_db=30.0) for samples in recordings]
    ratios = np.ones(len(analyses))
    for _ in range(ROUNDS):
        warped = [a.cepstra @ erase.rewarp(cepstrum, 1.0 / r) for a, r in zip(analyses, ratios, strict=True)]
        erase.MEANS, erase.SPREADS = average_moments(warped, analyses)
        deviations = [one_snippet(c, a) for c, a in zip(warped, analyses, strict=True)]
        frames = np.concatenate([d[a.weight > 0.5] for d, a in zip(deviations, analyses, strict=True)])
        erase.SHARES, erase.CENTRES, erase.WIDTHS = mixture(frames.astype(np.float64))
        erase.log_weights.cache_clear()
        logs = np.log([erase.tract_ratio(speech, cepstrum)[0] for speech in analyses])
        ratios = np.exp(logs - logs.mean())  # the average speaker's is 1
    write()
    np.save(Path(bandwidth.__file__).with_name("bands.npy"), band_statistics(recordings))


def analysed(samples: np.ndarray, **how: float) -> Analysis:
    analysis.predict_missing = lambda *_: None  # which would need what is fitted here
    return analyse([samples], TRACKER.track_all([samples]), [np.random.default_rng(0)], **how)


def band_statistics(recordings: list[np.ndarray]) -> np.ndarray:
    """(2, 1 + bands, bands) float16: mean and covariance of log powers over `BANDS`, of voiced and of other frames."""
    rows: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for samples in recordings:
        ragged = STFT.ragged([len(samples)])
        powers = CEPSTRUM.powers_of_padded(STFT.concatenate([samples], ragged), ragged.frames)
        total, _, _ = analysis._without_background(powers, HOW["noise"], ragged)
        speech = analysed(samples, **HOW)
        average = speech.weight @ powers / (speech.weight.sum() + 1e-3)
        if (average < 1e-4 * analysis.BANDS * np.percentile(total, analysis.LOUD)).any():
            continue  # a line has cut it
        logs = np.log(powers / (average + 1e-9) + 10 ** (-0.1 * HOW["floor_db"]))
        rows[0].append(logs[(speech.presence > 0.5) & (speech.voiced > 0.6)])
        rows[1].append(logs[(speech.presence > 0.5) & (speech.voiced < 0.4)])
    kinds = [np.concatenate(own) for own in rows]
    return np.stack([np.vstack((own.mean(axis=0), np.cov(own.T))) for own in kinds]).astype(np.float16)


def training_speech(folder: Path) -> list[np.ndarray]:
    """Read recordings of training speakers."""
    recordings = []
    for table, part in (
        (folder / "files.tsv", "verify/"),
        (folder / "nonnative" / "files.tsv", "nonnative/"),
    ):
        with table.open(newline="") as file:
            recordings += [
                soundfile.read(folder / row["path"], dtype="float32")[0]
                for row in csv.DictReader(file, delimiter="\t")
                if row["role"] == "dev_train" and row["path"].startswith(part)
            ]
    return recordings


def average_bands(recordings: list[np.ndarray], cepstrum: erase.MelCepstrum) -> np.ndarray:
    logs = []
    for samples in recordings:
        powers = cepstrum.band_powers(samples)
        total = powers.mean(axis=1)
        loud = total > np.percentile(total, analysis.LOUD) * 10**-1.8
        average = powers[loud].mean(axis=0)
        logs.append(np.log(average / average.mean()))
    bands = np.exp(np.mean(logs, axis=0))
    return (bands / bands.mean()).astype(np.float32)


def average_moments(cepstra: list[np.ndarray], analyses: list[Analysis]) -> tuple[np.ndarray, np.ndarray]:
    means, squares = [], []
    for rows, speech in zip(cepstra, analyses, strict=True):
        voiced = speech.voiced[:, None]
        weights = [speech.weight * speech.voiced, speech.weight * (1.0 - speech.voiced)]
        own = [weight @ rows / (weight.sum() + 1e-3) for weight in weights]
        moved = rows - voiced * own[0] - (1.0 - voiced) * own[1]
        means.append(own)
        squares.append([weight @ moved**2 / (weight.sum() + 1e-3) for weight in weights])
    return (
        np.mean(means, axis=0).astype(np.float32),
        np.sqrt(np.mean(squares, axis=0)).astype(np.float32),
    )


def one_snippet(cepstra: np.ndarray, speech: Analysis) -> np.ndarray:
    _, deviations = erase.normalise_means(cepstra, speech, 1.0)
    return erase.normalise_spread(deviations, speech, 1.0)


def mixture(frames: np.ndarray, rounds: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, centres and widths of a Gaussian mixture of diagonal covariance (EM)."""
    rng = np.random.default_rng(0)
    centres = frames[rng.choice(len(frames), SOUNDS, replace=False)]
    widths = np.tile(frames.std(axis=0), (SOUNDS, 1))
    shares = np.full(SOUNDS, 1.0 / SOUNDS)
    for _ in range(rounds):
        precision = widths**-2
        worth = -0.5 * (frames**2 @ precision.T) + frames @ (centres * precision).T
        worth += np.log(shares) - np.log(widths).sum(axis=1) - 0.5 * (centres**2 * precision).sum(axis=1)
        belongs = np.exp(worth - worth.max(axis=1, keepdims=True))
        belongs /= belongs.sum(axis=1, keepdims=True)
        count = belongs.sum(axis=0) + 1e-6
        centres = belongs.T @ frames / count[:, None]
        variance = belongs.T @ frames**2 / count[:, None] - centres**2
        widths = np.sqrt(np.maximum(variance, 0.05))
        shares = count / count.sum()
    order = np.argsort(-shares)
    return tuple(a[order].astype(np.float32) for a in (shares, centres, widths))


def write() -> None:
    print(f'"""{HEADER}"""\n\nfrom __future__ import annotations\n\nimport numpy as np\n')
    for name, meaning, digits in TABLES:
        table = (vars(analysis) | vars(erase))[name]
        print(f"{name} = np.array(\n    {literal(table, digits)},\n    dtype=np.float32,\n)  # fmt: skip")
        print(f'"""{tuple(table.shape)} {meaning}"""\n')


def literal(table: np.ndarray, digits: int) -> str:
    if table.ndim >= 2:
        return "(\n" + "".join(f"        {literal(row, digits)},\n" for row in table) + "    )"
    numbers = [f"{value:.{digits}f}" for value in table]
    lines = [", ".join(numbers[at : at + 8]) for at in range(0, len(numbers), 8)]
    return "(\n        " + ",\n        ".join(lines) + ",\n    )"


HEADER = """Average speech, to which snippets are normalised.

Averages over 316 snippets of 73 speakers, 45 adult readers (LibriSpeech, V. Panayotov et al. 2014, CC BY 4.0), 14
adults and 14 children who speak English as a foreign language (speechocean762, J. Zhang et al. 2021), made by
`python -m benchmarks.fit_tables`. Cepstra are those of `CEPSTRUM`; no one speaker is in them."""

TABLES = (
    ("BANDS", "the mean power of each band of the loud frames, 1 on average.", 4),
    ("MEANS", "the mean of each cepstrum of voiced and of other frames.", 2),
    ("SPREADS", "how each cepstrum spreads about a snippet's means, in voiced and in other frames.", 2),
    ("SHARES", "how common each kind of sound is.", 4),
    ("CENTRES", "the middle of each kind of sound, in SPREADS of voiced frames from the means.", 2),
    ("WIDTHS", "the standard deviations of each kind of sound about its middle.", 2),
)  # fmt: skip

if __name__ == "__main__":
    main()
