"""Checks of single messages that both eras know: a request and its answer, with everything odd that JSON allows."""

# ruff: noqa: E501 - messages stand as they go over the wire

from itertools import count

from tests.fidelity.script import Answered, Case, Hear, Until

_OK = b'{"jsonrpc":"2.0","id":@id@,"result":{"resultType":"complete"}}'


def request(method: str, *params: str, id: str = "1", top: str = "") -> bytes:  # noqa: A002 - as on the wire
    """A request as it goes over the wire: `params` are members, in JSON."""
    inside = ",".join(['"_meta":{@meta@"vendor/mark":0}', *params])
    return f'{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{inside}}}{top}}}'.encode()


_numbers = count(1)


def tool(name: str, *params: str, id: str = "1", arguments: str = "", top: str = "") -> bytes:  # noqa: A002
    """A `tools/call` as it goes over the wire. No two are the same, so that none looks like a loop."""
    arguments = arguments or f'{{"check":{next(_numbers)}}}'
    return request("tools/call", f'"name":"{name}"', f'"arguments":{arguments}', *params, id=id, top=top)


def result(members: str, top: str = "") -> bytes:
    """A response as it goes over the wire: `members` of the result, in JSON."""
    return f'{{"jsonrpc":"2.0","id":@id@,"result":{{{members}}}{top}}}'.encode()


def exchange(name: str, said: bytes, *frames: bytes, key: str = "t", id: str = "1") -> Case:  # noqa: A002
    """A check of one request and what answers it."""
    return Case(name, (said, Answered(id)), {key: frames} if frames else {})


def _calls() -> tuple[Case, ...]:
    numbers = '{"big":1152921504606846977,"huge":18446744073709551615,"neg":-9223372036854775808}'
    floats = '{"one":1.0,"e":1e2,"E":1E+2,"tiny":1e-7,"zero":0.0,"minus":-0.0,"long":0.10000000000000000555}'
    text = '"gr\\u00fc\\u00dfe \\ud83e\\udd8a \\/ \\" \\\\ \\b\\f\\n\\r\\t \\u2028 grüße 🦊 \\u0000"'
    return (
        exchange("integers beyond 64 bits in arguments", tool("t", arguments=numbers)),
        exchange("integers beyond 64 bits in a result", tool("t"), result(f'"content":[],"structuredContent":{numbers}')),
        exchange("floats as they are written, in arguments", tool("t", arguments=floats)),
        exchange("floats as they are written, in a result", tool("t"), result(f'"structuredContent":{floats}')),
        exchange("escapes and unicode in arguments", tool("t", arguments=f'{{"a":{text},"ключ":1}}')),
        exchange("escapes and unicode in a result", tool("t"), result(f'"content":[{{"type":"text","text":{text}}}]')),
        exchange("nulls in arguments", tool("t", arguments='{"a":null,"b":[null,{"c":null}]}')),
        exchange("nulls in a result", tool("t"), result('"content":[],"structuredContent":{"a":null},"x":null')),
        exchange("no arguments at all", request("tools/call", '"name":"t"')),
        exchange("empty arguments", tool("t", arguments="{}")),
        exchange("white space between tokens", tool("t").replace(b",", b" , \t").replace(b":", b"  :")),
        exchange("white space in an answer", tool("t"), result('"content" : [ ]').replace(b",", b" ,\t ")),
        exchange("the order of members in a request", tool("t", '"z":1,"a":2,"m":{"y":1,"b":2}', top=',"aa":0')),
        exchange(
            "the order of members in an answer",
            tool("t"),
            b'{"result":{"z":1,"content":[],"a":{"y":1,"b":2}},"id":@id@,"jsonrpc":"2.0"}',
        ),
        exchange("unknown members beside a request", tool("t", top=',"vendorTop":{"a":[1.0]},"x":null')),
        exchange("unknown members beside a result", tool("t"), result('"content":[]', ',"vendorTop":[1e2],"x":null')),
        exchange("unknown params", tool("t", '"vendorParam":{"deep":[{}]},"flag":false')),
        exchange("unknown members of a result", tool("t"), result('"content":[],"vendor":{"a":1e2},"more":""')),
        exchange("unknown kinds of content", tool("t"), result('"content":[{"type":"hologram","x":1.0},{"type":""},{}]')),
        exchange("an empty result", tool("t"), result("")),
        exchange("a result of an unknown kind", tool("t"), result('"resultType":"vendor/later","ticket":7')),
        exchange("_meta both ways", tool("t"), result('"content":[],"_meta":{"vendor/x":{"a":null},"traceparent":"00-a"}')),
        exchange("trace context in _meta", tool("t", '"x":1').replace(
            b'"vendor/mark":0', b'"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","baggage":"a=b"'
        )),
        exchange("a tool's own error", tool("t"), result('"content":[{"type":"text","text":"no"}],"isError":true')),
        *(
            exchange(f"structured content that is {what}", tool("t"), result(f'"content":[],"structuredContent":{value}'))
            for what, value in (("a list", "[1,null]"), ("a number", "1.0"), ("a text", '""'), ("null", "null"))
        ),
        exchange("names of tools with odd letters", tool("a.b_C-1/é", arguments='{"k":1}')),
        exchange("a large answer", tool("t"), result('"content":[{"type":"text","text":"' + "ab" * 600_000 + '"}]')),
        exchange("large arguments", tool("t", arguments='{"text":"' + "ab" * 600_000 + '"}')),
        exchange("deep nesting", tool("t", arguments='{"a":' + "[" * 50 + "]" * 50 + "}")),
    )  # fmt: skip


