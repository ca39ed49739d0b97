"""`wicket init`, `wicket check` and `wicket doctor`: set up, and see that all is well."""

from pathlib import Path

import anyio

from governance.jsontree import Json
from wicket.command import Command, Situation
from wicket.examination import Finding, Health, examine
from wicket.exits import Exit
from wicket.setup import set_up
from wicket.soundness import soundness_of_file
from wicket.terminal import reveal


def init(situation: Situation) -> Exit:
    """Make what is missing; show the first key once."""
    config_file = Path(situation.options.config)
    with situation.terminal.progress("setting up"):
        prepared = anyio.run(set_up, config_file, situation.clock)
    lines = [f"made {path}" for path in prepared.made] or ["everything was there already; nothing was changed"]
    if prepared.token:
        lines += ["", f"the first agent's key, shown only now:  {prepared.token}"]
    lines += ["", "next: `wicket up`"]
    value: dict[str, Json] = {"made": [str(path) for path in prepared.made], "state": prepared.config.state}
    situation.terminal.show(value | ({"token": prepared.token} if prepared.token else {}), lines)
    return Exit.DONE


def check(situation: Situation) -> Exit:
    """Check the configuration and the policies without starting anything."""
    sound = soundness_of_file(Path(situation.options.config))
    situation.terminal.show(sound.as_json(), sound.lines("configuration and policies are sound"))
    return Exit.FOUND if sound.problems else Exit.DONE


def doctor(situation: Situation) -> Exit:
    """Look at everything that serving needs, and say how to mend what is not well."""
    with situation.terminal.progress("looking at everything"):
        findings = anyio.run(examine, Path(situation.options.config), situation.clock)
    value: Json = [one.as_json() for one in findings]
    situation.terminal.show(value, [_line(one) for one in findings])
    return Exit.FOUND if any(one.health is Health.BAD for one in findings) else Exit.DONE


def _line(finding: Finding) -> str:
    return f"{finding.health.value:<6}{finding.subject:<18}{reveal(finding.text)}"


COMMANDS = (
    Command("init", "write a configuration, a policy, secrets and a first key; never overwrites", init),
    Command(
        "check",
        "check the configuration and the policies: file, line, key, rule",
        check,
        exits={Exit.FOUND: "there are mistakes"},
    ),
    Command(
        "doctor",
        "look at everything that serving needs, and say how to mend it",
        doctor,
        exits={Exit.FOUND: "something is not well"},
    ),
)
