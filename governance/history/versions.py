"""Policies that were in force: which there were, and what differs between two.

Which one is in force is decided by the files (`governance/policy/holder.py`); bringing one back is `rollback.py`.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from governance.jsontree import Json
from governance.policy.compiled import CompiledRule
from governance.policy.engine import DEFAULT_RULE, Policy
from governance.policy.load import PolicyError, Source, compile_sources

SHORTEST = 6
"""Fewest characters by which a version may be named."""


@dataclass(frozen=True, slots=True)
class Version:
    """A policy that was in force."""

    version: str
    """Digest of what its files mean; `policy_version` of the events it decided."""
    sources: tuple[Source, ...]
    """Its files, as `(path, text)`: with the comments and the layout of the last time it was taken up."""
    rules: int
    loads: int
    """How often a process took it up."""
    first_at: str
    first_by: str
    """Process that took it up first."""
    last_at: str
    last_by: str
    reason: str = ""
    """Why a person brought it back last."""
    actor: str = ""
    rolled_back_at: str | None = None

    @property
    def short(self) -> str:
        """Enough of the version to tell it from others."""
        return self.version[:12]


class Versions(Protocol):
    """The table of versions."""

    async def listed(self, limit: int = 100) -> list[Version]:
        """The versions, the one that was taken up last first. That one is in force."""
        ...

    async def named(self, name: str) -> list[Version]:
        """The versions whose digest begins with `name`, at most two."""
        ...


class UnknownVersionError(Exception):
    """No version, or more than one, is called so. The message says what to do."""


async def version_called(versions: Versions, name: str) -> Version:
    """The one version whose digest is, or begins with, `name`.

    Raises:
        UnknownVersionError: there is none, or there are several.
    """
    if len(name) < SHORTEST:
        raise UnknownVersionError(f"`{name}` is too short to name a version: give at least {SHORTEST} characters")
    found = await versions.named(name)
    if not found:
        raise UnknownVersionError(f"no policy `{name}` was ever in force here: `wicket policy versions` lists all")
    if len(found) > 1:
        raise UnknownVersionError(f"`{name}` names more than one version: give more characters")
    return found[0]


@dataclass(frozen=True, slots=True)
class Change:
    """One key of a rule that differs. A side that is `None` does not have it."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that differs between two policies."""

    rule: str
    how: str
    """`added`, `removed` or `changed`."""
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two policies."""

    text: tuple[str, ...]
    """Lines of a unified diff, file by file."""
    rules: tuple[RuleChange, ...]
    unread: str = ""
    """Why the rules could not be compared: one of the two cannot be used by this version of Wicket."""

    @property
    def anything(self) -> bool:
        """Whether there is any difference at all, be it a comment."""
        return bool(self.text or self.rules)


def difference(before: Sequence[Source], after: Sequence[Source]) -> Difference:
    """What differs between two policies, by line and by rule."""
    try:
        rules = rule_changes(compile_sources(before), compile_sources(after))
    except PolicyError as error:
        return Difference(text_changes(before, after), (), str(error.problems[0]))
    return Difference(text_changes(before, after), rules)


def text_changes(before: Sequence[Source], after: Sequence[Source]) -> tuple[str, ...]:
    """A unified diff of the files, each under its name."""
    old, new = dict(before), dict(after)
    lines: list[str] = []
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name, "").splitlines(), new.get(name, "").splitlines()
        lines += difflib.unified_diff(one, other, name if name in old else "/dev/null", name, lineterm="")
    return tuple(lines)


def rule_changes(before: Policy, after: Policy) -> tuple[RuleChange, ...]:
    """The rules that differ, in the order of the new policy, those that are gone last."""
    old, new = _rules(before), _rules(after)
    found: list[RuleChange] = []
    for name in dict.fromkeys((*new, *old)):
        one, other = old.get(name, {}), new.get(name, {})
        how = "added" if name not in old else "removed" if name not in new else "changed"
        changes = tuple(
            Change(key, one.get(key), other.get(key))
            for key in dict.fromkeys((*one, *other))
            if one.get(key) != other.get(key)
        )
        if changes or how != "changed":
            found.append(RuleChange(name, how, changes))
    return tuple(found)


def _rules(policy: Policy) -> dict[str, Mapping[str, str]]:
    """Each rule by its id, and the default as if it were one."""
    default: Mapping[str, str] = {"decide": policy.default.value}
    return {DEFAULT_RULE: default, **{rule.id: by_key(rule) for rule in policy.rules}}


def by_key(rule: CompiledRule) -> Mapping[str, str]:
    """What a rule says, by dotted key, in one canonical form of each value."""
    flat: dict[str, str] = {}
    said = rule.rule.model_dump(mode="json", exclude_unset=True, exclude={"id"})
    waiting: list[tuple[str, Json]] = [("", said)]
    while waiting:
        place, value = waiting.pop(0)
        if isinstance(value, dict) and value:
            waiting += [(f"{place}.{key}" if place else key, one) for key, one in value.items()]
        else:
            flat[place] = value if isinstance(value, str) else orjson.dumps(value).decode()
    return flat
