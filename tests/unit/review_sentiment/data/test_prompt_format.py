"""The instruction: the default for the labels, or the user's words."""

from __future__ import annotations

import pytest

from review_sentiment.config import PromptSettings
from review_sentiment.data.labels import BINARY, NEUTRAL, STARS
from review_sentiment.data.prompt_format import listed, prompt_format
from review_sentiment.errors import UsageError

TICKETS = ("Fault report", "Praise", "C++")


@pytest.mark.parametrize(
    ("labels", "instruction"),
    [
        (BINARY.names, "Classify the sentiment of the review as negative or positive."),
        (NEUTRAL.names, "Classify the sentiment of the review as negative, neutral or positive."),
        (STARS.names, "Classify the review as 1, 2, 3, 4 or 5."),
        (TICKETS, "Classify the review as Fault report, Praise or C++."),
    ],
)
def test_the_default_task_follows_the_labels(labels: tuple[str, ...], instruction: str) -> None:
    assert prompt_format(PromptSettings(), labels).instruction == instruction


def test_a_task_is_used_as_it_is() -> None:
    task = "Sort the {ticket}: {labels}? 100 %s"
    assert prompt_format(PromptSettings(task=task), TICKETS).instruction == (
        "Sort the {ticket}: Fault report, Praise or C++? 100 %s"
    )
    assert prompt_format(PromptSettings(task="Sort it."), TICKETS).instruction == "Sort it."


def test_descriptions_follow_in_the_order_of_the_labels() -> None:
    settings = PromptSettings(
        task="Sort it.", label_descriptions={"C++": "about {labels}", "Fault report": "Something is broken"}
    )
    assert prompt_format(settings, TICKETS).instruction == (
        "Sort it.\nFault report: Something is broken\nC++: about {labels}"
    )


def test_a_description_of_an_unknown_label_is_refused() -> None:
    settings = PromptSettings(label_descriptions={"Prais": "They like it"})
    with pytest.raises(UsageError, match=r"'Prais' is not a label. Did you mean 'Praise'\?"):
        prompt_format(settings, TICKETS)


def test_fifty_labels_are_a_list_with_commas() -> None:
    names = [f"label {number}" for number in range(50)]
    text = listed(names)
    assert text.startswith("label 0, label 1, ")
    assert text.endswith(", label 48 or label 49")
    assert listed(["alone"]) == "alone"
