"""Traces that are no loops, although something in them repeats: what agents do all day."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from governance.config.models import Loop, LoopTool
from governance.jsontree import Json, JsonObject
from tests.sessions.agent import Step, Turn, alone, call


@dataclass(frozen=True)
class Work:
    """Turns of which nothing should be said."""

    name: str
    turns: Sequence[Turn]
    numbers: Loop = field(default_factory=Loop)
    said: JsonObject = field(default_factory=dict[str, Json])


def work(name: str, *steps: Step) -> Work:
    """Work whose turns are of one call each."""
    return Work(name, alone(steps))


def woven(*rows: Sequence[Step]) -> list[Step]:
    """The first of each row, then the second of each, and so on."""
    return [step for steps in zip(*rows, strict=True) for step in steps]


BROKEN = "3 failed, 12 passed in 0.31s"
EXEMPT = Loop(tools={"clock/*": LoopTool(exempt=True)})


def edit(number: int) -> Step:
    return call("fs/edit", "edited", path="a.py", text=f"version {number}")


def suite(said: str, *, error: bool = False) -> Step:
    return call("sh/run", said, error=error, cmd="pytest")


POLLING = (
    work("a job that moves on by percent", *(call("jobs/status", f"running: {n} %", id=1) for n in range(100))),
    work(
        "a job with a moving percentage in a structure",
        *(call("jobs/status", {"structuredContent": {"done": n, "of": 60}}, id=1) for n in range(60)),
    ),
    work("a place in a queue", *(call("jobs/status", f"number {n} in the queue") for n in range(40, 0, -1))),
    work("a log that grows", *(call("sh/tail", "\n".join(["line"] * n), file="log") for n in range(1, 50))),
    work("a log with times that grows", *(call("sh/tail", f"10:00:{n:02} step {n}") for n in range(50))),
    work(
        "a job that waits, runs and ends",
        *(call("jobs/status", state) for state in ["queued"] * 5 + ["running"] * 6 + ["done"]),
    ),
    work("a job that moves now and then", *(call("jobs/status", f"step {n // 6} of 10") for n in range(60))),
    work(
        "a job that moves, with a pause between",
        *woven([call("jobs/status", f"{n} %") for n in range(40)], [call("sh/sleep", "slept", seconds=5)] * 40),
    ),
    work(
        "a job that stands still a little, with a pause between",
        *woven([call("jobs/status", "running")] * 4, [call("sh/sleep", "slept", seconds=60)] * 4),
        call("jobs/status", "done"),
    ),
    work(
        "two jobs that move",
        *woven(
            [call("jobs/status", f"{n} %", id=1) for n in range(40)],
            [call("jobs/status", f"{n} %", id=2) for n in range(40)],
        ),
    ),
    work("a count of rows that grows", *(call("db/count", str(n * 37), table="t") for n in range(30))),
    work("a deployment with its replicas", *(call("k8s/get", f"ready {n}/30 (uptime: {n} s)") for n in range(30))),
    work(
        "a question put to a person, with other answers", *(call("ui/ask", f"answer {n}", q="next?") for n in range(20))
    ),
)

PAGING = (
    work("pages by cursor", *(call("api/list", f"page {n}", cursor=f"c{n}", reads=True) for n in range(80))),
    work("pages by number", *(call("api/list", f"rows of {n}", page=n, reads=True) for n in range(80))),
    work(
        "pages by offset that look alike", *(call("api/list", "[x, x, x]", offset=n * 3, reads=True) for n in range(60))
    ),
    work("the next page of a browser", *(call("browser/click", f"page {n}", on="Next") for n in range(40))),
    work("scrolling down", *(call("browser/scroll", f"lines {n}0 to {n}9", by=1) for n in range(40))),
    work(
        "pictures that differ",
        *(call("browser/shot", {"content": [{"type": "image", "data": f"AA{n:04}"}]}) for n in range(40)),
    ),
    work(
        "pages, one of which is tried again",
        *(
            step
            for n in range(30)
            for step in (
                [call("api/list", "timeout", error=True, page=n)] * (n % 7 == 3)
                + [call("api/list", f"rows {n}", page=n)]
            )
        ),
    ),
    work("a file read in pieces", *(call("fs/read", f"piece {n}", path="big", line=n * 100) for n in range(60))),
)

BATCHES = (
    work("a hundred files written", *(call("fs/write", "written", path=f"f{n}", text="x") for n in range(100))),
    work("a hundred things deleted", *(call("api/delete", "deleted", id=f"{n:032x}") for n in range(100))),
    work("sixty letters sent", *(call("mail/send", "sent", to=f"p{n}@example.com", body="hello") for n in range(60))),
    work("a hundred files read", *(call("fs/read", f"text {n}", path=f"f{n}", reads=True) for n in range(100))),
    work("searches that find nothing", *(call("web/search", "no results", q=f"q{n}", reads=True) for n in range(60))),
    work(
        "a list looked at between pieces of work",
        *woven([call("fs/list", "a b c", path=".")] * 60, [call("img/convert", "ok", file=f"f{n}") for n in range(60)]),
    ),
    work(
        "a transaction around each row",
        *woven(
            [call("db/begin", "ok")] * 40,
            [call("db/insert", "1 row", id=n) for n in range(40)],
            [call("db/commit", "ok")] * 40,
        ),
    ),
    Work(
        "ten calls in each turn",
        [[call("fs/read", f"text {t}.{n}", path=f"{t}/{n}") for n in range(10)] for t in range(20)],
    ),
    Work("one turn with thirty equal calls", [[call("img/draw", "a cat", prompt="a cat")] * 30]),
    Work("five equal calls in each of a few turns", [[call("img/draw", "a cat", prompt="a cat")] * 5] * 4),
    work(
        "a batch of which every third is missing",
        *(call("api/get", "not found" if n % 3 == 0 else f"row {n}", error=n % 3 == 0, id=n) for n in range(90)),
    ),
    work(
        "the same status after each commit",
        *woven(
            [call("git/commit", "committed", message=f"m{n}") for n in range(30)], [call("git/status", "clean")] * 30
        ),
    ),
)

RETRIES = (
    work("an error, then not", call("api/get", "timeout", error=True, id=1), call("api/get", "row", id=1)),
    work("three errors, then not", *[call("api/get", "timeout", error=True)] * 3, call("api/get", "row")),
    work("five errors, then not", *[call("api/get", "503", error=True)] * 5, call("api/get", "row")),
    work(
        "told to come back later and later",
        *(call("api/get", f"429: come back in {2**n} s", error=True) for n in range(8)),
        call("api/get", "row"),
    ),
    work(
        "every call fails once",
        *(
            step
            for n in range(40)
            for step in (
                call("api/put", "conflict", error=True, id=n, version=1),
                call("api/put", "ok", id=n, version=2),
            )
        ),
    ),
    work("errors that differ", *(call("sh/run", f"error in line {n}", error=True, cmd=f"cc {n}") for n in range(30))),
    work(
        "a path looked for in five places",
        *(call("fs/read", f"no such file d{n}/conf", error=True, path=f"d{n}/conf") for n in range(5)),
        call("fs/read", "found", path="etc/conf"),
    ),
    work(
        "arguments put right step by step",
        *(
            call("api/post", f"missing: {', '.join(['name', 'mail', 'age', 'city'][n:])}", error=True, tries=n)
            for n in range(4)
        ),
        call("api/post", "created", tries=4),
    ),
)

TESTS = (
    work(
        "test and edit, with fewer failures each time",
        *woven([suite(f"{30 - n} failed") for n in range(25)], [edit(n) for n in range(25)]),
    ),
    work("test and edit, with the same failures each time", *woven([suite(BROKEN)] * 25, [edit(n) for n in range(25)])),
    work(
        "test and edit, where the test is an error",
        *woven([suite(BROKEN, error=True)] * 25, [edit(n) for n in range(25)]),
    ),
    work(
        "test, look and edit",
        *woven(
            [suite(BROKEN, error=True)] * 15,
            [call("fs/read", f"version {n}", path="a.py", reads=True) for n in range(15)],
            [edit(n) for n in range(15)],
        ),
    ),
    work(
        "build, fix, build",
        *woven(
            [call("sh/run", f"a.c:{n}: error", error=True, cmd="make") for n in range(20)], [edit(n) for n in range(20)]
        ),
    ),
    work(
        "lint and format after each edit",
        *woven(
            [edit(n) for n in range(20)],
            [call("sh/run", "ok", cmd="lint")] * 20,
            [call("sh/run", "ok", cmd="format")] * 20,
        ),
    ),
    work("a test that flickers", *(suite("ok" if n % 3 else BROKEN, error=not n % 3) for n in range(12))),
    work("a few tests in a row", *[suite("ok")] * 9),
    work(
        "a search for the commit that broke it",
        *woven([call("git/checkout", "ok", rev=f"r{n}") for n in range(14)], [suite(BROKEN, error=True)] * 14),
    ),
    work(
        "there and back, but it moves",
        *woven([call("fs/list", f"{n} files") for n in range(20)], [call("sh/run", "ok", cmd="fetch-one")] * 20),
    ),
    work("there and back, three times", *woven([call("fs/list", "a b")] * 3, [call("fs/read", "text")] * 3)),
)

SPARED = (
    Work("a clock that need not count", alone([call("clock/now", "12:00")] * 60), EXEMPT),
    Work("a clock whose server says so", alone([call("clock/now", "12:00")] * 60), said={"exempt": True}),
    Work(
        "a job looked at twice an hour, all day",
        alone([call("jobs/status", "nothing new")] * 48),
        Loop(window_seconds=4),
    ),
)

OTHERS = (*POLLING, *PAGING, *BATCHES, *RETRIES, *TESTS, *SPARED)
