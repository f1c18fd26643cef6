"""The Kubernetes base: what has to hold for a rollout to lose nothing."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import jsonschema
import pytest

from tests.unit.deploy.tree import KUBERNETES, Document, load, of_kind

POD = {
    "type": "object",
    "required": ["securityContext", "containers", "terminationGracePeriodSeconds", "automountServiceAccountToken"],
    "properties": {
        "automountServiceAccountToken": {"const": False},
        "enableServiceLinks": {"const": False},
        "securityContext": {
            "type": "object",
            "required": ["runAsNonRoot", "runAsUser", "seccompProfile"],
            "properties": {"runAsNonRoot": {"const": True}, "runAsUser": {"type": "integer", "minimum": 1}},
        },
        "containers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "image", "args", "resources", "securityContext"],
                "properties": {
                    "image": {"type": "string", "pattern": r"^[a-z/-]+:\d[\w.-]*(@sha256:[0-9a-f]{64})?$"},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "resources": {
                        "type": "object",
                        "required": ["requests", "limits"],
                        "properties": {
                            "requests": {"required": ["cpu", "memory"]},
                            "limits": {"required": ["memory"]},
                        },
                    },
                    "securityContext": {
                        "const": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        }
                    },
                },
            },
        },
    },
}
WORKLOADS = of_kind("Deployment", "StatefulSet")


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _named(kind: str, name: str) -> Document:
    (found,) = [document for document in of_kind(kind) if _name(document) == name]
    return found


def _pod(document: Document) -> dict[str, Any]:
    pod: dict[str, Any] = document["spec"]["template"]["spec"]
    return pod


def _container(name: str) -> dict[str, Any]:
    (container,) = _pod(_named("Deployment", name))["containers"]
    found: dict[str, Any] = container
    return found


def test_there_are_exactly_the_two_deployments() -> None:
    assert sorted(map(_name, of_kind("Deployment"))) == ["truto-worker-ingress", "truto-worker-worker"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=_name)
def test_a_pod_is_pinned_limited_and_hardened(workload: Document) -> None:
    jsonschema.validate(_pod(workload), POD)


@pytest.mark.parametrize("workload", WORKLOADS, ids=_name)
def test_a_selector_matches_its_own_pods(workload: Document) -> None:
    assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("deployment", of_kind("Deployment"), ids=_name)
def test_termination_waits_longer_than_the_pre_stop_sleep_and_the_drain(deployment: Document) -> None:
    drain = int(_named("ConfigMap", "truto-worker")["data"]["GRACE_SECONDS"])
    (container,) = _pod(deployment)["containers"]
    command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert command[0] == "sleep"
    assert _pod(deployment)["terminationGracePeriodSeconds"] > int(command[1]) + drain


def test_the_ingress_sleeps_before_it_is_told_to_stop() -> None:
    assert int(_container("truto-worker-ingress")["lifecycle"]["preStop"]["exec"]["command"][1]) >= 5


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
)
def test_the_ingress_is_probed_on_the_port_it_listens_on(probe: str, path: str) -> None:
    container = _container("truto-worker-ingress")
    assert container[probe]["httpGet"] == {"path": path, "port": "http"}
    listens = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert {"name": "http", "containerPort": int(listens["PORT"])} in container["ports"]
    assert listens["HOST"] == "0.0.0.0"


def test_the_worker_which_opens_no_port_has_no_http_probe() -> None:
    container = _container("truto-worker-worker")
    assert not {"ports", "livenessProbe", "readinessProbe", "startupProbe"} & container.keys()


def test_a_rollout_or_a_drained_node_always_leaves_an_ingress() -> None:
    spec = _named("Deployment", "truto-worker-ingress")["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = _named("PodDisruptionBudget", "truto-worker-ingress")["spec"]
    assert budget["minAvailable"] == 1
    assert budget["selector"] == spec["selector"]


@pytest.mark.parametrize("name", ["truto-worker-ingress", "truto-worker-redis"])
def test_a_service_selects_the_pods_of_its_name_by_a_port_they_open(name: str) -> None:
    (workload,) = [document for document in WORKLOADS if _name(document) == name]
    service = _named("Service", name)["spec"]
    assert service["selector"] == workload["spec"]["selector"]["matchLabels"]
    opened = [port["name"] for container in _pod(workload)["containers"] for port in container["ports"]]
    assert [port["targetPort"] for port in service["ports"]] == [name for name in opened if name != "admin"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=_name)
def test_a_network_policy_of_its_name_guards_the_pods_of_a_workload_both_ways(workload: Document) -> None:
    policy = _named("NetworkPolicy", _name(workload))["spec"]
    assert policy["podSelector"]["matchLabels"] == workload["spec"]["selector"]["matchLabels"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_only_the_monitoring_namespace_reaches_the_admin_port_and_anyone_the_public_one() -> None:
    public, admin = _named("NetworkPolicy", "truto-worker-ingress")["spec"]["ingress"]
    assert public == {"ports": [{"port": "http", "protocol": "TCP"}]}
    assert admin["ports"] == [{"port": "admin", "protocol": "TCP"}]
    assert admin["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def test_the_admin_port_is_opened_in_the_pod_and_found_by_a_scraper_and_in_no_service() -> None:
    container = _container("truto-worker-ingress")
    listens = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert {"name": "admin", "containerPort": int(listens["ADMIN_PORT"])} in container["ports"]
    assert listens["ADMIN_HOST"] == "0.0.0.0"
    annotations = _named("Deployment", "truto-worker-ingress")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == listens["ADMIN_PORT"]
    assert [port["name"] for port in _named("Service", "truto-worker-ingress")["spec"]["ports"]] == ["http"]


def test_nobody_reaches_a_worker_and_redis_reaches_nobody() -> None:
    assert _named("NetworkPolicy", "truto-worker-worker")["spec"]["ingress"] == []
    assert _named("NetworkPolicy", "truto-worker-redis")["spec"]["egress"] == []


def test_only_ingress_and_worker_reach_redis() -> None:
    (rule,) = _named("NetworkPolicy", "truto-worker-redis")["spec"]["ingress"]
    (selector,) = [source["podSelector"] for source in rule["from"]]
    assert selector["matchExpressions"][0]["values"] == ["ingress", "worker"]
    assert rule["ports"] == [{"port": "redis", "protocol": "TCP"}]


@pytest.mark.parametrize("name", ["truto-worker-ingress", "truto-worker-worker"])
@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "192.0.0.192", "10.0.0.1", "fd00:ec2::254"])
def test_the_way_out_does_not_lead_to_what_gives_a_cloud_s_credentials_away(name: str, address: str) -> None:
    rules = _named("NetworkPolicy", name)["spec"]["egress"]
    anywhere = [port["port"] for rule in rules if "to" not in rule for port in rule["ports"]]
    assert anywhere == [53, 53, 6379]
    blocks = [place["ipBlock"] for rule in rules for place in rule.get("to", [])]
    wanted = ip_address(address)
    for block in blocks:
        inside = wanted in ip_network(block["cidr"])
        assert not inside or any(wanted in ip_network(left_out) for left_out in block["except"])


@pytest.mark.parametrize("workload", WORKLOADS, ids=_name)
def test_a_pod_has_an_account_of_its_own_that_gives_no_token(workload: Document) -> None:
    account = _named("ServiceAccount", _pod(workload)["serviceAccountName"])
    assert _name(account) == _name(workload)
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("truto-worker-ingress", {"REDIS_URL", "TRUTO_WEBHOOK_SECRET"}),
        ("truto-worker-worker", {"REDIS_URL", "TRUTO_API_TOKEN"}),
    ],
)
def test_a_pod_without_its_needed_secrets_does_not_start(name: str, needed: set[str]) -> None:
    references = [v["valueFrom"]["secretKeyRef"] for v in _container(name)["env"] if "valueFrom" in v]
    assert {reference["key"] for reference in references if not reference.get("optional")} == needed
    assert {reference["name"] for reference in references} == {name}
    assert needed <= _named("Secret", name)["stringData"].keys()


def test_the_example_secret_and_redis_are_outside_the_kustomization_whose_files_exist() -> None:
    (kustomization,) = load(KUBERNETES / "kustomization.yaml")
    resources = set(kustomization["resources"])
    assert resources == {"configmap.yaml", "ingress.yaml", "worker.yaml"}
    assert resources <= {path.name for path in KUBERNETES.iterdir()}
    assert "namespace" not in kustomization


@pytest.mark.parametrize("name", ["truto-worker-ingress", "truto-worker-worker"])
def test_the_example_secret_is_empty_so_that_nobody_deploys_a_known_one(name: str) -> None:
    assert set(_named("Secret", name)["stringData"].values()) == {""}
