"""Checks of what only the modern era knows: discovery, rounds of input, subscriptions, the extension for tasks."""

# ruff: noqa: E501 - messages stand as they go over the wire

from tests.fidelity.cases_plain import request, result, tool
from tests.fidelity.script import Answered, Case, Hear, Until

_TAG = '"_meta":{"io.modelcontextprotocol/subscriptionId":@id@,"vendor/x":1}'
_ROUND = (
    '"resultType":"input_required","inputRequests":{"b":{"method":"elicitation/create","params":{"mode":"form",'
    '"message":"?","requestedSchema":{"type":"object","x":1.0}}},"a":{"method":"roots/list","params":{}},'
    '"c":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1e2}}},"requestState":"s\\u00fc==",'
    '"vendor":null'
)
_ANSWERS = '"inputResponses":{"b":{"action":"accept","content":{"n":1.0}},"a":{"roots":[]},"z":null}'


def _note(method: str, params: str) -> bytes:
    return f'{{"jsonrpc":"2.0","method":"{method}","params":{{{params}}}}}'.encode()


def _only(name: str, said: bytes, *frames: bytes, key: str) -> Case:
    return Case(name, (said, Answered()), {key: frames}, legacy=False)


MODERN = (
    _only(
        "discovery",
        request("server/discover"),
        result(
            '"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"extensions":'
            '{"vendor/x":{"a":null}}},"instructions":"be kind \\u00fc","ttlMs":6e4,"cacheScope":"public",'
            '"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"raw","version":"0","icons":[],"v":1.0}}'
        ),
        key="server/discover",
    ),
    Case(
        "a round of input for a tool",
        (
            tool("t"),
            Answered(),
            tool("t", _ANSWERS, '"requestState":"s\\u00fc=="', id="2"),
            Answered("2"),
        ),
        {"t": (result(_ROUND),)},
        legacy=False,
    ),
    _only("a round of input for a prompt", request("prompts/get", '"name":"p"'), result(_ROUND), key="prompts/get"),
    _only(
        "a round of input for a resource", request("resources/read", '"uri":"x://y"'), result(_ROUND),
        key="resources/read",
    ),
    _only(
        "a round with nothing but a state", tool("t"), result('"resultType":"input_required","requestState":""'),
        key="t",
    ),
    _only(
        "a call that becomes a task",
        tool("t"),
        result('"resultType":"task","taskId":"1","status":"working","ttlMs":1e3,"pollIntervalMs":5'),
        key="t",
    ),
    _only("the extension's task", request("tasks/get", '"taskId":"1"'), result('"taskId":"1","v":1.0'), key="tasks/get"),
    _only(
        "input for the extension's task", request("tasks/update", '"taskId":"1"', _ANSWERS), result('"taskId":"1"'),
        key="tasks/update",
    ),
    Case(
        "a subscription",
        (
            request(
                "subscriptions/listen", '"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x://y"]}',
                id='"sub"',
            ),
            Hear(b'"n":1'),
            request("vendor/change", id="2"),
            Answered("2"),
            Answered('"sub"'),
        ),
        {
            "subscriptions/listen": (
                _note("notifications/subscriptions/acknowledged", f'"notifications":{{"toolsListChanged":true}},{_TAG}'),
                _note("notifications/tools/list_changed", f'"n":1,{_TAG}'),
                Until("vendor/change"),
                _note("notifications/resources/updated", f'"uri":"x://y",{_TAG}'),
                result(f'"resultType":"complete",{_TAG}'),
            )
        },
        legacy=False,
        ordered=False,
    ),
    _only(
        "log messages that were asked for",
        tool("t").replace(b'"vendor/mark":0', b'"io.modelcontextprotocol/logLevel":"debug"'),
        _note("notifications/message", '"level":"info","data":{"a":1e2}'),
        result('"resultType":"complete"'),
        key="t",
    ),
    _only(
        "a capability that is missing",
        tool("t"),
        b'{"jsonrpc":"2.0","id":@id@,"error":{"code":-32021,"message":"no","data":{"requiredCapabilities":{"sampling":{}}}}}',
        key="t",
    ),
)  # fmt: skip
