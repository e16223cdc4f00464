"""The page of the self-test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import marimo as mo

from dashboard.layout import badge, column, said, table
from dashboard.self_test import self_test

if TYPE_CHECKING:
    from dashboard.versions import Registry


def self_test_view(registry: Registry) -> mo.Html:
    """Run the checks and show what they found."""
    findings = list(self_test(registry))
    failed = sum(not finding.ok for finding in findings)
    rows = [
        (finding.name, badge("holds", "good") if finding.ok else badge("fails", "bad"), finding.found)
        for finding in findings
    ]
    total = badge(f"{len(findings) - failed} of {len(findings)} checks hold", "bad" if failed else "good")
    return column(
        [said("Checks of the data on these pages, made now."), total, table(("check", "", "found"), rows)]
    )