def _ids() -> tuple[Case, ...]:
    ids = ("0", "-1", "9007199254740991", '""', '"0"', '"ü/🦊"', '"a b"')
    return tuple(exchange(f"the id {one}", tool("t", id=one), id=one) for one in ids)


def _errors() -> tuple[Case, ...]:
    def error(code: int, more: str = "", top: str = "") -> bytes:
        return f'{{"jsonrpc":"2.0","id":@id@,"error":{{"code":{code},"message":"nö"{more}}}{top}}}'.encode()

    data = ',"data":{"a":[null,1.0,1152921504606846977],"b":"\\u00fc"},"vendor":true'
    return (
        exchange("an error with data", tool("t"), error(-32602, data, ',"top":1')),
        exchange("an error without data", tool("t"), error(-32603)),
        exchange("an error with a code of the server's own", tool("t"), error(-31999, data)),
        exchange("an error with a positive code", tool("t"), error(7, ',"data":null')),
        exchange("method not found", request("vendor/nothing"), error(-32601), key="vendor/nothing"),
        exchange("URL elicitation required", tool("t"), error(-32042, ',"data":{"elicitations":[{"mode":"url","url":"https://e.invalid"}]}')),
        exchange("resource not found", request("resources/read", '"uri":"x://y"'), error(-32002, ',"data":{"uri":"x://y"}'), key="resources/read"),
    )  # fmt: skip


