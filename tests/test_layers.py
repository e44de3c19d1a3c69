"""The house: imports point down, nothing goes round, and importing the package costs nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deident"

# What may import what: only a lower number, or the same unit.
LAYERS = {
    "errors": 0.0, "process": 0.0, "stream": 0.0, "threads": 0.0, "segment": 0.05,
    "audio": 0.1, "secret": 0.1, "turns": 0.2, "remote": 0.1,
    "dsp": 1.0,
    "vad": 1.5, "snippets": 1.6, "disguise": 1.5, "mute": 1.5, "kaldi": 1.5, "notes": 1.7,
    "codec": 2.0, "audit": 2.0, "scanners": 2.0, "policy": 2.0, "sources": 1.5,
    "chapters": 2.9, "draws": 2.9, "pipeline": 3.0, "store": 3.0,
    "work": 3.5, "cluster": 3.6, "pools": 3.7, "commits": 3.7, "batch": 4.0,
    "review": 4.0, "evaluation": 4.0, "interop": 4.1,
    "cli": 5.0, "__main__": 6.0,
    "pages": 3.5, "preview": 4.0, "run_report": 4.5,
}  # fmt: skip


def unit(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("deident")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deident"):
            found |= {_module(f"{node.module}.{alias.name}", str(node.module)) for alias in node.names}
    return found


def _module(name: str, parent: str) -> str:
    """`from deident.x import y` imports the module y where there is one, else x."""
    place = PACKAGE.parent.joinpath(*name.split("."))
    is_module = place.with_suffix(".py").exists() or (place / "__init__.py").exists()
    return name if is_module or parent == "deident" else parent


def name_of(path: Path) -> str:
    parts = ("deident", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_down(path: Path) -> None:
    here = unit(name_of(path))
    if here == "deident":
        return  # the public names, loaded on first use
    for imported in imports(path):
        if imported == "deident.__version__":
            continue
        there = unit(imported)
        assert there == here or LAYERS[there] < LAYERS[here], f"{name_of(path)} imports {imported}"


def test_no_import_cycle() -> None:
    known = {name_of(path): path for path in modules()}
    graph = {name: {i for i in imports(path) if i in known} for name, path in known.items()}
    graph["deident"] = set()
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join((*trail, name))}"
        if name not in done:
            for imported in graph[name]:
                visit(imported, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_importing_the_package_loads_no_numpy() -> None:
    code = "import sys, json, deident; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert "deident" in loaded
    assert not {"numpy", "scipy", "soundfile", "soxr", "cryptography"} & set(loaded)


def test_every_public_name_exists() -> None:
    import deident

    for name in deident.__all__:
        assert getattr(deident, name) is not None
    with pytest.raises(AttributeError):
        _ = deident.nothing_of_this_name
