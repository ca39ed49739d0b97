"""Which provider serves a model."""

import pytest

from gateway.errors import UnknownModelError
from gateway.routing import Routes
from governance.config.models import Provider


def provider(wire: str, *models: str, **more: object) -> Provider:
    return Provider.model_validate({"wire": wire, "base_url": "http://x/v1/", "models": models, **more})


ROUTES = Routes(
    {
        "first": provider("openai-chat", "gpt-4*"),
        "other-wire": provider("anthropic-messages", "*"),
        "rest": provider("openai-chat", "*"),
    }
)


def test_the_first_provider_of_the_wire_that_covers_the_model_wins() -> None:
    assert ROUTES.choose("openai-chat", "gpt-4o").name == "first"
    assert ROUTES.choose("openai-chat", "llama").name == "rest"
    assert ROUTES.choose("anthropic-messages", "gpt-4o").name == "other-wire"


def test_a_model_nobody_serves_is_said_so() -> None:
    with pytest.raises(UnknownModelError):
        Routes({"a": provider("openai-chat", "gpt-*")}).choose("openai-chat", "claude")


@pytest.mark.parametrize(
    ("auth", "headers"),
    [("bearer", {"authorization": "Bearer k"}), ("x-api-key", {"x-api-key": "k"}), ("none", {})],
)
def test_each_provider_is_told_who_asks_in_its_own_way(auth: str, headers: dict[str, str]) -> None:
    routes = Routes({"a": provider("openai-chat", "*", auth=auth, api_key="k", headers={"X-Team": "t"})})
    target = routes.choose("openai-chat", "m")
    assert dict(target.headers) == {"x-team": "t", **headers}
    assert target.base_url == "http://x/v1"
