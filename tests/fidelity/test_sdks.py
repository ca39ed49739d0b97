"""Every official client meets every official server, and is answered through Wicket what it is answered without it."""

from typing import Any

import anyio
import pytest

from tests.conformance.npm import is_installed
from tests.conftest import ON_CI
from tests.fidelity.sdk import HERE, HOME
from tests.fidelity.sdk.matrix import MEETINGS, Matrix, Meeting, play

pytestmark = pytest.mark.xdist_group("fidelity-sdks")

_STEPS = {
    "introduction", "tools", "echo", "count", "fail", "broken", "ask", "resources", "templates", "contents", "prompts",
    "prompt", "completion", "together", "notes", "steps",
}  # fmt: skip
_LEGACY_STEPS = {"ping", "level", "log"}


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """What everybody was answered. On CI missing SDKs are a failure."""
    if not is_installed(HOME, HERE) and not ON_CI:
        pytest.skip("the TypeScript SDKs are not installed: `make test` does it")
    return anyio.run(play, tmp_path_factory.mktemp("sdks"))


def _compared(seen: dict[str, Any], meeting: Meeting) -> dict[str, Any]:
    # The TypeScript clients lose progress that comes in one piece with the result, as it does on a pipe; what there is
    # to lose, and in which order it comes, is held by `test_frames.py`.
    loses = meeting.client != "python" and meeting.transport != "http"
    return {name: value for name, value in seen.items() if not (loses and name == "steps")}


@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda meeting: meeting.name)
def test_a_client_is_answered_the_same_through_wicket(matrix: Matrix, meeting: Meeting) -> None:
    direct, through = matrix.pair(meeting)
    assert "trouble" not in direct, direct
    assert "trouble" not in through, through
    assert _compared(through, meeting) == _compared(direct, meeting)
    assert set(direct) == _STEPS | (set() if meeting.modern else _LEGACY_STEPS)


def test_each_client_meets_each_server() -> None:
    assert len({(one.client, one.server) for one in MEETINGS}) == 9
