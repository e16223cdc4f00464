"""Check that the base model is available before anything runs, and which one it is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import ModelUnavailableError, first_line
from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import EMBEDDED, ModelIdentity, identify
from review_sentiment.models.model_files import require_usable_files

if TYPE_CHECKING:
    from review_sentiment.config import ModelSettings

HUB = "https://huggingface.co"
TIMEOUT_SECONDS = 10
_COMMIT = re.compile("[0-9a-f]{40}")


def require_model(base: ModelIdentity) -> str:
    """Return where the base model is, without loading it.

    Raises:
        ModelUnavailableError: it does not exist, its files are damaged, it cannot be trained, or the
            signed-in account may not read it.
    """
    if base.name == EMBEDDED:
        return f"embedded: {embedded_model.IDENTITY}, {embedded_model.revision()}"
    if Path(base.name).is_dir():
        require_usable_files(base)
        return f"directory {base.name}"
    if Path(base.name).is_file():
        raise ModelUnavailableError(
            f"model.name: {base.name} is a file. Use a directory with config.json, the tokenizer and "
            "safetensors, as `save_pretrained` writes it; a GGUF file cannot be trained."
        )
    return require_on_hub(base)


def pinned(settings: ModelSettings) -> ModelSettings:
    """Return the settings with the revision that a run uses: a commit of the Hub, or a hash of local files.

    Every step that loads the model gets it as a parameter. So a cached result of other weights is not used,
    and a step refuses weights that changed since the start of the run.

    Raises:
        ModelUnavailableError: as `require_model`, or the Hub does not have the revision.
    """
    base = identify(settings)
    if not base.files:  # what is in the files is checked if a step needs it: reading them takes seconds
        require_model(base)
    on_hub = not base.files and not _COMMIT.fullmatch(base.revision or "")
    return settings.model_copy(update={"revision": commit_of(base) if on_hub else base.revision})


def hub_page(path: str) -> str:
    """Return the address of a page of the Hub, or of its mirror."""
    return f"{os.environ.get('HF_ENDPOINT', HUB)}/{path}"


def require_on_hub(base: ModelIdentity, setting: str = "model.name") -> str:
    """Return that a model of the Hub can be read; `setting` is where it is named.

    Raises:
        ModelUnavailableError: it does not exist, or the signed-in account may not read it.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, get_token, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    page = hub_page(base.name)
    try:
        if isinstance(try_to_load_from_cache(base.name, "config.json", revision=base.revision), str):
            return f"{base.name}, in the Hub's cache"
        HfApi().auth_check(base.name)
    except HFValidationError as error:
        raise ModelUnavailableError(
            f"{setting}: '{base.name}' is neither 'embedded', nor a directory, nor a name of the Hub such "
            "as meta-llama/Llama-3.1-8B-Instruct."
        ) from error
    except GatedRepoError as error:
        signed_in = "the signed-in account has no access" if get_token() else "nobody is signed in"
        raise ModelUnavailableError(
            f"{base.name} is gated, and {signed_in}. Do three things: (1) accept its terms on {page} and "
            "wait until access is granted; (2) create a token that may read gated repositories (Access "
            "Tokens, in your account settings); (3) sign in with it: `hf auth login`, HF_TOKEN in the "
            f"environment, or a secret of that name on Colab. Or choose another model: {setting}=embedded."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailableError(
            f"{setting}: the Hub has no model '{base.name}', or it is private and you have no access "
            f"({page}). Check the name; for a private model sign in with `hf auth login` or HF_TOKEN."
        ) from error
    except OfflineModeIsEnabled as error:
        raise ModelUnavailableError(
            f"{base.name} is not in the cache, and HF_HUB_OFFLINE is set. Unset it once to download the "
            f"model, or give a directory: {setting}=/path/to/model."
        ) from error
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelUnavailableError(
            f"{base.name}: the Hub did not answer ({type(error).__name__}). Check the network and {page}, or "
            f"give a directory: {setting}=/path/to/model."
        ) from error
    return f"{base.name}, on the Hub, readable"


def commit_of(base: ModelIdentity, setting: str = "model.revision") -> str:
    """Return the commit that a branch, a tag or nothing stands for; without a network, the downloaded one.

    Raises:
        ModelUnavailableError: the Hub cannot be asked, and nothing was downloaded.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return str(HfApi().model_info(base.name, revision=base.revision, timeout=TIMEOUT_SECONDS).sha)
    except (OfflineModeIsEnabled, HfHubHTTPError, HTTPError, OSError) as error:
        downloaded = try_to_load_from_cache(base.name, "config.json", revision=base.revision)
        if isinstance(downloaded, str):
            return Path(downloaded).parent.name  # .../snapshots/COMMIT/config.json
        raise ModelUnavailableError(
            f"{setting}: the Hub could not be asked for revision '{base.revision or 'main'}' of "
            f"{base.name} ({first_line(error)}). See {hub_page(base.name)}/commits/main."
        ) from error
