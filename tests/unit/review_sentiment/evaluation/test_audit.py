"""The audit compares generated with scored answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_sentiment.evaluation.audit import Audit, compare, total

LABELS = ("negative", "positive")
ANSWERS = st.lists(
    st.tuples(st.sampled_from(["negative", " positive\n", "positively", ""]), st.sampled_from(LABELS))
)


def test_only_labels_that_stand_alone_are_compared() -> None:
    found = compare(
        ["a", "b", "c", "d"],
        ["positive", " negative\n", "positively bad", "I think"],
        ["positive", "positive", "positive", "unparsed"],
        LABELS,
    )
    assert found == Audit(n=4, inside=2, equal=1, different=("b",))
    assert found.agreement == 0.5
    assert "1 of 2 reviews" in str(found.concern())
    assert "4 reviews" in found.sentence()


def test_a_generated_label_that_scoring_calls_unparsed_is_a_difference() -> None:
    assert compare(["a"], ["positive"], ["unparsed"], LABELS).different == ("a",)


@pytest.mark.parametrize(("equal", "warned"), [(100, False), (99, False), (98, True)])
def test_readers_are_warned_below_99_percent(equal: int, warned: bool) -> None:
    assert bool(Audit(120, 100, equal, ()).concern()) is warned


def test_without_a_generated_label_there_is_no_agreement() -> None:
    found = compare(["a"], ["I think"], ["positive"], LABELS)
    assert found.agreement is None
    assert found.concern() is None
    assert "audit_agreement" not in found.figures()


@given(first=ANSWERS, second=ANSWERS)
def test_shards_add_up_to_the_audit_of_the_whole(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    def audited(answers: list[tuple[str, str]], start: int) -> Audit:
        ids = [str(start + number) for number in range(len(answers))]
        return compare(ids, [one for one, _ in answers], [other for _, other in answers], LABELS)

    assert total([audited(first, 0), audited(second, len(first))]) == audited([*first, *second], 0)
