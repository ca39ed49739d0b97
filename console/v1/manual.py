"""`docs/api.md`, made from the description of the API. Not part of what a user runs."""

from collections.abc import Iterator
from typing import Any

from console.v1.app import OPERATIONS
from console.v1.openapi import PREFIX, describe

_INTRO = """\
# The API for programs: `/api/v1`

This page is made from the code (`make docs`), as is the description that programs read: `GET /api/v1/openapi.json`
(OpenAPI 3.1, open to everybody). The gateway serves it, and so does `wicket console`.

- **Who asks** is known from the key of a person (`wicket keys create --role ROLE`), sent as
  `Authorization: Bearer wk_...`. A browser's session opens nothing here. What each role may do is
  [one table](access.md#roles); of the affairs of other tenants a person is told that they are not there.
- **Lists** have `items` and `next`. Send `next` as `cursor` for the page after it; null = there is none. A list that
  grows meanwhile repeats nothing and leaves nothing out. An unknown parameter is refused.
- **Refusals** are `application/problem+json` (RFC 9457) with a stable `code`, and `errors` that say where. Nothing that
  was sent is repeated in them.
- **A request that may have been lost** is sent again with the same `Idempotency-Key`: it is done once and answered the
  same for a day (`Idempotency-Replayed: true`). Another request with that key is refused; while the first is still
  under way the answer is 409 `under_way`. A request that was refused as not understood is not remembered.
- **More than ten failures** to come in, from one address within a minute: 429 with `Retry-After`. A good key is let in
  always.

The paths under `/console/api/` belong to the pages. They were here before, and go on to work for programs, held to the
same table; what is new comes here only.

```sh
curl -H "Authorization: Bearer $KEY" "http://127.0.0.1:8080/api/v1/approvals?state=pending"
curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -H "Idempotency-Key: $(uuidgen)" \\
  -d '{"decision": "approve", "digest": "CURRENT_DIGEST", "reason": "as agreed"}' \\
  http://127.0.0.1:8080/api/v1/approvals/ID/decision
```
"""


def page() -> str:
    """The whole page."""
    described = describe(OPERATIONS)
    schemas: dict[str, Any] = described["components"]["schemas"]
    return "".join([_INTRO, *_operations(described), "\n# What is said and taken\n", *_schemas(schemas)])


def _operations(described: dict[str, Any]) -> Iterator[str]:
    for path, methods in described["paths"].items():
        for method, one in methods.items():
            yield f"\n## `{method.upper()} {path.removeprefix(PREFIX)}`\n\n{one['summary']}. {one['description']}\n\n"
            for parameter in one.get("parameters", ()):
                if parameter["in"] != "path":
                    said = [_kind(parameter["schema"]), parameter.get("description", "")]
                    yield f"- `{parameter['name']}` ({parameter['in']}): {'. '.join(filter(None, said))}\n"
            if "requestBody" in one:
                yield f"- body: {_of(one['requestBody'])}\n"
            yield f"- answer: {_of(one['responses']['200'])}\n"


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield f"\n## {name}\n\n{' '.join(schema.get('description', '').split())}\n\n"
        if "properties" not in schema:
            yield f"{_kind(schema)}\n"
            continue
        yield "| member | value | meaning |\n| --- | --- | --- |\n"
        for member, kind in schema["properties"].items():
            needed = "" if member in schema.get("required", ()) else ", optional"
            yield f"| `{member}` | {_kind(kind)}{needed} | {kind.get('description', '')} |\n"


def _of(told: dict[str, Any]) -> str:
    ((media_type, content),) = told["content"].items()
    kind = _kind(content["schema"])
    return kind if media_type == "application/json" else f"{kind}, as `{media_type}`"


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return "an event's tag" if len(schema["enum"]) > 12 else ", ".join(f"`{one}`" for one in schema["enum"] if one)
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    words = {
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
        "null": "null",
        "object": "object",
    }
    kind = (
        "a time (RFC 3339)" if schema.get("format") == "date-time" else words.get(schema.get("type", ""), "any value")
    )
    bounds = [
        f"{word} {schema[name]}" for name, word in (("minimum", "at least"), ("maximum", "at most")) if name in schema
    ]
    return f"{kind}, {', '.join(bounds)}" if bounds else kind
