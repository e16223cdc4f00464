"""What a step depends on: its own code and every function of ours that it can reach.

ZenML's cache key holds the code of the step function alone, so an edit of a
function that the step calls would be answered from the cache. Each step's cache
policy asks `fingerprint` instead, which follows names through the sources
without importing them:

- A definition that is reached counts, with everything it names in turn. An edit
  of another function in the same module changes nothing.
- Docstrings and comments do not count.
- `review_sentiment.config` does not count: settings travel as parameters, and a
  new evaluation setting must not train again.
- Of other packages, the versions of those that the step names count.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = ("review_sentiment", "steps", "materializers")
VALUES_ONLY = "review_sentiment.config"

Definition = tuple[str, str]
"""A module and the name of something defined at its top level."""


def fingerprint(module: str, step: str, packages: tuple[str, ...] = ()) -> str:
    """Return a hash of a step's reachable code and of the versions of `packages`."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(packages):
        digest.update(f"{name}=={version(name).split('+')[0]}\n".encode())
    for definition, code in sorted(reachable(module, step).items()):
        digest.update(f"{definition}\n{code}\n".encode())
    return digest.hexdigest()


def reachable(module: str, name: str) -> dict[Definition, str]:
    """Return the code of every definition of ours that a name reaches."""
    found: dict[Definition, str] = {}
    waiting = [(module, name)]
    while waiting:
        definition = waiting.pop()
        if definition in found or definition[0] == VALUES_ONLY:
            continue
        found[definition], named = _examine(*definition)
        waiting.extend(named)
    return found


@cache
def _examine(module: str, name: str) -> tuple[str, tuple[Definition, ...]]:
    """Return a definition's code, and the definitions of ours that it names."""
    source = _read(module)
    nodes = source.definitions.get(name, [])
    named = list(_load_time(source, module))
    if not nodes and name in source.imports:  # a name that is only passed on
        named.append(source.imports[name])
    for node in nodes:
        named.extend(_named_in(node, source, module))
    return "\n".join(map(ast.dump, nodes)), tuple(named)


@dataclass(frozen=True)
class _Source:
    """A module's top level: definitions by name, imports by name, and statements that just run."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Definition] = field(default_factory=dict)
    running: list[ast.stmt] = field(default_factory=list)


@cache
def _read(module: str) -> _Source:
    source = _Source()
    path = _path(module)
    if path is not None:
        for node in _without_docstrings(ast.parse(path.read_text(encoding="utf-8"))).body:
            _sort(node, source)
    return source


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Return the tree, its docstrings removed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_docstring(line)]
    return tree


def _sort(node: ast.stmt, source: _Source) -> None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        source.imports.update(_imports(node))
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        source.definitions.setdefault(node.name, []).append(node)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    source.definitions.setdefault(name.id, []).append(node)
    elif not _is_for_type_checking(node):
        source.running.append(node)


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Definition]]:
    """Yield local name -> (module, name in it); an empty name stands for the module itself."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if _is_ours(alias.name):
                yield alias.asname or alias.name, (alias.name, "")
    elif node.module and _is_ours(node.module):
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            target = (submodule, "") if _path(submodule) else (node.module, alias.name)
            yield alias.asname or alias.name, target


def _named_in(node: ast.AST, source: _Source, module: str) -> Iterator[Definition]:
    """Yield the definitions of ours that a piece of code names, also through its own imports."""
    imports = dict(source.imports)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            imports.update(_imports(inner))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute):
            target = imports.get(ast.unparse(inner.value))
            if target and not target[1]:
                yield target[0], inner.attr
        elif isinstance(inner, ast.Name):
            target = imports.get(inner.id)
            if target and target[1]:
                yield target
            elif inner.id in source.definitions:
                yield module, inner.id


def _load_time(source: _Source, module: str) -> Iterator[Definition]:
    """Yield what a module does when it is loaded, under a name that no definition has."""
    if source.running and "" not in source.definitions:
        source.definitions[""] = source.running
    if source.running:
        yield module, ""


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_for_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in OURS


def _path(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
