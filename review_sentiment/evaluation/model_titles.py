"""What the models of an evaluation are called for people."""

TITLES = {
    "tuned": "this model",
    "teacher": "teacher",
    "baseline": "untuned base model",
    "champion": "champion at the time",
    "tfidf": "TF-IDF + logistic regression",
    "static": "static embeddings + logistic regression",
    "frozen_encoder": "frozen encoder + logistic regression",
    "tuned_encoder": "tuned encoder",
    "few_shot": "untuned model with examples",
}


def title_of(model: str) -> str:
    """Return a model's name for people."""
    return TITLES.get(model, model)
