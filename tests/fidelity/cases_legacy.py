"""Checks of what only the legacy era knows: a server's own requests, notifications of a client, subscriptions, tasks."""

# ruff: noqa: E501 - messages stand as they go over the wire

from tests.fidelity.cases_plain import request, result, tool
from tests.fidelity.script import Answered, Case, Hear, Step, Stray, Until

_OK = b'{"jsonrpc":"2.0","id":@id@,"result":{"content":[]}}'
_SAID = b'{"jsonrpc":"2.0","id":@id@,"result":{}}'
_TOOL = '{"name":"n","inputSchema":{"type":"object","x":1.0}}'


def _note(method: str, params: str = "") -> bytes:
    inside = f',"params":{{{params}}}' if params else ""
    return f'{{"jsonrpc":"2.0","method":"{method}"{inside}}}'.encode()


def _asked(name: str, method: str, params: str, answer: str, id: str = '"srv-1"') -> Case:  # noqa: A002 - as on the wire
    """The server asks something during a call, and the client answers it."""
    question = f'{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}},"vendorTop":null}}'.encode()
    reply = f'{{"jsonrpc":"2.0","id":{id},{answer},"vendorTop":1.0}}'.encode()
    return Case(
        name,
        (tool("t"), Hear(method.encode()), reply, Answered()),
        {"t": (question, Until(f"answer:{id}"), _OK)},
        modern=False,
    )


def _requests_of_the_server() -> tuple[Case, ...]:
    form = '"type":"object","properties":{"a":{"type":"string","enum":["x"],"enumNames":["X"],"default":""}}'
    sampling = f'"messages":[{{"role":"user","content":[{{"type":"text","text":"ü"}}]}}],"maxTokens":1e2,"tools":[{_TOOL}],"toolChoice":{{"mode":"auto"}},"includeContext":"thisServer","vendor":null'
    used = '"result":{"role":"assistant","content":[{"type":"tool_use","id":"u","name":"n","input":{"a":1.0}}],"model":"m","stopReason":"toolUse","v":null}'
    return (
        _asked("sampling with tools", "sampling/createMessage", sampling, used),
        _asked("a form for a person", "elicitation/create", f'"mode":"form","message":"?","requestedSchema":{{{form}}}', '"result":{"action":"accept","content":{"a":"x","n":1.0}}'),
        _asked("a form without a mode, declined", "elicitation/create", f'"message":"?","requestedSchema":{{{form}}}', '"result":{"action":"decline"}'),
        _asked("a page for a person", "elicitation/create", '"mode":"url","message":"?","url":"https://e.invalid/?a=b","elicitationId":"e1"', '"result":{"action":"cancel","_meta":{"a":null}}'),
        _asked("roots", "roots/list", '"_meta":{"vendor/x":1}', '"result":{"roots":[{"uri":"file:///tmp/%C3%BC","name":"n","_meta":{"a":1.0}}]}'),
        _asked("a ping of the server", "ping", '"vendor":1', '"result":{}'),
        _asked("a request of the server that nobody knows", "vendor/Ask", '"a":[1e2]', '"result":{"vendor":1e2}'),
        _asked("a server's request refused with an error", "sampling/createMessage", sampling, '"error":{"code":-1,"message":"rejected","data":{"a":null}}'),
        _asked("a server's request with the id of the call", "roots/list", "", '"result":{"roots":[]}', id="1"),
        _asked("a server's request with the id 0", "roots/list", "", '"result":{"roots":[]}', id="0"),
        _asked("a server's request with an empty id", "roots/list", "", '"result":{"roots":[]}', id='""'),
        _asked("a server's request with a negative id", "roots/list", "", '"result":{"roots":[]}', id="-7"),
        Case(
            "several requests of the server at once",
            (
                tool("t"), Hear(b'"id":"s1"'), Hear(b'"id":"s2"'), b'{"jsonrpc":"2.0","id":"s2","result":{"n":2}}',
                b'{"jsonrpc":"2.0","id":"s1","result":{"n":1}}', Answered(),
            ),
            {"t": (
                b'{"jsonrpc":"2.0","id":"s1","method":"roots/list"}', b'{"jsonrpc":"2.0","id":"s2","method":"ping"}',
                Until('answer:"s1"'), Until('answer:"s2"'), _OK,
            )},
            modern=False, ordered=False,
        ),
        Case(
            "a server's request withdrawn",
            (tool("t"), Hear(b'"method":"notifications/cancelled"'), Answered()),
            {"t": (
                b'{"jsonrpc":"2.0","id":"s1","method":"roots/list","params":{}}',
                _note("notifications/cancelled", '"requestId":"s1","reason":"never mind"'), _OK,
            )},
            modern=False,
        ),
        Case(
            "questions of two calls, answered crosswise",
            (
                tool("a", id="1"), Hear(b'"id":"sa"'), tool("b", id="2"), Hear(b'"id":"sb"'),
                b'{"jsonrpc":"2.0","id":"sb","result":{"for":"b"}}', Answered("2"),
                b'{"jsonrpc":"2.0","id":"sa","result":{"for":"a"}}', Answered("1"),
            ),
            {
                "a": (b'{"jsonrpc":"2.0","id":"sa","method":"roots/list","params":{}}', Until('answer:"sa"'), result('"call":"a"')),
                "b": (b'{"jsonrpc":"2.0","id":"sb","method":"roots/list","params":{}}', Until('answer:"sb"'), result('"call":"b"')),
            },
            modern=False,
        ),
    )  # fmt: skip


