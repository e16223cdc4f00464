"""Check that the base model is available before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import EMBEDDED, ModelIdentity

HUB = "https://huggingface.co"


def require_model(base: ModelIdentity) -> str:
    """Return where the base model is, without loading it.

    Raises:
        ModelUnavailableError: it does not exist, or the signed-in account may not read it.
    """
    if base.name == EMBEDDED:
        return f"embedded: {embedded_model.IDENTITY}, {embedded_model.revision()}"
    if Path(base.name).is_dir():
        if not (Path(base.name) / "config.json").is_file():
            raise ModelUnavailableError(
                f"model.name: the directory {base.name} has no config.json. Use a directory "
                "that `save_pretrained` wrote."
            )
        return f"directory {base.name}"
    return _require_on_hub(base)


def hub_page(path: str) -> str:
    """Return the address of a page of the Hub, or of its mirror."""
    return f"{os.environ.get('HF_ENDPOINT', HUB)}/{path}"


def _require_on_hub(base: ModelIdentity) -> str:
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
            f"model.name: '{base.name}' is neither 'embedded', nor a directory, nor a name of the Hub such "
            "as meta-llama/Llama-3.1-8B-Instruct."
        ) from error
    except GatedRepoError as error:
        signed_in = "the signed-in account has no access" if get_token() else "nobody is signed in"
        raise ModelUnavailableError(
            f"{base.name} is gated, and {signed_in}. Do three things: (1) accept its terms on {page} and "
            "wait until access is granted; (2) create a token that may read gated repositories (Access "
            "Tokens, in your account settings); (3) sign in with it: `hf auth login`, HF_TOKEN in the "
            "environment, or a secret of that name on Colab. Or choose another model: model.name=embedded."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailableError(
            f"model.name: the Hub has no model '{base.name}', or it is private and you have no access "
            f"({page}). Check the name; for a private model sign in with `hf auth login` or HF_TOKEN."
        ) from error
    except OfflineModeIsEnabled as error:
        raise ModelUnavailableError(
            f"{base.name} is not in the cache, and HF_HUB_OFFLINE is set. Unset it once to download the "
            "model, or give a directory: model.name=/path/to/model."
        ) from error
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelUnavailableError(
            f"{base.name}: the Hub did not answer ({type(error).__name__}). Check the network and {page}, or "
            "give a directory: model.name=/path/to/model."
        ) from error
    return f"{base.name}, on the Hub, readable"
