"""What a step depends on: its own code, and every function of ours that it can reach.

ZenML's cache key includes the code of the step function alone. After an edit of a function that the step
calls, ZenML would still return the result from before the edit. So each step's cache policy calls
`fingerprint`, whose hash becomes part of the key:

1. Start at the step function (`reachable`).
2. Look up the definition in its module's syntax tree (`_read`), and collect the names it uses (`_examine`).
3. Follow each name to the definition it stands for, until there are no new ones.
4. Hash the code of all of them, with the versions of the packages that the step lists.

The unit is a definition, not a file: an edit of another function in the same module changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from review_sentiment.cache import cache_directory, write_whole

ROOT = Path(__file__).resolve().parent.parent
OURS = ("review_sentiment", "steps", "materializers")
# Steps receive settings as parameters, which ZenML's key covers value by value. If the classes counted too,
# a new evaluation setting would change the code that `finetune` reaches, and train again.
VALUES_ONLY = "review_sentiment.config"
HASH_DIGITS = 64
LOAD_TIME = ""
"""Stands for the statements that a module runs when it is loaded; no definition has this name."""

Definition = tuple[str, str]
"""A module, and the name of something defined at its top level; an empty name for the module itself."""


def fingerprint(module: str, step: str, packages: tuple[str, ...] = (), files: tuple[Path, ...] = ()) -> str:
    """Return a hash of a step's reachable code, the versions of `packages`, and the content of `files`."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(packages):
        # "2.9.0+cpu" and "2.9.0+cu128" are one version: a laptop may use the results of a GPU host.
        digest.update(f"{name}=={version(name).split('+')[0]}\n".encode())
    for file in files:
        digest.update(file.read_bytes())
    digest.update(_code_hash(module, step).encode())
    return digest.hexdigest()


def installed(*packages: str) -> tuple[str, ...]:
    """Return those of the packages that are installed: without an optional one, a result is another."""
    return tuple(package for package in packages if find_spec(package))


def _code_hash(module: str, step: str) -> str:
    """Return a hash of a step's reachable code.

    The search takes a second for the sixteen steps of a run, so its result is remembered under a hash of
    everything that it can read: all of our sources. That hash takes 20 ms.
    """
    sources = _hash_of_sources()
    remembered = cache_directory() / "sources" / f"{sources}-{module}.{step}"
    if remembered.is_file() and len(known := remembered.read_text(encoding="ascii")) == HASH_DIGITS:
        return known
    digest = hashlib.sha256()
    # Sorted, because the search below visits definitions in no particular order.
    for definition, code in sorted(reachable(module, step).items()):
        digest.update(f"{definition}\n{code}\n".encode())
    # If a file was edited meanwhile, the search may have read it before or after.
    if _hash_of_sources.__wrapped__() == sources:
        with suppress(OSError):  # the result is right without it, and only slower
            write_whole(remembered, digest.hexdigest())
    return digest.hexdigest()


@cache
def _hash_of_sources() -> str:
    digest = hashlib.sha256(sys.version.encode())  # syntax trees differ between versions of Python
    for path in sorted(path for package in OURS for path in (ROOT / package).rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def reachable(module: str, name: str) -> dict[Definition, str]:
    """Return the code of every definition of ours that a name reaches."""
    found: dict[Definition, str] = {}
    waiting = [(module, name)]
    while waiting:
        definition = waiting.pop()
        if definition in found or definition[0] == VALUES_ONLY:
            continue
        found[definition], used = _examine(*definition)
        waiting.extend(used)
    return found


@cache
def _examine(module: str, name: str) -> tuple[str, tuple[Definition, ...]]:
    """Return a definition's code, and the definitions of ours that it uses."""
    source = _read(module)
    nodes = source.definitions.get(name, [])
    used: list[Definition] = []
    # Whoever uses a definition loads its module, and what the module then runs may change the definition.
    if LOAD_TIME in source.definitions:
        used.append((module, LOAD_TIME))
    # A name that the module only imports and passes on: the code is where the import leads.
    if not nodes and name in source.imports:
        used.append(source.imports[name])
    for node in nodes:
        used.extend(_used_in(node, source, module))
    # A dump of the syntax tree has no comments, blank lines or line numbers, so layout does not count.
    return "\n".join(map(ast.dump, nodes)), tuple(used)


@dataclass(frozen=True)
class _Source:
    """A module's top level: statements by the name they define, and imports by local name.

    A name may have several statements: `X = []` and later `X += [1]` both define it.
    """

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Definition] = field(default_factory=dict)


@cache
def _read(module: str) -> _Source:
    """Return what a module's file defines and imports; nothing if there is no such file."""
    # The file is parsed, not imported. Importing takes seconds (torch), and a loaded function neither has the
    # imports inside its body, where steps keep theirs, nor tells which names of other modules it uses.
    source = _Source()
    path = _path(module)
    if path is None:
        return source
    for node in _without_docstrings(ast.parse(path.read_text(encoding="utf-8"))).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            source.imports.update(_imports(node))
        # What is imported under `if TYPE_CHECKING` never runs. It must not link a step to code it only names.
        elif not _is_for_type_checking(node):
            for name in _defined_names(node) or [LOAD_TIME]:
                source.definitions.setdefault(name, []).append(node)
    return source


def _defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines or changes; none if it only runs, as `print()` does."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    else:
        targets = []
    # A target may be a tuple, or `X[key]`, which changes X.
    return [inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Return the tree without docstrings: better words must not cost a training of hours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)]
    return tree


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Definition]]:
    """Yield the local names of an import and what they stand for; packages that are not ours are left out."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if _is_ours(alias.name):
                yield alias.asname or alias.name, (alias.name, "")
    elif node.module and _is_ours(node.module):
        for alias in node.names:
            # `from package import name` may mean a submodule or a name in `__init__.py`. The submodule wins:
            # our `__init__.py` files define nothing (a test checks it), so the file is what is meant.
            submodule = f"{node.module}.{alias.name}"
            target = (submodule, "") if _path(submodule) else (node.module, alias.name)
            yield alias.asname or alias.name, target


def _used_in(node: ast.AST, source: _Source, module: str) -> Iterator[Definition]:
    """Yield the definitions of ours that a piece of code uses, also through imports within it."""
    imports = dict(source.imports)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            imports.update(_imports(inner))
    # Any mention of a name counts, whether it is called or not. That may include too much, such as a local
    # variable named like a function. The cost is one more run; a missed function would be a stale result.
    for inner in ast.walk(node):
        # `module.name`, also by a dotted path: the attribute is a definition of that module.
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
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)
