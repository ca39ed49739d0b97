"""Policy files from disk to rules that are ready: read strictly, checked wholly, or refused with every mistake named.

What YAML is stands in `governance/config/document.py`; which correct rules are nevertheless doubtful, in `lint.py`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from governance import jsontree
from governance.config.document import ConfigError, Document, Place, Problem, dotted, parse
from governance.exchange import Action
from governance.policy.compiled import CompiledRule, compile_rule
from governance.policy.condition import ConditionError
from governance.policy.engine import DEFAULT_RULE, Policy
from governance.policy.glob import Globs
from governance.policy.mistakes import mistakes
from governance.policy.rules import Comparison, Escalate, File, Grants, Match, Rule
from governance.verdict import Decision, Verdict, strongest

MAX_BYTES = 1024 * 1024
"""Largest policy file. A rule is about 200 bytes, so this is far beyond what a person can read."""

Source = tuple[str, str]
"""A file as `(name for messages, text)`."""


class PolicyError(ConfigError):
    """Policy files that must not be used. The message names every mistake with file, line, key and rule."""


def read_sources(paths: Iterable[Path]) -> list[Source]:
    """The text of each file.

    Raises:
        PolicyError: a file is missing, unreadable, too large or not UTF-8.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            raw = path.read_bytes()
            if len(raw) > MAX_BYTES:
                problems.append(Problem(str(path), 0, "", f"is larger than {MAX_BYTES} bytes", "split it"))
                continue
            sources.append((str(path), raw.decode()))
        except FileNotFoundError:
            mend = "write it, or change `policies` in the configuration"
            problems.append(Problem(str(path), 0, "", "no such policy file", mend))
        except UnicodeDecodeError as error:
            problems.append(Problem(str(path), 0, "", f"is not UTF-8 at byte {error.start}", "save it as UTF-8"))
        except OSError as error:
            problems.append(Problem(str(path), 0, "", f"cannot be read ({error.strerror})"))
    if problems:
        raise PolicyError(problems)
    return sources


def compile_sources(sources: Sequence[Source]) -> Policy:
    """All rules of all files, ready to judge.

    Raises:
        PolicyError: names every mistake.
    """
    problems: list[Problem] = []
    files: list[tuple[Document, File]] = []
    for name, text in sources:
        try:
            document = parse(text, name)
            files.append((document, _validated(document)))
        except ConfigError as error:
            problems += error.problems
    version = jsontree.digest([document.value for document, _ in files])
    rules: list[CompiledRule] = []
    seen: dict[str, str] = {DEFAULT_RULE: "the `default` setting"}
    for document, file in files:
        for index, rule in enumerate(file.rules):
            place: Place = ("rules", index)
            if rule.id in seen:
                what = f"of rule `{rule.id}` is taken already by {seen[rule.id]}"
                problems.append(document.problem((*place, "id"), what, "give each rule an id of its own"))
            seen.setdefault(rule.id, f"{document.file}:{document.line((*place, 'id'))}")
            try:
                lines = _lines(document, index)
                rules.append(compile_rule(rule, file=document.file, lines=lines, version=version))
            except ConditionError as error:
                problems.append(_condition_problem(document, place, rule, error))
            problems += _unknown_actions(document, place, rule)
    if problems:
        raise PolicyError(sorted(problems, key=lambda one: (one.file, one.line)))
    return Policy(rules, default=_default(file for _, file in files), version=version)


def load(paths: Iterable[Path]) -> Policy:
    """The policy in some files.

    Raises:
        PolicyError: names every mistake with file, line, key and rule.
    """
    return compile_sources(read_sources(paths))


def _lines(document: Document, index: int) -> dict[str, int]:
    """The line of every key of one rule, by the key's dotted name inside the rule."""
    return {dotted(place[2:]): line for place, line in document.lines.items() if place[:2] == ("rules", index)}


def _default(files: Iterable[File]) -> Decision:
    """The strictest default that any file asks for."""
    asked = [Verdict(Decision(file.default), by="policy") for file in files if "default" in file.model_fields_set]
    return strongest(asked).decision


def _condition_problem(document: Document, place: Place, rule: Rule, error: ConditionError) -> Problem:
    below_its_key = "\n" in rule.when  # a block text (`|` or `>`) begins on the next line, and only it has line ends
    line = document.line((*place, "when")) + error.line - (0 if below_its_key else 1)
    what = f"of rule `{rule.id}` {error} (line {error.line}, column {error.column} of the condition)"
    return Problem(document.file, line, dotted((*place, "when")), what)


def _unknown_actions(document: Document, place: Place, rule: Rule) -> list[Problem]:
    known = ", ".join(f"`{action.value}`" for action in Action)
    return [
        document.problem((*place, "match", "action"), f"of rule `{rule.id}` is no action", f"known are {known}")
        for pattern in rule.match.action
        if not Globs([pattern]).matching(action.value for action in Action)
    ]


_PARTS = {"": File, "rules": Rule, "match": Match, "args": Comparison, "grants": Grants, "escalate": Escalate}


def _validated(document: Document) -> File:
    try:
        return File.model_validate(document.value)
    except ValidationError as error:
        raise PolicyError(mistakes(document, error, _PARTS, owner=("rules", "rule", "id"))) from None
