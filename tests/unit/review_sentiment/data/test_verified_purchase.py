"""Whether a purchase was verified, from the source's file to the slices, if the source has it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from review_sentiment.config import SplitSettings
from review_sentiment.data.chats import format_chats
from review_sentiment.data.cleaning import CleaningRules, clean_category
from review_sentiment.data.labels import BINARY
from review_sentiment.data.sources.local import LocalFiles
from review_sentiment.data.splits import SplitRules, split_reviews
from review_sentiment.evaluation.predictions import prediction_table, slice_table
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.loading import load_tokenizer
from tests.tiny import AMAZON_ROWS, prompt_of, review_rows

RULES = SplitRules(
    **SplitSettings(evaluation_share=0.3, validation_share=0.2).model_dump(), composition="equal"
)


def slices(verified: list[bool | None], model: ModelIdentity, directory: Path) -> pd.DataFrame:
    """Return the slices of evaluation reviews from a file whose rows have these values in turn."""
    rows = [
        row | {"verified_purchase": verified[number % len(verified)]}
        for number, row in enumerate(review_rows("Tops", 90))
    ]
    (directory / "Tops.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = LocalFiles(str(directory), AMAZON_ROWS).read("Tops", seed=1)
    table = clean_category("Tops", reading, CleaningRules(BINARY, 100, 100, 0.0), seed=1)
    evaluation = split_reviews([table], RULES, seed=1).evaluation.frame
    chats = format_chats(evaluation, load_tokenizer(model), prompt_of(BINARY.names)).frame
    even = np.full((len(chats), 2), 0.5)
    negative = np.zeros(len(chats), dtype=np.int64)
    return slice_table(chats, prediction_table(chats, BINARY.names, even, negative, even[:, 0]))


@pytest.mark.parametrize(
    ("verified", "values"),
    [([True, False, False, True], {"yes", "no"}), ([True, True, None, None], {"yes"}), ([None], set())],
)
def test_slices_have_the_values_of_the_source(
    tiny_model: ModelIdentity, tmp_path: Path, verified: list[bool | None], values: set[str]
) -> None:
    table = slices(verified, tiny_model, tmp_path)
    found = table[table["dimension"] == "verified purchase"]
    assert set(found["value"]) == values
    everything = table.loc[table["dimension"] == "category", "n"].sum()
    assert (found["n"].sum() == everything) == (len(values) == 2)
