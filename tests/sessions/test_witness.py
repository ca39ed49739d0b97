"""`sessions.witness`: a kill is confirmed by each process when the last of what it cut has ended there, not before."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from governance.audit.log import Journal
from governance.exchange import Principal, SessionRef
from governance.store import Store, open_store
from governance.verdict import Verdict
from sessions.killswitch import KillSwitch, Scope
from sessions.store import SqlKills, SqlWitnesses
from sessions.witness import STALE_SECONDS, Carried, Witness
from tests.conftest import ManualClock

AGENT = Principal("key_1", tenant="acme", agent="builder")
RUN = SessionRef("ses_1", "explicit", 1)


@dataclass
class House:
    """One process that serves."""

    store: Store
    kills: KillSwitch
    witness: Witness
    board: SqlWitnesses

    async def look(self) -> None:
        """What the watch does once."""
        kills = await self.kills.store.in_force(now=True)
        await self.witness.look(kills, self.kills.ending, self.kills.counts)

    async def carried(self) -> Carried:
        """How far the only kill in force is carried out."""
        (kill,) = (await self.kills.store.in_force(now=True)).values()
        (carried,) = await self.board.carried([kill])
        return carried


@asynccontextmanager
async def house(url: str, clock: ManualClock, name: str) -> AsyncGenerator[House]:
    async with open_store(url) as store:
        audit, board = Journal(store, bytes(range(32)), clock), SqlWitnesses(store, clock)
        witness = Witness(f"id-{name}", name, board, clock)
        yield House(store, KillSwitch(SqlKills(store, audit, clock), audit, clock, watcher=witness), witness, board)


async def test_each_process_confirms_for_itself_once_all_of_it_has_ended(database_url: str, clock: ManualClock) -> None:
    async with house(database_url, clock, "gateway") as gateway, house(database_url, clock, "mcp") as mcp:
        await gateway.look()
        await mcp.look()
        cut: list[Verdict] = []
        with gateway.kills.track(AGENT, RUN, cut.append):
            clock.advance(1)
            await gateway.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
            clock.advance(1)
            await gateway.look()
            await mcp.look()
            carried = await mcp.carried()
            assert [(one.name, one.cut) for one in carried.confirmed] == [("mcp", 0)]
            assert [one.name for one in carried.waiting] == ["gateway"]
            assert not carried.everywhere
        await gateway.look()
        carried = await mcp.carried()
        assert {(one.name, one.cut) for one in carried.confirmed} == {("mcp", 0), ("gateway", 1)}
        assert carried.everywhere
        assert len(cut) == 1


async def test_a_kill_that_is_thrown_again_is_confirmed_again(database_url: str, clock: ManualClock) -> None:
    async with house(database_url, clock, "gateway") as gateway:
        await gateway.look()
        for round_ in range(2):
            clock.advance(1)
            await gateway.kills.kill(Scope.KEY, "key_1", reason="enough", actor="anna")
            assert not (await gateway.carried()).everywhere, round_
            await gateway.look()
            assert (await gateway.carried()).everywhere, round_
            await gateway.kills.revive(Scope.KEY, "key_1", reason="", actor="anna")
            await gateway.look()


async def test_what_started_later_or_has_ended_is_not_waited_for(database_url: str, clock: ManualClock) -> None:
    async with house(database_url, clock, "gateway") as gateway, house(database_url, clock, "mcp") as mcp:
        await gateway.look()
        clock.advance(1)
        await gateway.kills.kill(Scope.ALL, "", reason="enough", actor="anna")
        clock.advance(1)
        await mcp.look()
        carried = await mcp.carried()
        assert [one.name for one in carried.waiting] == ["gateway"]
        await gateway.witness.leave()
        assert (await mcp.carried()).everywhere


async def test_a_process_that_is_silent_is_not_waited_for_for_ever(database_url: str, clock: ManualClock) -> None:
    async with house(database_url, clock, "gateway") as gateway:
        await gateway.look()
        clock.advance(1)
        await gateway.kills.kill(Scope.ALL, "", reason="enough", actor="anna")
        assert [one.name for one in (await gateway.carried()).waiting] == ["gateway"]
        clock.advance(STALE_SECONDS)
        assert (await gateway.carried()).everywhere


async def test_what_cannot_be_told_stops_neither_the_watch_nor_the_cutting(sqlite_url: str, clock: ManualClock) -> None:
    async with house(sqlite_url, clock, "gateway") as gateway:
        pass  # the database is closed
    await gateway.witness.look({}, {}, {})
    await gateway.witness.leave()
    done = anyio.Event()
    with gateway.kills.track(AGENT, RUN, lambda _verdict: done.set()), anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.kills.watch)
            await done.wait()
            tasks.cancel_scope.cancel()


class Stuck:
    """A watcher whose word is never written."""

    async def look(self, kills: object, ending: object, cut: object) -> None:
        await anyio.sleep_forever()


async def test_what_waits_to_be_told_keeps_nothing_from_being_cut(sqlite_url: str, clock: ManualClock) -> None:
    async with house(sqlite_url, clock, "gateway") as gateway:
        kills = KillSwitch(gateway.kills.store, gateway.kills.audit, clock, watcher=Stuck())
        done = anyio.Event()
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kills.watch)
                await anyio.wait_all_tasks_blocked()
                with kills.track(AGENT, RUN, lambda _verdict: done.set()):
                    await gateway.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
                    await done.wait()
                tasks.cancel_scope.cancel()
