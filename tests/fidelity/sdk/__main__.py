"""`python -m tests.fidelity.sdk` brings the TypeScript SDKs into `.fidelity`; `make test` does it."""

import anyio

from tests.conformance.npm import install
from tests.fidelity.sdk import HERE, HOME

if __name__ == "__main__":
    anyio.run(install, HOME, HERE)
