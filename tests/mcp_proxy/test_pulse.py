"""How failures become pauses."""

import pytest

from mcp_proxy.link import Health, UpstreamUnreachableError
from mcp_proxy.pulse import LONGEST_WAIT_SECONDS, STABLE_SECONDS, Pulse
from tests.conftest import ManualClock


def test_the_first_failure_asks_for_no_pause_and_each_further_one_for_twice_as_much(clock: ManualClock) -> None:
    pulse = Pulse("s", clock, lambda: 1.0)
    pulse.failed("it broke")
    pulse.check()
    for wait in (0.5, 1.0, 2.0):
        pulse.failed("it broke")
        clock.advance(wait - 0.01)
        with pytest.raises(UpstreamUnreachableError, match=r"`s` is failing \(it broke\)"):
            pulse.check()
        clock.advance(0.02)
        pulse.check()


def test_the_pause_has_a_longest(clock: ManualClock) -> None:
    pulse = Pulse("s", clock, lambda: 1.0)
    for _ in range(2000):
        pulse.failed("it broke")
    clock.advance(LONGEST_WAIT_SECONDS)
    pulse.check()


def test_jitter_shortens_the_pause_to_half_at_most(clock: ManualClock) -> None:
    pulse = Pulse("s", clock, lambda: 0.0)
    pulse.failed("x")
    pulse.failed("x")
    clock.advance(0.25)
    pulse.check()


def test_a_server_that_was_well_for_long_starts_over(clock: ManualClock) -> None:
    pulse = Pulse("s", clock, lambda: 1.0)
    for _ in range(5):
        pulse.failed("x")
    began = pulse.started()
    assert pulse.condition.health is Health.FAILING
    pulse.answered()
    assert pulse.condition.health is Health.READY
    clock.advance(STABLE_SECONDS)
    pulse.ended("it exited with 1", began)
    assert pulse.vitals.failures == 1
    pulse.check()


def test_a_server_that_answers_and_then_dies_at_once_is_not_trusted(clock: ManualClock) -> None:
    pulse = Pulse("s", clock, lambda: 1.0)
    for _ in range(3):
        began = pulse.started()
        pulse.answered()
        pulse.ended("it exited with 1", began)
    assert pulse.vitals.failures == 3
    assert pulse.vitals.starts == 3
    assert pulse.vitals.failing_since == clock.now()
    with pytest.raises(UpstreamUnreachableError):
        pulse.check()


def test_a_stopped_server_says_so(clock: ManualClock) -> None:
    pulse = Pulse("s", clock, lambda: 0.0)
    pulse.stopped()
    assert pulse.condition.health is Health.STOPPED
