"""Repetition, cycles and rates, and that remembering them is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from governance.config.models import Loop
from sessions.loops import Loops, fingerprint

NUMBERS = Loop()


def call(name: str) -> bytes:
    return fingerprint("files", name, {})


def test_the_same_call_is_counted_though_others_stand_between() -> None:
    loops = Loops(NUMBERS)
    for index in range(9):
        loops.see("run", call("read"), index)
        loops.see("run", call(f"other-{index}"), index)
    assert loops.see("run", call("read"), 10).repeats == 10


def test_calls_are_the_same_however_their_json_was_written() -> None:
    assert fingerprint("s", "t", {"a": 1, "b": [2.0]}) == fingerprint("s", "t", {"b": [2], "a": 1.0})
    assert fingerprint("s", "t", {"a": 1}) != fingerprint("s", "t", {"a": 2})
    assert fingerprint("s", "t", {"a": 1}) != fingerprint("other", "t", {"a": 1})


def test_runs_are_counted_apart() -> None:
    loops = Loops(NUMBERS)
    loops.see("one", call("read"), 0)
    assert loops.see("two", call("read"), 0).repeats == 1


def test_a_call_is_forgotten_after_the_window() -> None:
    loops = Loops(Loop(window_seconds=60))
    loops.see("run", call("read"), 0)
    loops.see("run", call("read"), 59)
    assert loops.see("run", call("read"), 60).repeats == 2


def test_a_cycle_is_seen_when_it_went_round_often_enough() -> None:
    for period in (2, 3, 4, 5):
        loops = Loops(Loop(cycle_repeats=3))
        seen = [loops.see("run", call(f"step-{index % period}"), index).period for index in range(period * 3)]
        assert seen == [0] * (period * 3 - 1) + [period]


def test_a_cycle_may_begin_anywhere() -> None:
    loops = Loops(Loop(cycle_repeats=3))
    seen = [loops.see("run", call(name), 0).period for name in "xyzababab"]
    assert seen[-1] == 2


def test_what_was_done_once_has_not_gone_round() -> None:
    loops = Loops(Loop(cycle_repeats=1))
    assert [loops.see("run", call(name), 0).period for name in "abab"] == [0, 0, 0, 2]


def test_one_call_repeated_is_no_cycle() -> None:
    loops = Loops(Loop(cycle_repeats=2))
    assert {loops.see("run", call("read"), index).period for index in range(30)} == {0}


def test_a_cycle_longer_than_five_is_left_to_the_count() -> None:
    loops = Loops(Loop(cycle_repeats=2))
    assert {loops.see("run", call(f"step-{index % 6}"), index).period for index in range(60)} == {0}


def test_the_rate_is_that_of_the_last_minute() -> None:
    loops = Loops(Loop(rate_per_minute=5))
    assert [loops.see("run", call(str(index)), index).too_fast for index in range(6)] == [False] * 5 + [True]
    assert not loops.see("run", call("later"), 70).too_fast


def test_a_run_can_be_forgotten() -> None:
    loops = Loops(NUMBERS)
    loops.see("run", call("read"), 0)
    loops.forget("run")
    assert loops.calls("run") == 0
    assert loops.held == (0, 0)
    assert loops.see("run", call("read"), 0).repeats == 1


def test_the_run_that_was_quiet_for_longest_is_forgotten_first() -> None:
    loops = Loops(NUMBERS, runs=2)
    for run in ("old", "new", "old", "newest"):
        loops.see(run, call("read"), 0)
    assert [loops.calls(run) for run in ("old", "new", "newest")] == [2, 0, 1]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.floats(0, 40)), max_size=300))
def test_memory_stays_within_its_bounds_whatever_comes(steps: list[tuple[int, int, float]]) -> None:
    loops = Loops(Loop(window_seconds=100), runs=5, calls=50)
    at = 0.0
    for run, name, wait in steps:
        at += wait
        seen = loops.see(f"run-{run}", call(str(name)), at)
        runs, calls = loops.held
        assert runs <= 5
        assert calls <= 50 or runs == 1
        assert 1 <= seen.repeats <= calls


@given(st.lists(st.integers(0, 2), max_size=80))
def test_a_cycle_is_said_exactly_when_there_is_one(names: list[int]) -> None:
    loops = Loops(Loop(cycle_repeats=3))
    said = 0
    for index, name in enumerate(names):
        said = loops.see("run", call(str(name)), index).period
    expected = 0
    for period in (5, 4, 3, 2):
        tail = names[-period * 3 :]
        if len(tail) == period * 3 and len(set(tail)) > 1 and tail == tail[:period] * 3:
            expected = period
    assert said == expected
