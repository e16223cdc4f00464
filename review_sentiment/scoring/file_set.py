"""Score many files on Ray, and write an output for each: a directory of what `score` writes for one file.

The scores of every chunk are kept beside the output, written by this process alone: workers need the input
and nothing else. Whoever runs the same command again continues after the last chunk that arrived, and another
prior only answers again.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.decision.prior_choice import VERSION
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.progress import Progress
from review_sentiment.scoring.actor_plan import plan_actors
from review_sentiment.scoring.answered_file import BulkResult, Shares, Unsure, answer_rows, decide_shares
from review_sentiment.scoring.bulk_scoring import ScoringJob, changed, file_scores, identity_of
from review_sentiment.scoring.input_files import (
    InputFile,
    content_key,
    find_files,
    local_copy,
    refuse_output_inside,
)
from review_sentiment.scoring.output_files import failed_file, parts_directory, unsure_file
from review_sentiment.scoring.part_files import PartFiles
from review_sentiment.scoring.ray_cluster import connected
from review_sentiment.scoring.ray_scoring import FileToScore, check_files, score_chunks
from review_sentiment.scoring.scores import Scores

if TYPE_CHECKING:
    from review_sentiment.scoring.scorer import Scorer

MAX_SAMPLED = 20_000
"""Rows of all files that are kept for the drift report."""
SHARE_CHUNKS = 1_000
"""Chunks whose scores are read to estimate the class shares: of more, every second, third, ..."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RayCluster:
    """Where to score: the cluster's address, None for one on this machine, and the setting `model.device`."""

    address: str | None
    device: str


@dataclass(frozen=True)
class ScoredInput:
    """A file of the input, its content, the place of its output, and its scores."""

    file: FileToScore
    content: str
    output: Path
    scores: PartFiles


def check_inputs(source: str, output: Path) -> list[InputFile]:
    """Return the files of an input. Those on this machine are opened; the cluster checks every row later.

    Raises:
        UsageError: there is no file, one cannot be read, formats are mixed, or the output cannot be used.
        DataError: the file system of the input cannot be reached.
    """
    files = find_files(source)
    refuse_output_inside(source, output)
    if not output.parent.is_dir() or output.is_file():
        raise UsageError(f"{output}: with --engine ray, name a new directory; {output.parent} must exist.")
    if output.is_dir() and any(output.iterdir()) and not parts_directory(output).is_dir():
        raise UsageError(f"The directory {output} has other files. Name a new directory.")
    local = [file for file in files if "://" not in file.address]
    try:
        output_names(local, [open_reviews(Path(file.address)).ending for file in local])
    except DataError as error:
        raise UsageError(str(error)) from error  # nothing has been scored
    return files


def output_names(files: Sequence[InputFile], endings: Sequence[str]) -> list[str]:
    """Return the path of each output below the output's directory.

    Raises:
        UsageError: formats are mixed, or two files have the same output.
    """
    formats = {ending: file.name for file, ending in zip(files, endings, strict=True)}
    if len(formats) > 1:
        mixed = ", ".join(f"{name} ({ending})" for ending, name in formats.items())
        raise UsageError(f"The input has files of several formats: {mixed}. Score each format on its own.")
    names = [file.output_name(ending) for file, ending in zip(files, endings, strict=True)]
    if equal := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"Several files of the input would have the output {equal[0]}. Rename one of them.")
    return names


