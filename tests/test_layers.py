"""The house: imports point down, nothing goes round, and importing the package costs nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deident"

# From the ground up. A line imports lines above it; what stands on one line does not import its neighbours.
LAYERS = """
    errors
    process  segment
    audio  keys  uris
    dsp
    segmentation  disguise
    containers
    codec  scanners  audit
    recording  policy
    store
    pipeline
    datasets
    runs
    pages
    review  evaluation
    programme
    cli
    __main__
"""
ORDER = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}


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
        assert there == here or ORDER[there] < ORDER[here], f"{name_of(path)} imports {imported}"


def test_few_modules_lie_loose() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_every_unit_has_a_layer() -> None:
    assert {unit(name_of(path)) for path in modules()} - {"deident"} == ORDER.keys()


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
