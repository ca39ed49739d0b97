"""The loop suite: traces that are loops are caught by the rung that is configured, and no other trace is spoken of."""

import pytest

from governance.verdict import Decision
from tests.sessions.agent import Player
from tests.sessions.loop_traces import LOOPS, Circle, turns
from tests.sessions.other_traces import OTHERS, Work


@pytest.mark.parametrize("circle", LOOPS, ids=lambda circle: circle.name)
async def test_a_loop_is_caught_by_its_rung(circle: Circle) -> None:
    player = Player(circle.numbers, said=circle.said)
    played = turns(circle, circle.by)
    before = [(one.rule, one.decision) for one in await player.play(played[:-1])]
    caught = [(one.rule, one.decision) for one in await player.play(played[-1:])]
    assert (circle.rule, circle.rung) in caught
    assert (circle.rule, circle.rung) not in before


@pytest.mark.parametrize("work", OTHERS, ids=lambda work: work.name)
async def test_what_is_no_loop_is_not_spoken_of(work: Work) -> None:
    player = Player(work.numbers, said=work.said)
    said = await player.play(work.turns)
    assert [(one.rule, one.decision) for one in said if one.decision is not Decision.ALLOW] == []
    assert player.made == sum(map(len, work.turns))


def test_the_suite_is_as_large_as_it_is_said_to_be() -> None:
    assert len({circle.name for circle in LOOPS}) >= 20
    assert len({work.name for work in OTHERS}) >= 40
