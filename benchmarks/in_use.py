#!/usr/bin/env python
"""A registered version in use: memory of `score` on growing files, and `serve` with many clients at once.

python benchmarks/in_use.py [--rows 100000,1000000] [--clients 32] [--seconds 60] [--json]

The pipeline tunes a tiny random Llama with temporary state: neither the memory per row nor the pairing of
requests and answers depends on the model. Each file is scored through the front door; the operating system
reports the peak memory of that process. Every client of the server sends one review after another from a
pool of distinct reviews, whose answers are known from a single earlier request.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.front_door import ROOT, Project
from tests.served_version import ask, serving
from tests.tiny import make_tiny_model, tiny_settings

POOL = 200
TOLERANCE = 1e-4
"""Batches change a probability by less than this; the pool's answers differ by more."""


@dataclass(frozen=True)
class Load:
    """What many clients received: answers, errors, and answers to another client's review."""

    seconds: float
    answered: int
    errors: list[str]
    mispaired: int


def review(number: int) -> str:
    """Return a unique review."""
    words = random.Random(number).choices(
        ("soft", "thin", "warm", "itchy", "bright", "awful", "lovely"), k=12
    )
    return f"{' '.join(words)} {number}"


def make_version(directory: Path) -> Project:
    """Run the pipeline on the tiny model; return the project with the champion."""
    state = directory / "state"
    state.mkdir()
    model = make_tiny_model(directory / "model")
    project = Project(ROOT, state, tiny_settings(directory / "reviews", model.name))
    project.result()
    return project


def score(project: Project, rows: int, directory: Path) -> dict[str, float]:
    """Score a file with `rows` rows; return the seconds and the peak memory of the process in bytes."""
    source, output = directory / f"{rows}.csv", directory / f"{rows}-scored.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        writer.writerows([review(number)] for number in range(rows))
    started = time.perf_counter()
    process = project.start("score", str(source), "-o", str(output), "--config", str(project.config))
    with tempfile.TemporaryFile("w+") as errors:
        assert process.stderr is not None
        errors.writelines(process.stderr)
        _, status, used = os.wait4(process.pid, 0)
        errors.seek(0)
        if status:
            raise click.ClickException(errors.read())
    with output.open(newline="") as file:
        scored = sum(1 for _ in csv.reader(file)) - 1
    if scored != rows:
        raise click.ClickException(f"{scored} of {rows} rows are in {output}")
    source.unlink()
    output.unlink()
    return {"rows": rows, "seconds": time.perf_counter() - started, "peak_bytes": used.ru_maxrss * 1024}


def probabilities(address: str, texts: list[str]) -> list[float]:
    """Return the probability that each of the reviews is positive."""
    return [found["p_positive"] for found in ask(address, [{"text": text} for text in texts])]


def client(address: str, known: dict[str, float], number: int, until: float) -> tuple[int, list[str], int]:
    """Send reviews until the time is up; return the number of answers, the errors, and wrong pairings."""
    choose = random.Random(number)
    answered, errors, mispaired = 0, [], 0
    while time.perf_counter() < until:
        text = choose.choice(list(known))
        try:
            (found,) = probabilities(address, [text])
        except OSError as error:
            errors.append(str(error))
            continue
        answered += 1
        mispaired += abs(found - known[text]) > TOLERANCE
    return answered, errors, mispaired


def load(address: str, clients: int, seconds: int) -> Load:
    """Send requests from many clients at once."""
    texts = [review(number) for number in range(POOL)]
    found: dict[float, str] = {}
    for text, answer in zip(texts, probabilities(address, texts), strict=True):
        # A swap of two reviews with the same probability would go unnoticed.
        if all(abs(answer - other) > 3 * TOLERANCE for other in found):
            found[answer] = text
    known = {text: answer for answer, text in found.items()}
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        results = list(
            pool.map(lambda number: client(address, known, number, started + seconds), range(clients))
        )
    return Load(
        time.perf_counter() - started,
        sum(answered for answered, _, _ in results),
        [error for _, errors, _ in results for error in errors],
        sum(wrong for _, _, wrong in results),
    )


@click.command()
@click.option("--rows", default="100000,1000000", show_default=True, help="Rows of the files to score.")
@click.option("--clients", default=32, show_default=True, help="Concurrent clients of the server.")
@click.option("--seconds", default=60, show_default=True, help="How long the clients send requests.")
@click.option("--json", "as_json", is_flag=True)
def main(rows: str, clients: int, seconds: int, as_json: bool) -> None:
    """Measure and print memory, throughput, errors and wrong pairings."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        project = make_version(directory)
        with serving(project) as address:
            served = load(address, clients, seconds)
        files: list[dict[str, Any]] = []
        for count in rows.split(","):
            files.append(score(project, int(count), directory))
            click.echo(f"{files[-1]}", err=True)
    if as_json:
        peaks = [file["peak_bytes"] / files[0]["peak_bytes"] for file in files]
        ratios = {
            "peak memory, longest file/shortest": {"median": peaks[-1], "min": min(peaks), "max": max(peaks)}
        }
        click.echo(
            json.dumps(
                {"machine": platform.machine(), "ratios": ratios, "score": files, "serve": vars(served)}
            )
        )
        return
    for file in files:
        click.echo(
            f"score  {file['rows']:>9,} rows  {file['seconds']:6.0f} s  "
            f"peak {file['peak_bytes'] / 1e9:.2f} GB"
        )
    click.echo(
        f"serve  {clients} clients for {served.seconds:.0f} s: {served.answered:,} answers, "
        f"{len(served.errors)} errors, {served.mispaired} for another client's review"
    )


if __name__ == "__main__":
    main()
