"""Telling Wicket's own packages from strangers of the same names."""

import base64
import hashlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from wicket.installation import InstallationError, check_installation

PACKAGES = ("proxy_of_ours", "wicket")


def digest(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packages with the record of one distribution, `ours`."""
    home = tmp_path / "site"
    for package in PACKAGES:
        (home / package).mkdir(parents=True)
        (home / package / "__init__.py").write_text(f'"""{package}"""\n')
        (home / package / "inner.py").write_text("x = 1\n")
    info = home / "ours-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    lines = [f"{path.relative_to(home)},sha256={digest(path)},{path.stat().st_size}\n" for path in home.rglob("*.py")]
    (info / "RECORD").write_text("".join([*lines, "ours-1.0.dist-info/RECORD,,\n"]))
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    for package in PACKAGES:
        monkeypatch.delitem(sys.modules, package, raising=False)
    return home


def check() -> None:
    check_installation(PACKAGES, "ours")


def test_an_installation_as_it_was_recorded_is_good(site: Path):
    check()


def test_this_checkout_is_good():
    check_installation()


def test_a_changed_file_refuses(site: Path):
    (site / "proxy_of_ours" / "inner.py").write_text("x = 2\n")
    with pytest.raises(InstallationError, match=r"inner\.py` was changed since it was installed: install it alone"):
        check()


@pytest.mark.parametrize("change", ["stranger.py", "inner.so", f"inner{EXTENSION_SUFFIXES[0]}", "removed"])
def test_a_file_too_many_or_too_few_refuses(site: Path, change: str):
    if change != "removed":
        (site / "proxy_of_ours" / change).write_text("")
    else:
        (site / "proxy_of_ours" / "inner.py").unlink()
    with pytest.raises(InstallationError, match="the package `proxy_of_ours` is not as it was installed"):
        check()


def test_a_compiled_module_beside_the_packages_is_compared_too(site: Path):
    compiled = site / f"ours__mypyc{EXTENSION_SUFFIXES[0]}"
    compiled.write_bytes(b"machine code")
    record = site / "ours-1.0.dist-info" / "RECORD"
    record.write_text(f"{compiled.name},sha256={digest(compiled)},12\n{record.read_text()}")
    check()

    compiled.write_bytes(b"other machine code")
    with pytest.raises(InstallationError, match=r"ours__mypyc.* was changed since it was installed"):
        check()


def test_a_package_of_the_same_name_elsewhere_refuses(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stranger = tmp_path / "elsewhere" / "proxy_of_ours"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(stranger.parent), *sys.path])
    with pytest.raises(InstallationError, match=r"the package `proxy_of_ours` in .* is not Wicket's"):
        check()


def test_a_missing_package_refuses(site: Path):
    with pytest.raises(InstallationError, match="the package `not_there_at_all` is missing"):
        check_installation((*PACKAGES, "not_there_at_all"), "ours")


def test_packages_without_a_record_refuse(site: Path):
    with pytest.raises(InstallationError, match="holds no record of what was installed"):
        check_installation(PACKAGES, "not-installed-at-all")


def test_in_an_editable_checkout_only_the_place_is_checked(site: Path):
    (site / "ours-1.0.dist-info" / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    (site / "proxy_of_ours" / "inner.py").write_text("x = 2\n")
    check()
