"""The check of an S3 store: an object that is written, read and deleted in the bucket of a stack."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from front_door.doctor.checks import SECONDS_TO_ANSWER

CONTENT = b"doctor"


class ObjectInStore:
    """A new object in the bucket of an artifact store's configuration, with the keys among the secrets."""

    def __init__(self, store: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        import s3fs

        self._files = s3fs.S3FileSystem(
            key=secrets["AWS_ACCESS_KEY_ID"],
            secret=secrets["AWS_SECRET_ACCESS_KEY"],
            client_kwargs=store["client_kwargs"],
            config_kwargs={
                "connect_timeout": SECONDS_TO_ANSWER,
                "retries": {"max_attempts": 1},
                "signature_version": "s3v4",  # botocore's default for URLs signs the type of the content too
            },
            skip_instance_cache=True,
        )
        self.path = f"{store['path']}/doctor-{uuid.uuid4()}"

    def write(self) -> None:
        """Write the object."""
        self._files.pipe_file(self.path, CONTENT)

    def read(self) -> bytes:
        """Return its content."""
        return bytes(self._files.cat_file(self.path))

    def delete(self) -> None:
        """Delete it."""
        self._files.rm_file(self.path)

    def signed_url(self, operation: str, seconds: int) -> str:
        """Return a URL that allows one operation of boto3's client, such as `put_object`, for some time."""
        return str(self._files.url(self.path, expires=seconds, client_method=operation))


def check_s3(store: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    """Return what was done in a store."""
    made = ObjectInStore(store, secrets)
    made.write()
    if made.read() != CONTENT:
        raise RuntimeError(f"{made.path} does not contain what was written to it")
    made.delete()
    return f"{store['path']}: written, read, deleted"
