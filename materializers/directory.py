"""The base of materializers for models: a record, beside a directory with the model's files."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType

from materializers.record import RecordMaterializer

FILES = "files"


class DirectoryMaterializer(RecordMaterializer):
    """A dataclass with a field `directory`, whose files and folders are part of the artifact."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def load(self, data_type: type[Any]) -> Any:
        """Read the record, and copy the files to a temporary directory that exists as long as the step."""
        record = super().load(data_type)
        stored = self.path(FILES)
        with self.get_temporary_directory(delete_at_exit=False) as directory:
            for place, _, names in self.artifact_store.walk(stored):
                target = Path(directory, str(place).removeprefix(stored).strip("/"))
                target.mkdir(exist_ok=True)
                for name in map(str, names):
                    with self.artifact_store.open(f"{place}/{name}", "rb") as file:
                        (target / name).write_bytes(file.read())
        return replace(record, directory=Path(directory))

    def save(self, data: Any) -> None:
        """Write the record, and copy the files to the artifact store."""
        for path in _files(data.directory):
            # Not by `os.path`: a store's addresses are not paths, and "files/./name" is another object in S3.
            place = f"{self.path(FILES)}/{path.relative_to(data.directory).as_posix()}"
            self.artifact_store.makedirs(place.rpartition("/")[0])
            with self.artifact_store.open(place, "wb") as file:
                file.write(path.read_bytes())
        super().save(_portable(data))

    def compute_content_hash(self, data: Any) -> str:
        """Hash the record, which contains the candidate's run, and the files."""
        digest = hashlib.blake2b(super().compute_content_hash(_portable(data)).encode(), digest_size=16)
        for path in _files(data.directory):
            digest.update(path.relative_to(data.directory).as_posix().encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _portable(data: Any) -> Any:
    """Replace the temporary path, which differs between processes."""
    return replace(data, directory=Path(FILES))
