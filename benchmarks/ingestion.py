#!/usr/bin/env python
"""A fair sample of a category of several GB: our block sampling against `datasets` streaming the whole file.

python benchmarks/ingestion.py [--gigabytes 3] [--seeds 10] [--json]

The category is synthetic: it has the schema of Amazon Reviews 2023, is grouped by user, and has more unhappy
reviews towards its end, as well as HTML, empty texts and broken lines. A server on loopback serves it like
the Hub. Each reading runs in a process of its own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SETTINGS = ROOT / "configs" / "gpu.yaml"
"""The sample must fill its caps: 10,000 training and 1,000 evaluation reviews, balanced."""
RESERVOIR = 11_000
CATEGORY = "Software"
WORDS = """
    the it this app game works great bad crashed love hate easy install never always update price money
    download screen phone tablet computer support help time year back good better worst refund simple
    kids fun music files backup virus protection program version new old slow fast error account
"""
STARS = {"happy": (5, 5, 5, 5, 4, 4, 3), "unhappy": (1, 1, 1, 2, 2, 3)}
CHECK_ROWS = 3_000
"""Number of rows of each sample whose stars are compared with those of the file."""


def make_category(path: Path, size: int) -> Counter[int]:
    """Write about `size` bytes of reviews; return the number of reviews by stars."""
    draw = random.Random(0)
    stars: Counter[int] = Counter()
    texts = [
        " ".join(draw.choices(WORDS.split(), k=max(3, int(draw.lognormvariate(3.6, 0.9)))))
        for _ in range(5_000)
    ]
    written = number = user = 0
    with path.open("w", encoding="utf-8", buffering=2**20) as file:
        while written < size:
            user += 1
            mood = "unhappy" if draw.random() < 0.08 + 0.2 * written / size else "happy"
            for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 5, 8))):
                number += 1
                rating = draw.choice(STARS[mood])
                text = "" if number % 2_000 == 0 else f"{draw.choice(texts)} {draw.choice(texts)} {number}"
                if number % 50 == 0:
                    text = f"Great.<br /><br />{text} [[VIDEOID:{number}]]"
                line = (
                    f'{{"rating": {rating}.0, "title": "Title {number % 977}", "text": "{text}", '
                    f'"images": [], '
                    f'"asin": "B{number % 90_001:09d}", "parent_asin": "B{number % 80_021:09d}", '
                    f'"user_id": "AE{user:026d}", "timestamp": {1_500_000_000_000 + number}, '
                    f'"helpful_vote": 0, "verified_purchase": true}}\n'
                )
                if number % 5_003 == 0:
                    line = line[: len(line) // 2] + "\n"
                else:
                    stars[rating] += 1
                written += file.write(line)
    return stars


def read_ours(url: str, seed: int) -> dict[str, Any]:
    """Read the sample that the split needs; return its cost and the sizes of the parts."""
    from review_sentiment.data.cleaning import CleaningRules, clean_category
    from review_sentiment.data.labels import BINARY
    from review_sentiment.data.sources.hub import HubDataset
    from review_sentiment.data.splits import SplitRules, split_reviews
    from review_sentiment.settings_files import load_settings
    from tests.tiny import AMAZON_ROWS
    from tests.web_server import DATA_SET

    settings = load_settings(SETTINGS)
    started = time.perf_counter()
    rules = CleaningRules(BINARY, settings.kept_per_class, settings.needed_per_class, 0.01)
    table = clean_category(CATEGORY, HubDataset(DATA_SET, AMAZON_ROWS, url).read(CATEGORY, seed), rules, seed)
    seconds = time.perf_counter() - started
    peak = _peak()
    parts = split_reviews([table], SplitRules.of(settings), seed)
    return peak | {
        "seconds": seconds,
        "rows": table.read,
        "parts": {
            "train": len(parts.train),
            "validation": len(parts.validation),
            "evaluation": len(parts.evaluation),
        },
    }


def read_with_datasets(url: str, seed: int) -> dict[str, Any]:
    """Stream the whole file with `datasets` and keep a uniform sample."""
    import datasets

    started = time.perf_counter()
    draw = random.Random(seed)
    rows = datasets.load_dataset("json", data_files=f"{url}/files/clean.jsonl", split="train", streaming=True)
    reservoir: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if len(reservoir) < RESERVOIR:
            reservoir.append(row)
        elif (place := draw.randrange(number + 1)) < len(reservoir):
            reservoir[place] = row
    return {"seconds": time.perf_counter() - started, "rows": number + 1} | _peak()


def _peak() -> dict[str, float]:
    return {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _in_a_process(function: Callable[[str, int], dict[str, Any]], url: str, seed: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, url, seed).result()


def _traffic(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/traffic") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def star_check(url: str, truth: Counter[int], file: Path, seeds: int) -> dict[str, Any]:
    """Compare the stars of samples, and of the file's head, with those of the whole file.

    Reviews of a block share users, so they are not independent and a plain chi-square test rejects too often.
    We use the Wald test of the ratio estimates with the variance between blocks (Cochran, "Sampling
    Techniques", 1977, 9A): chi-square with four degrees of freedom.
    """
    import numpy as np
    from scipy.stats import chi2, chisquare

    from review_sentiment.data.records import ReviewRecord
    from review_sentiment.data.sources.hub import HubDataset
    from tests.tiny import AMAZON_ROWS
    from tests.web_server import DATA_SET

    stars = sorted(truth)
    fractions = np.array([truth[star] for star in stars]) / truth.total()

    def clustered(blocks: list[Counter[int]]) -> float:
        counts = np.array([[block[star] for star in stars] for block in blocks])
        excess = counts - counts.sum(axis=1, keepdims=True) * fractions
        excess = excess[:, 1:]  # one fraction follows from the others
        total = excess.sum(axis=0)
        return float(chi2.sf(total @ np.linalg.solve(excess.T @ excess, total), len(stars) - 1))

    def plain(sample: Counter[int]) -> float:
        return float(chisquare([sample[star] for star in stars], fractions * sample.total()).pvalue)

    clustered_values, plain_values = [], []
    for seed in range(seeds):
        blocks: list[Counter[int]] = []
        for chunk in HubDataset(DATA_SET, AMAZON_ROWS, url).read(CATEGORY, seed).chunks:
            records = [row for row in chunk.rows if isinstance(row, ReviewRecord)]
            blocks.append(Counter(int(float(row.label)) for row in records))
            if sum(block.total() for block in blocks) >= CHECK_ROWS:
                break
        clustered_values.append(clustered(blocks))
        plain_values.append(plain(sum(blocks, Counter())))
    head: Counter[int] = Counter()
    with file.open(encoding="utf-8") as lines:
        for line, _ in zip(lines, range(CHECK_ROWS), strict=False):
            head[int(float(line[11:14]))] += 1
    return {"p_values": clustered_values, "plain_p_values": plain_values, "head_p_value": plain(head)}


@click.command()
@click.option("--gigabytes", default=3.0, show_default=True)
@click.option(
    "--seeds",
    default=10,
    show_default=True,
    help="Number of samples whose stars are compared with those of the file.",
)
@click.option(
    "--repeats", default=3, show_default=True, help="Number of our readings, each with another seed."
)
@click.option("--json", "as_json", is_flag=True)
def main(gigabytes: float, seeds: int, repeats: int, as_json: bool) -> None:
    """Measure both, and print a table or JSON."""
    with tempfile.TemporaryDirectory(prefix="review-sentiment-ingestion-") as scratch:
        os.environ["XDG_CACHE_HOME"] = f"{scratch}/cache"
        os.environ["HF_HOME"] = f"{scratch}/hf"
        directory = Path(scratch) / "files"
        directory.mkdir()
        file = directory / f"{CATEGORY}.jsonl"
        truth = make_category(file, int(gigabytes * 1e9))
        # `datasets` stops at the first broken line, so it reads a copy of the file without them.
        subprocess.run(f"grep '}}$' {file} > {directory}/clean.jsonl", shell=True, check=True)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.web_server", str(directory)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            ours = []
            for seed in range(repeats):
                before = _traffic(url)["sent"]
                found = _in_a_process(read_ours, url, seed)
                ours.append(found | {"bytes": _traffic(url)["sent"] - before})
            theirs = _in_a_process(read_with_datasets, url, 0)
            check = star_check(url, truth, file, seeds)
        finally:
            server.terminate()
            server.wait()
        size = file.stat().st_size
    ratios = sorted(theirs["seconds"] / one["seconds"] for one in ours)
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "size_gb": size / 1e9,
        "ours": ours,
        "datasets": theirs,
        "share_read": [one["bytes"] / size for one in ours],
        "stars": check,
        "ratios": {
            "datasets/ours": {"median": ratios[len(ratios) // 2], "min": ratios[0], "max": ratios[-1]}
        },
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{result['machine']}; {size / 1e9:.1f} GB, {truth.total():,} reviews")
    for one in ours:
        click.echo(
            f"ours      {one['seconds']:7.1f} s  {one['rows']:9,} rows  {one['bytes'] / 1e6:7.1f} MB "
            f"({one['bytes'] / size:.2%})  peak {one['peak_mb']:.0f} MB  {one['parts']}"
        )
    click.echo(
        f"datasets  {theirs['seconds']:7.1f} s  {theirs['rows']:9,} rows  the whole file  "
        f"peak {theirs['peak_mb']:.0f} MB"
    )
    click.echo(f"datasets/ours {ratios[len(ratios) // 2]:.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f})")
    for name, test in (("p_values", "variance between blocks"), ("plain_p_values", "plain chi-square")):
        shown = ", ".join(f"{value:.2f}" for value in sorted(check[name]))
        click.echo(f"stars of {CHECK_ROWS} rows against the file's, {test}, p: {shown}")
    click.echo(f"the file's head: p {check['head_p_value']:.1g}")


if __name__ == "__main__":
    main()
