"""Every check that is played over all transports, as data (`script.py`)."""

from collections.abc import Iterable, Mapping

from tests.fidelity.cases_legacy import LEGACY
from tests.fidelity.cases_modern import MODERN
from tests.fidelity.cases_plain import PLAIN
from tests.fidelity.script import Case


def _by_name(cases: Iterable[Case]) -> Mapping[str, Case]:
    found: dict[str, Case] = {}
    for case in cases:
        assert case.name not in found, case.name
        found[case.name] = case
    return found


CASES = _by_name((*PLAIN, *LEGACY, *MODERN))
