"""Which code a run comes from: its commit and the packages."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SOURCE_COMMIT = "source_commit"
COMMAND = "command"
ORIGIN = "started_from"
SETTINGS = "settings"
"""Keys under which a pipeline run passes these to its steps."""
DISTRIBUTION = "review-sentiment"
PACKAGE = Path(__file__).resolve().parents[1]
NO_COMMIT = "not from a git checkout"
PACKAGE_TAG = "package."
"""Prefix of the MLflow tags that hold package versions."""
_SECRETS = (
    (re.compile(r"(?<=://)[^/@\s]+@"), "***@"),  # user and password of an address
    # its query, which signs the address, unless it names a part of a data set
    (
        re.compile(r"(?<=\?)(?!(?:config|split)=[\w.-]+(?:&(?:config|split)=[\w.-]+)?(?![^\s'\"]))[^\s'\"]+"),
        "***",
    ),
    (
        re.compile(r"(?i)((?:token|secret|password|passwd|credential|(?:api|access)_?key)=)[^\s'\"]+"),
        r"\1***",
    ),
    (re.compile(r"\b(?:hf|ghp|gho|glpat|sk|xox[abp])[-_]\w{16,}"), "***"),  # tokens with a known prefix
)


def source_commit(package: Path = PACKAGE) -> str:
    """Return the git commit of the code that runs, with `+changes` if tracked files or new modules differ.

    It is that of the checkout that holds the package, wherever the command was started. A package that was
    installed, also below another repository, is not tracked and has no commit.
    """
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return f"{NO_COMMIT} ({DISTRIBUTION} {_installed_version()})"
    changes = (_git(package, "status", "--porcelain", "--untracked-files=all") or "").splitlines()
    changed = any(not line.startswith("??") or line.rstrip('"').endswith(".py") for line in changes)
    return f"{commit}+changes" if changed else commit


def _git(directory: Path, *arguments: str) -> str | None:
    """Return the output of git for the repository that a directory is in; None if git fails or is missing."""
    # Variables such as GIT_DIR (set in a git hook) would lead to another repository. The checkout may belong
    # to another user, as in a container; its code runs anyway, so reading its state is no further risk.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    options = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
    try:
        finished = subprocess.run(
            ["git", *options, *arguments], cwd=directory, env=environment, capture_output=True, check=False
        )
    except OSError:
        return None
    return finished.stdout.decode(errors="replace").strip() if finished.returncode == 0 else None


def _installed_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "of unknown version"


def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions, for tags."""
    from importlib.metadata import version

    return {f"{PACKAGE_TAG}{package}": version(package) for package in packages}


def trained_with(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the package versions in the tags of a run."""
    return {
        tag.removeprefix(PACKAGE_TAG): value for tag, value in tags.items() if tag.startswith(PACKAGE_TAG)
    }


def software_here() -> dict[str, str]:
    """Return the versions of Python, ZenML and MLflow in this process."""
    return {"Python": platform.python_version()} | trained_with(package_versions(("zenml", "mlflow")))


def command_line(options: Sequence[str]) -> str:
    """Return the command that starts a run again, without secrets."""
    return without_secrets(shlex.join(["python", "run_pipeline.py", *options]))


def without_secrets(text: str) -> str:
    """Replace what may be secret in a command line or an address."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
