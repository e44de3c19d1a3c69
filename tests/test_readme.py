"""The commands and the Python of the README and the documentation run as shown."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

ROOT = Path(__file__).parents[1]
# docs/extending.md has a test of its own: its steps build on each other.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("[!e]*.md")), ROOT / "docs" / "evaluation.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def environment() -> dict[str, str]:
    folder = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return {**os.environ, "PATH": folder, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what a reader of the documentation has before it: the examples, and nothing else."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_files_that_the_documentation_shows_are_those_of_the_examples() -> None:
    [names] = blocks(ROOT / "docs" / "datasets.md", "json")
    assert names == (ROOT / "examples" / "names.json").read_text()
    table = (ROOT / "examples" / "corpus.tsv").read_text()
    assert f"```\n{table}```" in (ROOT / "docs" / "formats.md").read_text()


def test_the_landing_script_calls_the_commands_of_the_readme() -> None:
    install, test = (block.strip() for block in blocks(ROOT / "README.md", "sh")[:2])
    script = (ROOT / ".ci" / "run").read_text()
    for command in (*install.split(" && "), *test.split(" && ")):
        assert command.removesuffix(" --out store") in script


SLOW = [pytest.param(page, marks=[pytest.mark.slow] * (page.stem == "cluster")) for page in PAGES]


@pytest.mark.parametrize("page", SLOW, ids=lambda p: p.stem)
def test_python_in_the_documentation_runs(
    page: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    for number, block in enumerate(blocks(page, "python")):
        (checkout / f"block{number}.py").write_text(block)  # as it stands: whoever copies it adds nothing
        result = subprocess.run(
            [sys.executable, f"block{number}.py"],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        assert result.returncode == 0, result.stderr


def test_python_for_a_cluster_runs_on_threads(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are processes, as it asks for, are for the slow test above."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(distributed, "LocalCluster", partial(distributed.LocalCluster, processes=False))
    [block] = blocks(ROOT / "docs" / "cluster.md", "python")
    exec(block, {"__name__": "__main__"})
    assert list((checkout / "store2").glob("*.wav"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_toml_in_the_documentation_is_a_policy(page: Path) -> None:
    import tomllib

    from deident.policy import Policy

    for block in blocks(page, "toml"):
        Policy.from_mapping(tomllib.loads(block))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_commands_in_the_documentation_run(
    page: Path,
    checkout: Path,
    deident: Callable[..., CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without --jobs, all in this process: one for each of a hundred would be a minute of importing."""
    monkeypatch.chdir(checkout)
    monkeypatch.setattr("deident.runs.local.available_cores", lambda: 1)
    alone = [block for block in blocks(page, "sh") if not re.search(r"&$|& +#", block, re.M)]
    for line in re.sub(r"\\\n\s*", "", "\n".join(alone)).splitlines():
        command = line.split("  #")[0].strip()
        if not command or re.match(r"pip install |NO_MKDOCS", command):
            continue  # installing, and the whole test suite, are the landing script's; the site is test_site's
        if re.fullmatch(r"deident [\w ./,:=-]+", command):
            result = deident(*command.split()[1:])
        else:  # the shell has a part in it
            python = shlex.quote(sys.executable)
            script = f'deident() {{ {python} -m deident "$@"; }}\npython() {{ {python} "$@"; }}\n{command}'
            result = subprocess.run(
                ["sh", "-c", script], capture_output=True, text=True, check=False, env=environment()
            )
        # scan tells of findings by its exit code, and so does evaluate of numbers that it withholds
        expected = {"deident scan": {0, 1}, "deident evaluate": {0, 3}}.get(
            " ".join(command.split()[:2]), {0}
        )
        assert result.returncode in expected, f"{command}\n{result.stderr}"


def test_settings_show_every_default() -> None:
    """The TOML of docs/settings.md names every setting there is."""
    import dataclasses
    import tomllib

    from deident.policy import Policy
    from deident.segmentation.cutting import CuttingSettings
    from deident.segmentation.vad import VadSettings

    shown = tomllib.loads(blocks(ROOT / "docs" / "settings.md", "toml")[0])
    for kind, table in ((VadSettings, shown["vad"]), (CuttingSettings, shown["cutting"])):
        assert table == dataclasses.asdict(kind())
    names = {f.name for f in dataclasses.fields(Policy)} - {"detector", "disguise", "encoder", "verify"}
    assert names <= set(shown)
