"""What Ray costs when scoring costs nothing, and whether memory grows with the input.

    python benchmarks/ray_engine.py [--rows 1000000] [--files 8] [--json]

A stub scores short reviews with the engine, at a tenth of the rows and at all of them. Against that, the
same readers and writers run alone over the same files, in as many processes as Ray has cores: every row is
read and checked once, and written with a constant answer, whose numbers have as many digits as the stub's.
The throughput of both is that of the rows between the two sizes, so no start counts on either side. The start
of Ray, of its workers and of the processes that write is reported beside it. CPU seconds give the ratio on a
machine that others use too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import click
import numpy as np
import pandas as pd
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.scoring.bulk_scoring import ScoringJob, chunks_of
from review_sentiment.scoring.file_set import RayCluster, answer_files, check_inputs, score_files
from tests.ray.driver import RULE, Stub

SHARE_OF_ROWS = 10


def write_reviews(directory: Path, rows: int, files: int) -> None:
    """Write short reviews in several files of JSON lines."""
    directory.mkdir()
    for number in range(files):
        ids = np.arange(number, rows, files)
        texts = [f"Soft and warm, I would buy number {one} again" for one in ids]
        frame = pd.DataFrame({"id": ids, "title": "Good", "text": texts})
        frame.to_json(directory / f"{number:03d}.jsonl", orient="records", lines=True)


def read_and_write(paths: tuple[Path, Path]) -> None:
    """Read a file in chunks and write it with constant answers."""
    source, output = paths
    file = open_reviews(source)
    answer = {"label": "positive", "p_negative": 1 / 3, "p_positive": 2 / 3, "model_version": "7"}
    parts = []
    for number, chunk in enumerate(chunks_of(file, ReviewColumns(), 1_000)):
        parts.append(output.with_name(f"{output.name}.{number}"))
        file.write(parts[-1], chunk, {name: [value] * len(chunk) for name, value in answer.items()})
    file.join(parts, output, tuple(answer))
    for part in parts:
        part.unlink()


def seconds_alone(source: Path, output: Path) -> float:
    """Return the time of reading and writing all files, in a process for each core."""
    output.mkdir()
    pairs = [(path, output / path.name) for path in sorted(source.iterdir())]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(abs, range(8)))  # starts the processes
        started = time.monotonic()
        list(pool.map(read_and_write, pairs))
        return time.monotonic() - started


class Watch:
    """Watches this process and its descendants: CPU seconds in the block, and peaks of memory in MB."""

    def __init__(self) -> None:
        self.driver_mb = self.largest_worker_mb = 0.0
        self._seconds: dict[int, float] = {}
        self._before = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes until now."""
        return sum(self._seconds.values()) - self._before

    def __enter__(self) -> Self:
        self._before = self._seconds_of(psutil.Process())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._done.wait(0.2):
            self._seconds[this.pid] = self._seconds_of(this)
            self.driver_mb = max(self.driver_mb, this.memory_info().rss / 2**20)
            for child in this.children(recursive=True):
                with suppress(psutil.Error):
                    self._seconds[child.pid] = self._seconds_of(child)
                    if child.name().startswith("ray::"):
                        memory = child.memory_info()
                        unshared = (memory.rss - memory.shared) / 2**20
                        self.largest_worker_mb = max(self.largest_worker_mb, unshared)

    @staticmethod
    def _seconds_of(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)


def load_stub(_device: str) -> Stub:
    """Load the stub."""
    return Stub(0.0)


def measured(directory: Path, rows: int, files: int) -> dict[str, float]:
    """Return seconds and MB of the engine, and of reading and writing alone."""
    source, output = directory / "in", directory / "out"
    write_reviews(source, rows, files)
    with Watch() as alone:
        alone_s = seconds_alone(source, directory / "alone")
    job = ScoringJob(source, output, "7", RULE)
    started = time.monotonic()
    with Watch() as engine:
        inputs = check_inputs(str(source), output)
        scored = score_files(job, inputs, "stub", load_stub, RayCluster(None, "cpu"))  # type: ignore[arg-type]
        result = answer_files(job, str(source), scored)
    engine_s = time.monotonic() - started
    assert result.rows == rows
    return {
        "rows": rows,
        "alone_s": alone_s,
        "engine_s": engine_s,
        "alone_cpu_s": alone.cpu_s,
        "engine_cpu_s": engine.cpu_s,
        "driver_mb": engine.driver_mb,
        "largest_worker_mb": engine.largest_worker_mb,
    }


def compared(few: Mapping[str, float], many: Mapping[str, float]) -> dict[str, float]:
    """Return the throughput of the engine relative to reading and writing alone, and its start."""
    found = {}
    for name, unit in (("throughput", "s"), ("cpu_throughput", "cpu_s")):
        alone, engine = (many[f"{side}_{unit}"] - few[f"{side}_{unit}"] for side in ("alone", "engine"))
        found[name] = alone / engine
        share = few["rows"] / (many["rows"] - few["rows"])
        found[f"start_{unit}"] = few[f"engine_{unit}"] - engine * share
    return found


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--files", default=8, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(rows: int, files: int, as_json: bool) -> None:
    """Measure the engine with a stub."""
    found = []
    for size in (rows // SHARE_OF_ROWS, rows):
        with tempfile.TemporaryDirectory(prefix="ray-engine-") as scratch:
            found.append(measured(Path(scratch), size, files))
        click.echo(", ".join(f"{name} {value:,.2f}" for name, value in found[-1].items()))
    ratios = compared(*found)
    click.echo(", ".join(f"{name} {value:,.2f}" for name, value in ratios.items()))
    if as_json:
        medians = {name: {"median": ratios[name]} for name in ("throughput", "cpu_throughput")}
        click.echo(json.dumps({"ratios": medians, "runs": found}))


if __name__ == "__main__":
    main()