def _lists() -> tuple[Case, ...]:
    icon = '"icons":[{"src":"https://e.invalid/i.png","mimeType":"image/png","sizes":["48x48","any"],"theme":"dark"}]'
    odd = (
        '{"name":"odd","title":"Ödd","description":"does odd things","inputSchema":{"type":"object","$defs":{"a":'
        '{"$anchor":"a"}},"x-thing":[1.0,1152921504606846977],"not":{}},"outputSchema":{"type":"object",'
        '"additionalProperties":false},"annotations":{"readOnlyHint":true,"vendorHint":"x","title":"t"},' + icon + ","
        '"execution":{"taskSupport":"optional"},"_meta":{"vendor/x":{"n":null}},"unknownKey":[{}]}'
    )
    contents = (
        '"contents":[{"uri":"x://y","mimeType":"image/png","blob":"AAECAw==","_meta":{"a":null}},{"uri":"","text":""}]'
    )
    prompt = '"description":"d","messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"x://y","text":"t"}}}]'
    ref = '"ref":{"type":"ref/prompt","name":"p","title":"x"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"c"}}'
    return (
        exchange("definitions of tools", request("tools/list"), result(f'"tools":[{odd}],"vendor":1,"ttlMs":0'), key="tools/list"),
        exchange("no tools", request("tools/list"), result('"tools":[]'), key="tools/list"),
        exchange("cursors are opaque", request("tools/list", '"cursor":"a=b&c\\u00fc=="'), result('"tools":[],"nextCursor":"MTA="'), key="tools/list"),
        exchange("an empty cursor is a cursor", request("resources/list", '"cursor":""'), result('"resources":[],"nextCursor":""'), key="resources/list"),
        exchange("resources", request("resources/list"), result('"resources":[{"uri":"x://y","name":"n","title":"t","size":1.0,"annotations":{"priority":1e-1,"audience":["user"]},' + icon + "}]"), key="resources/list"),
        exchange("templates of resources", request("resources/templates/list"), result('"resourceTemplates":[{"uriTemplate":"x://{+y}","name":"n"}]'), key="resources/templates/list"),
        exchange("contents of resources", request("resources/read", '"uri":"x://y?a=ü&b=%20"'), result(contents + ',"ttlMs":1e3,"cacheScope":"private"'), key="resources/read"),
        exchange("prompts", request("prompts/list"), result('"prompts":[{"name":"p","title":"P","arguments":[{"name":"a","required":false,"x":null}]}]'), key="prompts/list"),
        exchange("a prompt", request("prompts/get", '"name":"p","arguments":{"a":"ü"}'), result(prompt), key="prompts/get"),
        exchange("completion", request("completion/complete", ref), result('"completion":{"values":["a",""],"total":1e2,"hasMore":false}'), key="completion/complete"),
        exchange("a request that nobody knows", request("vendor/Do.It", '"a":1.0,"b":null'), result('"vendor":[1e2]'), key="vendor/Do.It"),
        exchange("many kinds of content", tool("t"), result('"content":[{"type":"image","data":"AA==","mimeType":"image/png","annotations":{"lastModified":"2026"}},{"type":"audio","data":"AA==","mimeType":"audio/wav"},{"type":"resource_link","uri":"x://y","name":"n",' + icon + '},{"type":"resource","resource":{"uri":"x://z","blob":"AA=="}}]'), key="t"),
    )  # fmt: skip


def _progress(token: str) -> Case:
    said = tool("t").replace(b'"vendor/mark":0', b'"progressToken":' + token.encode())
    frames = tuple(
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":@token@,"progress":%s,'
        b'"total":1e2,"message":"step \\u00fc","vendor":null}}' % step
        for step in (b"0", b"0.5", b"1.0")
    )
    return exchange(f"progress with the token {token}", said, *frames, _OK)


def _together() -> tuple[Case, ...]:
    return (
        Case(
            "a slow call does not hold up a fast one",
            (
                tool("slow", id="1", arguments='{"n":1}'),
                tool("fast", id="2", arguments='{"n":2}'),
                Answered("2"),
                tool("release", id="3"),
                Answered("1"),
                Answered("3"),
            ),
            {"slow": (Until("release"), _OK)},
            ordered=False,
        ),
        Case(
            "eight calls at once",
            (*(tool(f"t{n}", id=str(n)) for n in range(8)), *(Answered(str(n)) for n in range(8))),
            {f"t{n}": (result(f'"content":[],"structuredContent":{{"n":{n}}}'),) for n in range(8)},
            ordered=False,
        ),
        Case(
            "equal ids as a number and as a text",
            (
                tool("a", id="1"),
                tool("b", id='"1"'),
                Answered('"1"'),
                tool("c", id="5"),
                Answered("1"),
                Answered("5"),
            ),
            {"a": (Until("c"), result('"content":[],"structuredContent":{"a":1}'))},
            ordered=False,
        ),
        Case(
            "progress is live",
            (
                tool("t").replace(b'"vendor/mark":0', b'"progressToken":7'),
                Hear(b'"progress":1'),
                tool("onward", id="2"),
                Answered("1"),
                Answered("2"),
            ),
            {
                "t": (
                    b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":@token@,"progress":1}}',
                    Until("onward"),
                    _OK,
                )
            },
            ordered=False,
        ),
    )  # fmt: skip


PLAIN = (
    *_calls(),
    *_ids(),
    *_errors(),
    *_lists(),
    *(_progress(token) for token in ("0", "1", '""', '"tök"')),
    *_together(),
)
