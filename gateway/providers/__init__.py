"""The visible list of ways in which a provider is told who asks. A new one is one file here and one line below."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.providers import bearer, open_door, x_api_key

AUTH: Mapping[str, Callable[[str], dict[str, str]]] = MappingProxyType(
    {
        "bearer": bearer.headers,
        "x-api-key": x_api_key.headers,
        "none": open_door.headers,
    }
)
"""`auth` of a provider in the configuration -> the headers for its key."""