def _told(name: str, *frames: bytes) -> Case:
    """What the server says of its own accord."""
    heard: tuple[Step, ...] = tuple(Hear(frame) for frame in frames)
    return Case(
        name,
        (request("vendor/poke"), *heard, Answered()),
        {"vendor/poke": (*(Stray(frame) for frame in frames), _SAID)},
        modern=False,
        ordered=False,
    )


def _said(name: str, note: bytes) -> Case:
    """A notification of the client, and a request after it."""
    return Case(name, (note, request("vendor/after"), Answered()), {}, modern=False)


def _notifications() -> tuple[Case, ...]:
    meta = '"_meta":{"vendor/x":[1.0,null]}'
    return (
        _told("tools have changed", _note("notifications/tools/list_changed")),
        _told("prompts have changed", _note("notifications/prompts/list_changed", meta)),
        _told("resources have changed", _note("notifications/resources/list_changed", meta)),
        _told("a resource was updated", _note("notifications/resources/updated", f'"uri":"x://y","title":"t",{meta}')),
        _told("an elicitation was completed", _note("notifications/elicitation/complete", '"elicitationId":"e1"')),
        _told("the state of a task", _note("notifications/tasks/status", '"taskId":"1","status":"working","ttl":1e3')),
        _told("a notification of the server that nobody knows", _note("vendor/Event", f'"a":1e2,{meta}')),
        _told("several notifications in their order", *(_note("notifications/resources/updated", f'"uri":"x://{n}"') for n in range(5))),
        _said("roots have changed", _note("notifications/roots/list_changed")),
        _said("a notification of the client that nobody knows", _note("vendor/note", f'"a":1e2,{meta}')),
        _said("a notification without params", _note("vendor/bare")),
        _said("progress of the client", _note("notifications/progress", '"progressToken":"s1","progress":1.0')),
        Case(
            "log messages before a result",
            (tool("t"), Answered()),
            {"t": (
                *(_note("notifications/message", f'"level":"{level}","logger":"l","data":{data}')
                  for level, data in (("info", '{"a":1e2}'), ("error", '"\\u00fc"'), ("debug", "null"))),
                _OK,
            )},
            modern=False,
        ),
        Case(
            "log messages and progress between one another",
            (tool("t").replace(b'"vendor/mark":0', b'"progressToken":"p"'), Answered()),
            {"t": (
                _note("notifications/progress", '"progressToken":@token@,"progress":1'),
                _note("notifications/message", '"level":"info","data":1'),
                _note("notifications/progress", '"progressToken":@token@,"progress":2'),
                _note("notifications/message", '"level":"info","data":2'),
                _OK,
            )},
            modern=False,
        ),
    )  # fmt: skip


def _plain(name: str, method: str, params: str, answer: str = "") -> Case:
    return Case(name, (request(method, params), Answered()), {method: (result(answer),)}, modern=False)


def _requests() -> tuple[Case, ...]:
    return (
        _plain("ping", "ping", '"x":1'),
        Case("ping without params", (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', Answered()), {}, modern=False),
        _plain("the level of logging", "logging/setLevel", '"level":"debug"'),
        _plain("subscribe", "resources/subscribe", '"uri":"x://y"'),
        _plain("unsubscribe", "resources/unsubscribe", '"uri":"x://y"', '"_meta":{"a":null}'),
        _plain("a call as a task", "tasks/list", '"cursor":""', '"tasks":[{"taskId":"1","status":"working","ttl":null}]'),
        Case(
            "a task",
            (tool("t", '"task":{"ttl":6e4}'), Answered()),
            {"t": (result('"task":{"taskId":"1","status":"working","ttl":6e4,"pollInterval":5,"createdAt":"2026"}'),)},
            modern=False,
        ),
        _plain("the state of a task, asked for", "tasks/get", '"taskId":"1"', '"taskId":"1","status":"input_required"'),
        _plain("the result of a task", "tasks/result", '"taskId":"1"', '"content":[{"type":"text","text":"1.0"}],"isError":false'),
        _plain("a task cancelled", "tasks/cancel", '"taskId":"1"', '"taskId":"1","status":"cancelled"'),
        Case(
            "a call cancelled, with the reason",
            (
                tool("t").replace(b'"vendor/mark":0', b'"progressToken":1'), Hear(b'"progress":1'),
                _note("notifications/cancelled", '"requestId":1,"reason":"b\\u00f6red","vendor":1.0'), Answered(),
            ),
            {"t": (
                _note("notifications/progress", '"progressToken":@token@,"progress":1'),
                Until("notifications/cancelled"), _OK,
            )},
            modern=False,
        ),
    )  # fmt: skip


LEGACY = (*_requests_of_the_server(), *_notifications(), *_requests())
