"""Everything is played once, whatever is asked of it afterwards."""

import anyio
import pytest

from tests.fidelity.recording import Recording, record


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """What both ends saw of every check, directly and through Wicket."""
    return anyio.run(record, tmp_path_factory.mktemp("fidelity"))
