#!/usr/bin/env python
"""Compare the arms, the models that are trained on the same reviews as the language model.

python benchmarks/rivals.py [--config configs/local.yaml] [--arms tfidf,static,...] [--cores 2] [--json]

Each arm is trained on the training reviews of the configuration, saved, loaded and measured on its validation
reviews, which also choose the regularisation and the epoch: the accuracies are a little too high. `cores`
limits the threads. Beside other processes, CPU seconds tell more than seconds.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from review_sentiment.config import TrainedArm
from review_sentiment.evaluation.cost import latencies, megabytes_of
from review_sentiment.settings_files import load_settings
from review_sentiment.training.preparation import Prepared, prepare

THROUGHPUT_SECONDS = 3.0
"""The validation reviews are answered as often as it takes to measure for so long."""


@dataclass(frozen=True)
class Row:
    """What was measured of an arm on the validation reviews, here with times in seconds and milliseconds."""

    arm: str
    accuracy: float
    auc: float | None
    reviews_per_second: float
    reviews_per_cpu_second: float
    p50_ms: float
    p95_ms: float
    megabytes: float
    training_seconds: float
    training_cpu_seconds: float


def measured(name: TrainedArm, prepared: Prepared, seed: int) -> Row:
    """Train an arm and measure what was saved of it."""
    from sklearn.metrics import roc_auc_score

    from review_sentiment.arms.arm import LabelledDocuments
    from review_sentiment.arms.catalogue import fit_arm, load_arm, save_arm

    start, cpu = time.perf_counter(), time.process_time()
    fitted = fit_arm(
        name, LabelledDocuments.of(prepared.train), LabelledDocuments.of(prepared.validation), seed
    )
    training, training_cpu = time.perf_counter() - start, time.process_time() - cpu
    frame = prepared.validation.frame
    titles, texts = list(frame["title"]), list(frame["text"])
    with tempfile.TemporaryDirectory() as scratch:
        save_arm(name, fitted, Path(scratch))
        arm, megabytes = load_arm(Path(scratch)), megabytes_of(Path(scratch))
        found = arm.log_probs(titles, texts)
        start, cpu, answered = time.perf_counter(), time.process_time(), 0
        while answered == 0 or time.perf_counter() - start < THROUGHPUT_SECONDS:
            arm.log_probs(titles, texts)
            answered += len(frame)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        p50, p95 = latencies(arm.log_probs, list(zip(titles, texts, strict=True)))
    gold = np.array([arm.labels.index(label) for label in frame["label"]])
    return Row(
        name,
        float((found.argmax(1) == gold).mean()),
        float(roc_auc_score(gold, found[:, 1] - found[:, 0])) if len(arm.labels) == 2 else None,
        answered / seconds,
        answered / cpu_seconds,
        p50,
        p95,
        megabytes,
        training,
        training_cpu,
    )


@click.command()
@click.option("--config", type=click.Path(path_type=Path, exists=True), default=Path("configs/local.yaml"))
@click.option("--arms", default=",".join(get_args(TrainedArm)))
@click.option("--cores", default=len(os.sched_getaffinity(0)))
@click.option("--json", "as_json", is_flag=True)
def main(config: Path, arms: str, cores: int, as_json: bool) -> None:
    """Print a Markdown table; a line per arm as it is known goes to standard error."""
    import torch

    torch.set_num_threads(cores)
    os.environ["RAYON_NUM_THREADS"] = str(cores)
    settings = load_settings(config)
    prepared = prepare(settings)
    rows = []
    for name in arms.split(","):
        rows.append(measured(name, prepared, settings.seed))
        click.echo(rows[-1], err=True)
    click.echo(
        f"{platform.processor() or platform.machine()}, {cores} cores, torch {torch.__version__}; "
        f"{len(prepared.train):,} training and {len(prepared.validation):,} validation reviews\n"
    )
    click.echo(
        "| arm | accuracy | AUC | reviews/s | p50 ms | p95 ms | MB | training s | its CPU s |\n"
        + "|---" * 9
        + "|"
    )
    for row in rows:
        auc = "" if row.auc is None else f"{row.auc:.3f}"
        click.echo(
            f"| {row.arm} | {row.accuracy:.3f} | {auc} | {row.reviews_per_second:,.0f} | {row.p50_ms:.1f} | "
            f"{row.p95_ms:.1f} | {row.megabytes:.1f} | {row.training_seconds:.0f} | "
            f"{row.training_cpu_seconds:.0f} |"
        )
    if as_json:
        click.echo(json.dumps({"arms": [vars(row) for row in rows]}))


if __name__ == "__main__":
    main()
