"""Schemathesis asks the API whatever its description allows, and much that it does not: no answer breaks its word."""

import importlib
from typing import Any

from hypothesis import HealthCheck, given, settings

from console.v1.app import OPERATIONS
from tests.console.v1.conftest import Api

EXAMPLES = 15
ANY_HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def test_no_answer_breaks_the_word_of_the_description(api: Api) -> None:
    # By name, because its types are given in part only.
    schemathesis: Any = importlib.import_module("schemathesis")
    promised: Any = importlib.import_module("schemathesis.specs.openapi.checks")
    checks = [
        schemathesis.checks.not_a_server_error,
        promised.status_code_conformance,
        promised.content_type_conformance,
        promised.response_schema_conformance,
    ]
    described = schemathesis.openapi.from_url(f"{api.url}/api/v1/openapi.json")
    tried: set[str] = set()
    for found in described.get_all_operations():
        operation = found.ok()

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=ANY_HEALTH, database=None)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(base_url=api.url, headers=api.bearer())
            case.validate_response(answer, checks=checks)

        ask()
        tried.add(f"{operation.method.upper()} {operation.path}")
    assert tried == {f"{one.method} /api/v1{one.path}" for one in OPERATIONS}
