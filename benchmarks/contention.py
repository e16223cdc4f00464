#!/usr/bin/env python
"""Throughput of scoring and training alone, and of each of two such processes on the same cores.

python benchmarks/contention.py [--work scoring,training] [--seconds 8]
                                [--variant "spin GOMP_SPINCOUNT=300000"] [--variant ...]
                                [--rounds 3] [--json]

It serves the decision how threads wait for each other at the barriers of OpenMP
(`review_sentiment/models/shared_cores.py`). A variant is a name and environment variables; the first one sets
none. GOMP_SPINCOUNT=300000 is the default of libgomp, OMP_WAIT_POLICY=PASSIVE lets threads sleep at once.
The processes of all variants stay alive and take turns, so that changes of the machine's speed hit all alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import ROOT, make_arm, spread, step_of

REVIEWS = 240
ROWS = 8
"""Reviews of one unit of work: about half a second, so that both processes stop at about the same time."""
ANOTHER = 2
"""Processes that run at once."""


@dataclass
class Worker:
    """A process that has loaded its model and works on command."""

    process: subprocess.Popen[str]

    def start(self, seconds: float) -> None:
        """Let it work for some seconds."""
        assert self.process.stdin
        print(seconds, file=self.process.stdin, flush=True)

    def result(self) -> float:
        """Return reviews or tokens per second, when it has finished."""
        assert self.process.stdout
        return float(self.process.stdout.readline())


@dataclass
class Variant:
    """Environment variables, and the throughput found with them: alone, and of each of two processes."""

    name: str
    environment: dict[str, str]
    workers: list[Worker] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    @property
    def slower(self) -> list[float]:
        """Return by which factor a process is slower beside another, round by round."""
        return [alone / beside for alone, beside in zip(self.alone, self.beside, strict=True)]


def unit_of(work: str, scratch: Path) -> Callable[[int], int]:
    """Load the model; return a function that does the n-th unit of work and returns its size."""
    arm, (prepared, _, plan, tokenizer) = make_arm("ours", REVIEWS, 42, scratch)
    if work == "training":
        step = step_of(arm)
        count = len(arm.trainer.train_dataset)
        return lambda number: step([(number * ROWS + row) % count for row in range(ROWS)])[0]
    from review_sentiment.scoring.label_scoring import score_labels

    prompts, labels = list(prepared.validation.frame["prompt"]), prepared.validation.labels

    def score(number: int) -> int:
        start = number * ROWS % (len(prompts) - ROWS)
        score_labels(arm.model, tokenizer, prompts[start : start + ROWS], labels, plan, 2_048)
        return ROWS

    return score


def work_when_told(work: str) -> None:
    """Work for as long as each line of the standard input says, and print the throughput."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print too
    with tempfile.TemporaryDirectory() as scratch:
        unit = unit_of(work, Path(scratch))
        number = unit(0) * 0
        print(0.0, file=answers, flush=True)
        for line in sys.stdin:
            started, done = time.perf_counter(), 0
            while time.perf_counter() - started < float(line):
                done, number = done + unit(number), number + 1
            print(done / (time.perf_counter() - started), file=answers, flush=True)


def start_workers(variant: Variant, work: str) -> None:
    """Start the processes of a variant and wait until they have loaded the model."""
    variant.workers = [
        Worker(
            subprocess.Popen(
                [sys.executable, __file__, "--worker", work],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, **variant.environment},
                cwd=ROOT,
            )
        )
        for _ in range(ANOTHER)
    ]
    for worker in variant.workers:
        worker.result()


def measure(variants: list[Variant], seconds: float, rounds: int) -> None:
    """Measure every variant in turn, alone and beside another process."""
    for _ in range(rounds):
        for variant in variants:
            first, *_ = variant.workers
            first.start(seconds)
            variant.alone.append(first.result())
            for worker in variant.workers:
                worker.start(seconds)
            results = [worker.result() for worker in variant.workers]
            variant.beside.append(sum(results) / len(results))


def line_of(variant: Variant, reference: Variant) -> str:
    """Return the medians and ranges of a variant."""
    kept = [own / other for own, other in zip(variant.alone, reference.alone, strict=True)]
    cells = [("alone", variant.alone), ("each of two", variant.beside), ("slower", variant.slower)]
    shown = [(name, spread(values)) for name, values in [*cells, ("alone/first", kept)]]
    return f"  {variant.name:28}" + "  ".join(
        f"{name} {found['median']:7.2f} ({found['min']:.2f}-{found['max']:.2f})" for name, found in shown
    )


@click.command()
@click.option("--work", default="scoring,training", show_default=True)
@click.option("--variant", "chosen", multiple=True, help="NAME KEY=VALUE KEY=VALUE ...; repeatable.")
@click.option("--seconds", default=8.0, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@click.option("--worker", hidden=True)
def main(
    work: str, chosen: tuple[str, ...], seconds: float, rounds: int, as_json: bool, worker: str | None
) -> None:
    """Print the table."""
    if worker:
        work_when_told(worker)
        return
    for kind in work.split(","):
        variants = [Variant("as it is", {})]
        for text in chosen:
            name, *pairs = text.split()
            variants.append(Variant(name, dict(pair.split("=", 1) for pair in pairs)))
        try:
            for variant in variants:
                start_workers(variant, kind)
            measure(variants, seconds, rounds)
        finally:
            for variant in variants:
                for one in variant.workers:
                    one.process.kill()
        if as_json:
            found = {one.name: {"alone": one.alone, "beside": one.beside} for one in variants}
            click.echo(json.dumps({kind: found}))
            continue
        click.echo(f"{kind}, {'reviews' if kind == 'scoring' else 'tokens'} per second")
        for variant in variants:
            click.echo(line_of(variant, variants[0]))


if __name__ == "__main__":
    main()