def score_files(
    job: ScoringJob,
    files: Sequence[InputFile],
    model: str,
    load_scorer: Callable[[str], Scorer],
    cluster: RayCluster,
) -> list[ScoredInput]:
    """Score the chunks of all files that have no scores yet.

    `job.output` is the directory of the outputs; its source is not used. `model` identifies the model and
    how it is computed, for resuming. `load_scorer` loads it on a device.

    Raises:
        UsageError: a file or the cluster cannot be used.
        DataError: a file changed while it was scored.
    """
    contents = [content_key(file.address) for file in files]
    with connected(cluster.address) as nodes:
        plan = plan_actors(nodes, cluster.device)
        logger.info("Ray: %d actors, %s", plan.actors, plan.reason)
        checked = list(check_files([file.address for file in files], job))
        names = output_names(files, [found.ending for found in checked])
        inputs = []
        for found, content, name in zip(checked, contents, names, strict=True):
            key = identity_of(job, found.columns, content, f"{model}, {plan.device}")
            scores = PartFiles(parts_directory(job.output) / name, key)
            done = replace(found, done=scores.numbers())
            inputs.append(ScoredInput(done, content, job.output / name, scores))
        unfinished = [one for one in inputs if len(one.file.done) < one.file.chunks]
        with Progress(f"scoring {len(files)} files", sum(one.file.rows for one in inputs)) as progress:
            progress.skip(sum(one.file.rows_done for one in inputs))
            left = [one.file for one in unfinished]
            scorer = partial(load_scorer, plan.device)
            for chunk in score_chunks(left, len(job.rule.labels), scorer, plan) if left else ():
                unfinished[chunk.file].scores.write(chunk.number, chunk.rows)
                progress.advance(chunk.rows.rows)
    for one in inputs:
        if content_key(one.file.address) != one.content:
            raise changed(Path(one.file.address))
    return inputs


def answer_files(
    job: ScoringJob, source: str, inputs: Sequence[ScoredInput], prior: str = VERSION
) -> BulkResult:
    """Write an output for each file, in as many processes as there are cores; return the result of all.

    `source` is the input as `check_inputs` got it. The class shares are those of all files together.

    Raises:
        UsageError: the prior cannot be used.
        DataError: no row could be scored, or a file is not the one that was scored.
    """
    every = max(1, sum(one.file.chunks for one in inputs) // SHARE_CHUNKS)
    log_probs = Scores.joined([one.scores.sample(every) for one in inputs]).log_probs
    if not len(log_probs):
        raise DataError("None of the rows could be scored: no text is left after cleaning, or none was read.")
    shares = decide_shares(log_probs, job.rule, prior)
    answer = partial(_answer, job, shares, max(1, MAX_SAMPLED // len(inputs)))
    with (
        ProcessPoolExecutor(min(len(inputs), os.cpu_count() or 1), get_context("spawn")) as pool,
        Progress(f"writing {len(inputs)} files", len(inputs)) as progress,
    ):
        results = []
        for result in pool.map(answer, inputs):
            results.append(result)
            progress.advance(1)
    return _merged(job, source, results)


def _answer(job: ScoringJob, shares: Shares, sampled: int, one: ScoredInput) -> BulkResult:
    one.output.parent.mkdir(parents=True, exist_ok=True)
    with local_copy(one.file.address) as path:
        scores = file_scores(job, one.file.columns, file_fingerprint(path), one.scores.joined())
        result = answer_rows(replace(job, source=path, output=one.output), scores, shares)
    return replace(result, sample=result.sample[:: -(-len(result.sample) // sampled) or 1])


def _merged(job: ScoringJob, source: str, results: Sequence[BulkResult]) -> BulkResult:
    """Return one result: the sums of the counts, and patterns that the lists of rows match."""
    labels, models = Counter[str](), Counter[str]()
    for result in results:
        labels.update(result.labels)
        models.update(result.answered_by)
    failed = sum(result.failed for result in results)
    unsure = [result.unsure for result in results if result.unsure is not None]
    count = sum(one.rows for one in unsure)
    return replace(
        results[0],
        source=source,
        output=str(job.output),
        rows=labels.total(),
        failed=failed,
        labels=dict(labels),
        answered_by=dict(models),
        failed_file=str(failed_file(job.output / "**/*")) if failed else None,
        unsure=Unsure(count, str(unsure_file(job.output / "**/*")) if count else None, [])
        if unsure
        else None,
        sample=[row for result in results for row in result.sample],
    )
