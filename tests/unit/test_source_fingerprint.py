"""What a step depends on, in a small package of ours and in the real one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from steps import source_fingerprint
from steps.source_fingerprint import fingerprint, reachable

Edit = Callable[[str, str, str], None]
"""Replaces a text by another in the file of a module."""

FILES = {
    "__init__": "from review_sentiment.exports import exported\n",
    "work": '''"""A module."""
from __future__ import annotations

from typing import TYPE_CHECKING

import review_sentiment.dotted
import review_sentiment.aliased as short
from review_sentiment import helper
from review_sentiment.config import Size
from review_sentiment.package import passed_on
from review_sentiment.tools import Tool, tool as renamed

if TYPE_CHECKING:
    from review_sentiment.types import Kind

LIMIT = 3
EXTRA: list[int] = []
EXTRA += [4]


def run(size: Size, kind: Kind) -> int:
    """Run."""
    # a comment
    from review_sentiment.late import late

    review_sentiment.dotted.go()
    return renamed(LIMIT) + helper.go() + late() + Tool().turn() + passed_on() + short.go() + len(EXTRA)


def unrelated() -> int:
    return 10
''',
    "tools": "def tool(n):\n    return inner(n, base=5)\n\n\ndef inner(n, base):\n    return n + base\n\n\n"
    "class Tool:\n    '''Turns.'''\n    speed = 6\n    '''How fast.'''\n\n    def turn(self):\n"
    "        return self.speed\n\n\ndef other():\n    return 10\n\n\nprint('loading', 7)\n",
    "helper": "def go():\n    return 8\n\n\ndef stop():\n    return 10\n",
    "late": "def late():\n    import review_sentiment.helper as h\n    return h.go() + 9\n",
    "aliased": "def go():\n    return 11\n",
    "dotted": "def go():\n    return 12\n",
    "package/__init__": "from review_sentiment.package.deep import passed_on\n",
    "package/deep": "def passed_on():\n    return 13\n",
    "config": "class Size:\n    small = 10\n",
    "types": "class Kind:\n    number = 10\n",
    "exports": "def exported():\n    return 10\n",
}


def forget() -> None:
    """Forget what this process has read, as a new process does."""
    for cached in ("_read", "_examine", "_hash_of_sources"):
        getattr(source_fingerprint, cached).cache_clear()


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Write the files below a directory that stands for the repository; return an editor of them."""

    def replace(module: str, old: str, new: str) -> None:
        path = tmp_path / "review_sentiment" / f"{module}.py"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        forget()

    for name, text in FILES.items():
        path = tmp_path / "review_sentiment" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(source_fingerprint, "ROOT", tmp_path)
    forget()
    yield replace
    forget()


def print_of_run(*packages: str) -> str:
    """Return the fingerprint of the little step."""
    return fingerprint("review_sentiment.work", "run", packages)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param("work", "LIMIT = 3", "LIMIT = 4", id="a constant that it names"),
        pytest.param("work", "EXTRA += [4]", "EXTRA += [5]", id="a constant that is added to"),
        pytest.param("work", "size: Size", "size: Size | None", id="its own signature"),
        pytest.param(
            "tools", "return inner(n,", "return -inner(n,", id="a function it calls by another name"
        ),
        pytest.param("tools", "n + base", "n - base", id="a function that its callee calls"),
        pytest.param("tools", "speed = 6", "speed = 7", id="a class it uses"),
        pytest.param("tools", "return self.speed", "return 1", id="a method of a class it uses"),
        pytest.param("tools", "'loading', 7", "'loading', 8", id="what a module runs when it is loaded"),
        pytest.param("helper", "return 8", "return 9", id="an attribute of a module"),
        pytest.param("late", "+ 9", "+ 10", id="a function imported within it"),
        pytest.param("aliased", "return 11", "return 12", id="an attribute of a module under another name"),
        pytest.param("dotted", "return 12", "return 13", id="an attribute of a module by its dotted name"),
        pytest.param("package/deep", "return 13", "return 14", id="a function that a package passes on"),
    ],
)
def test_an_edit_of_what_the_step_reaches_changes_its_fingerprint(
    edit: Edit, module: str, old: str, new: str
) -> None:
    before = print_of_run()
    edit(module, old, new)
    assert print_of_run() != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param("work", "return 10", "return 20", id="another function of its module"),
        pytest.param("tools", "return 10", "return 20", id="another function of its callee's module"),
        pytest.param("helper", "return 10", "return 20", id="another attribute of the module"),
        pytest.param("work", '"""A module."""', '"""Other words."""', id="the docstring of its module"),
        pytest.param("work", '    """Run."""\n', "", id="its own docstring"),
        pytest.param("tools", "'''Turns.'''", "'''Spins.'''", id="the docstring of a class"),
        pytest.param("tools", "'''How fast.'''", "'''Speed.'''", id="the docstring of an attribute"),
        pytest.param("work", "# a comment", "# another\n", id="a comment"),
        pytest.param("work", "LIMIT = 3", "LIMIT = (\n    3\n)", id="the layout"),
        pytest.param("work", "import Kind", "import Kind, Other", id="an import for type checking"),
        pytest.param("config", "small = 10", "small = 20", id="a setting"),
        pytest.param("types", "number = 10", "number = 20", id="a class imported for type checking"),
        pytest.param("exports", "return 10", "return 20", id="what only the package names"),
    ],
)
def test_any_other_edit_leaves_the_fingerprint_as_it_is(edit: Edit, module: str, old: str, new: str) -> None:
    before = print_of_run()
    edit(module, old, new)
    assert print_of_run() == before


