"""The first run of the integration tests, whose version is scored."""

from tests.integration.conftest import first_run, project, settings

__all__ = ["first_run", "project", "settings"]
