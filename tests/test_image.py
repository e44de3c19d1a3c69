"""The image for containers: read as Docker reads it, and its command run as it runs there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deident.cli import COMMANDS, parser_of

ROOT = Path(__file__).parents[1]
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}


def stages() -> list[list[tuple[str, str]]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found: list[list[tuple[str, str]]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        found += [[]] if word == "FROM" else []
        found[-1].append((word, rest))
    return found


def test_every_instruction_is_known_and_no_image_floats() -> None:
    for stage in stages():
        assert {word for word, _ in stage} <= KNOWN
        image = stage[0][1].split(" ")[0]
        assert re.fullmatch(r"python:\d+\.\d+-slim", image)
    names = [rest.partition(" AS ")[2] for (_, rest), *_ in stages()]
    assert re.findall(r"from=(\w+)", (ROOT / "Dockerfile").read_text()) == [name for name in names if name]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        place for stage in stages() for word, rest in stage if word == "COPY" for place in rest.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / place).exists() for place in copied)


def test_nobody_is_root_and_a_container_runs_the_command() -> None:
    last = dict(stages()[-1])
    user = last["USER"].split(":")
    assert all(number.isdigit() and int(number) > 0 for number in user)
    words = [word for word, _ in stages()[-1]]
    assert words.index("RUN") < words.index("USER") < words.index("ENTRYPOINT")
    assert json.loads(last["ENTRYPOINT"]) == ["deident"]
    assert json.loads(last["CMD"]) == ["--help"]
    shown = re.search(r"deident (run .*)", (ROOT / "Dockerfile").read_text())
    assert shown
    parser_of(COMMANDS).parse_args(shown[1].split())


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX alone has users by number")
def test_a_run_writes_nothing_outside_its_store(tmp_path: Path) -> None:
    """As in a container with a read-only root: no home, and nothing in the folder it is started from."""
    for name in ("in", "out", "tmp", "here"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "examples" / "recordings" / "call.wav", tmp_path / "in" / "call.wav")
    (tmp_path / "in").chmod(0o555)
    (tmp_path / "here").chmod(0o555)
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "HOME": "/nonexistent",
        "TMPDIR": str(tmp_path / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "deident",
        "run",
        str(tmp_path / "in"),
        "--out",
        str(tmp_path / "out" / "store"),
    ]
    result = subprocess.run(
        [*command, "--jobs", "2", "--quiet"], cwd=tmp_path / "here", env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert list((tmp_path / "out" / "store").glob("*.wav"))
    assert not list((tmp_path / "here").iterdir())
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.slow
def test_the_image_builds_and_works(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker here")
    subprocess.run([docker, "build", "-t", "deident-test", str(ROOT)], check=True)
    (tmp_path / "out").mkdir()
    subprocess.run(
        [docker, "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL",
         "--user", f"{os.getuid()}", "-v", f"{ROOT / 'examples/recordings'}:/in:ro",
         "-v", f"{tmp_path / 'out'}:/out",
         "deident-test", "run", "/in", "--out", "/out/store"],
        check=True,
    )  # fmt: skip
    assert list((tmp_path / "out" / "store").glob("*.wav"))
