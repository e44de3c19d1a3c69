"""Data sets in the formats of other tools: readers that give recordings, exporters of what a store holds.

No exporter needs the package whose format it writes, but for Parquet. The files name no source, order or time, and
are the same for the same store.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from deident.datasets.items import Item
    from deident.recording import Recording


class Exporter(Protocol):
    """A writer of data sets: an entry of `EXPORTERS`, or your own as `package.module:NAME`.

    `tests.contracts.EXPORTER_CONTRACTS` holds what every exporter must pass.
    """

    def __call__(self, items: Iterable[Item], out: Path, /) -> int:
        """Write snippets as a data set.

        Parameters
        ----------
        items : iterable of Item
            Snippets, as `deident.datasets.items.read_items` gives them, in any order.
        out : Path
            The place of the data set: not there yet, or an empty folder. `deident.datasets.package.package` makes it
            whole or not at all.

        Returns
        -------
        int
            The number of snippets written.

        Raises
        ------
        StoreError
            If something is at that place, or a snippet is not what the manifest says.
        """


class Reader(NamedTuple):
    """A reader of data sets: an entry of `READERS`, and an option of `deident run` under the same name.

    Attributes
    ----------
    read : str
        `package.module:NAME` of a function (path, carry, base) that returns a list of `Recording`.
    metavar, help : str
        For the option.
    """

    read: str
    metavar: str
    help: str

    def __call__(
        self, path: str | os.PathLike[str], carry: Sequence[str] = (), base: str | None = None
    ) -> list[Recording]:
        """Read a data set.

        Parameters
        ----------
        path : str or path-like
            The file or folder.
        carry : sequence of str
            Names of columns or fields that go into the manifest as labels.
        base : str, optional
            The folder or URI of the sound, for the paths in the data set.

        Returns
        -------
        list of Recording

        Raises
        ------
        SettingError
            If a line is not understood, or names an address.
        """
        found: list[Recording] = _imported(self.read)(path, carry, base)
        return found


READERS = {
    "table": Reader(
        "deident.datasets.table:read",
        "FILE",
        "CSV or TSV with a column path; speaker, text, start, stop, channel if known",
    ),
    "kaldi": Reader("deident.datasets.kaldi:read", "DIR", "a Kaldi data folder, VoicePrivacy's too"),
    "lhotse": Reader(
        "deident.datasets.lhotse:read", "PATH", "a folder of recordings and supervisions, or a file of cuts"
    ),
    "nemo": Reader("deident.datasets.nemo:read", "FILE", "a NeMo manifest"),
    "corpus": Reader(
        "deident.datasets.layouts:read",
        "DIR",
        "a folder of LibriSpeech, VCTK or Common Voice, or of a folder for each speaker",
    ),
}

EXPORTERS = {
    "kaldi": "deident.datasets.kaldi:write",
    "lhotse": "deident.datasets.lhotse:write",
    "parquet": "deident.datasets.parquet:write",
    "webdataset": "deident.datasets.webdataset:write",
    "nemo": "deident.datasets.nemo:write",
    "label-studio": "deident.datasets.label_studio:write",
    "textgrid": "deident.datasets.textgrid:write",
}


def exporter_named(name: str) -> Exporter:
    """Find an exporter by its name.

    Parameters
    ----------
    name : str
        One of `EXPORTERS`, or `package.module:NAME`.

    Returns
    -------
    Exporter

    Raises
    ------
    SettingError
        If there is none of that name.
    """
    from deident.errors import SettingError

    if name not in EXPORTERS and ":" not in name:
        raise SettingError(f"expected a format of {', '.join(EXPORTERS)}, or package.module:NAME")
    found: Exporter = _imported(EXPORTERS.get(name, name))
    return found


def export(
    items: Iterable[Item],
    to: str,
    out: str | os.PathLike[str],
    *,
    summary: Mapping[str, Any] | None = None,
    names_people: bool = False,
) -> int:
    """Write snippets of a store as a data set, with a card that says what it is (README.md, croissant.json).

    Parameters
    ----------
    items : iterable of Item
        Snippets, as `deident.datasets.items.read_items` gives them.
    to : str
        The name of an exporter, see `exporter_named`.
    out : str or path-like
        A new folder.
    summary : mapping, optional
        Of the run, as `deident run --json` prints it: the card tells its settings and what was dropped.
    names_people : bool, default False
        Ids and speakers are those of the source; the card says so.

    Returns
    -------
    int
        The number of snippets written.

    Raises
    ------
    SettingError
        If there is no exporter of that name.
    StoreError
        If something is at that place, or a snippet is not what the manifest says.
    """
    from pathlib import Path

    from deident.datasets import card, croissant
    from deident.datasets.package import Package

    found, place = list(items), Path(out)
    count = exporter_named(to)(found, place)
    if not (place / card.NAME).exists():  # an exporter may know more
        Package(place).put(card.NAME, card.card(found, summary, names_people=names_people).encode())
    if not (place / croissant.NAME).exists():
        Package(place).put(croissant.NAME, croissant.metadata(found, place, summary).encode())
    return count


def _imported(name: str) -> Any:
    from deident.disguise.naming import object_named

    return object_named(name)
