#!/usr/bin/env python
"""Check this project on an NVIDIA GPU: one command, under eight minutes, no network.

    python benchmarks/gpu_check.py --reviews FILE --tokenizer DIRECTORY --out DIRECTORY [--seconds 440]

Random weights in the shape of Llama 3.1 8B are written to memory and go through the project's own loading,
training, scoring and reloading. Every stage is a process with a time limit and writes a line to
OUT/results.jsonl when it ends, so a stage that fails or is cut off costs only itself. `--tiny` runs the
stages on a CPU with a tiny model, to try this file without a GPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.gpu_results import last_lines, note

if TYPE_CHECKING:
    from benchmarks.gpu_run import Check


@dataclass(frozen=True)
class Stage:
    """The module that has a function with the stage's name, and the stage's time limit in seconds."""

    module: str
    seconds: int


# In the order in which a first run would need them: if time is short, the last ones are left out.
STAGES = {
    "environment": Stage("gpu_primitives", 40),
    "primitives": Stage("gpu_primitives", 60),
    "small": Stage("gpu_training", 70),
    "write_8b": Stage("gpu_training", 60),
    "finetune_8b": Stage("gpu_training", 110),
    "t4_like": Stage("gpu_training", 110),
    "variants": Stage("gpu_variants", 170),
    "scoring": Stage("gpu_scoring", 90),
    "out_of_memory": Stage("gpu_training", 60),
    "kill": Stage("gpu_training", 80),
    "parity": Stage("gpu_training", 60),
}
SHORTEST = 15
"""Seconds below which no stage is started."""


def run_stage(check: Check, name: str) -> None:
    """Run a stage in this process, and note its figures or its error."""
    began = time.perf_counter()
    try:
        # Only now: what starts the stages needs neither torch nor the project.
        found = getattr(import_module(f"benchmarks.{STAGES[name].module}"), name)(check)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"[:1500]
        note(check.out, name, {"ok": False, "error": text, "stage seconds": seconds_since(began)})
        raise
    note(check.out, name, {"ok": True, "stage seconds": seconds_since(began), **found})


def run_stages(names: Sequence[str], options: Sequence[str], out: Path, seconds: float) -> None:
    """Run stages one after the other, each in a process with these options and a time limit."""
    until = time.monotonic() + seconds
    for name in names:
        left = until - time.monotonic()
        if left < SHORTEST:
            note(out, name, {"ok": False, "error": "no time was left"})
            continue
        command = [sys.executable, __file__, *options, "--stage", name]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            process.wait(min(STAGES[name].seconds, left))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            note(out, name, {"ok": False, "error": f"over its {STAGES[name].seconds} s"})


def seconds_since(began: float) -> float:
    """Return the time since `began`, of `time.perf_counter`."""
    return round(time.perf_counter() - began, 1)


def room_for_models() -> Path:
    """Return a directory for 16 GB of weights that stays the same for all stages."""
    memory = Path("/dev/shm")
    known = memory / "gpu_check"
    roomy = known.is_dir() or (memory.is_dir() and shutil.disk_usage(memory).free > 20e9)
    return known if roomy else Path(tempfile.gettempdir()) / "gpu_check_models"


def parsed(options: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line, with the directories that they name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, help="Where 16 GB can be written; memory where it has room.")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "gpu_check")
    parser.add_argument("--seconds", type=float, default=440)
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--stage", choices=STAGES, help="Run this one in this process.")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args(options)
    args.models = args.models or room_for_models()
    args.out.mkdir(parents=True, exist_ok=True)
    args.scratch.mkdir(parents=True, exist_ok=True)
    return args


def main(options: Sequence[str]) -> None:
    """Run the stages, each in a process with a time limit, and print the last line of each."""
    from review_sentiment.models.compute import prepare_allocation

    args = parsed(options)
    if args.stage:
        from benchmarks.gpu_run import Check, assume_english

        assume_english()
        check = Check(args.reviews, args.tokenizer, args.out, args.models, args.scratch, args.tiny)
        run_stage(check, args.stage)
        return
    # As `front_door/state.py` does for a run; the stages inherit both. One GPU is enough.
    prepare_allocation(os.environ)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    run_stages(args.stages.split(","), options, args.out, args.seconds)
    print("\n".join(last_lines(args.out)))
    shutil.rmtree(args.models, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
