"""Try it: answers, a caution for languages that a version was not evaluated in, and the words that count."""

from __future__ import annotations

from datetime import UTC, datetime
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.explain.occlusion import Part, occlude, split_text
from dashboard.jobs import Job
from dashboard.pages import try_it
from dashboard.queries import trial_answers
from dashboard.queries.trial_answers import TUNED, UNTUNED, Answer, Trial, Words, detected_language
from dashboard.queries.versions import Registry
from review_sentiment.data.languages import UNKNOWN
from review_sentiment.errors import ModelUnavailableError
from review_sentiment.tracking.model_versions import ModelVersion
from tests.unit.dashboard.pages import ImmediateJobs, client

GERMAN = "Das Kleid ist wunderschön und sitzt perfekt"
ENGLISH = {"en": 1_280, UNKNOWN: 3, "de": 1}


def version(number: str, *aliases: str) -> ModelVersion:
    return ModelVersion("m", number, aliases, f"models:/m/{number}", "run", datetime.now(UTC), {}, "m-1")


@pytest.fixture(autouse=True)
def two_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register two versions, the older one as the champion, whose models always answer the same."""
    registry = Registry("m", [version("2"), version("1", "champion")], version("1", "champion"))
    monkeypatch.setattr(try_it, "registry_of", lambda _request: registry)
    monkeypatch.setattr(Registry, "find", lambda self, number: {"1": version("1")}.get(number))

    def answer(name: str, number: str, title: str, text: str) -> Trial:
        answers = {TUNED: Answer("negative", 0.844, {"negative": 0.844, "positive": 0.156})}
        answers[UNTUNED] = Answer("positive", 0.6, {"negative": 0.4, "positive": 0.6})
        return Trial(answers, detected_language(text), ENGLISH)

    def influential_words(name: str, number: str, title: str, text: str) -> dict[str, Words]:
        return {TUNED: Words("negative", [Part("<b>awful</b> ", 0.7), Part("shirt", -0.2), Part(".", 0.001)])}

    monkeypatch.setattr(trial_answers, "answer", answer)
    monkeypatch.setattr(trial_answers, "influential_words", influential_words)


def shown(**fields: str) -> str:
    return unescape(client().get("/try", params=fields).text)


def test_the_champion_is_chosen_and_nothing_is_loaded_before_a_review_was_sent() -> None:
    jobs = ImmediateJobs()
    page = client(jobs).get("/try").text
    assert jobs.done == {}
    assert page.index('value="1" selected') < page.index('value="2"')
    assert try_it.EXAMPLE in page


def test_a_german_review_gets_its_answers_and_a_caution() -> None:
    page = shown(text=GERMAN)
    assert "negative, 84.4%" in page
    assert "positive, 60.0%" in page
    assert (
        "appears to be in German. Only 1 of the 1,284 reviews that this version was evaluated on are" in page
    )


@pytest.mark.parametrize("text", ["It is realy soft adn the colour is beautifull", "luv it sooo much!!! gr8"])
def test_an_english_review_with_typing_errors_gets_no_caution(text: str) -> None:
    page = shown(text=text)
    assert "negative, 84.4%" in page
    assert "appears to be" not in page


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "de"),
        ("Sehr schön, passt perfekt.", "de"),
        ("Très belle robe, je recommande", "fr"),
        ("质量很好，很喜欢", "zh"),
        ("I love ths shirt so much!!! i", UNKNOWN),
        ("Perfetct!", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_a_language_is_told_only_if_it_is_clear(text: str, language: str) -> None:
    assert detected_language(text) == language


@pytest.mark.parametrize(
    ("language", "evaluated", "known"),
    [
        ("de", {"en": 500, "de": 20}, True),
        ("de", {"en": 500, "de": 19}, False),
        ("de", {UNKNOWN: 36}, True),
        ("de", {}, True),
        (UNKNOWN, {"en": 500}, True),
    ],
)
def test_a_caution_needs_evidence(language: str, evaluated: dict[str, int], known: bool) -> None:
    assert Trial({}, language, evaluated).is_known_language is known


def test_words_are_coloured_by_their_weight_named_and_escaped() -> None:
    page = client().get("/try", params={"text": "<b>awful</b> shirt."}).text
    assert 'class="word for" style="--strength: 45" title="+0.700">&lt;b&gt;awful&lt;/b&gt; </span>' in page
    assert 'class="word against" style="--strength: 20" title="-0.200">shirt</span>.' in page
    assert "Strongest for: &lt;b&gt;awful&lt;/b&gt; (+0.70). Strongest against: shirt (-0.20)." in page
    assert "<b>awful" not in page


def test_answers_come_before_the_words() -> None:
    class SlowWords(ImmediateJobs):
        def ask(self, kind, key, work, *arguments, **options):  # type: ignore[no-untyped-def]
            return Job(1.0) if key[0] == "words" else super().ask(kind, key, work, *arguments, **options)

    page = client(SlowWords()).get("/try", params={"text": GERMAN}).text
    assert "negative, 84.4%" in page
    assert '<div id="answers" class="stack">' in page  # it is complete
    assert '<div id="words" class="stack" data-live="1">' in page


def test_a_model_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> Trial:
        raise ModelUnavailableError("tiny is not on this machine.")

    monkeypatch.setattr(trial_answers, "answer", fail)
    assert "tiny is not on this machine." in shown(text=GERMAN)


def test_an_empty_review_and_an_unknown_version_are_reported() -> None:
    assert "Type a review first." in shown(text="  ")
    answer = client().get("/try", params={"version": "9"})
    assert answer.status_code == 404
    assert "No version 9" in answer.text


def test_without_a_version_the_page_leads_to_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(try_it, "registry_of", lambda _request: Registry("m"))
    assert 'href="/runs/new"' in shown()


@given(st.text(alphabet=" ab\n", max_size=200), st.integers(1, 30))
def test_parts_of_a_text_are_the_text(text: str, most: int) -> None:
    parts = split_text(text, most)
    assert len(parts) <= most
    assert "".join(parts) == (text if text.strip() else "")


def test_the_decisive_word_has_the_weight() -> None:
    def ask(_titles: object, texts: list[str]) -> list[float]:
        return [0.9 if "awful" in text else 0.2 for text in texts]

    parts = occlude("", "an awful shirt", ask)
    assert [(part.text, round(part.weight, 6)) for part in parts] == [
        ("an ", 0),
        ("awful ", 0.7),
        ("shirt", 0),
    ]
