"""The ladder: noted, told, asked, refused, stopped; and what a person may allow of it."""

from dataclasses import replace

import pytest

from governance.config.models import Loop, LoopTool
from governance.exchange import Action, Body, Phase
from governance.jsontree import Json
from governance.stage import Outcome
from governance.verdict import ALLOWED, Decision, Relief, Verdict
from tests.sessions.agent import Player, Turn, alone, call
from tests.thoughts import told

READ = call("files/read", "text", path="a")
FAIL = call("sh/run", "refused", error=True, cmd="x")
SILENT = {
    f"{rule}_{rung}": 0 for rule in ("repeat", "cycle", "error") for rung in ("observe", "warn", "hold", "deny", "kill")
}


def numbers(**given: int) -> Loop:
    """Only these rungs."""
    return Loop.model_validate(SILENT | {"rate_per_minute": 0} | given)


async def decisions(player: Player, turns: int, *turn: Turn) -> list[Decision]:
    """What was decided before each call of turns with one call each, or behind its result."""
    said: list[Decision] = []
    for number in range(turns):
        spoken = await player.play([turn[number % len(turn)]])
        said.append(max((one.decision for one in spoken), key=lambda one: one.strength, default=Decision.ALLOW))
    return said


async def test_the_ladder_has_five_rungs_and_stops_hard_at_fifty() -> None:
    said = await decisions(Player(), 100, (READ,))
    assert said[:9] == [Decision.ALLOW] * 9
    assert said[9:19] == [Decision.WARN] * 10
    assert said[19:49] == [Decision.HOLD] * 30
    assert said[49:99] == [Decision.DENY] * 50
    assert said[99] is Decision.KILL


async def test_the_lowest_rung_is_a_note_in_the_log_and_nothing_else() -> None:
    (noted,) = await Player().play(alone([READ] * 5))
    assert noted.decision is Decision.ALLOW
    assert [(one.rule, one.decision) for one in noted.shadow] == [("loop.repeat", Decision.WARN)]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (
            alone([READ] * 20),
            (
                "`files/read` was called 20 times in this session with the same arguments and the same result: "
                "from 20 times on a person must approve it"
            ),
        ),
        (
            alone([call("a/x"), call("a/y")] * 10),
            (
                "the same 2 rounds of calls (`a/x`, `a/y`) went round 10 times in this session with the same results: "
                "from 10 times on a person must approve it"
            ),
        ),
        (
            alone([FAIL] * 13),
            (
                "`sh/run` failed 12 times in a row in this session with the same error: "
                "from 12 times on a person must approve it"
            ),
        ),
    ],
)
async def test_the_reason_says_what_repeats_and_carries_the_numbers(turns: list[Turn], reason: str) -> None:
    said = await Player().play(turns)
    assert [one.reason for one in said if one.decision is Decision.HOLD] == [reason]


async def test_the_agent_is_told_only_when_the_result_was_the_same_again() -> None:
    player = Player(numbers(repeat_warn=3))
    polls = [call("jobs/status", text) for text in ("queued", "queued", "done")]
    assert await player.play(alone(polls)) == []
    said = await player.play(alone([polls[-1]] * 2))
    assert [one.decision for one in said] == [Decision.WARN]
    assert said[0].reason.endswith("from 3 times on you are told so: try something else")


@pytest.mark.parametrize("rung", ["warn", "hold", "deny", "kill"])
async def test_a_rung_of_zero_is_switched_off(rung: str) -> None:
    player = Player(Loop.model_validate({"rate_per_minute": 0, f"repeat_{rung}": 0}))
    said = set(await decisions(player, 120, (READ,)))
    everything = {Decision.ALLOW, Decision.WARN, Decision.HOLD, Decision.DENY, Decision.KILL}
    assert said == everything - {Decision(rung)}


@pytest.mark.parametrize("rung", ["warn", "hold", "deny", "kill"])
@pytest.mark.parametrize("rule", ["cycle", "error"])
async def test_each_rung_of_cycles_and_errors_can_be_set_by_itself(rule: str, rung: str) -> None:
    player = Player(numbers(**{f"{rule}_{rung}": 4}))
    turns = [(FAIL,)] if rule == "error" else [(call("a/x"),), (call("a/y"),)]
    said = await decisions(player, 12, *turns)
    assert set(said) == {Decision.ALLOW, Decision(rung)}
    first = {"error": 4, "cycle": 8}[rule] + (rule == "error" and rung != "warn")
    assert said.index(Decision(rung)) == first - 1


