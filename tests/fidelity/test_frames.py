"""Every check over every pair of transports: both ends see through Wicket, frame by frame, what they see without it."""

import pytest

from tests.conformance.process import ROOT
from tests.fidelity.cases import CASES
from tests.fidelity.comparing import differences
from tests.fidelity.http_checks import CHECKS
from tests.fidelity.player import HANDSHAKE
from tests.fidelity.recording import WAYS, Recording, Way

pytestmark = pytest.mark.xdist_group("fidelity")

KEPT = {
    "a server's request withdrawn": "a question is judged first: withdrawn meanwhile, it never reaches the client",
    "several requests of the server at once": "each is judged by itself, so one may overtake another",
}
"""Differences that are meant, in `docs/mcp.md`."""

_CHECKS = [
    pytest.param(way, check, id=f"{way.name}: {check}")
    for way in WAYS
    for check in (*(() if way.modern else (HANDSHAKE,)), *(
        case.name for case in CASES.values() if (case.modern if way.modern else case.legacy)
    ))
]  # fmt: skip


@pytest.mark.parametrize(("way", "check"), _CHECKS)
def test_both_ends_see_through_wicket_what_they_see_without_it(recording: Recording, way: Way, check: str) -> None:
    found = differences(recording, way, check)
    if found and check in KEPT:
        pytest.xfail(KEPT[check])
    assert not found, "\n".join(found)


def test_there_are_as_many_checks_as_the_documentation_says() -> None:
    page = (ROOT / "docs/mcp.md").read_text()
    legacy, modern = sum(case.legacy for case in CASES.values()), sum(case.modern for case in CASES.values())
    for said in (f"| {legacy} of the older era", f"| {modern} of 2026-07-28", f"| {len(CHECKS)} of HTTP"):
        assert said in page
    assert all(sum(1 for param in _CHECKS if param.values[0] == way) >= 40 for way in WAYS)
