"""The models' answers to the reviews that they share: which changed, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dashboard.queries.comparison import gold_probabilities

if TYPE_CHECKING:
    from dashboard.queries.comparison import Shared

CHANGES = {
    "changed": "changed: won or lost",
    "won": "won: the first is wrong, another right",
    "lost": "lost: the first is right, another wrong",
    "all wrong": "all wrong",
    "all right": "all right",
    "all": "all reviews",
}
"""Which reviews to show, and the names of the choices."""
ORDERS = {"change": "lost first, then won", "moved": "largest change of probability", "category": "category"}


def answers_table(shared: Shared, reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the answers of the decision rules: a row per shared review.

    `change` is won, lost, all right or all wrong, and `moved` the largest change of the gold label's
    probability in production against the first model. `answer N` and `p N` are those of each model.
    """
    first = shared.models[0].stratified
    texts = (reviews["title"].fillna("") + ". " + reviews["text"].fillna("")).str.strip(". ")
    by_id = dict(zip(reviews["review_id"], texts, strict=True))
    table = first[["review_id", "category", "gold"]].assign(review=first["review_id"].map(by_id).fillna(""))
    right, p = [], []
    for number, one in enumerate(shared.models):
        p.append(gold_probabilities(one))
        right.append((one.stratified["decided"] == one.stratified["gold"]).to_numpy())
        table[f"answer {number}"] = one.stratified["decided"]
        table[f"p {number}"] = p[-1]
    every, none = np.all(right, axis=0), ~np.any(right, axis=0)
    names = ["all right", "all wrong", "lost"]
    change = np.select([every, none, right[0]], names, "won")
    moved = np.max([np.abs(own - p[0]) for own in p], axis=0)
    return table.assign(change=change, moved=moved)


def only(table: pd.DataFrame, change: str, words: str, order: str) -> pd.DataFrame:
    """Return the rows with one of `CHANGES` whose review has the words, in one of `ORDERS`."""
    if change == "changed":
        table = table[table["change"].isin(["won", "lost"])]
    elif change != "all":
        table = table[table["change"] == change]
    if words:
        table = table[table["review"].str.contains(words, case=False, regex=False)]
    if order == "moved":
        return table.sort_values("moved", ascending=False, kind="stable")
    if order == "category":
        return table.sort_values(["category", "change"], kind="stable")
    ranks = {"lost": 0, "won": 1, "all wrong": 2, "all right": 3}
    ranked = table.assign(rank=table["change"].map(ranks), down=-table["moved"])
    return ranked.sort_values(["rank", "down"], kind="stable")
