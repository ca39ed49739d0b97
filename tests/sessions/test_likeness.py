"""What makes two calls, and two answers, the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.config.models import Loop, LoopTool
from governance.exchange import EMPTY
from governance.jsontree import Json
from sessions.likeness import MASKED_CHARACTERS, Recipe, Recipes, answer_of, failure_of, fingerprint

USUAL = Recipes(Loop()).of("s/t", EMPTY)


def key(arguments: Json, recipe: Recipe = USUAL) -> bytes:
    return fingerprint("s", "t", arguments, recipe)


def said(text: str, *, error: bool = False, arguments: Json = None, recipe: Recipe = USUAL) -> tuple[bytes, bytes]:
    """Both digests of a result with a text."""
    result: Json = {"content": [{"type": "text", "text": text}], "isError": error}
    answer = answer_of({"jsonrpc": "2.0", "id": 1, "result": result}, arguments, recipe)
    return answer.raw, answer.masked()


def test_calls_are_the_same_however_their_json_was_written() -> None:
    assert key({"a": 1, "b": [2.0]}) == key({"b": [2], "a": 1.0})
    assert key({"a": 1}) != key({"a": 2})
    assert fingerprint("other", "t", {}, USUAL) != key({})
    assert fingerprint("s", "other", {}, USUAL) != key({})


def test_integers_count_to_the_last_digit() -> None:
    assert key({"id": 2**60}) != key({"id": 2**60 + 1})


def test_volatile_arguments_do_not_count_at_the_top_alone() -> None:
    assert key({"q": 1, "nonce": 2}) == key({"q": 1, "nonce": 3}) == key({"q": 1})
    assert key({"q": {"nonce": 2}}) != key({"q": {"nonce": 3}})


def test_an_argument_is_left_out_by_its_place() -> None:
    recipe = Recipes(Loop(tools={"s/t": LoopTool(ignore=("/meta/at", "tag"))})).of("s/t", EMPTY)
    assert key({"meta": {"at": 1, "to": 1}, "tag": 1}, recipe) == key({"meta": {"at": 2, "to": 1}}, recipe)
    assert key({"meta": {"at": 1, "to": 1}}, recipe) != key({"meta": {"at": 1, "to": 2}}, recipe)
    assert key({"meta": 7}, recipe) != key({"meta": 8}, recipe)


def test_only_the_key_counts_where_there_is_one() -> None:
    recipe = Recipes(Loop(tools={"s/t": LoopTool(key=("id", "/where/name"))})).of("s/t", EMPTY)
    assert key({"id": 1, "n": 1}, recipe) == key({"id": 1, "n": 2}, recipe)
    assert key({"id": 1}, recipe) != key({"id": 2}, recipe)
    assert key({"where": {"name": "a"}}, recipe) != key({"where": {"name": "b"}}, recipe)


def test_a_whole_name_wins_over_globs_and_of_globs_the_first() -> None:
    tools = {"s/*": LoopTool(exempt=True), "*/list": LoopTool(key=("q",)), "s/read": LoopTool()}
    recipes = Recipes(Loop(tools=tools))
    exempt = [name for name in ("s/read", "s/list", "s/x", "r/list") if recipes.of(name, EMPTY).exempt]
    assert exempt == ["s/list", "s/x"]
    assert recipes.of("r/list", EMPTY).key == ("/q",)


def test_a_server_is_heard_where_the_configuration_is_silent() -> None:
    recipes = Recipes(Loop(tools={"s/read": LoopTool(key=("path",))}))
    asked: dict[str, Json] = {"exempt": True, "key": ["id", 7], "ignore": ["n"]}
    assert recipes.of("s/other", asked).exempt
    assert recipes.of("s/other", asked).key == ("/id",)
    assert recipes.of("s/read", asked) == recipes.of("s/read", EMPTY)
    many: list[Json] = ["k"] * 1_000
    assert len(recipes.of("s/other", {"key": many}).key) <= 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 2026-11-28T08:00:00Z", "at 2026-11-29 09:30:12.345+02:00"),
        ("[08:00:00] waiting", "[23:59:59.123] waiting"),
        ("id 3f2b8c1e-0000-4000-8000-00000000000a", "id AF2B8C1E-1111-4000-8000-00000000000B"),
        ("since 1764316800", "since 1764316999"),
        ("since 1764316800123", "since 1764316999456.5"),
        ("took 12 ms", "took 340ms"),
        ("1 failed in 0.31s", "1 failed in 12.9 seconds"),
        ("pending (elapsed: 3)", "pending (elapsed: 30)"),
        ("pid 12 at 0xdeadbeef", "pid 98765 at 0x7f00aa11"),
        ('{"requestId": "a", "n": 1}', '{"requestId": "b", "n": 1}'),
        ('{"total_duration_ms": 12, "n": 1}', '{"total_duration_ms": 3.5, "n": 1}'),
    ],
)
def test_answers_are_the_same_where_only_what_always_differs_does(one: str, other: str) -> None:
    assert said(one)[0] != said(other)[0]
    assert said(one)[1] == said(other)[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 %", "4 %"),
        ("page 1 of 9", "page 2 of 9"),
        ("2026-11-28", "2026-11-29"),
        ("comes back in 4 s", "comes back in 8 s"),
        ("line 12: error", "line 13: error"),
        ("version 1.2", "version 1.3"),
        ('{"id": "a"}', '{"id": "b"}'),
        ("queued", "running"),
        ("12345678", "12345679"),
    ],
)
def test_what_moves_on_is_not_masked(one: str, other: str) -> None:
    assert said(one)[1] != said(other)[1]


def test_an_error_is_the_same_whatever_argument_it_repeats() -> None:
    missing = [said(f"no file {path}", error=True, arguments={"path": path}) for path in ("/a/b.py", '/c "d".py')]
    assert missing[0][1] == missing[1][1]
    assert said("no file /a", arguments={"path": "/a/b"})[1] != said("no file /c", arguments={"path": "/c"})[1]


def test_failures_are_no_results_and_differ_by_what_is_said() -> None:
    failed = answer_of({"error": {"code": -32603, "message": "no"}}, None, USUAL)
    assert (failed.failed, answer_of({"result": {"isError": True}}, None, USUAL).failed) == (True, True)
    assert not answer_of({"result": {"isError": False}}, None, USUAL).failed
    assert failure_of("timeout").failed
    assert failure_of("timeout").masked() == failure_of("timeout").raw != failure_of("hung up").raw


def test_what_a_server_says_beside_a_result_does_not_count() -> None:
    plain, beside = (answer_of({"result": {"content": [], "_meta": {"n": n}}}, None, USUAL) for n in (1, 2))
    assert plain.raw == beside.raw


def test_members_of_results_are_left_out_by_name_in_json_texts_too() -> None:
    recipe = Recipes(Loop(tools={"s/t": LoopTool(ignore_results=("eta",))})).of("s/t", EMPTY)
    assert said('{"s": {"eta": 1}}', recipe=recipe) == said('{"s": {"eta": 2}}', recipe=recipe)
    assert said('{"s": 1, "eta": 1}', recipe=recipe) != said('{"s": 2, "eta": 1}', recipe=recipe)
    assert said("{eta: 1", recipe=recipe) != said("{eta: 2", recipe=recipe)
    structured = [answer_of({"result": {"structuredContent": [{"eta": n}]}}, None, recipe).raw for n in (1, 2)]
    assert structured[0] == structured[1]


def test_a_long_answer_is_the_same_only_where_every_byte_is() -> None:
    long = "x" * MASKED_CHARACTERS
    assert said(f"{long} 12 ms")[1] != said(f"{long} 13 ms")[1]
    assert said(long)[1] == said(long)[1]


@given(st.text(max_size=300), st.text(max_size=300))
def test_masking_takes_any_text(one: str, arguments: str) -> None:
    assert said(one, error=True, arguments={"a": arguments}) == said(one, error=True, arguments={"a": arguments})
