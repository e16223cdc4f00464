"""Time and peak memory of `inspect` on made-up tables, each in a process of its own.

python benchmarks/inspection.py [ROWS ...]
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
SIZES = (100_000, 1_000_000)
BATCH = 50_000
WORDS = (
    "the a this dress shirt is was very good bad nice size small large fits colour fabric soft hard returned "
    "love hate great price quality would buy again not really think about it because summer winter"
)
Row = dict[str, str]


def reviews(count: int) -> Iterator[Row]:
    """Yield reviews of 10 to 80 words; one in nine has two lines and quotes."""
    rng, words = Random(1), WORDS.split()
    for number in range(count):
        text = " ".join(rng.choices(words, k=rng.randint(10, 80)))
        yield {
            "review_id": f"R{number:08d}",
            "product": f"P{rng.randrange(5_000):05d}",
            "user": f"U{rng.randrange(300_000):06d}",
            "date": f"20{rng.randrange(10, 25)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
            "stars": rng.choice("1234555"),
            "title": " ".join(rng.choices(words, k=4)),
            "text": text if number % 9 else f'{text}\nAnd, "really", {text[:60]}',
        }


def written(directory: Path, count: int) -> list[Path]:
    """Write a table in four formats."""
    plain, lines, columns = (directory / f"{count}{ending}" for ending in (".csv", ".jsonl", ".parquet"))
    schema = pa.schema([(name, pa.string()) for name in next(reviews(1))])
    with (
        plain.open("w", newline="", encoding="utf-8") as as_csv,
        lines.open("w", encoding="utf-8") as as_lines,
        pq.ParquetWriter(columns, schema) as as_columns,
    ):
        writer = csv.DictWriter(as_csv, schema.names)
        writer.writeheader()
        batch: list[Row] = []
        for number, row in enumerate(reviews(count), start=1):
            writer.writerow(row)
            as_lines.write(f"{json.dumps(row)}\n")
            batch.append(row)
            if number % BATCH == 0 or number == count:
                as_columns.write_table(pa.Table.from_pylist(batch, schema))
                batch.clear()
    packed = directory / f"{count}.csv.gz"
    with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)
    return [plain, packed, lines, columns]


def measured(path: Path) -> tuple[float, float, float]:
    """Return the seconds, the CPU seconds and the peak memory (MB) of a process that inspects a file."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "run_pipeline.py", "inspect", str(path)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"inspect failed on {path.name}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def main() -> None:
    """Print a row for each table."""
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as directory:
        print("| rows | file | MB | seconds | CPU seconds | peak memory, MB |\n|---|---|---|---|---|---|")
        for count in sizes:
            for path in written(Path(directory), count):
                seconds, cpu, memory = measured(path)
                kind, size = "".join(path.suffixes), path.stat().st_size / 1e6
                print(
                    f"| {count:,} | {kind} | {size:.0f} | {seconds:.1f} | {cpu:.1f} | {memory:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
