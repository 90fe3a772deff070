"""What can be said of the files in docker/ without an engine: rules that we keep, and that what they name is there."""

import ipaddress
import itertools
import re

import pytest
import yaml

import dashboard
from engine import ROOT
from stack import IMAGES, PORTS, defaults

DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())


def instructions(text):
    """(name, arguments) of each, with its continued lines in one."""
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line.strip()]


def of(name):
    return [arguments for found, arguments in instructions(DOCKERFILE) if found == name]


# -- the Dockerfile -----------------------------------------------------------------------------------------------------

RULES = {
    "images are named by arguments, or are stages": all(re.match(r"\$\{\w+\}", base) for base in of("FROM")),
    "the base has a tag": all(":" in value and not value.endswith(":latest") for value in of("ARG") if value.startswith("BASE=")),
    "nothing is fetched": not of("ADD") and not re.search(r"curl |wget |https?://", DOCKERFILE.split("\nARG", 1)[1]),
    "lists are read where they are used": all("apt-get update" in run for run in of("RUN") if "apt-get install" in run),
    "no more is installed than is named": all("--no-install-recommends" in run and " -y " in run
                                              for run in of("RUN") if "apt-get install" in run),
    "the lists go": "rm -rf /var/lib/apt/lists" in of("RUN")[-1],
    "a user by number": of("USER") == ["10001:10001"],
    "it is root no longer when it is told what to run": [name for name, _ in instructions(DOCKERFILE)].index("USER") <
                                                        [name for name, _ in instructions(DOCKERFILE)].index("ENTRYPOINT"),
    "commands without a shell": all(text.lstrip().startswith("[") for text in of("ENTRYPOINT") + of("CMD")),
    "its health is asked": len(of("HEALTHCHECK")) == 1 and of("HEALTHCHECK")[0].endswith('CMD ["carbond", "health"]'),
    "directories are absolute": all(place.startswith("/") for place in of("WORKDIR")),
    "no secret is an argument": not re.search(r"(?i)(password|secret|token)\w*=", DOCKERFILE),
}


@pytest.mark.parametrize("rule", RULES)
def test_dockerfile(rule):
    assert RULES[rule]


def test_the_build_sees_no_more_than_it_needs():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines and all((ROOT / name).exists() for name in let_in)
    assert let_in.isdisjoint({"docker", "tests", "build", "var", ".git"})


def test_the_version_is_the_projects():
    version = re.search(r"project\(carbond VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert f"VERSION={version}" in of("ARG")


# -- compose.yaml -------------------------------------------------------------------------------------------------------

SERVICES = COMPOSE["services"]


def test_variables_have_defaults():
    used = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    assert used == set(defaults()) - {"COMPOSE_PROJECT_NAME"}
    assert set(IMAGES) | set(PORTS) <= used


@pytest.mark.parametrize("name", SERVICES)
def test_services(name):
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"] == {"driver": "local"}, "a log that is bounded"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DOCKER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    for other in service.get("depends_on", []):
        assert other in SERVICES
    assert "PASSWORD" not in str({key for key in service.get("environment", {}) if not key.endswith("FILE")})


def test_one_server_tells_of_the_first_admin():
    """The one whose log the manual looks into."""
    assert [name for name in SERVICES if "CARBOND_FIRST_ADMIN" in SERVICES[name].get("environment", {})] == ["carbond"]
    assert "$ docker compose logs carbond | grep" in (ROOT / "README.md").read_text()


def test_servers_can_do_little():
    for name in ("carbond", "carbond-2"):
        service = SERVICES[name]
        assert service["read_only"] and "cap_add" not in service


def test_an_override_as_the_manual_has_it():
    """The servers' addresses in it are those of .env, and git ignores the file."""
    section = (ROOT / "docs" / "operations.md").read_text().split("## In containers", 1)[1]
    override = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])
    host = str(next(ipaddress.ip_network(defaults()["SUBNET"]).hosts()))
    assert override["services"]["carbond"]["environment"]["CARBOND_TRUSTED_PROXY"] == f"{host},{defaults()['PROXY_ADDRESS']}"
    assert "/docker/compose.override.yaml" in (ROOT / ".gitignore").read_text().splitlines()


def test_tags_are_fixed():
    for name in IMAGES:
        assert re.fullmatch(r"[\w/]+:v?\d[\w.]*", defaults()[name]), defaults()[name]


# -- Grafana ------------------------------------------------------------------------------------------------------------

def test_panels_have_their_places():
    panels = dashboard.MODEL["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y) for panel in panels
             for x, y in itertools.product(range(panel["gridPos"]["w"]), range(panel["gridPos"]["h"]))]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    for panel in dashboard.PANELS:
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_source_is_the_provisioned_one():
    provisioned = yaml.safe_load((dashboard.GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())
    (source,) = provisioned["datasources"]
    used = {target["datasource"]["uid"] for panel in dashboard.PANELS for target in [panel, *panel["targets"]]}
    assert used == {source["uid"]} and source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((dashboard.GRAFANA / "provisioning/dashboards/carbond.yaml").read_text())["providers"]
    places = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in places and "/etc/grafana/provisioning" in places


def test_figures_are_documented():
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    text = " ".join(expression for panel in dashboard.PANELS for expression in dashboard.expressions(panel))
    named = {name.removesuffix("_bucket") for name in re.findall(r"\b(?:carbond|process)_\w+", text)}
    assert named and named <= documented, named - documented
