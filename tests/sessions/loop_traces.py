"""Traces that are loops: what agents were seen to do for hours, each with the rung that must catch it, and when."""

from collections.abc import Callable
from dataclasses import dataclass, field

from governance.config.models import Loop, LoopTool
from governance.jsontree import Json, JsonObject
from governance.verdict import Decision
from tests.sessions.agent import Step, Turn, call


@dataclass(frozen=True)
class Circle:
    """A loop: turn after turn, and what must be said of it."""

    name: str
    turn: Callable[[int], Turn]
    """The calls of a turn, by its number from 0."""
    rule: str = "loop.repeat"
    rung: Decision = Decision.HOLD
    by: int = 20
    """The call, counted from 1, at which the rung is reached."""
    numbers: Loop = field(default_factory=Loop)
    said: JsonObject = field(default_factory=dict[str, Json])


def one(step: Callable[[int], Step]) -> Callable[[int], Turn]:
    """Turns of one call."""
    return lambda number: (step(number),)


def around(*names: str) -> Callable[[int], Turn]:
    """Calls of these tools in turn, each always with the same result."""
    return lambda number: (call(names[number % len(names)], f"the {names[number % len(names)]}"),)


STUCK = "error: connection refused"
IGNORING = Loop(tools={"db/query": LoopTool(ignore=("comment",))})
KEYED = Loop(tools={"db/*": LoopTool(key=("/where/id",))})
MASKING = Loop(tools={"jobs/status": LoopTool(ignore_results=("eta",))})


