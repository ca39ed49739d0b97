"""Request bodies as agents send them: seeded, all different, each with a newest message that was never sent before.

0.3 KB is what benchmarks of gateways usually send; 55 KB is the first turn of a coding agent (a long system prompt,
eight turns, twenty tools).
"""

import json
import random  # noqa: TID251 - a seeded generator: the same bodies on every machine
from pathlib import Path
from typing import Any

SEED = 20_261_121
FRESH = "@@@@@@@@@@@@"
"""Stands in the newest message of each body and in the id of each call; the load puts the number of the request in its
place, so that no message is sent twice, while the history before it is, as agents send it."""
VARIANTS = 64

_PROSE = (
    "the agent reads a file and then writes the change back to disk before running the tests again while a build "
    "server waits for results that nobody has looked at since the branch was merged into main and every function "
    "returns early when its input is empty so that callers never see an error they could not have expected from a "
    "module whose name says what it does list of open issues grows slowly but steadily over several weeks because "
    "reviewers ask for small commits with clear messages and documentation in plain language for new users"
)
_WORDS = tuple(_PROSE.split(" "))


def text(source: random.Random, characters: int) -> str:
    """About so many characters of prose, with line breaks and some code-like words."""
    parts: list[str] = []
    size = 0
    while size < characters:
        word = source.choice(_WORDS)
        if source.random() < 0.06:
            word = f"`{word}_{source.choice(_WORDS)}()`"
        end = source.choices([" ", ". ", ",\n", "\n\n"], weights=[20, 2, 1, 1])[0]
        parts.append(word + end)
        size += len(word) + len(end)
    return "".join(parts)[:characters]


def tool(source: random.Random, number: int) -> dict[str, Any]:
    """A tool definition with a schema of a handful of properties."""
    names = source.sample(_WORDS, 6)
    properties = {
        f"{name}_{place}": {"type": source.choice(["string", "integer", "boolean"]), "description": text(source, 80)}
        for place, name in enumerate(names)
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties)[:2],
        "additionalProperties": False,
    }
    function = {"name": f"{names[0]}_{number}", "description": text(source, 400), "parameters": schema}
    return {"type": "function", "function": function}


def small(source: random.Random, *, stream: bool = False) -> dict[str, Any]:
    """0.3 KB: one short question."""
    question = {"role": "user", "content": f"{FRESH} {text(source, 190)}"}
    return {"model": "gpt-4o-mini", "messages": [question], **({"stream": True} if stream else {})}


def large(source: random.Random, *, stream: bool = False) -> dict[str, Any]:
    """55 KB: a system prompt of 12 KB, eight turns, twenty tools."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": text(source, 12_000)}]
    for turn in range(4):
        call = {"id": f"call_{turn}", "type": "function"}
        call["function"] = {"name": "read_file", "arguments": json.dumps({"path": f"src/{turn}.py"})}  # pyright: ignore[reportArgumentType] - a literal of mixed JSON
        messages += [
            {"role": "user", "content": text(source, 900)},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{turn}", "content": text(source, 2_200)},
            {"role": "assistant", "content": text(source, 700)},
        ]
    messages.append({"role": "user", "content": f"{FRESH} {text(source, 290)}"})
    tools = [tool(source, number) for number in range(20)]
    return {"model": "gpt-4o-mini", "messages": messages, "tools": tools, **({"stream": True} if stream else {})}


def tool_call(source: random.Random, *, modern: bool) -> dict[str, Any]:
    """An MCP `tools/call` of about 0.3 KB."""
    params: dict[str, Any] = {
        "name": "echo",
        "arguments": {"text": f"{FRESH} {text(source, 110)}", "count": source.randint(1, 99)},
    }
    if modern:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": f"call-{FRESH}", "method": "tools/call", "params": params}


def write(path: Path, kind: str) -> int:
    """Write the variants of a kind, one compact JSON text a line; returns their mean size in bytes."""
    source = random.Random(f"{SEED}:{kind}")
    makers = {
        "small": lambda: small(source),
        "large": lambda: large(source),
        "stream": lambda: small(source, stream=True),
        "mcp-modern": lambda: tool_call(source, modern=True),
        "mcp-legacy": lambda: tool_call(source, modern=False),
    }
    lines = [json.dumps(makers[kind](), separators=(",", ":")) for _ in range(VARIANTS)]
    path.write_text("\n".join(lines))
    return sum(map(len, lines)) // len(lines)
