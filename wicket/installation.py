"""Whether the packages that would be imported are Wicket's own.

Other distributions install top-level packages of the same names, and the last one installed wins. Serving with a
stranger's `mcp_proxy` would be serving without a guard, so this is checked before anything is served.
"""

import base64
import hashlib
import importlib.util
import json
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PACKAGES = ("approvals", "console", "gateway", "governance", "mcp_proxy", "pipeline", "sessions", "wicket")
MEND = "install it alone: `uv tool install wicket`, or its container image"


class InstallationError(Exception):
    """Wicket's packages are mixed with others. The message says which, and how to mend it."""


def check_installation(packages: tuple[str, ...] = PACKAGES, name: str = "wicket") -> None:
    """Refuse unless `packages` lie beside one another and are the files that the distribution `name` recorded.

    In an editable checkout there is no record of files, so only the first is checked.

    Raises:
        InstallationError: a package is missing, elsewhere, changed, or has files that are not its own.
    """
    homes = {package: _home(package) for package in packages}
    beside = homes["wicket"].parent
    for package, home in homes.items():
        if home.parent != beside:
            raise InstallationError(f"the package `{package}` in `{home}` is not Wicket's: {MEND}")
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        raise InstallationError(f"`{beside}` holds no record of what was installed: {MEND}") from None
    if not _is_editable(installed):
        _compare(installed, homes)


def _home(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InstallationError(f"the package `{package}` is missing: {MEND}")
    return Path(spec.origin).resolve().parent


def _is_editable(installed: Distribution) -> bool:
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _compare(installed: Distribution, homes: dict[str, Path]) -> None:
    recorded = {
        Path(str(file.locate())).resolve(): file.hash.value
        for file in installed.files or ()
        if file.hash is not None and _is_module(file.name)
    }
    for package, home in homes.items():
        present = {path.resolve() for path in home.rglob("*") if _is_module(path.name)}
        expected = {path for path in recorded if path.is_relative_to(home)}
        if not expected or present != expected:
            odd = min(present ^ expected, default=home)
            raise InstallationError(f"the package `{package}` is not as it was installed (`{odd}`): {MEND}")
    for path, digest in recorded.items():
        if not path.is_file() or _digest(path) != digest:
            raise InstallationError(f"the file `{path}` was changed since it was installed: {MEND}")


def _is_module(name: str) -> bool:
    """Whether a file of this name is imported; a compiled module comes before a source file of the same name."""
    return name.endswith((".py", *EXTENSION_SUFFIXES))


def _digest(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