LOOPS = (
    Circle("a file read again and again", one(lambda _: call("fs/read", "the text", path="a.py"))),
    Circle(
        "the same, of which the agent is told",
        one(lambda _: call("fs/read", path="a")),
        "loop.repeat",
        Decision.WARN,
        10,
    ),
    Circle("the same, refused however often it is approved", one(lambda _: call("fs/read")), rung=Decision.DENY, by=50),
    Circle("the same, until the session is stopped", one(lambda _: call("fs/read")), rung=Decision.KILL, by=100),
    Circle("an empty search without end", one(lambda _: call("web/search", "no results", q="x", reads=True))),
    Circle("a job that never starts", one(lambda _: call("jobs/status", "queued", id=7))),
    Circle(
        "a job of which only the time moves",
        one(lambda n: call("jobs/status", f"running at 2026-11-28T08:{n % 60:02}:00Z")),
    ),
    Circle(
        "a job of which only the time of day moves", one(lambda n: call("jobs/status", f"[10:{n % 60:02}:07] waiting"))
    ),
    Circle("a job of which only the waiting grows", one(lambda n: call("jobs/status", f"pending (elapsed: {n}.5 s)"))),
    Circle(
        "an answer of which only the id of the request is new",
        one(
            lambda n: call("api/get", {"structuredContent": {"state": "none", "request_id": f"r{n}", "duration_ms": n}})
        ),
    ),
    Circle(
        "an answer in JSON text with new ids", one(lambda n: call("api/get", f'{{"state":"none","requestId":"{n}"}}'))
    ),
    Circle(
        "an answer with a new UUID", one(lambda n: call("api/get", f"trace 3f2b8c1e-0000-4000-8000-{n:012x}: none"))
    ),
    Circle("a call with a nonce", one(lambda n: call("api/get", "none", q="x", nonce=n))),
    Circle("a call with an id of the request", one(lambda n: call("api/get", "none", q="x", request_id=f"r{n}"))),
    Circle(
        "a call with a comment that does not count",
        one(lambda n: call("db/query", "0 rows", sql="s", comment=n)),
        numbers=IGNORING,
    ),
    Circle(
        "a call of which only the key counts",
        one(lambda n: call("db/find", "0 rows", where={"id": 1}, n=n)),
        numbers=KEYED,
    ),
    Circle(
        "a call of which only the server's key counts",
        one(lambda n: call("db/find", "0 rows", id=1, n=n)),
        said={"key": ["id"]},
    ),
    Circle(
        "a result with a member that does not count",
        one(lambda n: call("jobs/status", f'{{"s":"queued","eta":{n}}}')),
        numbers=MASKING,
    ),
    Circle(
        "arguments in another order",
        one(lambda n: Step("fs/read", {"a": 1, "b": 2} if n % 2 else {"b": 2, "a": 1.0}, {"result": {}})),
    ),
    Circle("a result without text", one(lambda _: call("api/get", {"content": [], "structuredContent": {"rows": []}}))),
    Circle(
        "a picture that stays the same",
        one(lambda _: call("browser/shot", {"content": [{"type": "image", "data": "AAAA"}]})),
    ),
    Circle("there and back", around("fs/read", "fs/list"), "loop.cycle", by=20),
    Circle("there and back, of which the agent is told", around("fs/read", "fs/list"), "loop.cycle", Decision.WARN, 10),
    Circle("there and back, refused in the end", around("fs/read", "fs/list"), "loop.cycle", Decision.DENY, 50),
    Circle("three calls in a circle", around("a/x", "a/y", "a/z"), "loop.cycle", by=30),
    Circle("four calls in a circle", around("a/w", "a/x", "a/y", "a/z"), "loop.cycle", by=40),
    Circle("five calls in a circle", around("a/v", "a/w", "a/x", "a/y", "a/z"), "loop.cycle", by=50),
    Circle(
        "six calls in a circle: too long for one, and each is repeated",
        around(*(f"a/{n}" for n in range(6))),
        by=6 * 20,
    ),
    Circle(
        "an edit and its undoing", one(lambda n: call("fs/edit", old="ab"[n % 2], new="ba"[n % 2])), "loop.cycle", by=20
    ),
    Circle(
        "a switch thrown to and fro, and looked at",
        one(
            lambda n: (
                call("home/set", on=True),
                call("home/get", "on"),
                call("home/set", on=False),
                call("home/get", "off"),
            )[n % 4]
        ),
        "loop.cycle",
        by=43,
    ),
    Circle(
        "two calls of one turn, turn after turn", lambda _: (call("a/x", "1"), call("a/y", "2")), "loop.cycle", by=20
    ),
    Circle("two turns of two calls", lambda n: (call("a/x", n=n % 2), call("a/y", n=n % 2)), "loop.cycle", by=40),
    Circle("three equal calls in each turn count once", lambda _: (call("fs/read"),) * 3, by=3 * 20),
    Circle(
        "a repetition among calls that were made before",
        lambda n: (
            call(("fs/read", "a/x", "fs/read", "a/y", "a/z", "fs/read", "a/z", "a/x")[n * 5 % 8], "same", reads=True),
        ),
        by=58,
    ),
    Circle(
        "a repetition among searches that find nothing",
        lambda n: (
            (call("fs/read", "text", reads=True),) if n % 2 else (call("web/search", "no results", q=n, reads=True),)
        ),
        by=40,
    ),
    Circle(
        "the same call with the same error",
        one(lambda _: call("sh/run", STUCK, error=True, cmd="make")),
        "loop.error",
        by=13,
    ),
    Circle(
        "the same, of which the agent is told",
        one(lambda _: call("sh/run", STUCK, error=True)),
        "loop.error",
        Decision.WARN,
        6,
    ),
    Circle(
        "one error whatever is tried",
        one(lambda n: call("sh/run", STUCK, error=True, cmd=f"ls {n}")),
        "loop.error",
        by=13,
    ),
    Circle(
        "one error that names each path",
        one(lambda n: call("fs/read", f"ENOENT: no such file /srv/{n}/x.py", error=True, path=f"/srv/{n}/x.py")),
        "loop.error",
        by=13,
    ),
    Circle(
        "one error with its process and its time",
        one(lambda n: call("sh/run", f"killed pid {n} after 3.{n} s at 0x7f00{n:04x}", error=True, cmd="x")),
        "loop.error",
        by=13,
    ),
    Circle(
        "one error of the protocol",
        one(lambda n: Step("a/x", {"n": n}, {"error": {"code": -32602, "message": "bad input"}})),
        "loop.error",
        by=13,
    ),
    Circle(
        "one error while something else goes well that was done before",
        lambda n: (call("fs/read", "text"),) if n % 2 else (call("sh/run", STUCK, error=True, cmd="make"),),
        "loop.cycle",
        by=20,
    ),
    Circle(
        "one error, refused in the end",
        one(lambda _: call("sh/run", STUCK, error=True)),
        "loop.error",
        Decision.DENY,
        31,
    ),
)


def turns(circle: Circle, calls: int) -> list[Turn]:
    """The turns of a circle up to about a number of calls."""
    played: list[Turn] = []
    while sum(map(len, played)) < calls:
        played.append(circle.turn(len(played)))
    return played
