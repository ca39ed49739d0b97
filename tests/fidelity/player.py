"""Plays every check over one connection, one after the other, and keeps what both ends saw.

A check that does not end in time ends the connection's part: what would follow could be out of step, and waiting for
each of a hundred checks is what looks like a run that hangs. The records say where it stalled.
"""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from tests.fidelity.cases import CASES
from tests.fidelity.peers import Frame, Peer, RefusedError, spoken
from tests.fidelity.script import CUE, Answered, Case, Hear, is_response_to
from tests.fidelity.servers import Entry

HANDSHAKE = "the handshake"
START_SECONDS = 300.0
"""The longest until the first answer: on a busy machine, a process that has not loaded its modules needs minutes."""
CHECK_SECONDS = 60.0
"""The longest that one check may take."""
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":'
    b'{"listChanged":true},"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"x-unknown":{"a":null,"n":1e2}},'
    b'"clientInfo":{"name":"raw","version":"9","title":"R\\u00fc","hint":1152921504606846977},"_meta":{"vendor/x":1.0},'
    b'"vendorParam":[]},"vendorTop":null}'
)


@dataclass(frozen=True)
class Record:
    """What both ends saw of one check."""

    frames: tuple[Frame, ...] = ()
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    entries: tuple[Entry, ...] = ()
    trouble: str = ""


Records = Mapping[str, Record]
"""Check -> what was seen."""


@dataclass
class Player:
    """One connection over which checks are played."""

    name: str
    peer: Peer
    journal: Callable[[], list[Entry]]
    modern: bool
    start_seconds: float = START_SECONDS
    check_seconds: float = CHECK_SECONDS
    at: str = "the start"
    """The check that is being played."""
    _cues: int = 0

    async def all(self) -> Records:
        """Play all that there is for this era."""
        cases = [case for case in CASES.values() if (case.modern if self.modern else case.legacy)]
        plays: dict[str, Callable[[], Awaitable[None]]] = {} if self.modern else {HANDSHAKE: self._begin}
        plays |= {case.name: lambda case=case: self._play(case) for case in cases}
        found: dict[str, Record] = {}
        stalled = "" if not self.modern or await self._answers() else self._stall(self.start_seconds)
        for self.at, play in plays.items():
            if not stalled:
                seconds = self.start_seconds if self.at == HANDSHAKE else self.check_seconds
                found[self.at], ended = await self._recorded(self.at, play, seconds)
                if ended and self.at == HANDSHAKE:
                    ended = await self._listens()
                stalled = "" if ended else self._stall(seconds)
            else:
                found[self.at] = Record(trouble=stalled)
        return found

    def _stall(self, seconds: float) -> str:
        return f"{self.name} stalled: `{self.at}` did not end in {seconds:g} seconds"

    async def _answers(self) -> bool:
        """Whether whoever is at the other end is there by now."""
        with anyio.move_on_after(self.start_seconds) as scope:
            try:
                await self._cue("")
            except RefusedError:
                return True  # that is an answer, and the checks will say which
        return not scope.cancelled_caught

    async def _listens(self) -> bool:
        """Whether the server's own stream opens."""
        with anyio.move_on_after(self.check_seconds) as scope:
            await self.peer.listen()
        return not scope.cancelled_caught

    async def _begin(self) -> None:
        await self.peer.send(INITIALIZE)
        await self.peer.seen.until(lambda frame: is_response_to(frame.raw, "0"))
        await self.peer.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        await self._cue("")

    async def _play(self, case: Case) -> None:
        since = len(self.peer.seen.frames)
        for step in case.client:
            if isinstance(step, Hear):
                await self.peer.seen.until(lambda frame, step=step: step.words in frame.raw, since)
            elif isinstance(step, Answered):
                await self.peer.seen.until(lambda frame, step=step: is_response_to(frame.raw, step.id), since)
            else:
                await self.peer.send(spoken(step, modern=self.modern))
        await self._cue("")

    async def _recorded(self, name: str, play: Callable[[], Awaitable[None]], seconds: float) -> tuple[Record, bool]:
        """What was seen of one check, and whether it ended."""
        seen, trouble, ended = self.peer.seen, "", True
        frames, entries = len(seen.frames), len(self.journal())
        seen.refused = ""
        with anyio.move_on_after(seconds) as scope:
            try:
                if name != HANDSHAKE:
                    with contextlib.suppress(RefusedError):  # of something that the check before has said
                        await self._cue(name)
                    frames, entries = len(seen.frames), len(self.journal())
                seen.heads.clear()
                await play()
            except RefusedError as error:
                trouble = str(error)
        if scope.cancelled_caught:
            trouble, ended = self._stall(seconds), False
        record = Record(
            tuple(
                replace(frame, raw=frame.raw.strip())
                for frame in seen.frames[frames:]
                if b'"id":"cue-' not in frame.raw
            ),
            {lane: head for lane, head in seen.heads.items() if "cue-" not in lane},
            tuple(self.journal()[entries:]),
            trouble,
        )
        return record, ended

    async def _cue(self, name: str) -> None:
        """Say which check comes next; whatever was said before has arrived when this is answered."""
        self._cues += 1
        since = len(self.peer.seen.frames)
        params = f'"_meta":{{@meta@"x":0}},"case":{json.dumps(name)}'
        said = f'{{"jsonrpc":"2.0","id":"cue-{self._cues}","method":"{CUE}","params":{{{params}}}}}'
        await self.peer.send(spoken(said.encode(), modern=self.modern))
        wanted = f'"cue-{self._cues}"'
        await self.peer.seen.until(lambda frame: is_response_to(frame.raw, wanted), since)