async def test_an_approval_lets_one_call_through_and_the_ladder_goes_on() -> None:
    said = await decisions(Player(numbers(repeat_hold=2, repeat_deny=4)), 5, (READ,))
    assert said == [Decision.ALLOW, Decision.HOLD, Decision.HOLD, Decision.DENY, Decision.DENY]


async def test_a_person_may_allow_some_more_which_do_not_count() -> None:
    player = Player(numbers(repeat_hold=3, repeat_deny=5), relief=Relief(more=10))
    assert await decisions(player, 13, (READ,)) == [Decision.ALLOW] * 2 + [Decision.HOLD] + [Decision.ALLOW] * 10
    player.relief = Relief()
    assert await decisions(player, 2, (READ,)) == [Decision.HOLD, Decision.DENY]


@pytest.mark.parametrize("rule", ["cycle", "error"])
async def test_some_more_can_be_allowed_of_cycles_and_errors(rule: str) -> None:
    turns = [(FAIL,)] if rule == "error" else [(call("a/x"),), (call("a/y"),)]
    player = Player(numbers(**{f"{rule}_hold": 3}), relief=Relief(more=20))
    said = await decisions(player, 24, *turns)
    assert said.count(Decision.HOLD) == 1
    assert said.index(Decision.HOLD) == {"error": 3, "cycle": 5}[rule]


async def test_what_was_allowed_is_of_that_call_and_that_session_alone() -> None:
    player = Player(numbers(repeat_hold=3), relief=Relief(more=10))
    await player.play(alone([READ] * 3))
    player.relief = Relief()
    other = call("files/read", "text", path="b")
    assert [one.decision for one in await player.play(alone([other] * 3))] == [Decision.HOLD]
    assert [one.decision for one in await player.play(alone([READ] * 3), "ses_2")] == [Decision.HOLD]


async def test_a_person_may_let_a_tool_alone_for_the_session() -> None:
    player = Player(numbers(repeat_hold=3, repeat_deny=5), relief=Relief(exempt=True))
    said = await decisions(player, 60, (READ,))
    assert said == [Decision.ALLOW] * 2 + [Decision.HOLD] + [Decision.ALLOW] * 57
    player.relief = Relief()
    assert Decision.DENY in await decisions(player, 10, (call("files/list"),))


async def test_a_session_that_begins_anew_has_nothing_allowed() -> None:
    player = Player(numbers(repeat_hold=3), relief=Relief(exempt=True))
    await player.play(alone([READ] * 4))
    player.stage.forget("ses_1")
    assert await decisions(player, 3, (READ,)) == [Decision.ALLOW] * 2 + [Decision.HOLD]


async def test_nothing_is_allowed_by_a_call_that_was_not_held_because_of_a_loop() -> None:
    player = Player(numbers(repeat_hold=3))
    exchange = player.exchange(READ)
    await told(player.stage.judge(exchange, Phase.REQUEST))
    player.stage.relieve(exchange, Relief(exempt=True))
    player.stage.settle(exchange, Outcome("cancelled"))
    assert await decisions(player, 2, (READ,)) == [Decision.ALLOW, Decision.HOLD]


async def test_too_many_calls_a_minute_are_refused_even_of_tools_that_are_exempt() -> None:
    exempt = {"clock/*": LoopTool(exempt=True)}
    player = Player(Loop(rate_per_minute=3, tools=exempt))
    said = await player.play(alone([call("clock/now")] * 4))
    assert [one.decision for one in said] == [Decision.DENY]
    assert said[0].reason == "more than 3 calls within a minute in this session: wait a little"
    player.clock.advance(60)
    assert await player.play(alone([call("clock/now")])) == []


