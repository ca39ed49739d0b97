"""`wicket policy`: check policies, test them, and have them explained."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from governance import jsontree
from governance.config.load import load
from governance.config.models import Config
from governance.exchange import Action, Phase
from governance.jsontree import Json, JsonObject
from governance.policy.cases import CaseResult, Given, exchange_of, run_files
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.explain import RuleAnswer
from governance.policy.explain import explain as explain_exchange
from governance.policy.load import load as load_policy
from wicket.command import Command, Situation, argument
from wicket.commands import policy_replay, policy_versions
from wicket.commands.policy_recorded import explain_recorded
from wicket.exits import CommandError, Exit
from wicket.soundness import soundness_of
from wicket.terminal import reveal


def check(situation: Situation) -> Exit:
    """Check the policies: what must not load, and what is hardly meant."""
    config = load(Path(situation.options.config))
    sound = soundness_of(config, _paths(situation, config))
    situation.terminal.show(sound.as_json(), sound.lines("the policies are sound"))
    return Exit.FOUND if sound.problems else Exit.DONE


def test(situation: Situation) -> Exit:
    """Run test files: `given` a call, `expect` a verdict."""
    config = load(Path(situation.options.config))
    policy = load_policy(_paths(situation, config))
    results = run_files(policy, situation.options.file)
    failed = [one for one in results if not one.passed]
    lines = [f"{len(results) - len(failed)} of {len(results)} passed", *(line for one in failed for line in _told(one))]
    value: Json = [{**asdict(one), "differences": list(one.differences), "passed": one.passed} for one in results]
    situation.terminal.show(value, lines)
    return Exit.FOUND if failed else Exit.DONE


def explain(situation: Situation) -> Exit:
    """Say what the policy decides about a call, or decided about one, and what each rule had to do with it."""
    if situation.options.exchange:
        return explain_recorded(situation)
    config = load(Path(situation.options.config))
    policy = load_policy(_paths(situation, config))
    given = _given(situation)
    exchange = exchange_of(given)
    around = Around(now=given.now, calls=given.calls, labels=frozenset(given.labels))
    explanation = explain_exchange(policy, exchange, given.phase, lambda: around)
    verdict = explanation.verdict
    value: Json = {
        "decision": verdict.decision.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "visible": policy.visible(exchange),
        "version": policy.version,
        "shadow": [one.rule for one in verdict.shadow],
        "rules": [_shown(one) for one in explanation.answers],
    }
    by = f" by rule `{verdict.rule}`" if verdict.rule else ""
    why = f": {verdict.reason}" if verdict.reason else ""
    lines = [f"{verdict.decision.value}{by}{why}", *_hidden(policy, given), ""]
    lines += [f"{one.outcome:<6}{one.rule} ({one.file}:{one.line}): {one.why}" for one in explanation.answers]
    situation.terminal.show(value, map(reveal, lines))
    return Exit.DONE


def _paths(situation: Situation, config: Config) -> list[Path]:
    return list(situation.options.policy or map(Path, config.policies))


def _hidden(policy: Policy, given: Given) -> list[str]:
    if given.action is Action.TOOL_CALL and not policy.visible(exchange_of(given)):
        return ["the tool is not shown in lists, because no call of it could be allowed"]
    return []


def _told(result: CaseResult) -> list[str]:
    head = f"failed: {result.file}:{result.line}: {result.name}"
    return [reveal(head), *(f"  {reveal(difference)}" for difference in result.differences)]


def _shown(answer: RuleAnswer) -> JsonObject:
    return {
        "rule": answer.rule,
        "file": answer.file,
        "line": answer.line,
        "decision": answer.decision.value,
        "shadow": answer.shadow,
        "outcome": answer.outcome,
        "why": answer.why,
    }


def _given(situation: Situation) -> Given:
    options = situation.options
    given: Mapping[str, object] = {
        "action": options.action,
        "phase": options.phase,
        "server": options.server,
        "tool": options.tool,
        "model": options.model,
        "tenant": options.tenant,
        "team": options.team,
        "agent": options.agent,
        "user": options.user,
        "args": _object("--args", options.args),
        "annotations": _object("--annotations", options.annotations),
        "findings": tuple(options.finding or ()),
        "labels": tuple(options.label or ()),
        "calls": options.calls,
        "now": situation.clock.now(),
    }
    return Given.model_validate(given)


def _object(flag: str, text: str) -> JsonObject:
    try:
        value = jsontree.parse(text.encode())
    except jsontree.MalformedError as error:
        raise CommandError(Exit.USAGE, f'`{flag}` is {error}: write it as `{{"path": "/tmp"}}`') from None
    if not isinstance(value, dict):
        raise CommandError(Exit.USAGE, f'`{flag}` is not a JSON object: write it as `{{"path": "/tmp"}}`')
    return value


_POLICY = argument(
    "--policy", action="append", type=Path, metavar="FILE", help="instead of the configured ones; may be given again"
)

COMMANDS = (
    Command(
        "policy check",
        "check policies: mistakes, and rules that are hardly meant",
        check,
        (_POLICY,),
        {Exit.FOUND: "there are mistakes"},
    ),
    Command(
        "policy test",
        "run test files against the policies",
        test,
        (argument("file", nargs="+", type=Path, metavar="FILE", help="test files; see docs/policy.md"), _POLICY),
        {Exit.FOUND: "a test failed", Exit.CONFIG: "a policy or a test file cannot be used"},
    ),
    Command(
        "policy explain",
        "say what the policies decide about a call, or decided about an exchange that was, and why",
        explain,
        (
            argument("exchange", nargs="?", default="", help="id of an exchange that was; then no other option counts"),
            argument("--server", default="", help="MCP server"),
            argument("--tool", default="", help="tool"),
            argument("--args", default="{}", metavar="JSON", help="arguments of the call"),
            argument("--annotations", default="{}", metavar="JSON", help="the tool's annotations"),
            argument("--model", default="", help="model, for a model call"),
            argument(
                "--action",
                choices=[action.value for action in Action],
                default=Action.TOOL_CALL.value,
                help="kind of exchange",
            ),
            argument("--phase", choices=[phase.value for phase in Phase], default="request", help="half of it"),
            argument("--tenant", default="default", help="tenant of the key"),
            argument("--team", default="", help="team of the key"),
            argument("--agent", default="", help="agent of the key"),
            argument("--user", default="", help="user of the key"),
            argument("--finding", action="append", metavar="KIND", help="as if this was found; may be given again"),
            argument("--label", action="append", metavar="LABEL", help="as if the session had it; may be given again"),
            argument("--calls", type=int, default=0, help="calls the session has made before"),
            _POLICY,
        ),
        {Exit.ABSENT: "there is no such exchange"},
    ),
    *policy_replay.COMMANDS,
    *policy_versions.COMMANDS,
)
