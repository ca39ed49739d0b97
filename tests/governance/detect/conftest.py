"""Detectors are compiled once for all tests of this room: they are immutable."""

import hyperscan
import pytest

from governance.detect.detector import Detector, open_detector
from governance.detect.families import all_families


@pytest.fixture(scope="session")
def detector() -> Detector:
    return open_detector("hyperscan")


@pytest.fixture(scope="session")
def slow_detector() -> Detector:
    """The same rules on the standard library."""
    return Detector(all_families(), "re")


@pytest.fixture
def broken_detector(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Detector:
    """A detector whose engine fails."""

    class Broken:
        name = "broken"

        def fired(self, data: bytes) -> dict[int, list[int]]:
            raise hyperscan.ScratchInUseError

    broken = Detector(detector.rules[:1])
    monkeypatch.setattr(broken, "_general", Broken())
    return broken
