"""Every family loads in 4 bits and with any attention of a plan, or is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from tests.families import FAMILIES, random_model

PLAN = plan_compute("cpu", "fp32")
EXPERTS = {"mixtral"}
NOT_QUANTISED = {"falcon"}
"""Its linear layers are of a class of their own."""


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in EXPERTS])
def test_every_layer_is_in_4_bits_or_the_model_is_refused(family: str, tmp_path: Path) -> None:
    random_model(family).save_pretrained(tmp_path)
    base = ModelIdentity(str(tmp_path), None, "nf4", family)
    if family in NOT_QUANTISED:
        with pytest.raises(ModelUnavailableError, match=r"cannot be quantised .*model\.quantization=none"):
            load_model(base, PLAN)
    else:
        load_model(base, replace(PLAN, attention="sdpa"))
    load_model(replace(base, quantization="none"), replace(PLAN, attention="sdpa"))
