"""Repetition, cycles, errors and rates, and that remembering them is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from governance.config.models import Loop
from sessions.loops import CALLS_OF_ONE, NOTHING, TOOLS_OF_ONE, Call, Loops, Sighting
from sessions.streak import RESULTS_OF_ONE, Answer

NUMBERS = Loop()


def call(name: str, *, reads: bool = False) -> Call:
    return Call(name.encode(), f"files/{name}", reads)


def answer(text: str = "text", *, failed: bool = False) -> Answer:
    """A result in which digits differ each time."""
    masked = "".join(one for one in text if not one.isdigit()).encode()
    return Answer(text.encode(), lambda: masked, failed)


def made(loops: Loops, name: str, result: Answer | None = None, at: float = 0, run: str = "run") -> Sighting:
    """A call that is made and answered; what was seen behind its result."""
    loops.begin(run, call(name), at)
    return loops.end(run, call(name), result or answer(), at)


def test_the_same_call_is_counted_though_others_that_were_made_before_stand_between() -> None:
    loops = Loops(NUMBERS)
    for name in ("a", "b", "read"):
        made(loops, name)
    seen = [made(loops, name).repeats for name in ("a", "read", "b", "read", "a", "b", "read")]
    assert seen == [1, 2, 1, 3, 2, 2, 4]


def test_it_is_counted_anew_once_something_was_done_for_the_first_time() -> None:
    loops = Loops(NUMBERS)
    assert [made(loops, name).repeats for name in ("test", "test", "edit 1", "test", "test")] == [1, 2, 1, 1, 2]


def test_what_only_failed_was_not_done() -> None:
    loops = Loops(NUMBERS)
    made(loops, "test")
    made(loops, "edit", answer("no", failed=True))
    assert made(loops, "test").repeats == 2
    made(loops, "edit", answer("done"))
    assert made(loops, "test").repeats == 1


def test_another_result_begins_the_count_anew_and_what_varies_does_not() -> None:
    loops = Loops(NUMBERS)
    results = ("at 1", "at 2", "at 3", "done at 4", "done at 5", "at 6")
    assert [made(loops, "poll", answer(result)).repeats for result in results] == [1, 2, 3, 1, 2, 1]


def test_a_first_result_that_nobody_masked_counts_as_equal_to_the_second_alone() -> None:
    loops = Loops(NUMBERS)
    assert [made(loops, "poll", answer(result)).repeats for result in ("on", "off", "on", "off")] == [1, 2, 1, 1]
    assert [made(loops, "try", answer(result)).repeats for result in ("on", "on", "off", "off")] == [1, 2, 1, 2]


def test_a_result_is_masked_only_when_its_call_is_made_again() -> None:
    loops, masked = Loops(NUMBERS), list[str]()

    def result(text: str) -> Answer:
        return Answer(text.encode(), lambda: masked.append(text) or b"same")

    made(loops, "poll", result("first"))
    assert masked == []
    for _ in range(5):
        made(loops, "poll", result("first"))
    assert masked == ["first"]


def test_calls_under_way_together_count_once() -> None:
    loops = Loops(NUMBERS)
    for _ in range(3):
        begun = [loops.begin("run", call("read"), 0).repeats for _ in range(4)]
        ended = [loops.end("run", call("read"), answer(), 0).repeats for _ in range(4)]
        assert len(set(begun)) == 1
        assert begun == ended
    assert loops.begin("run", call("read"), 0).repeats == 4


def test_a_call_made_again_while_another_goes_on_is_a_round_of_its_own() -> None:
    loops = Loops(NUMBERS)
    loops.begin("run", call("long"), 0)
    assert [made(loops, "read").repeats for _ in range(3)] == [1, 2, 3]


def test_what_was_not_made_counts_and_says_nothing_of_the_result() -> None:
    loops = Loops(NUMBERS)
    made(loops, "read")
    for _ in range(3):
        loops.begin("run", call("read"), 0)
        loops.end("run", call("read"), None, 0)
    assert made(loops, "read").repeats == 5


def test_runs_are_counted_apart() -> None:
    loops = Loops(NUMBERS)
    made(loops, "read", run="one")
    assert made(loops, "read", run="two").repeats == 1


def test_an_ending_is_forgotten_after_the_window() -> None:
    loops = Loops(Loop(window_seconds=60))
    assert [made(loops, "read", at=at).repeats for at in (0, 59, 60)] == [1, 2, 2]


def test_a_cycle_is_counted_by_its_rounds() -> None:
    for period in (2, 3, 4, 5):
        loops = Loops(NUMBERS)
        seen = [made(loops, f"step-{index % period}") for index in range(period * 4)]
        assert [one.cycles for one in seen[period * 2 - 1 :: period]] == [2, 3, 4]
        assert {one.period for one in seen[period * 2 - 1 :]} == {period}
        assert {one.tools for one in seen[period * 2 - 1 :: period]} == {
            tuple(f"files/step-{index}" for index in range(period))
        }


def test_a_cycle_may_begin_anywhere_and_ends_with_another_result() -> None:
    loops = Loops(NUMBERS)
    assert [made(loops, name).cycles for name in "xyzababab"][-1] == 3
    assert made(loops, "a").cycles == 3
    assert made(loops, "b", answer("other")).cycles == 0
    assert made(loops, "a").cycles == 0


def test_one_call_repeated_is_no_cycle_even_if_its_results_are_one() -> None:
    loops = Loops(NUMBERS)
    assert {made(loops, "read").cycles for _ in range(30)} == {0}
    assert {made(loops, "poll", answer("abc"[index % 3])).cycles for index in range(30)} == {0}


def test_a_cycle_longer_than_five_is_left_to_the_count() -> None:
    loops = Loops(NUMBERS)
    seen = [made(loops, f"step-{index % 6}") for index in range(60)]
    assert {one.cycles for one in seen} == {0}
    assert seen[-1].repeats == 10


def test_rounds_of_a_cycle_are_forgotten_after_the_window() -> None:
    loops = Loops(Loop(window_seconds=10))
    assert max(made(loops, "ab"[index % 2], at=index * 3).cycles for index in range(40)) < 3


def test_errors_are_counted_by_tool_whatever_it_was_given() -> None:
    loops = Loops(NUMBERS)
    tool = [Call(str(number).encode(), "sh/run") for number in range(6)]

    def run(number: int, result: Answer) -> int:
        loops.begin("run", tool[number], 0)
        return loops.end("run", tool[number], result, 0).errors

    refused, other = answer("refused", failed=True), answer("not found", failed=True)
    assert [run(number, refused) for number in range(3)] == [1, 2, 3]
    assert loops.begin("run", tool[3], 0).errors == 3
    assert loops.end("run", tool[3], other, 0).errors == 1
    assert [run(number, other) for number in (4, 5)] == [2, 3]
    assert [run(0, answer("fine")), run(1, other)] == [0, 1]


def test_errors_of_one_turn_count_once() -> None:
    loops = Loops(NUMBERS)
    for name in "abc":
        loops.begin("run", Call(name.encode(), "sh/run"), 0)
    for name in "abc":
        seen = loops.end("run", Call(name.encode(), "sh/run"), answer("refused", failed=True), 0)
        assert seen.errors == 1


def test_the_rate_is_that_of_the_last_minute() -> None:
    loops = Loops(Loop(rate_per_minute=5))
    assert [loops.begin("run", None, at).too_fast for at in range(6)] == [False] * 5 + [True]
    assert not loops.begin("run", call("later"), 70).too_fast


def test_a_call_that_forms_no_loop_is_counted_for_the_rate_alone() -> None:
    loops = Loops(NUMBERS)
    assert {loops.begin("run", None, 0) for _ in range(30)} == {Sighting()}
    assert loops.calls("run") == 30


def test_a_run_can_be_forgotten_even_while_a_call_of_it_goes_on() -> None:
    loops = Loops(NUMBERS)
    loops.begin("run", call("read"), 0)
    loops.forget("run")
    assert loops.calls("run") == 0
    assert loops.held == (0, 0)
    assert loops.end("run", call("read"), answer(), 0) is NOTHING
    assert made(loops, "read").repeats == 1


def test_the_run_that_was_quiet_for_longest_is_forgotten_first() -> None:
    loops = Loops(NUMBERS, runs=2)
    for run in ("old", "new", "old", "newest"):
        made(loops, "read", run=run)
    assert [loops.calls(run) for run in ("old", "new", "newest")] == [2, 0, 1]


def test_one_run_does_not_fill_the_memory_by_ever_new_calls_tools_and_results() -> None:
    loops = Loops(Loop(rate_per_minute=0, cycle_kill=10, cycle_deny=10))
    for index in range(CALLS_OF_ONE * 2):
        made(loops, f"{index}", answer("no", failed=index % 2 == 0))
    assert loops.held[1] <= 2 * CALLS_OF_ONE + 2 * TOOLS_OF_ONE + 60
    for index in range(RESULTS_OF_ONE * 5):
        assert made(loops, "poll", answer("x" * (index + 1))).repeats <= 2


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 2), st.floats(0, 40)), max_size=300))
def test_memory_stays_within_its_bounds_whatever_comes(steps: list[tuple[int, int, int, float]]) -> None:
    loops = Loops(Loop(window_seconds=100), runs=5, marks=50)
    at = 0.0
    for run, name, kind, wait in steps:
        at += wait
        seen = loops.begin(f"run-{run}", call(str(name)), at)
        if kind:
            loops.end(f"run-{run}", call(str(name)), answer("x" * name, failed=kind == 2), at)
        runs, marks = loops.held
        assert runs <= 5
        assert marks <= 50 or runs == 1
        assert seen.repeats >= 1
    for run in range(31):
        loops.forget(f"run-{run}")
    assert loops.held == (0, 0)


@given(st.lists(st.integers(0, 2), max_size=80))
def test_a_cycle_is_said_exactly_when_there_is_one(names: list[int]) -> None:
    loops = Loops(NUMBERS)
    said = 0
    for name in names:
        said = made(loops, str(name)).cycles
    best = 0
    for period in (5, 4, 3, 2):
        for rounds in range(2, len(names) // period + 1):
            tail = names[-period * rounds :]
            if len(set(tail)) > 1 and tail == tail[:period] * rounds:
                best = max(best, rounds)
    assert said == best
