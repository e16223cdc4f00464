"""evidently's report on many labels in a browser: nothing is cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from review_sentiment.evaluation.classification_report import classification_report
from tests.many_labels import evaluation, names

pytestmark = pytest.mark.browser
WIDTH = 1400


def test_every_label_is_within_the_page(visit: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    labels = names(20)
    path.write_text(classification_report(evaluation("tuned", labels), None).html, encoding="utf-8")
    with visit(WIDTH, 900) as found:
        found.page.goto(path.as_uri())
        tabs = found.page.get_by_role("tab")
        tabs.first.wait_for()
        boxes = [tab.bounding_box() for tab in tabs.all()]
        assert len(boxes) >= len(labels)
        assert all(box["x"] + box["width"] <= WIDTH for box in boxes)
        assert not found.errors
        assert not found.outside
