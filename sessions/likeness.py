"""What makes two calls the same call, and two answers the same answer.

Pure. A call is the same where server, tool and the arguments that count are. An answer is the same where only what
differs each time does: times, how long it took, ids of the request. Both are kept as digests.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from governance import jsontree
from governance.config.models import Loop, LoopTool
from governance.jsontree import Json
from governance.policy.glob import Globs, is_wild
from sessions.streak import Answer

SAID = "wicket/loop"
"""Member of a tool's `_meta` in which a server says what counts: `exempt`, `key` and `ignore`, as in `loop.tools`."""
MASKED_CHARACTERS = 8_192
"""A longer answer is the same only where every byte is."""
_MOST_NAMES = 32
_MOST_ECHOES = 50
_SHORTEST_ECHO = 3

_VARYING = re.compile(
    r"""
      \d{4}-\d\d-\d\d[T ]\d\d:\d\d (?: :\d\d (?: \.\d+ )? )? (?: Z | [+-]\d\d:?\d\d )?   # a date with its time
    | \b \d\d:\d\d:\d\d (?: \.\d+ )?                                                     # a time of day
    | \b [0-9a-fA-F]{8} (?: -[0-9a-fA-F]{4} ){3} -[0-9a-fA-F]{12} \b                     # a UUID
    | \b 1[5-9]\d{8} (?: \d{3} )? (?: \.\d+ )? \b                                        # seconds or ms since 1970
    | \b \d+ (?: \.\d+ )? \s? (?: ms | µs | us | ns ) \b                                 # a short time
    | \b \d+ \.\d+ \s? s (?: ec (?: onds? )? )? \b                                       # one that was measured
    | \b (?: elapsed | took | waited | uptime ) \W{1,3} \d+ (?: \.\d+ )?                 # how long it took
         (?: \s? (?: [mµun]?s | secs? | seconds? | mins? | minutes? ) \b )?
    | \b pid \W{1,2} \d+                                                                 # of a process
    | \b 0x[0-9a-fA-F]{6,} \b                                                            # an address in memory
    | " (?: request | trace | span | correlation ) _?[iI]d \\?" \s*:\s* \\?" [^"\\]* \\?"
    | " \w{0,40} (?: elapsed | duration | latency ) \w{0,40} \\?" \s*:\s* \d+ (?: \.\d+ )?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What counts of a tool's calls and answers. Places are JSON pointers."""

    exempt: bool = False
    key: tuple[str, ...] = ()
    """The arguments that count; empty: all but those that do not."""
    volatile: frozenset[str] = frozenset()
    """Names of arguments that do not count."""
    ignore: tuple[str, ...] = ()
    """Places of others that do not."""
    ignore_results: frozenset[str] = frozenset()


class Recipes:
    """What counts where, by the configuration, and by what servers say that are believed."""

    def __init__(self, numbers: Loop) -> None:
        self._differing = frozenset(numbers.volatile)
        self._exact = {name: tool for name, tool in numbers.tools.items() if not is_wild(name)}
        self._globs = [(Globs([name]), tool) for name, tool in numbers.tools.items() if is_wild(name)]

    def of(self, tool: str, said: Mapping[str, Json]) -> Recipe:
        """What counts of a tool.

        Args:
            tool: `SERVER/TOOL`.
            said: what its server says of it, where that is believed. The configuration goes before it.
        """
        configured = self._exact.get(tool) or next((one for globs, one in self._globs if globs.match(tool)), None)
        if configured is None:
            configured = LoopTool(
                exempt=said.get("exempt") is True, key=_names(said, "key"), ignore=_names(said, "ignore")
            )
        return Recipe(
            configured.exempt,
            tuple(map(_place, configured.key)),
            self._differing,
            tuple(map(_place, configured.ignore)),
            frozenset(configured.ignore_results),
        )


def fingerprint(server: str, tool: str, arguments: Json, recipe: Recipe) -> bytes:
    """A short digest that is equal for calls that mean the same, however their JSON was written."""
    counting: Json = arguments
    if recipe.key:
        counting = [jsontree.at(arguments, place) for place in recipe.key]
    elif isinstance(arguments, dict):
        if not recipe.volatile.isdisjoint(arguments):
            counting = {name: value for name, value in arguments.items() if name not in recipe.volatile}
        for place in recipe.ignore:
            counting = _without(counting, jsontree.steps(place))
    return _digest(jsontree.canonical([server, tool, counting]))


def answer_of(message: Json, arguments: Json, recipe: Recipe) -> Answer:
    """What matters of the answer to a call: a JSON-RPC response, result or error."""
    whole = jsontree.as_object(message)
    failure = whole.get("error")
    result = jsontree.as_object(whole.get("result"))
    counting: Json = {name: value for name, value in result.items() if name != "_meta"}
    if failure is not None:
        counting = {"error": failure}
    elif recipe.ignore_results:
        counting = _pruned(counting, recipe.ignore_results)
    failed = failure is not None or result.get("isError") is True
    text = jsontree.dump(counting)
    return Answer(_digest(text), partial(_masked, text, arguments if failed else None), failed)


def failure_of(error: str) -> Answer:
    """What matters of a call that got no answer, by what we say of it."""
    digest = _digest(b"no answer: " + error.encode())
    return Answer(digest, lambda: digest, failed=True)


def _masked(text: bytes, arguments: Json) -> bytes:
    """The digest of an answer without what differs each time; of a failure, without what it repeats of the call."""
    if len(text) > MASKED_CHARACTERS:
        return _digest(text)
    rest = text.decode()
    for echo in _echoes(arguments):
        rest = rest.replace(echo, "\0")
    return _digest(_VARYING.sub("\0", rest).encode())


def _echoes(arguments: Json) -> Iterable[str]:
    """The texts of arguments as they stand in the JSON text of an answer, the longest first."""
    texts = {jsontree.dump(text)[1:-1].decode() for _, text, is_name in jsontree.walk(arguments) if not is_name}
    return sorted((one for one in texts if len(one) >= _SHORTEST_ECHO), key=len, reverse=True)[:_MOST_ECHOES]


def _without(value: Json, steps: list[str]) -> Json:
    """The value without what stands at a place; the very same value where nothing does."""
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    if len(steps) == 1:
        return {name: one for name, one in value.items() if name != steps[0]}
    return {**value, steps[0]: _without(value[steps[0]], steps[1:])}


def _pruned(value: Json, names: frozenset[str]) -> Json:
    """The value without members of these names, in JSON texts too; its depth is bounded, because it was parsed."""
    if isinstance(value, dict):
        return {name: _pruned(one, names) for name, one in value.items() if name not in names}
    if isinstance(value, list):
        return [_pruned(one, names) for one in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            inner = jsontree.parse(value.encode())
        except (jsontree.MalformedError, UnicodeEncodeError):
            return value
        return jsontree.as_text(jsontree.dump(_pruned_object(inner, names)).decode())
    return value


def _pruned_object(value: Json, names: frozenset[str]) -> Json:
    """The same for the content of a JSON text: texts within it are left as they are."""
    if isinstance(value, dict):
        return {name: _pruned_object(one, names) for name, one in value.items() if name not in names}
    if isinstance(value, list):
        return [_pruned_object(one, names) for one in value]
    return value


def _names(said: Mapping[str, Json], member: str) -> tuple[str, ...]:
    """Names or places that a server gives; what is none is passed over."""
    return tuple(one for one in jsontree.as_list(said.get(member))[:_MOST_NAMES] if isinstance(one, str) and one)


def _place(name: str) -> str:
    """The JSON pointer of an argument that is named, or pointed to already."""
    return name if name.startswith("/") else "/" + jsontree.escape(name)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:16]
