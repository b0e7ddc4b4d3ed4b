"""What is shipped to start the service in containers, the image and the compose files, held to its word."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from config.loading import load
from syndicator.pipeline.roles import check_roles, parse_roles
from syndicator.pipeline.service import GRACE
from tests.needing import missing
from tests.program import ROOT

DEPLOY = ROOT / "deploy"
COMPOSED = {name: yaml.safe_load((DEPLOY / name).read_text()) for name in ("compose.yml", "compose.cluster.yml")}
OURS = [
    (name, service)
    for name, whole in COMPOSED.items()
    for service, said in whole["services"].items()
    if said["image"] == "syndicator"
]
EVERY = [(name, service) for name, whole in COMPOSED.items() for service in whole["services"]]


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE))


def recipe() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word and word[0] != "#"]


# -- the image
def test_the_locks_of_one_and_of_many_machines_name_the_same_versions():
    one, many, developers = pins("requirements.lock"), pins("requirements-cluster.lock"), pins("requirements-dev.lock")
    assert one.items() <= many.items() <= developers.items()
    assert {"procrastinate", "psycopg", "psycopg-binary"} <= many.keys() - one.keys()


def test_all_that_the_image_downloads_is_checked_against_a_hash():
    steps = [step for word, rest in recipe() if word == "RUN" for step in rest.split("&&")]
    asked = [step for step in steps if " pip wheel " in step or (" install --" in step and " pip " in step)]
    assert len(asked) == 4
    for step in asked:
        assert "--require-hashes" in step or "--no-index" in step, step
        assert " pip wheel " not in step or "--no-build-isolation" in step, step


def test_the_image_holds_the_runtime_alone_and_runs_as_nobody_of_importance():
    last = recipe()[max(i for i, (word, _) in enumerate(recipe()) if word == "FROM") :]
    said = dict(last)
    assert int(said["USER"].partition(":")[0]) > 1000
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(said["ENTRYPOINT"]) == ["syndicator"]
    assert "/readyz" in " ".join(rest for word, rest in last if word == "ENV")
    assert "HEALTHCHECK" in said
    assert [rest for word, rest in last if word == "COPY"] == ["--from=wheels /opt/syndicator /opt/syndicator"]


def test_what_the_image_copies_is_there_and_nothing_else_is_sent_to_its_builder():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = {name for word, rest in recipe() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]}
    assert sent == copied
    assert all((ROOT / name).exists() for name in copied)
    packaged = (ROOT / "pyproject.toml").read_text()
    assert {name for name in copied if (ROOT / name).is_dir()} == set(
        json.loads(re.search(r"^packages = (\[.*\])$", packaged, re.MULTILINE)[1])
    )


# -- compose
@pytest.mark.parametrize("name", COMPOSED)
def test_compose_itself_takes_the_file(name, tmp_path):
    """By Docker's plugin, or by the program of Debian, which is older and knows no `name` of a project."""
    command = ["docker", "compose"]
    if shutil.which("docker") is None or subprocess.run([*command, "version"], capture_output=True).returncode:  # noqa: PLW1510
        command = ["docker-compose"]
    if shutil.which(command[0]) is None:
        missing("compose", "Docker's plugin, or Debian: apt install docker-compose")
    file = tmp_path / name
    text = (DEPLOY / name).read_text()
    file.write_text(re.sub(r"^name:.*\n", "", text, flags=re.MULTILINE))
    done = subprocess.run(
        [*command, "--project-directory", str(DEPLOY), "--file", str(file), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "service"), EVERY)
def test_every_container_is_shut_in(name, service):
    said = COMPOSED[name]["services"][service]
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert said.get("user", "") != "root"
    assert said["restart"] == ("no" if service == "migrated" else "unless-stopped")
    assert {"mem_limit", "pids_limit"} & said.keys()
    assert "privileged" not in said
    assert ("ports" in said) is (service == "caddy"), "nobody is reached but by the proxy"


@pytest.mark.parametrize(("name", "service"), EVERY)
def test_every_container_says_how_it_is_or_is_done_at_once(name, service):
    said = COMPOSED[name]["services"][service]
    if said["image"] != "syndicator":
        assert said["healthcheck"]["test"][0] == "CMD"
    elif service != "migrated":
        assert "healthcheck" not in said  # the image has one
        quiet = "web" not in said.get("command", ["run", "--roles", "web"])[-1]
        environment = said["environment"]
        assert ("READY_AT" in environment) is quiet
        if quiet:
            assert environment["READY_AT"] == f"http://127.0.0.1:{environment['SYNDICATOR_MONITORING__PORT']}/readyz"


