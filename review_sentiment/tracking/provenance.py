"""Which code a run comes from: the commit of where it is started, the packages of where it runs."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Mapping, Sequence

SOURCE_COMMIT = "source_commit"
COMMAND = "command"
"""Under these names the pipeline run tells its steps."""
PACKAGE_TAG = "package."
"""Before the names of packages in the tags of an MLflow run."""
_SECRETS = (
    (re.compile(r"(?<=://)[^/@\s]+@"), "***@"),  # user and password of an address
    (re.compile(r"(?<=\?)[^\s'\"]+"), "***"),  # its query: signed addresses
    (
        re.compile(r"(?i)((?:token|secret|password|passwd|credential|(?:api|access)_?key)=)[^\s'\"]+"),
        r"\1***",
    ),
    (re.compile(r"\b(?:hf|ghp|gho|glpat|sk|xox[abp])[-_]\w{16,}"), "***"),  # tokens by their first letters
)


def source_commit() -> str:
    """Return the git commit of the working directory, `+changes` added where files differ from it."""
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
    """Return the versions of packages that `package_versions` put into the tags of a run."""
    return {
        tag.removeprefix(PACKAGE_TAG): value for tag, value in tags.items() if tag.startswith(PACKAGE_TAG)
    }


def software_here() -> dict[str, str]:
    """Return the versions of Python and of what runs and records the steps, in this process."""
    return {"Python": platform.python_version()} | trained_with(package_versions(("zenml", "mlflow")))


def command_line(options: Sequence[str]) -> str:
    """Return how a run was started, for people to repeat it; nothing in it opens a door."""
    return without_secrets(shlex.join(["python", "run_pipeline.py", *options]))


def without_secrets(text: str) -> str:
    """Return a command line or an address without what may be secret in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
