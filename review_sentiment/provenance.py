"""Which code a run comes from: the commit of where it is started, the packages of where it runs."""

from __future__ import annotations

SOURCE_COMMIT = "source_commit"
"""Under this name the pipeline run tells its steps."""


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

    return {f"package.{package}": version(package) for package in packages}
