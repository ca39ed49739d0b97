"""Who fails too often waits, and who failed long ago does not."""

from console import attempts
from console.attempts import BURST, SECONDS_EACH, Attempts


def test_failures_beyond_the_burst_have_to_wait_and_are_forgiven_one_by_one() -> None:
    tries = Attempts()
    assert [tries.failed("a", 0.0) for _ in range(BURST)] == [0] * BURST
    assert tries.failed("a", 0.0) == round(SECONDS_EACH)
    assert tries.failed("b", 0.0) == 0
    assert tries.failed("a", SECONDS_EACH) == 0
    assert tries.failed("a", SECONDS_EACH) > 0
    assert [tries.failed("a", 1000.0) for _ in range(BURST)] == [0] * BURST


def test_no_more_addresses_are_remembered_than_fit() -> None:
    tries = Attempts()
    for number in range(attempts.MOST + 10):
        tries.failed(str(number), 0.0)
    assert len(tries._spent) == attempts.MOST  # pyright: ignore[reportPrivateUsage]
