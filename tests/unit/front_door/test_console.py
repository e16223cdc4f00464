"""The garbage collector rests until a step starts in this process."""

from __future__ import annotations

import gc
import logging

import pytest

from front_door.terminal.console import CollectFromFirstStep, without_garbage_collection


def test_the_collector_rests_until_a_step_starts(caplog: pytest.LogCaptureFixture) -> None:
    zenml = logging.getLogger("zenml.orchestrators")
    with (
        caplog.at_level(logging.INFO),
        CollectFromFirstStep().listening(),
        without_garbage_collection(),
    ):
        with without_garbage_collection():
            assert not gc.isenabled()
        zenml.info("Using cached version of step `split_reviews`.")
        assert not gc.isenabled()
        zenml.info("Step `finetune` has started.")
        assert gc.isenabled()
    assert gc.isenabled()
    with without_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
