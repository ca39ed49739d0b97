"""What is allowed in a policy file and yet hardly meant: rules that never decide, names that nothing has.

Warnings only, each with file, line, key and rule; what must not load at all is refused by `load.py`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from governance.config.document import Problem
from governance.exchange import Action
from governance.policy.arguments import same
from governance.policy.compiled import CompiledRule
from governance.policy.engine import Policy
from governance.policy.glob import Globs
from governance.verdict import Decision

Servers = Mapping[str, Collection[str] | None]
"""The configured servers, each with the tools that are known of it, or `None` where that is not known."""


def lint(
    policy: Policy,
    *,
    servers: Servers | None = None,
    kinds: Collection[str] = (),
    labels: Collection[str] | None = None,
) -> list[Problem]:
    """Every doubtful thing in a policy, in the order of the files.

    Args:
        policy: what to look at.
        servers: the configured MCP servers; names are not checked without them.
        kinds: every kind of finding there is; kinds are not checked without them.
        labels: what the configuration may label a session with; labels are not checked without it.
    """
    found: list[Problem] = []
    known = None if labels is None else {*labels, *(label for rule in policy.rules for label, _ in rule.adds)}
    for rule in policy.rules:
        found += _never_fits(rule)
        found += _shadowed(rule, policy.rules, policy.default)
        found += _opens_the_default(rule, policy.default)
        if kinds:
            found += _unknown_kinds(rule, kinds)
        if known is not None:
            found += _unknown_labels(rule, known)
        if servers is not None:
            found += _unknown_names(rule, servers)
    return found


def _warn(rule: CompiledRule, key: str, what: str, mend: str = "") -> Problem:
    return Problem(rule.file, rule.line_of(key), key, f"of rule `{rule.id}` {what}", mend)


def _never_fits(rule: CompiledRule) -> Iterator[Problem]:
    if not rule.actions:
        yield _warn(rule, "match", "can never match", "its keys are about different kinds of exchange")
    for test in rule.args:
        if test.impossible():
            yield _warn(rule, f"match.args.{test.pointer}", "can never match", "no value fits all of it")
    if rule.condition is not None and rule.condition.constant is False:
        yield _warn(rule, "when", "is never true")
    if rule.condition is not None and rule.condition.constant is True:
        yield _warn(rule, "when", "is always true", "remove it")


def _shadowed(rule: CompiledRule, rules: Sequence[CompiledRule], default: Decision) -> Iterator[Problem]:
    """A rule that can never decide, because another always outdoes it. A redaction outdoes nothing."""
    if rule.decision is Decision.REDACT or rule.adds:
        return
    earlier = True
    for other in rules:
        if other is rule:
            earlier = False
            continue
        stronger = other.decision.strength > rule.decision.strength
        equal_and_first = earlier and other.decision is rule.decision
        answers = rule.permits and default is not Decision.ALLOW  # then it counts even where it does not decide
        if other.decision is Decision.REDACT or other.rule.only_labels or (answers and other.decision is Decision.WARN):
            continue
        if (stronger or equal_and_first) and _covers(other, rule):
            what = (
                f"never decides: rule `{other.id}` fits whenever it does, and its decision is `{other.decision.value}`"
            )
            yield _warn(rule, "id", what, "remove one of them, or narrow the other")
            return


def _covers(other: CompiledRule, rule: CompiledRule) -> bool:
    """Whether `other` certainly fits whenever `rule` does."""
    if other.shadow or other.rule.phase is not rule.rule.phase or not rule.actions or not other.actions >= rule.actions:
        return False
    if other.args or other.findings is not None or other.labels is not None or other.all_labels:
        return False
    if other.condition is not None and other.condition.constant is not True:
        return False
    names, annotations = dict(rule.names), dict(rule.annotations)
    return all(key in names and globs.covers(names[key]) for key, globs in other.names) and all(
        name in annotations and same(annotations[name], value) for name, value in other.annotations
    )


def _opens_the_default(rule: CompiledRule, default: Decision) -> Iterator[Problem]:
    """A permitting rule that names neither server nor tool takes the default away from every tool."""
    named = {key for key, globs in rule.names if not globs.everything}
    if default is Decision.ALLOW or not rule.permits or Action.TOOL_CALL not in rule.actions:
        return
    if not named & {"server", "tool"}:
        what = f"takes the place of `default: {default.value}` for tools of every server"
        yield _warn(rule, "match", what, "name a `server` or a `tool`")


def _unknown_kinds(rule: CompiledRule, kinds: Collection[str]) -> Iterator[Problem]:
    for pattern in rule.findings.patterns if rule.findings else ():
        if not Globs([pattern]).matching(kinds):
            yield _warn(rule, "match.findings", f"names `{pattern}`, which no detector finds")


def _unknown_labels(rule: CompiledRule, known: Collection[str]) -> Iterator[Problem]:
    """A label that nothing sets: the rule would never fit, and look as if it guarded something."""
    for pattern in rule.labels.patterns if rule.labels else ():
        if not Globs([pattern]).matching(known):
            yield _warn(rule, "match.labels", f"names `{pattern}`, which nothing sets")
    for label in sorted(rule.all_labels - frozenset(known)):
        yield _warn(rule, "match.all_labels", f"names `{label}`, which nothing sets")


def _unknown_names(rule: CompiledRule, servers: Servers) -> Iterator[Problem]:
    names = dict(rule.names)
    if "server" in names:
        for pattern in names["server"].patterns:
            if not Globs([pattern]).matching(servers):
                yield _warn(rule, "match.server", f"names `{pattern}`, which is no configured server")
    about = names["server"].matching(servers) if "server" in names else list(servers)
    known = [servers[name] for name in about]
    if "tool" not in names or not about or any(tools is None for tools in known):
        return
    tools = {tool for some in known for tool in some or ()}
    for pattern in names["tool"].patterns:
        if not Globs([pattern]).matching(tools):
            where = ", ".join(f"`{name}`" for name in sorted(about))
            yield _warn(rule, "match.tool", f"names `{pattern}`, which no tool of {where} is called")
