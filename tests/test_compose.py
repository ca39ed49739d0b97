"""What compose.yaml, Dockerfile and deploy/ promise, read from the files.

Whether it holds at run time is asked by `make compose-test`.
"""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.config.load import load
from governance.config.secrets import open_secrets
from wicket.soundness import soundness_of

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "compose.yaml"
STACK: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
SERVING = ("gateway", "mcp")
EXACT = re.compile(r"[\w./-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?(@sha256:[0-9a-f]{64})?")
"""An image by its exact version; a tag like `latest` or `15` means another image tomorrow."""


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """A copy of `deploy/` after `secrets.sh` was run."""
    folder = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", folder, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run(["sh", str(folder / "secrets.sh")], check=True)
    return folder


def test_the_file_is_what_the_compose_specification_asks_for() -> None:
    command = [str(Path(sys.prefix) / "bin/check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned(service: str) -> None:
    assert EXACT.fullmatch(SERVICES[service]["image"])


def test_every_base_of_our_image_is_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert bases
    assert all(EXACT.fullmatch(base) for base in bases)
    assert len(set(bases)) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_has_more_rights_than_it_needs(service: str) -> None:
    settings = SERVICES[service]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"} & settings.keys()
    assert str(settings["user"]).partition(":")[0] not in ("", "0", "root")


def test_our_image_runs_as_nobody_in_particular() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("FROM ")
    assert re.findall(r"^USER (.*)", stages[-1], re.MULTILINE) == ["10001:10001"]
    assert {SERVICES[service]["user"] for service in (*SERVING, "migrate")} == {"10001:10001"}


def test_ports_are_bound_to_this_machine_only() -> None:
    ports = {service: settings.get("ports", []) for service, settings in SERVICES.items()}
    assert {service for service, bound in ports.items() if bound} == set(SERVING)
    assert all(port.startswith("127.0.0.1:") for bound in ports.values() for port in bound)


def test_the_database_is_reached_from_within_only() -> None:
    assert SERVICES["database"]["networks"] == ["inside"]
    assert STACK["networks"]["inside"] == {"internal": True}


def test_secrets_are_files_that_are_never_committed() -> None:
    assert all(set(secret) == {"file"} for secret in STACK["secrets"].values())
    assert all(secret["file"].startswith("./deploy/secrets/") for secret in STACK["secrets"].values())
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().split()
    assert {name for settings in SERVICES.values() for name in settings["secrets"]} == set(STACK["secrets"])


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_stands_in_an_environment(service: str) -> None:
    suspicious = re.compile("KEY|TOKEN|PASSWORD|SECRET|URL")
    literal = {
        name: value
        for name, value in SERVICES[service]["environment"].items()
        if suspicious.search(name) and not name.endswith("_FILE") and not re.fullmatch(r"\$\{\w+:-\}", value)
    }
    assert literal == {}


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_kept_lies_in_named_volumes_and_the_rest_is_read_only(service: str) -> None:
    for mount in SERVICES[service]["volumes"]:
        source, _, target = mount.partition(":")
        assert source in STACK["volumes"] or (source.startswith("./deploy/") and target.endswith(":ro"))


@pytest.mark.parametrize("service", ["database", *SERVING])
def test_what_serves_has_a_health_check_and_comes_back(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]
    assert SERVICES[service]["restart"] == "unless-stopped"


def test_nothing_serves_before_the_tables_are_there() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    for service in SERVING:
        assert SERVICES[service]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_only_what_the_image_needs_is_sent_to_its_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(" ".join(copied).split())


def test_the_configuration_in_the_containers_is_sound(deploy: Path) -> None:
    file = deploy / "config/wicket.yaml"
    file.write_text(file.read_text().replace("/run/secrets", str(deploy / "secrets")))
    config = load(file)
    assert open_secrets(config).admin_token.startswith("wka_")
    found = soundness_of(config, map(Path, config.policies))
    assert (found.problems, found.warnings) == ((), ())


def test_containers_begin_with_the_rules_that_every_installation_begins_with() -> None:
    assert (ROOT / "deploy/config/policy.yaml").read_text() == (ROOT / "wicket/starter/policy.yaml").read_text()


def test_secrets_are_random_and_made_once(deploy: Path) -> None:
    secrets = deploy / "secrets"
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert made.keys() == STACK["secrets"].keys()
    assert len(made["master_key"]) == len(made["database_password"]) == 64
    assert made["master_key"] != made["database_password"]
    assert made["database_url"] == f"postgresql://wicket:{made['database_password']}@database:5432/wicket"
    subprocess.run(["sh", str(deploy / "secrets.sh")], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
