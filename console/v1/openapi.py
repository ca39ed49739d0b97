"""The description of the API (OpenAPI 3.1), made from the operations and the models that answers are made of.

So it cannot say anything else than what is served.
"""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from console.roles import ROLES
from console.v1.operation import Operation
from console.v1.problems import MEDIA_TYPE, TITLES
from console.v1.shapes import Problem

PREFIX = "/api/v1"
_COMMON = {
    400: "the body or cursor cannot be read",
    401: "no key, or none that is good",
    403: "your role may not, or the rule wants others to decide",
    422: "a parameter or a member of the body is not as it must be",
    429: "too many failed to come in from this address",
    503: "the records cannot be read or written",
}
_OF_BODIES = {409: "it stands otherwise", 413: "the body is too large", 415: "the body is not JSON"}


def describe(operations: tuple[Operation, ...]) -> dict[str, Any]:
    """The whole description."""
    models: list[tuple[type[BaseModel], Any]] = [(one.answer, "serialization") for one in operations]
    models += [(one.body, "validation") for one in operations if one.body is not None]
    models.append((Problem, "serialization"))
    _, made = models_json_schema(list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(PREFIX + one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wicket",
            "version": "1",
            "description": "Sessions, held calls, the kill switch, pins, servers, the audit log and keys. "
            "Send the key of a person (`wicket keys create --role ROLE`) as a bearer.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "the gateway, or `wicket console`"}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key of a person."}},
            "schemas": made["$defs"],
            "responses": {str(status): _problem(TITLES[status]) for status in sorted(TITLES)},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.id,
        "summary": one.summary,
        "description": f"Asks for the permission `{one.permission}`: {', '.join(roles_of(one))}.",
        "tags": [one.tag],
        "x-wicket-permission": str(one.permission),
        "responses": {
            "200": {"description": "done" if one.body else "found", "content": _content(one.media_type, one.answer)},
            **{str(status): {**_problem(said)} for status, said in sorted(_refusals(one).items())},
        },
    }
    if parameters := _parameters(one):
        told["parameters"] = parameters
    if one.body is not None:
        told["requestBody"] = {"required": True, "content": _content("application/json", one.body)}
    return told


def roles_of(one: Operation) -> list[str]:
    """The roles that may."""
    return [role.value for role, permissions in ROLES.items() if one.permission in permissions]


def _refusals(one: Operation) -> dict[int, str]:
    return {**_COMMON, **(_OF_BODIES if one.body else {}), **one.refusals}


def _problem(said: str) -> dict[str, Any]:
    return {"description": said, "content": _content(MEDIA_TYPE, Problem)}


def _content(media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


def _parameters(one: Operation) -> list[dict[str, Any]]:
    steps = re.findall(r"\{(\w+)\}", one.path)
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in steps
    ]
    shape = one.query.model_json_schema()
    for name, schema in shape.get("properties", {}).items():
        plain = _inlined(schema, shape.get("$defs", {}))
        about = plain.pop("description", "")
        told: dict[str, Any] = {"name": name, "in": "query", "required": False, "schema": plain}
        found.append({**told, "description": about} if about else told)
    if one.body is not None:
        about = "The same request with the same key is done once and answered the same, for a day."
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        found.append(
            {"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema, "description": about}
        )
    return found


def _inlined(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without references, titles, and the null that stands for leaving it out."""
    if "$ref" in schema:
        schema = {**defs[schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    if "anyOf" in schema:
        choices = [one for one in schema["anyOf"] if one.get("type") != "null"]
        rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
        schema = {**_inlined(choices[0], defs), **rest}
    return {name: value for name, value in schema.items() if name != "title"}
