"""What we keep of the SDK's words is what the SDK says."""

from mcp.shared import inbound as whole
from mcp_types import methods, version

from mcp_proxy import sdk


def test_the_tables_of_methods_are_the_sdks():
    modern = {method for method, revision in methods.CLIENT_REQUESTS if revision == version.LATEST_MODERN_VERSION}
    assert {method for method, _ in methods.CLIENT_REQUESTS} - modern == sdk.REMOVED_REQUESTS
    assert methods.INPUT_REQUIRED_METHODS == sdk.INPUT_REQUIRED_METHODS
    assert methods.CACHEABLE_METHODS == sdk.CACHEABLE_METHODS


def test_the_rules_for_headers_are_the_sdks():
    assert sdk.inbound.__file__ == whole.__file__
    assert sdk.inbound.encode_header_value("gr\u00fc\u00df") == whole.encode_header_value("gr\u00fc\u00df")
