"""The page of single predictions: which are shown, and that a review is text whatever it contains."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from review_sentiment.evaluation.examples import GROUPS, PER_GROUP, example_table, sample_table
from review_sentiment.evaluation.examples_page import examples_page
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation
from tests.unit.review_sentiment.evaluation.test_metrics import LABELS, REVIEWS, predictions

STARS = REVIEWS.assign(source_label=["5"] * 4 + ["4"] + ["1"] * 3)


METRICS = cache(lambda: compute_metrics(predictions(), LABELS))  # its intervals take a second


def evaluation(reviews: pd.DataFrame = STARS, answers: tuple[str, ...] = ("Hm",)) -> Evaluation:
    found = predictions().assign(category=reviews["category"])
    samples = sample_table(reviews, found, [7][: len(answers)], answers)
    examples = example_table(reviews, found, samples)
    return Evaluation("tuned", METRICS(), found, samples, pd.DataFrame(), examples=examples)


class Page(HTMLParser):
    """The elements of a page, the attributes that run or load something, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.loading: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.loading += [name for name, _ in attrs if name in ("src", "href", "style") or name[:2] == "on"]

    def handle_data(self, data: str) -> None:
        self.text += data


HARMLESS = cache(lambda: Page(examples_page(evaluation(STARS.assign(category="x")))))


def test_each_group_has_its_extremes_and_a_review_occurs_once() -> None:
    # Confidence: .9 .8 .7 .65 .7 .8 .6 .55; wrong are d, e, g and h.
    table = evaluation().examples
    assert sorted(table["review_id"]) == list("abcdefgh")
    assert "".join(table["review_id"][:4]) == "edgh"
    assert set(table[table["surest_wrong"]]["review_id"]) == set("edgh")
    assert set(table[table["surest_right"]]["review_id"]) == set("abcf")
    assert table["least_sure"].all()  # there are fewer than 20
    assert table["raw_answer"].dropna().to_list() == ["Hm"]
    assert table.set_index("review_id").loc["h", "raw_answer"] == "Hm"


def test_groups_are_limited_by_confidence() -> None:
    count = 200
    p = np.random.default_rng(0).random(count)
    reviews = pd.DataFrame(
        {
            "review_id": [f"{row:03d}" for row in range(count)],
            "category": "Tops",
            "label": np.where(np.arange(count) % 2, "positive", "negative"),
            "title": "",
            "text": "fine",
            "source_label": "5",
        }
    )
    found = prediction_table(
        reviews, LABELS, np.stack([1 - p, p], axis=1), (p > 0.5).astype(int), np.ones(count)
    )
    table = example_table(reviews, found, sample_table(reviews, found, [], []))
    assert {name: int(table[name].sum()) for name in GROUPS} == dict.fromkeys(GROUPS, PER_GROUP)
    wrong = (found["gold"] != found["predicted"]).to_numpy()
    confidence = np.maximum(p, 1 - p)
    shown = table["review_id"].astype(int).to_numpy()
    for name, rows in (("surest_wrong", wrong), ("surest_right", ~wrong)):
        members = shown[table[name]]
        assert confidence[members].min() == np.sort(confidence[rows])[-PER_GROUP]
        assert not (wrong[members] != (name == "surest_wrong")).any()
    assert confidence[shown[table["least_sure"]]].max() == np.sort(confidence)[PER_GROUP - 1]
    assert table["raw_answer"].isna().all()


def test_the_page_shows_a_review_with_its_answer_and_probabilities() -> None:
    page = Page(examples_page(evaluation()))
    assert page.elements.count("article") == 8
    assert "8 of 8 evaluation reviews" in page.text
    assert "50.0% are answered correctly" in page.text
    for shown in ("title h", "text h", "unparsed", "Hm", "0.550", "1: ", "5: ", "not generated"):
        assert shown in page.text
    assert not page.loading


def test_an_empty_answer_differs_from_one_that_was_not_generated() -> None:
    assert "<em>nothing</em>" in examples_page(evaluation(answers=("",)))
    assert "<em>nothing</em>" not in examples_page(evaluation(answers=()))


HOSTILE = st.text(
    st.one_of(st.sampled_from(list("<>&\"'/=`{}%-!]\n\t")), st.characters(codec="utf-8")), max_size=60
) | st.sampled_from(
    [
        "</p><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }}{% raw %}",
        "<!-- ",
        "]]></style></script>",
        "&lt;b&gt;",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_hostile_reviews_and_answers_are_shown_as_text(
    title: str, text: str, category: str, answer: str
) -> None:
    reviews = STARS.assign(title=title, text=text, category=category)
    page = Page(examples_page(evaluation(reviews, (answer or "-",))))
    assert page.elements == HARMLESS().elements
    assert not page.loading
    for shown in (title, text, category, answer):
        # What HTML itself makes of a text: one newline for each kind, nothing of a null character.
        assert "".join(shown.split()) in "".join(page.text.split())


def test_the_policy_admits_our_own_style_and_script_and_nothing_else() -> None:
    page = examples_page(evaluation())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        part = re.search(rf"<{tag}>(.*)</{tag}>", page, re.DOTALL)
        assert part
        digest = base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed
    assert "unsafe" not in allowed
