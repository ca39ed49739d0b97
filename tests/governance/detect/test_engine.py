"""One suite over both prefilters, and what only one of them can do wrong."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import hyperscan
import pytest

from governance.detect.engine import Engine, Gate, HyperscanEngine, ReEngine, open_engine

GATES = {
    0: Gate("secret"),
    1: Gate("drop table", caseless=True),
    2: Gate(r"\d{3}-\d{2}"),
    3: Gate(r"\bword\b"),
    4: Gate(r"\w+@\s", bounded=r"\w{1,64}@\s"),
}


@pytest.fixture(params=[HyperscanEngine, ReEngine])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param(GATES)


@pytest.mark.parametrize(
    ("data", "fired"),
    [
        (b"", set[int]()),
        (b"nothing", set[int]()),
        (b"a secret", {0}),
        (b"a Secret", set[int]()),
        (b"DROP Table", {1}),
        (b"123-45 secret", {0, 2}),
        (b"word", {3}),
        (b"words", set[int]()),
        ("wörd word é".encode(), {3}),
        ("日本word語".encode(), {3}),
        (b"a@ ", {4}),
        (b"a\x00secret\x00b", {0}),
    ],
)
def test_it_says_which_gates_match(engine: Engine, data: bytes, fired: set[int]) -> None:
    assert set(engine.fired(data)) == fired


def test_classes_mean_the_same_to_both() -> None:
    shapes = (r"\s", r"\w", r"\d", r"[^\x00]", r"\b \b")
    gates = {number: Gate(rf"x{shape}y") for number, shape in enumerate(shapes)}
    fast, slow = HyperscanEngine(gates), ReEngine(gates)
    for code in range(0x500):
        data = f"x{chr(code)}y".encode()
        wide = {3} if code >= 0x80 else set[int]()  # one character is more than one byte: see `Rule.loose`
        assert set(fast.fired(data)) | wide == set(slow.fired(data)) | wide, code


def test_hyperscan_says_where_each_match_ends() -> None:
    assert HyperscanEngine(GATES).fired(b"secret secret 123-45") == {0: [6, 13], 2: [20]}


@pytest.mark.parametrize("offset", [0, 4096, 65_536, 1_048_576])
def test_nothing_is_too_far_into_a_text(engine: Engine, offset: int) -> None:
    assert 0 in engine.fired(b"a" * offset + b"secret" + b"a" * 64)


def test_a_gate_of_which_only_presence_counts_says_it_once_and_not_where() -> None:
    assert HyperscanEngine({0: Gate("a", once=True), 1: Gate("b")}).fired(b"aaab") == {0: [], 1: [4]}


def test_after_the_most_ends_that_are_worth_knowing_every_gate_could_match_anywhere() -> None:
    engine = HyperscanEngine({0: Gate("a"), 1: Gate("b")}, most=3)
    assert engine.fired(b"aa") == {0: [1, 2]}
    assert engine.fired(b"a" * 1000) == {0: [], 1: []}
    assert engine.fired(b"xb") == {1: [2]}


def test_two_threads_scan_at_once() -> None:
    engine = HyperscanEngine(GATES)
    barrier = Barrier(2)
    data = b"nothing here " * 20_000 + b"secret"

    def scan() -> int:
        barrier.wait(5)
        return sum(0 in engine.fired(data) for _ in range(50))

    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in (pool.submit(scan), pool.submit(scan))] == [50, 50]


def test_a_gate_outside_the_shared_dialect_is_refused() -> None:
    with pytest.raises(hyperscan.error):
        open_engine({0: Gate("(?<=a)b")})


def test_the_engine_can_be_chosen() -> None:
    assert open_engine(GATES).name == "hyperscan"
    assert open_engine(GATES, "re").name == "re"


def test_gates_are_reported_by_the_numbers_they_were_given() -> None:
    gates = {7: Gate("seven"), 70: Gate("seventy")}
    assert set(HyperscanEngine(gates).fired(b"seventy")) == set(ReEngine(gates).fired(b"seventy")) == {7, 70}
