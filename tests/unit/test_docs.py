"""README, CONTRIBUTING and docs/ name only what exists, and their tables are whole."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from front_door.stack.configs import default_config
from front_door.stack.files import stack_path
from pipelines.step_names import resolve_steps
from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.settings_files import known_keys, load_settings
from run_pipeline import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
NOTEBOOK = ROOT / "notebooks" / "finetune_colab.ipynb"
MAKEFILE = (ROOT / "Makefile").read_text()
WRITTEN = Path("configs/mine.yaml")
SECTIONS = {key.split(".")[0] for key in known_keys() if "." in key}
OURS = {"review_sentiment", "front_door", "dashboard", "pipelines", "steps", "materializers", "operators"}
FILE_TYPES = ("json", "md", "py")
PLACEHOLDER = re.compile(r"[A-Z]+")
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
CELL_END = re.compile(r"(?<!\\)\|")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SOURCE_FILE = re.compile(r"([\w.-]+/)*[\w.-]+\.(py|yaml|toml|ipynb|md|txt)(:(?P<name>\w+))?")
EXTRAS = re.compile(r"'\.\[([\w,]+)\]'")
KNOWN_EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
COMMAND = re.compile(r"(\.venv/bin/)?(python (run_pipeline\.py|benchmarks/|-m )|make )")


def problems_in(text: str, document: Path) -> list[str]:
    """Return what a document names and does not exist."""
    prose = FENCED.sub("", text)
    spans = [span for span in SPAN.findall(prose) if not COMMAND.match(span)]
    return [
        *(problem for command in commands_in(text) if (problem := wrong_command(command))),
        *(f"no such file or name: {span}" for span in spans if not exists(span)),
        *(f"no such setting: {span}" for span in spans if not is_setting(span)),
        *(f"no such option: {span}" for span in spans if not is_option(span)),
        *(
            f"no such extra: {name}"
            for names in EXTRAS.findall(text)
            for name in names.split(",")
            if name not in KNOWN_EXTRAS
        ),
        *(problem for link in LINK.findall(SPAN.sub("", prose)) if (problem := wrong_link(link, document))),
        *(f"not as many cells as in the first row: {row}" for row in uneven_rows(prose)),
    ]


def uneven_rows(prose: str) -> Iterator[str]:
    """Yield the rows of tables that have fewer or more cells than the first row."""
    for table in TABLE.findall(prose):
        rows = table.splitlines()
        counts = [len(CELL_END.findall(SPAN.sub("", row))) for row in rows]
        yield from (row for row, count in zip(rows, counts, strict=True) if count != counts[0])


def commands_in(text: str) -> list[list[str]]:
    """Return the commands of the fenced blocks and of the code in the prose, each as its words."""
    lines = [line.strip() for block in FENCED.findall(text) for line in block.splitlines()]
    lines += SPAN.findall(FENCED.sub("", text))
    words = [shlex.split(line, comments=True) for line in lines if COMMAND.match(line)]
    return [[command.removeprefix(".venv/bin/"), *arguments] for command, *arguments in words]


def wrong_command(command: list[str]) -> str | None:
    """Return why a command would be refused, if it would."""
    program, *arguments = command
    try:
        if program == "make":
            check_make(arguments)
        elif arguments[0] == "-m":
            check_module(arguments[1])
        elif arguments[0] == "run_pipeline.py":
            check_front_door(arguments[1:])
        else:
            check_script(*arguments)
    except (click.ClickException, ReviewSentimentError) as error:
        reason = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return f"{shlex.join(command)}: {reason}"
    return None


def check_make(arguments: list[str]) -> None:
    for word in arguments:
        variable = word.partition("=")[0]
        known = rf"^{variable} \?=" if "=" in word else rf"^{re.escape(word)}:"
        if not re.search(known, MAKEFILE, re.MULTILINE):
            raise UsageError(f"the Makefile has no {word}")


def check_module(name: str) -> None:
    file = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    package = name.partition(".")[0]
    if not file.is_file() and ((ROOT / package).is_dir() or importlib.util.find_spec(package) is None):
        raise UsageError(f"there is no module {name}")


def check_script(script: str, *arguments: str) -> None:
    if not (ROOT / script).is_file():
        raise UsageError(f"there is no {script}")
    source = (ROOT / script).read_text()
    for option in (word for word in arguments if word.startswith("--")):
        if f'"{option}"' not in source:
            raise UsageError(f"{script} has no option {option}")


def check_front_door(arguments: list[str]) -> None:
    """Parse the command line as click does, and load the settings, stack and steps that it names."""
    with contextlib.suppress(click.exceptions.Exit):  # --help
        context = cli.make_context("run_pipeline.py", list(arguments))
        check_parameters(context.params)
        rest = [*context._protected_args, *context.args]
        if rest:
            name, command, others = cli.resolve_command(context, rest)
            assert command is not None
            check_parameters(command.make_context(name, others, parent=context).params)


def check_parameters(given: dict[str, Any]) -> None:
    stack = str(given.get("stack", "local"))
    if PLACEHOLDER.fullmatch(stack):
        return
    stack_path(stack)
    named = given.get("config_file")
    # What `inspect --write` makes is the user's.
    file = default_config(stack) if named in (None, WRITTEN) else ROOT / named
    settings = load_settings(file, given.get("overrides", ()))
    resolve_steps(given.get("rerun", ()), settings, "--rerun")
    resolve_steps([given["only"]] if given.get("only") else [], settings, "--only")
    for dimension in given.get("dimensions", ()):
        if dimension.partition("=")[0] not in known_keys():
            raise UsageError(f"--over: {dimension} is not a setting")


def exists(span: str) -> bool:
    """Return whether a path, or `file.py:name`, exists in the project or in `review_sentiment/`."""
    first = span.partition("/")[0]
    is_ours = first not in ("", span) and (ROOT / first).exists() and not set(span) & set(" <>*…")
    is_source = SOURCE_FILE.fullmatch(span) and ("/" in span or span.endswith(".py"))
    if not is_ours and not is_source:
        return True
    path, _, name = span.partition(":")
    places = [base / path for base in (ROOT, ROOT / "review_sentiment") if (base / path).exists()]
    return bool(places) and (not name or name in names_in(places[0]))


def is_setting(span: str) -> bool:
    key = span.partition("=")[0]
    section, _, name = key.partition(".")
    looks_so = section in SECTIONS and re.fullmatch("[a-z_]+", name) and name not in FILE_TYPES
    return not looks_so or any(f"{known}.".startswith(f"{key}.") for known in known_keys())


def is_option(span: str) -> bool:
    option = span.split(maxsplit=1)[0]
    if not option.startswith("--"):
        return True
    commands = [click.Command("run", params=cli.params), *cli.commands.values()]
    known = {name for command in commands for parameter in command.params for name in parameter.opts}
    return option in known or any(
        f'"{option}"' in file.read_text() for file in (ROOT / "benchmarks").iterdir()
    )


def wrong_link(link: str, document: Path) -> str | None:
    if re.match(r"[a-z]+:", link):
        return None
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    if not target.exists():
        return f"no such file: {link}"
    if anchor and anchor not in anchors_of(target.read_text()):
        return f"no such heading: {link}"
    return None


def anchors_of(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def names_in(file: Path) -> set[str]:
    """Return the names that a module defines or imports at its top level."""
    return {name for node in ast.parse(file.read_text()).body for name in names_of(node)}


def names_of(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (name.id for name in targets if isinstance(name, ast.Name))
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)


def missing_imports(source: str) -> list[str]:
    """Return our names that Python code imports, or takes from an imported module, and that do not exist."""
    tree = ast.parse(source)
    modules: dict[str, Path] = {}
    missing = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or str(node.module).split(".")[0] not in OURS:
            continue
        base = ROOT.joinpath(*str(node.module).split("."))
        for alias in node.names:
            if (base / f"{alias.name}.py").is_file():
                modules[alias.asname or alias.name] = base / f"{alias.name}.py"
            elif not base.with_suffix(".py").is_file() or alias.name not in names_in(base.with_suffix(".py")):
                missing.append(f"{node.module}.{alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            used = f"{node.value.id}.{node.attr}"
            missing += [used] if node.attr not in names_in(modules[node.value.id]) else []
    return missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_exists(document: Path) -> None:
    assert problems_in(document.read_text(), document) == []


def test_the_commands_are_found() -> None:
    found = [tuple(words[:2]) for document in DOCUMENTS for words in commands_in(document.read_text())]
    assert {("make", "run"), ("python", "run_pipeline.py"), ("python", "benchmarks/scoring.py")} <= set(found)
    assert found.count(("python", "run_pipeline.py")) > 30


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("`make lunch`", "no lunch"),
        ("```\nmake run SPEED=1\n```", "no SPEED=1"),
        ("```\npython run_pipeline.py modles\n```", "'modles' is not a command"),
        ("```\n.venv/bin/python run_pipeline.py models --jsn  # all\n```", "--jsn"),
        ("`python run_pipeline.py promote`", "Missing argument"),
        ("`python run_pipeline.py --set training.epoch=2`", "'training.epoch' is not a setting"),
        ("`python run_pipeline.py --set training.epochs=none`", "training.epochs"),
        ("`python run_pipeline.py sweep --over lora.rnk=8`", "lora.rnk=8 is not a setting"),
        ("`python run_pipeline.py estimate --config configs/gpus.yaml`", "does not exist"),
        ("`python run_pipeline.py --stack gpus`", "'gpus' is unknown"),
        ("`python run_pipeline.py --rerun evalute`", "'evalute' is not a step"),
        ("`python run_pipeline.py --only evalute`", "'evalute' is not a step"),
        ("`python benchmarks/speed.py`", "there is no benchmarks/speed.py"),
        ("`python benchmarks/scoring.py --revews 3`", "no option --revews"),
        ("`python -m tests.notebok`", "there is no module tests.notebok"),
        ("`training/qlra.py`", "no such file or name: training/qlra.py"),
        ("`qlora.py`", "no such file or name: qlora.py"),
        ("`registry/gate.py:juge`", "no such file or name: registry/gate.py:juge"),
        ("`docs/images/`, `tests/units/`", "no such file or name: tests/units/"),
        ("`training.epoch`", "no such setting: training.epoch"),
        ("`--reruns evaluate`", "no such option: --reruns evaluate"),
        ("```\npip install '.[dashboard,tpu]'\n```", "no such extra: tpu"),
        ("[map](docs/map.md)", "no such file: docs/map.md"),
        ("![picture](docs/images/a.png)", "no such file: docs/images/a.png"),
        ("[gate](docs/evaluation.md#the-gates)", "no such heading: docs/evaluation.md#the-gates"),
        ("# Here\n[there](#there)", "no such heading: #there"),
        ("| a | `b\\|c` |\n|---|---|\n| 1 \\| 2 |\n", "in the first row: | 1 \\| 2 |"),
    ],
)
def test_a_mistake_is_found(text: str, problem: str) -> None:
    (found,) = problems_in(text, ROOT / "README.md" if text[0] != "#" else DOCS / "data.md")
    assert problem in found


def test_every_page_and_picture_is_linked() -> None:
    links = {
        (file.parent / link.partition("#")[0]).resolve()
        for file in DOCUMENTS
        for link in LINK.findall(file.read_text())
    }
    assert {*DOCS.glob("*.md"), *(DOCS / "images").iterdir()} - links == set()


def test_the_map_has_every_package() -> None:
    packages = [f"{file.parent.name}/" for file in (ROOT / "review_sentiment").glob("*/__init__.py")]
    packages += [str(file.parent.relative_to(ROOT)) + "/" for file in ROOT.glob("front_door/*/__init__.py")]
    packages += [str(file.parent.relative_to(ROOT)) + "/" for file in ROOT.glob("dashboard/*/__init__.py")]
    map_of_packages = (DOCS / "architecture.md").read_text()
    assert [package for package in packages if f"| `{package}` |" not in map_of_packages] == []


def test_the_messages_under_troubleshooting_are_those_of_the_code() -> None:
    """A message is compared piece by piece: `...` stands for what differs from run to run."""
    rows = re.findall(r"^\| (`[^|]+) \|", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    messages = [message for row in rows for message in SPAN.findall(row)]
    assert len(messages) > 8
    assert [message for message in messages if not is_message(message)] == []
    assert not is_message("The request to MLflow at ... succeeded")


def is_message(text: str) -> bool:
    pieces = [piece for part in text.split("...") if len(piece := part.strip(" .:,")) > 5]
    return bool(pieces) and all(any(piece in known for known in texts_of_the_code()) for piece in pieces)


@cache
def texts_of_the_code() -> list[str]:
    """Return every string of the code, with `…` for the values in f-strings."""
    files = [
        file
        for package in ("review_sentiment", "front_door", "operators")
        for file in (ROOT / package).rglob("*.py")
    ]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    joined = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]
    return texts + [
        "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts) for parts in joined
    ]


def test_the_notebook_imports_what_exists() -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code"]
    source = "".join(TransformerManager().transform_cell(cell) for cell in code)
    assert missing_imports(source) == []


def test_a_stale_import_is_found() -> None:
    source = "from review_sentiment import registry\nfrom front_door import notebook\nnotebook.chose()"
    assert missing_imports(source) == ["review_sentiment.registry", "notebook.chose"]
