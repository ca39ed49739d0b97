"""A running installation for the end-to-end tests, one for each file of tests, and a model provider beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.provider import Provider, serve_provider
from tests.e2e.stack import Stack, configure, running


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with serve_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Further settings of the installation; a file of tests may say otherwise."""
    return {}


@pytest.fixture(scope="module")
def stack(provider: Provider, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("installation")
    configure(folder, provider.port, **settings)
    with running(folder) as stack:
        yield stack
