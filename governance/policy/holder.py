"""The policy in force, followed while its files change: a broken file never replaces a good one, and is said loudly.

It neither judges (`engine.py`) nor decides how its news are written down: that is its owner's `on_event`.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.to_thread

from governance.policy.engine import Policy
from governance.policy.load import PolicyError, Source, compile_sources, read_sources

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """News about the policy: new rules came into force, or were refused and the old ones stay."""

    loaded: bool
    version: str
    """Of the policy that is in force after this."""
    files: tuple[str, ...]
    problems: tuple[str, ...] = ()
    """Why the files were refused, one text each; names rules and keys, never values of them."""
    sources: tuple[Source, ...] = field(default=(), compare=False, repr=False)
    """What came into force, so that it can be kept; empty where nothing did."""
    rules: int = field(default=0, compare=False)
    """How many rules that are."""


OnEvent: TypeAlias = Callable[[PolicyEvent], Awaitable[None]]


class Policies:
    """Holds the policy in force. Judging reads `current`; nothing else is shared with the task that follows files."""

    def __init__(self, paths: Sequence[Path], current: Policy, on_event: OnEvent) -> None:
        """Take a policy that was loaded from `paths`; `open_policies` does both."""
        self._paths = tuple(paths)
        self._current = current
        self._on_event = on_event
        self._refused = ""

    @property
    def current(self) -> Policy:
        """The policy to judge by now."""
        return self._current

    async def reload(self) -> PolicyEvent | None:
        """Read the files again, now. Returns the news, or `None` if nothing that matters has changed.

        The news are told before they come true: rules are never in force that `on_event` could not record.
        """
        try:
            sources = await anyio.to_thread.run_sync(read_sources, self._paths)
            return await self._take(sources)
        except PolicyError as error:
            return await self._refuse(error)

    async def follow(self, *, every: float = POLL_SECONDS) -> None:
        """Follow the files for as long as the caller's task lives.

        A change is taken up once two looks in a row saw the same text, so that a half-written file is not a policy.
        """
        taken = before = None
        while True:
            seen = await self._look()
            if seen == before and seen != taken:
                taken = seen
                try:
                    await self.reload()
                except Exception:
                    log.exception("the changed policy could not be taken up; %s stays", self.current.version[:12])
                    taken = None
            before = seen
            await anyio.sleep(every)

    async def _look(self) -> list[Source] | str:
        """What the files hold now, or why they cannot be read."""
        try:
            return await anyio.to_thread.run_sync(read_sources, self._paths)
        except PolicyError as error:
            return str(error)

    async def _take(self, sources: list[Source]) -> PolicyEvent | None:
        policy = await anyio.to_thread.run_sync(compile_sources, sources)
        self._refused = ""
        if policy.version == self._current.version:
            self._current = policy  # the same rules on other lines
            return None
        event = _loaded(policy, sources)
        await self._on_event(event)
        self._current = policy
        log.info("policy %s is in force: %d rules", policy.version[:12], len(policy.rules))
        return event

    async def _refuse(self, error: PolicyError) -> PolicyEvent | None:
        if str(error) == self._refused:
            return None
        self._refused = str(error)
        log.error(
            "the policy was changed to something wrong, so %s stays in force:\n%s", self.current.version[:12], error
        )
        problems = tuple(map(str, error.problems))
        event = PolicyEvent(loaded=False, version=self._current.version, files=self._files, problems=problems)
        await self._on_event(event)
        return event

    @property
    def _files(self) -> tuple[str, ...]:
        return tuple(map(str, self._paths))


async def open_policies(paths: Sequence[Path], on_event: OnEvent) -> Policies:
    """The policy in some files, loaded and told to `on_event`. Run `follow` in a task group to hear of changes.

    Raises:
        PolicyError: names every mistake; nothing is in force then.
    """
    sources = await anyio.to_thread.run_sync(read_sources, paths)
    policy = await anyio.to_thread.run_sync(compile_sources, sources)
    await on_event(_loaded(policy, sources))
    return Policies(paths, policy, on_event)


def _loaded(policy: Policy, sources: Sequence[Source]) -> PolicyEvent:
    files = tuple(name for name, _ in sources)
    return PolicyEvent(True, policy.version, files, sources=tuple(sources), rules=len(policy.rules))
