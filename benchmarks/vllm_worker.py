"""Answer prompts with vLLM: a JSON list of prompts on each line of standard input, seconds and answers out.

Runs in vLLM's own environment, started by `benchmarks/vllm_process.py`:
python vllm_worker.py MODEL DTYPE TOKENS
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

TOKENS_PER_BATCH = 4_096
CACHE_BYTES = 2 << 30


def main() -> None:
    """Load the model, say that it is ready, and answer until standard input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # vLLM writes its log to standard output
    os.environ["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"  # by default it leaves one core idle
    os.environ["VLLM_NO_USAGE_STATS"] = os.environ["HF_HUB_OFFLINE"] = "1"
    from vllm import LLM, SamplingParams

    model, dtype, tokens = sys.argv[1:]
    longest = json.loads((Path(model) / "config.json").read_text())["max_position_embeddings"]
    engine = LLM(
        model,
        dtype=dtype,
        max_model_len=min(longest, TOKENS_PER_BATCH),
        max_num_batched_tokens=TOKENS_PER_BATCH,
        enable_prefix_caching=True,
        kv_cache_memory_bytes=CACHE_BYTES,
    )
    tokenizer, greedy = engine.get_tokenizer(), SamplingParams(temperature=0, max_tokens=int(tokens))
    os.write(answers, b"ready\n")
    for line in sys.stdin:
        prompts = json.loads(line)
        started = time.perf_counter()
        rows = [{"prompt_token_ids": tokenizer.encode(text, add_special_tokens=False)} for text in prompts]
        found = engine.generate(rows, greedy, use_tqdm=False)
        seconds = time.perf_counter() - started
        texts = [one.outputs[0].text.strip() for one in found]
        os.write(answers, json.dumps({"seconds": seconds, "answers": texts}).encode() + b"\n")


if __name__ == "__main__":
    main()