@pytest.mark.parametrize("name", COMPOSED)
def test_whatever_a_service_names_is_there(name):
    whole = COMPOSED[name]
    for service, said in whole["services"].items():
        assert set(said.get("networks", ())) <= whole["networks"].keys(), service
        assert set(said.get("secrets", ())) <= whole["secrets"].keys(), service
        assert set(said.get("depends_on", ())) <= whole["services"].keys(), service
        for volume in said.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert source == "./syndicator.toml" or (DEPLOY / source).is_file(), (
                    volume
                )  # that one is the operator's
            elif not source.startswith("/"):
                assert source in whole["volumes"], volume
    used = {volume.partition(":")[0] for said in whole["services"].values() for volume in said.get("volumes", ())}
    assert whole["volumes"].keys() <= used


def environ_of(said, tmp_path: Path) -> dict[str, str]:
    """What the container would be told, with secrets where they can be read."""
    found = {}
    values = {
        "database_url": "postgresql://syndicator:x@postgresql/syndicator",
        "telegram_token": "1234567890:AAExampleExampleExampleExampleExample",
        "mail_password": "x",
    }
    for name, value in said["environment"].items():
        secret = value.removeprefix("/run/secrets/")
        if secret != value:
            assert secret in said["secrets"]
            (tmp_path / secret).write_text(values[secret])
            value = str(tmp_path / secret)  # noqa: PLW2901  # as it is there
        found[name] = value
    return found


@pytest.mark.parametrize(("name", "service"), OURS)
def test_the_program_takes_what_each_container_tells_it(name, service, tmp_path):
    said = COMPOSED[name]["services"][service]
    (tmp_path / "syndicator.toml").write_text('[site]\nbase_url = "https://press.example.org"\n')
    settings = load(tmp_path / "syndicator.toml", environ_of(said, tmp_path))
    command, *options = said.get("command", ["run"])
    assert command in {"run", "migrate"}
    if options:
        check_roles(settings.engine.kind, parse_roles(options[1]))
    if command == "run":
        assert float(said["stop_grace_period"].removesuffix("s")) > GRACE
    assert settings.engine.kind == ("embedded" if name == "compose.yml" else "procrastinate")


def test_all_roles_run_and_two_of_them_work():
    services = COMPOSED["compose.cluster.yml"]["services"]
    counted: dict[str, int] = {}
    for said in services.values():
        if said["image"] == "syndicator" and said["command"][0] == "run":
            for role in parse_roles(said["command"][2]):
                counted[role] = counted.get(role, 0) + said.get("deploy", {}).get("replicas", 1)
    assert counted == {"web": 2, "worker": 2, "scheduler": 1, "bot": 1}


def test_the_web_processes_share_no_folder():
    services = COMPOSED["compose.cluster.yml"]["services"]
    kept = [volume.partition(":")[0] for name in ("web-1", "web-2") for volume in services[name]["volumes"][:1]]
    assert len(set(kept)) == 2


@pytest.mark.parametrize("name", COMPOSED)
def test_the_proxy_is_believed_who_a_visitor_is_and_nobody_else(name):
    whole = COMPOSED[name]
    subnet = whole["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert ipaddress.ip_network(subnet).is_private
    for service, said in whole["services"].items():
        if said["image"] == "syndicator" and service != "migrated":
            assert json.loads(said["environment"]["SYNDICATOR_WEB__TRUSTED_PROXIES"]) == [subnet]
    behind = [name for name, said in whole["services"].items() if "inside" in said["networks"]]
    upstreams = whole["services"]["caddy"]["environment"]["UPSTREAMS"].split()
    assert {name for name in behind if name != "caddy"} == {one.partition(":")[0] for one in upstreams}


def test_nothing_leads_to_the_database_from_outside():
    whole = COMPOSED["compose.cluster.yml"]
    assert whole["networks"]["database"] == {"internal": True}
    assert whole["services"]["postgresql"]["networks"] == ["database"]
    assert "database" not in whole["services"]["caddy"]["networks"]
