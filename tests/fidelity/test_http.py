"""What only HTTP has, statuses, headers, sessions and event ids, is through Wicket what it is without it."""

import pytest

from tests.fidelity.http_checks import CHECKS, TRACE
from tests.fidelity.recording import Recording

pytestmark = pytest.mark.xdist_group("fidelity")


KEPT = {"notifications and answers are accepted with 202": "an answer to a question that nobody asked goes nowhere"}
"""Differences that are meant, in `docs/mcp.md`."""


@pytest.mark.parametrize("check", [check for check in CHECKS if check != TRACE])
def test_http_is_through_wicket_what_it_is_without_it(recording: Recording, check: str) -> None:
    direct, through = recording.http[check]
    assert not isinstance(direct, str), direct
    if through != direct and check in KEPT:
        pytest.xfail(KEPT[check])
    assert through == direct


def test_headers_that_are_no_part_of_mcp_are_the_only_thing_that_stays_behind(recording: Recording) -> None:
    (said, sent, *rest), (also_said, arrived, *also_rest) = recording.http[TRACE]
    assert (also_said, also_rest) == (said, rest)
    (raw, headers), (same, fewer) = sent[0], arrived[0]
    assert same == raw
    assert {name for name, _ in headers} - {name for name, _ in fewer} == {"traceparent", "tracestate"}
