"""Which action applies: defaults, globs, tenants."""

import pytest

from governance.config.models import Detect
from governance.detect.actions import DEFAULTS, Actions


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("pii.ssn", "redact"),
        ("pii.card", "redact"),
        ("pii.iban", "redact"),
        ("pii.email", "log"),
        ("pii.phone", "log"),
        ("secret.github_token", "redact"),
        ("injection.direct", "log"),
        ("argument.sql", "hold"),
        ("address.private", "hold"),
        ("address.metadata", "deny"),
        ("something.new", "log"),
    ],
)
def test_what_happens_where_nothing_is_configured(kind: str, action: str) -> None:
    assert Actions(Detect()).of(kind, "default") == action
    assert DEFAULTS["*"] == "log"


def test_the_most_exact_glob_wins_whatever_the_order() -> None:
    globs = {"*": "log", "pii.*": "hold", "pii.e*": "redact", "pii.email": "deny"}
    for ordered in (globs, dict(reversed(globs.items()))):
        actions = Actions(Detect.model_validate({"actions": ordered}))
        assert actions.of("pii.email", "t") == "deny"
        assert actions.of("pii.europe", "t") == "redact"
        assert actions.of("pii.ssn", "t") == "hold"
        assert actions.of("secret.jwt", "t") == "log"


def test_a_tenant_s_own_actions_lie_over_everybody_s() -> None:
    actions = Actions(Detect(actions={"pii.ssn": "deny"}, tenants={"acme": {"pii.*": "log"}}))
    assert actions.of("pii.ssn", "acme") == "log"
    assert actions.of("pii.ssn", "other") == "deny"
    assert actions.of("secret.jwt", "acme") == "redact"
