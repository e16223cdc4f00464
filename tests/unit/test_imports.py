"""Imports run one way, and what is heavy is loaded only when it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("review_sentiment", "materializers", "operators", "steps", "pipelines", "front_door", "dashboard")
FORBIDDEN = {
    "review_sentiment": {
        "zenml",
        "steps",
        "pipelines",
        "materializers",
        "operators",
        "front_door",
        "dashboard",
    },
    "materializers": {"operators", "steps", "pipelines", "front_door", "dashboard"},
    "operators": {"materializers", "steps", "pipelines", "front_door", "dashboard"},
    "steps": {"operators", "pipelines", "front_door", "dashboard"},
    "pipelines": {"operators", "front_door", "dashboard"},
    "front_door": {"dashboard"},
    "dashboard": {"zenml", "steps", "pipelines", "materializers"},
}
PACKAGES = (
    "registry",
    "tracking",
    "training",
    "evaluation",
    "arms",
    "scoring",
    "decision",
    "resources",
    "models",
    "data",
)
"""Of `review_sentiment`, top to bottom: each imports only what is below it. The root modules are last."""
KNOWS_MLFLOW = "review_sentiment/tracking/"
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "evidently", "sklearn", "mlflow", "bitsandbytes"}


def sources(*layers: str) -> list[str]:
    """Return the paths of the layers' files."""
    found = [path for layer in layers for path in (ROOT / layer).rglob("*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def parsed(path: str) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def modules_of(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names that an import statement may load; none for another node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not followed here"
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(path: str) -> set[str]:
    """Return the dotted names of everything that a file imports anywhere."""
    return {name for node in ast.walk(parsed(path)) for name in modules_of(node)}


def imported(path: str) -> set[str]:
    """Return the top-level names of all packages that a file imports anywhere."""
    return {name.split(".")[0] for name in imported_modules(path)}


def loaded_with(node: ast.AST) -> Iterator[str]:
    """Yield what is imported when the code is loaded: not within functions, not for type checking."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(inner, ast.If) and ast.unparse(inner.test).endswith("TYPE_CHECKING"):
            continue
        yield from modules_of(inner)
        yield from loaded_with(inner)


def files_of(module: str) -> list[str]:
    """Return the file that a dotted name of ours stands for, if there is one."""
    base = module.replace(".", "/")
    return [file for file in (f"{base}.py", f"{base}/__init__.py") if (ROOT / file).is_file()]


def loaded_in_the_end(path: str) -> set[str]:
    """Return the packages that are loaded with a file, also through other files of ours."""
    packages: set[str] = set()
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for name in loaded_with(parsed(current)):
            packages.add(name.split(".")[0])
            waiting += files_of(name)
    return packages


def level_of(path: str) -> int:
    """Return how far down in `review_sentiment` a file is, 0 for the top package."""
    package = path.split("/")[1]
    return PACKAGES.index(package) if package in PACKAGES else len(PACKAGES)


def test_every_layer_has_sources() -> None:
    assert all(len(sources(layer)) > 1 for layer in LAYERS)


def test_every_package_is_in_the_list() -> None:
    packages = {path.parent.name for path in (ROOT / "review_sentiment").glob("*/__init__.py")}
    assert packages == set(PACKAGES)


@pytest.mark.parametrize("path", sources(*FORBIDDEN))
def test_imports_run_one_way(path: str) -> None:
    assert not imported(path) & FORBIDDEN[path.split("/", maxsplit=1)[0]]


@pytest.mark.parametrize("path", sources("review_sentiment"))
def test_a_package_imports_only_what_is_below_it(path: str) -> None:
    """Imports for type checking count too: a reader follows them as well."""
    files = {file for module in imported_modules(path) for file in files_of(module)}
    above = {
        file for file in files if file.startswith("review_sentiment/") and level_of(file) < level_of(path)
    }
    assert above - {"review_sentiment/__init__.py"} == set()


def test_no_files_import_each_other_in_a_circle() -> None:
    """The order of the packages leaves circles within a package; `graphlib` finds those."""
    from graphlib import TopologicalSorter

    graph = {
        path: {
            file
            for module in imported_modules(path)
            for file in files_of(module)
            if file != path and not file.endswith("__init__.py")
        }
        for path in sources(*LAYERS)
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", [path for path in sources(*LAYERS) if path.endswith("__init__.py")])
def test_an_init_file_has_a_docstring_at_most(path: str) -> None:
    """A name that is passed on there would hide its module from the fingerprints of the steps."""
    body = parsed(path).body
    assert len(body) <= 1
    assert ast.get_docstring(parsed(path)) or not body


def test_only_tracking_knows_mlflow() -> None:
    know = {path for path in sources(*LAYERS) if "mlflow" in imported(path)}
    assert know
    assert [path for path in know if not path.startswith(KNOWS_MLFLOW)] == []


@pytest.mark.parametrize("path", sources("steps", "pipelines", "materializers"))
def test_loading_a_step_or_the_pipeline_loads_nothing_heavy(path: str) -> None:
    assert not loaded_in_the_end(path) & HEAVY


def test_the_command_line_loads_nothing_heavy() -> None:
    assert not loaded_in_the_end("run_pipeline.py") & (HEAVY | {"zenml"})


def test_the_heavy_packages_are_found_where_they_are_loaded() -> None:
    assert "torch" in loaded_in_the_end("review_sentiment/models/fused_lora.py")
    assert "mlflow" in loaded_in_the_end("review_sentiment/tracking/model_versions.py")


@pytest.mark.parametrize(
    "path", [path for path in sources("steps") if "\n@step" in (ROOT / path).read_text()]
)
def test_a_step_file_loads_only_its_signature_and_imports_the_rest_in_its_functions(path: str) -> None:
    assert {name.split(".")[0] for name in loaded_with(parsed(path))} <= {
        "typing",
        "collections",
        "pathlib",
        "zenml",
        "materializers",
        "review_sentiment",
        "steps",
    }
