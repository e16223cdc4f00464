"""Which code a run comes from: the commit where it was started, the packages where it ran."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Mapping, Sequence

SOURCE_COMMIT = "source_commit"
COMMAND = "command"
"""Keys under which a pipeline run passes these to its steps."""
PACKAGE_TAG = "package."
"""Prefix of the MLflow tags that hold package versions."""
_SECRETS = (
    (re.compile(r"(?<=://)[^/@\s]+@"), "***@"),  # user and password of an address
    (re.compile(r"(?<=\?)[^\s'\"]+"), "***"),  # its query, which signs the address
    (
        re.compile(r"(?i)((?:token|secret|password|passwd|credential|(?:api|access)_?key)=)[^\s'\"]+"),
        r"\1***",
    ),
    (re.compile(r"\b(?:hf|ghp|gho|glpat|sk|xox[abp])[-_]\w{16,}"), "***"),  # tokens with a known prefix
)


def source_commit() -> str:
    """Return the git commit of the working directory, with `+changes` if files differ from it."""
    import git

    try:
        repository = git.Repo(search_parent_directories=True)
        commit = repository.head.commit.hexsha
    except (git.InvalidGitRepositoryError, git.GitCommandNotFound, ValueError):
        return "unknown"
    return f"{commit}+changes" if repository.is_dirty(untracked_files=False) else commit


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
