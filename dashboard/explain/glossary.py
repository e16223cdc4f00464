"""What the dashboard's terms mean, one sentence each. Pages show them on hover and focus."""

from __future__ import annotations

MODELS = {
    "champion": "The version in use: whoever loads @champion gets it.",
    "challenger": "The newest version that did not pass the gate, and so did not become the champion.",
    "previous champion": "The champion before the present one; a rollback returns to it.",
    "version": "A trained model in the registry, with its evaluation, its settings and its model card.",
    "base model": "The language model that was fine-tuned, as its publisher released it.",
    "untuned base model": "The base model without fine-tuning, asked with the same prompt.",
    "student": "A small model that was trained on the answers of a version, its teacher, and is much faster.",
    "teacher": "The version whose answers a student was trained on.",
    "cascade": "The student answers what it is sure of, and leaves the other reviews to its teacher.",
    "arm": "A simpler model that is trained and evaluated beside each version, such as TF-IDF.",
    "adapter": "The small matrices that LoRA trains; the weights of the base model stay as they are.",
    "gate": "The checks that a new version has to pass to become the champion by itself.",
    "decision rule": "How probabilities become an answer: calibration, a threshold, and when not to answer.",
    "evaluation set": "The held-out reviews that a version was evaluated on; no model was trained on them.",
    "not comparable": "This version was evaluated on other reviews than the champion. Compare shows both on "
    "the reviews that they share.",
}
METRICS = {
    "accuracy": "The fraction of reviews that are answered correctly.",
    "accuracy in production": "The fraction of correct answers if labels are as frequent as in the source "
    "of the reviews, with the version's decision rule.",
    "balanced accuracy": "The accuracy on equally many reviews of each label.",
    "natural share": "How frequent each label is in the source of the reviews, and so in production.",
    "balanced": "Equally many reviews of each label.",
    "95 % interval": "If the evaluation were repeated with other reviews, 95 % of such intervals would "
    "contain the true value.",
    "ROC AUC": "The probability that a review of a label gets a higher score for it than a review of another "
    "label: 0.5 is chance, 1 is perfect.",
    "macro-F1": "The mean over the labels of F1, which combines precision and recall.",
    "precision": "Of the reviews that get a label as their answer, the fraction that have it.",
    "recall": "Of the reviews that have a label, the fraction that get it as their answer.",
    "calibration": "Whether probabilities can be taken at their word: of answers with 80 %, 80 % are right.",
    "calibration error": "The mean distance between the predicted probability and the observed frequency.",
    "Brier score": "The mean squared distance between the probabilities and the truth: lower is better.",
    "threshold": "The probability from which a label is the answer.",
    "coverage": "The fraction of reviews that are answered; the others are left to a person.",
    "risk": "The fraction of wrong answers among the reviews that are answered.",
    "unparsed answers": "Answers that are not one of the labels.",
    "constrained accuracy": "The accuracy if the likeliest label counts, whatever the model would write.",
    "quadratic kappa": "Agreement beyond chance for labels on a scale; being far off counts more.",
    "mean absolute error": "The mean distance in places on the scale between answer and label.",
    "Pareto front": "No other model is at least as accurate and faster.",
    "paired test": "McNemar's test on the reviews that only one of two models answers correctly.",
    "p": "The probability of a difference at least this large if both models were equally good.",
    "loss": "The cross-entropy of the answers' tokens, which training minimises.",
    "gradient norm": "The size of the gradient before it is clipped; peaks are a sign of unstable training.",
}
GATE_CHECKS = {
    "LoRA proof": "Training changed every LoRA layer, and the loss fell.",
    "accuracy over the baseline": "Fine-tuning has to improve the untuned base model.",
    "accuracy over the cheapest arm": "The model has to beat the fastest of the simpler models, or it is not "
    "worth its cost.",
    "accuracy over the version": "The model has to beat the version that was the champion at the time.",
    "accuracy over version": "The student must not be significantly worse than the champion among students.",
    "worst category": "No category may lose more than allowed, even if the overall accuracy rises.",
    "unparsed answers": "Nearly all answers have to be one of the labels.",
    "calibration error": "Probabilities have to be close to the observed frequencies.",
    "the champion in the comparison": "The champion has changed since the comparison, which is outdated.",
    "accuracy lost to the teacher": "The student may be at most this much less accurate than its teacher.",
    "answers like the teacher": "The student has to give the same answer as its teacher nearly always.",
}
"""Meanings by the start of a gate check's name."""
STEPS = {
    "validate_categories": "Checks that the categories exist in the source.",
    "ingest_reviews": "Reads and cleans the reviews of a category.",
    "data_report": "Describes the reviews: labels, lengths, languages, duplicates.",
    "split_reviews": "Splits the reviews into training, validation and evaluation sets that do not overlap.",
    "format_chat": "Turns reviews into chats for the language model.",
    "finetune": "Trains the LoRA adapter on the training set, in 4-bit precision if the device supports it.",
    "evaluate": "Lets the fine-tuned model answer the evaluation set.",
    "evaluate_baseline": "Lets the untuned base model answer the evaluation set.",
    "evaluate_few_shot": "Lets the untuned model answer with examples in its prompt.",
    "evaluate_arm": "Trains and evaluates a simpler model, such as TF-IDF with logistic regression.",
    "evaluate_champion": "Lets the champion answer the same evaluation set.",
    "evaluate_shard": "Answers a part of the evaluation set in a process of its own.",
    "merge_shards": "Puts the answers of all parts together.",
    "probe_robustness": "Measures how often small changes of a review change the answer.",
    "fit_decision": "Fits calibration and threshold on the validation set.",
    "compare": "Compares the models by paired tests, and applies the gate checks.",
    "classification_report": "Writes a report with plots about the answers.",
    "register_model": "Registers the model as a new version, as champion or challenger.",
    "ask_teacher": "Lets the teacher answer reviews without labels.",
    "train_student": "Trains a small model on the teacher's answers.",
    "evaluate_student": "Lets the student answer the evaluation set.",
    "compare_student": "Compares the student with its teacher, and applies the gate checks.",
    "register_student": "Registers the student as a version of its own model.",
    "read_unlabelled": "Reads reviews without labels.",
    "unused_reviews": "Collects training reviews that the splits left over.",
}
"""Meanings by the start of a step's name."""
GLOSSARY = {**MODELS, **METRICS}


def meaning_of(name: str, meanings: dict[str, str] = GLOSSARY) -> str:
    """Return what a term means, by the longest entry that starts its name; "" if there is none."""
    entries = [
        entry
        for entry in meanings
        if name.lower().startswith(entry.lower()) and not name[len(entry) :][:1].isalnum()
    ]
    return meanings[max(entries, key=len)] if entries else ""


def meaning_of_check(name: str) -> str:
    """Return what a gate check requires."""
    return meaning_of(name, GATE_CHECKS)


def meaning_of_step(name: str) -> str:
    """Return what a step does."""
    return meaning_of(name, STEPS)