async def test_a_call_that_nobody_answered_is_an_error_by_what_is_known_of_it() -> None:
    player = Player(numbers(error_hold=3))
    for _ in range(3):
        exchange = player.exchange(READ)
        assert await told(player.stage.judge(exchange, Phase.REQUEST)) is ALLOWED
        assert player.stage.owes(exchange)
        player.stage.settle(exchange, Outcome("unknown", error="the server did not answer in time"))
        assert not player.stage.owes(exchange)
    assert await decisions(player, 1, (READ,)) == [Decision.HOLD]


async def test_a_call_that_a_person_changed_is_not_made_as_it_was_asked_for() -> None:
    player, other = Player(numbers(repeat_hold=3)), call("files/read", "text", path="b")
    await player.play(alone([READ] * 2))
    held, changed = player.exchange(READ), player.exchange(other)
    assert (await told(player.stage.judge(held, Phase.REQUEST))).decision is Decision.HOLD
    changed = replace(held, request=changed.request)
    assert await told(player.stage.judge(changed, Phase.REQUEST)) is ALLOWED
    await told(player.stage.judge(changed.answered(Body({"result": other.answer})), Phase.RESPONSE))
    assert not player.stage.owes(changed)
    assert await decisions(player, 2, (other,)) == [Decision.ALLOW, Decision.HOLD]
    assert await decisions(player, 4, (READ,)) == [Decision.ALLOW] * 2 + [Decision.HOLD] * 2


async def test_a_call_that_was_refused_elsewhere_counts_too() -> None:
    player = Player(numbers(repeat_deny=5))
    verdicts: list[Verdict] = []
    for _ in range(5):
        exchange = player.exchange(READ)
        verdicts.append(await told(player.stage.judge(exchange, Phase.REQUEST)))
        player.stage.settle(exchange, Outcome("refused"))
    assert [one.decision for one in verdicts] == [Decision.ALLOW] * 4 + [Decision.DENY]


async def test_a_call_that_is_made_again_because_it_waits_for_a_person_does_not_count() -> None:
    player = Player(numbers(repeat_hold=2))
    for _ in range(10):
        exchange = player.exchange(READ)
        assert await told(player.stage.judge(exchange, Phase.REQUEST)) is ALLOWED
        player.stage.settle(exchange, Outcome("pending"))
    assert await decisions(player, 2, (READ,)) == [Decision.ALLOW, Decision.HOLD]


async def test_only_tool_calls_count() -> None:
    player = Player(numbers(repeat_deny=1))
    exchange = player.exchange(READ)
    listing = replace(exchange, action=Action.TOOL_LIST)
    assert await told(player.stage.judge(listing, Phase.REQUEST)) is ALLOWED
    assert await told(player.stage.judge(exchange, Phase.RESPONSE)) is ALLOWED
    assert (await told(player.stage.judge(exchange, Phase.REQUEST))).decision is Decision.DENY
    assert player.stage.loops.calls("ses_1") == 1


@pytest.mark.parametrize("said", [{"exempt": "yes"}, {"key": "id"}, {"key": [7, ""]}, {"ignore": None}])
async def test_what_a_server_says_and_nobody_understands_changes_nothing(said: dict[str, Json]) -> None:
    assert await decisions(Player(numbers(repeat_hold=3), said=said), 3, (READ,)) == [Decision.ALLOW] * 2 + [
        Decision.HOLD
    ]


async def test_the_configuration_goes_before_what_a_server_says() -> None:
    tools = {"files/read": LoopTool(), "files/*": LoopTool(exempt=True)}
    player = Player(Loop(repeat_hold=3, tools=tools), said={"exempt": True})
    assert await decisions(player, 3, (READ,)) == [Decision.ALLOW] * 2 + [Decision.HOLD]
    assert await decisions(player, 60, (call("files/list"),)) == [Decision.ALLOW] * 60


async def test_no_reason_carries_an_argument_or_a_result() -> None:
    said = await Player(Loop(rate_per_minute=40)).play(alone([call("a/b", "hunter3", password="hunter2")] * 120))
    said += await Player().play(alone([call("a/b", "hunter3", error=True, password="hunter2")] * 60))
    assert said
    assert not [one for one in said if "hunter" in one.reason + "".join(shade.reason for shade in one.shadow)]
