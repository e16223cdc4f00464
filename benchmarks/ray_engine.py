"""What Ray costs when scoring costs nothing, and whether memory grows with the input.

    python benchmarks/ray_engine.py [--rows 1000000] [--files 8] [--json]

A stub scores short reviews with the engine, at a tenth of the rows and at all of them. Against that, the
same readers and writers run alone over the same files, in as many processes as Ray has cores. Starting Ray
is reported on its own: it takes the same time whatever there is to score.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pandas as pd
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import Added, ReviewColumns
from review_sentiment.scoring.bulk_scoring import ScoringJob, chunks_of
from review_sentiment.scoring.file_set import RayCluster, answer_files, check_inputs, score_files
from review_sentiment.scoring.ray_cluster import connected
from tests.ray_driver import RULE, Stub

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
    answer: Added = {"label": "positive", "p_negative": 0.1, "p_positive": 0.9, "model_version": "7"}
    parts = []
    for number, chunk in enumerate(chunks_of(file, ReviewColumns(), 1_000)):
        parts.append(output.with_name(f"{output.name}.{number}"))
        file.write(parts[-1], chunk, [answer] * len(chunk))
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


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Yield the peak of this process, and of the largest of its children, in MB, at the end of the block."""
    found = {"driver": 0.0, "largest_worker": 0.0}
    done = threading.Event()

    def watch() -> None:
        this = psutil.Process()
        while not done.wait(0.2):
            found["driver"] = max(found["driver"], this.memory_info().rss / 2**20)
            for child in this.children(recursive=True):
                try:
                    is_worker = child.name().startswith("ray::")
                    unshared = child.memory_info().rss - child.memory_info().shared
                except psutil.Error:
                    continue
                if is_worker:
                    found["largest_worker"] = max(found["largest_worker"], unshared / 2**20)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        done.set()
        watching.join()


def load_stub(_device: str) -> Stub:
    """Load the stub."""
    return Stub(0.0)


def measured(directory: Path, rows: int, files: int) -> dict[str, float]:
    """Return seconds and MB of the engine, and of reading and writing alone."""
    source, output = directory / "in", directory / "out"
    write_reviews(source, rows, files)
    alone = seconds_alone(source, directory / "alone")
    started = time.monotonic()
    with connected(None):
        pass
    starting = time.monotonic() - started
    job = ScoringJob(source, output, "7", RULE)
    started = time.monotonic()
    with peak_memory() as memory:
        inputs = check_inputs(str(source), output)
        scored = score_files(job, inputs, "stub", load_stub, RayCluster(None, "cpu"))  # type: ignore[arg-type]
        between = time.monotonic()
        result = answer_files(job, scored)
    total = time.monotonic() - started
    assert result.rows == rows
    return {
        "rows": rows,
        "alone_s": alone,
        "start_ray_s": starting,
        "score_s": between - started,
        "answer_s": total - (between - started),
        "engine_s": total,
        "throughput": alone / total,
        "throughput_without_start": alone / (total - starting),
        **{f"{name}_mb": value for name, value in memory.items()},
    }


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
    if as_json:
        ratio = found[-1]["throughput_without_start"]
        click.echo(json.dumps({"ratios": {"throughput": {"median": ratio}}, "runs": found}))


if __name__ == "__main__":
    main()
