#!/usr/bin/env python
"""Peak memory and time of the split, by the number of reviews: each number in a process of its own.

python benchmarks/split_memory.py [--rows 1000000 --rows 5000000] [--words 20] [--json]

The reviews are synthetic, of ten categories, in parquet files as ingestion stores them: a product per 20
reviews, and as many users as reviews, of whom some have several. Texts are random words; one in 50 has
another's words but for one.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CATEGORIES = 10
SETTINGS = ROOT / "configs" / "gpu.yaml"
VOCABULARY = 30_000
NEGATIVE_SHARE = 0.15
NEAR_COPIES = 50
"""One text in so many is nearly another one."""


def write_category(path: Path, category: str, rows: int, words: int) -> None:
    """Write a category as `materializers/record.py` does."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from materializers.record import GROUP_ROWS
    from review_sentiment.data.review_table import COLUMNS

    draw = np.random.default_rng(int(category))
    # Few words are frequent, most are rare.
    vocabulary = np.array([f"w{number}" for number in range(VOCABULARY)])
    writer = None
    for start in range(0, rows, GROUP_ROWS):
        size = min(GROUP_ROWS, rows - start)
        chosen = (VOCABULARY ** draw.random((size, words))).astype(np.int64)
        copies = np.arange(NEAR_COPIES, size, NEAR_COPIES)
        chosen[copies] = chosen[copies - 1]
        chosen[copies, -1] = 0
        label = np.where(draw.random(size) < NEGATIVE_SHARE, "negative", "positive")
        frame = pd.DataFrame(
            {
                "review_id": [f"{number:016x}" for number in draw.integers(0, 2**63, size)],
                "category": category,
                "group": [f"B{number:09}" for number in draw.integers(0, 1 + rows // 20, size)],
                "user": [f"AE{category}{number:025}" for number in draw.integers(0, rows, size)],
                "source_label": np.where(label == "negative", "1", "5"),
                "language": "en",
                "time": np.nan,
                "verified_purchase": True,
                "label": label,
                "title": "Title",
                "text": [" ".join(row) for row in vocabulary[chosen % VOCABULARY]],
                "weight": 1.0,
                "balanced": True,
            }
        ).astype(COLUMNS)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def measure(directory: Path, rows: int) -> dict[str, Any]:
    """Split the reviews; return what this process took."""
    from review_sentiment.data.review_table import CategoryCounts
    from review_sentiment.data.splits import SplitRules, split_reviews
    from review_sentiment.data.stored_reviews import StoredReviews
    from review_sentiment.settings_files import load_settings

    tables = [
        StoredReviews(
            partial(file.open, "rb"),
            (CategoryCounts(file.stem, rows, rows, labels={"negative": 15, "positive": 85}),),
        )
        for file in sorted(directory.glob("*.parquet"))
    ]
    started, before = time.perf_counter(), _peak()
    parts = split_reviews(tables, SplitRules.of(load_settings(SETTINGS)), seed=1)
    return {
        "rows": rows,
        "before_mb": before,
        "peak_mb": _peak(),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time(),
        "parts": {name: len(getattr(parts, name)) for name in ("train", "validation", "evaluation")},
        "dropped": parts.train.dropped,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(rows: int, words: int) -> dict[str, Any]:
    """Write the reviews, and split them in a new process."""
    with tempfile.TemporaryDirectory(prefix="review-sentiment-split-") as scratch:
        for category in range(CATEGORIES):
            write_category(Path(scratch, f"{category}.parquet"), str(category), rows // CATEGORIES, words)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(measure, Path(scratch), rows).result()


@click.command()
@click.option("--rows", multiple=True, default=(1_000_000, 5_000_000), show_default=True)
@click.option("--words", default=20, show_default=True, help="Words of a text.")
@click.option("--json", "as_json", is_flag=True)
def main(rows: tuple[int, ...], words: int, as_json: bool) -> None:
    """Print the peak of each number of rows, and the memory that a row adds."""
    found = []
    for number in sorted(rows):
        found.append(measured(number, words))
        if not as_json:
            click.echo(
                "{rows:,} reviews: {before_mb:,.0f} MB before, peak {peak_mb:,.0f} MB, {seconds:,.0f} s, "
                "{cpu_seconds:,.0f} s of CPU time; {parts}; {dropped}".format(**found[-1])
            )
    first, last = found[0], found[-1]
    added = (last["peak_mb"] - first["peak_mb"]) * 2**20 / max(1, last["rows"] - first["rows"])
    if as_json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        click.echo(json.dumps({"machine": machine, "words": words, "found": found, "bytes_per_row": added}))
    elif len(found) > 1:
        click.echo(f"{added:.0f} bytes per review")


if __name__ == "__main__":
    main()