def test_a_new_process_remembers_the_fingerprint_of_the_same_sources(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    searched: list[str] = []
    search = source_fingerprint.reachable
    monkeypatch.setattr(source_fingerprint, "reachable", lambda *name: searched.append("") or search(*name))
    before = print_of_run()
    forget()
    assert print_of_run() == before
    assert len(searched) == 1
    edit("work", "LIMIT = 3", "LIMIT = 4")
    changed = print_of_run()
    edit("work", "LIMIT = 4", "LIMIT = 3")
    assert print_of_run() == before != changed
    assert len(searched) == 2


def test_a_search_during_an_edit_is_not_remembered(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = print_of_run()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    search = source_fingerprint.reachable

    def edited(*name: str) -> dict[tuple[str, str], str]:
        edit("work", "LIMIT = 3", "LIMIT = 4")
        return search(*name)

    forget()
    monkeypatch.setattr(source_fingerprint, "reachable", edited)
    print_of_run()
    monkeypatch.setattr(source_fingerprint, "reachable", search)
    edit("work", "LIMIT = 4", "LIMIT = 3")
    assert print_of_run() == before


def test_a_new_definition_of_a_name_changes_the_fingerprint(edit: Edit) -> None:
    before = print_of_run()
    edit("helper", "def stop", "def go():\n    return 9\n\n\ndef stop")
    assert print_of_run() != before


@pytest.mark.usefixtures("edit")
def test_versions_of_packages_count_without_their_local_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    prints = []
    for number in ("1.0", "1.0+cu128", "1.1"):
        metadata = tmp_path / "fake_package-0.dist-info" / "METADATA"
        metadata.parent.mkdir(exist_ok=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: fake-package\nVersion: {number}\n")
        prints.append(print_of_run("fake-package"))
    assert prints[0] == prints[1] != prints[2]
    assert print_of_run() not in prints


def test_the_content_of_a_file_counts(tmp_path: Path) -> None:
    template = tmp_path / "card.md.jinja"
    prints = []
    for text in ("one", "two", "one"):
        template.write_text(text)
        prints.append(fingerprint("steps.compare", "compare", files=(template,)))
    assert prints[0] == prints[2] != prints[1]


def test_the_order_of_the_packages_does_not_matter() -> None:
    some, others = (
        fingerprint("steps.finetune", "finetune", names)
        for names in (("pytest", "pyyaml"), ("pyyaml", "pytest"))
    )
    assert some == others


def test_the_fine_tuning_step_reaches_training_and_no_report() -> None:
    found = {definition for definition, code in reachable("steps.finetune", "finetune").items() if code}
    assert ("review_sentiment.training.qlora", "finetune") in found
    fused = Path(source_fingerprint.ROOT, "review_sentiment", "models", "fused_lora.py")
    names = {node.name for node in ast.parse(fused.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert names & {name for module, name in found if module == "review_sentiment.models.fused_lora"}
    assert not {module for module, _ in found} & {
        "review_sentiment.data.data_report",
        "review_sentiment.config",
    }


def step_files() -> list[Path]:
    """Return the files that define a step whose results are cached."""
    paths = sorted(Path(source_fingerprint.ROOT, "steps").glob("*.py"))
    sources = {path: path.read_text() for path in paths}
    return [path for path, text in sources.items() if "\n@step" in text and "enable_cache=False" not in text]


@pytest.mark.parametrize("path", step_files(), ids=lambda path: path.stem)
def test_every_cached_step_asks_for_the_fingerprint_of_itself(path: Path) -> None:
    tree = ast.parse(path.read_text())
    asked = [
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "fingerprint"
        and isinstance(node.args[1], ast.Constant)
    ]
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    assert asked == defined
    assert reachable(f"steps.{path.stem}", defined[0])[f"steps.{path.stem}", defined[0]]
