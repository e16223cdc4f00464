"""Try it: type a review, and see what a version and its base model answer, and which words moved them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard.explain.languages import language_name
from dashboard.queries import trial_answers
from dashboard.queries.trial_answers import TUNED, UNTUNED, Trial
from dashboard.queries.versions import registry_of
from dashboard.rendering import not_found, render
from review_sentiment.names import in_sentence

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.explain.occlusion import Part

MAX_CHARACTERS = 4_000
"""They are part of the address, of which servers and browsers read 64 KB; a letter can take 9 bytes of it."""
EXAMPLE = "The fabric is soft and I love the colour, but it runs small and the seam tore after one wash."
NAMES = {TUNED: "Tuned model", UNTUNED: "Untuned base model"}
MIN_WEIGHT = 0.005
"""A word that changes the probability by less than this is not coloured."""
WORDS_NAMED = 3
LABELS_SHOWN = 5


def try_it(request: Request) -> HTMLResponse:
    """Show the form and, once a review was typed, the answers and then the words."""
    registry, typed = registry_of(request), request.query_params
    if not registry.versions:
        return render(request, "try_it.html", registry=registry)
    version = registry.find(typed["version"]) if typed.get("version") else registry.offered()[0]
    if version is None:
        return not_found(request, f"version {typed['version']}", "Try it", "This version is not registered.")
    title, text = (typed.get(name, "")[:MAX_CHARACTERS] for name in ("title", "text"))
    trial = words = None
    if text.strip():
        ask, job = request.app.state.jobs.ask, (version.name, version.version, title, text)
        trial = ask("models", ("answers", *job), trial_answers.answer, *job)
        if trial.result:
            words = ask("models", ("words", *job), trial_answers.influential_words, *job)
    return render(
        request,
        "try_it.html",
        registry=registry,
        version=version,
        title=title,
        text=text if "text" in typed else EXAMPLE,
        problem="text" in typed and not text.strip(),
        trial=trial,
        words=words,
        names=NAMES,
        max_characters=MAX_CHARACTERS,
        probabilities=_probabilities,
        caution=_caution,
        strength=_strength,
        strongest=_strongest,
    )


def _probabilities(answer: trial_answers.Answer) -> str:
    """Return the labels with their probabilities; of many labels, the likeliest ones."""
    shown = list(answer.probabilities.items())
    if len(shown) > LABELS_SHOWN:
        shown = sorted(shown, key=lambda item: -item[1])[:LABELS_SHOWN]
    return ", ".join(f"{in_sentence(label)} {p:.1%}" for label, p in shown)


def _caution(trial: Trial) -> str:
    """Return why an answer may be worth little although its probability is high, or nothing."""
    if trial.is_known_language:
        return ""
    count, total = trial.evaluated.get(trial.language, 0), sum(trial.evaluated.values())
    language = language_name(trial.language)
    return (
        f"This review appears to be in {language}. {f'Only {count}' if count else 'None'} of the {total:,} "
        f"reviews that this version was evaluated on {'are' if count else 'is'} in {language}, so nobody "
        "knows how often its answers are right. The probabilities below do not take this into account."
    )


def _strength(part: Part, parts: Sequence[Part]) -> float:
    """Return how strongly a word is coloured, from -1 (against the label) to 1; 0 if it hardly matters."""
    if abs(part.weight) < MIN_WEIGHT:
        return 0.0
    return part.weight / max(abs(other.weight) for other in parts)


def _strongest(parts: Sequence[Part], sign: int) -> str:
    """Return the words with the largest weights of a sign, for readers who do not see the colours."""
    chosen = [part for part in parts if sign * part.weight >= MIN_WEIGHT]
    chosen.sort(key=lambda part: -abs(part.weight))
    return ", ".join(f"{part.text.strip()} ({part.weight:+.2f})" for part in chosen[:WORDS_NAMED]) or "none"


routes = [Route("/try", try_it)]
