"""`ray_cluster.yaml` and the KubeRay manifests: valid, consistent, and fit for our actors.

Ray's own code judges `ray_cluster.yaml`, and derives from a manifest what its autoscaler would
know; KubeRay's fields are in `kuberay_schema.yaml`, Kubernetes' in a package of its schemas.
"""

import copy
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
from ray.autoscaler._private.resource_demand_scheduler import (
    _default_utilization_scorer,
    get_nodes_for,
)
from ray.autoscaler._private.util import prepare_config, validate_config

from jobs.batch.models import EMBEDDER_CPUS, WORKER_CPUS
from jobs.commands.options import DEFAULT_WAREHOUSE
from jobs.submission.runtime_env import OWN_VARIABLES
from operators.llm.spec import VllmLlm
from tests.jobs.processes import REPO

KUBERNETES = "1.34"
MANIFESTS = ("kuberay_cluster.yaml", "kuberay_job.yaml")
SCHEMA = yaml.safe_load((REPO / "tests" / "kuberay_schema.yaml").read_text())
PAIR: list[Mapping[str, float]] = [{"CPU": WORKER_CPUS}, {"CPU": EMBEDDER_CPUS}]
_VLLM = VllmLlm(model="any", gpus=1)
LLM: Mapping[str, float] = {"CPU": _VLLM.cpus, "GPU": _VLLM.gpus}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((REPO / name).read_text())


def cluster_of(manifest: dict[str, Any]) -> dict[str, Any]:
    spec = manifest["spec"]
    return spec["rayClusterSpec"] if manifest["kind"] == "RayJob" else spec


def groups(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = cluster_of(manifest)
    yield cluster["headGroupSpec"]
    yield from cluster["workerGroupSpecs"]


def check_kuberay(manifest: dict[str, Any]) -> None:
    """What KubeRay defines."""
    jsonschema.Draft202012Validator(SCHEMA).validate(manifest)


def check_pod(template: dict[str, Any]) -> None:
    """What Kubernetes defines."""
    wrapped = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}}
    kubernetes_validate.validate(wrapped | {"template": template}, KUBERNETES, strict=True)


def autoscaling(name: str) -> dict[str, Any]:
    """What Ray's autoscaler would work with."""
    config = read(name)
    if name == "ray_cluster.yaml":
        return prepare_config(config)
    cluster = {"metadata": {"name": "memoryflow", "namespace": "default"}}
    return _derive_autoscaling_config_from_ray_cr(cluster | {"spec": cluster_of(config)})


def started_for(name: str, demands: list[Mapping[str, float]]) -> tuple[dict[str, int], list[Any]]:
    """Nodes that the autoscaler would start, and the demands that none can serve."""
    config = autoscaling(name)
    types = {k: v for k, v in config["available_node_types"].items() if k != _head(config)}
    nodes, unserved = get_nodes_for(
        types,
        {},
        _head(config),
        config["max_workers"],
        [dict(demand) for demand in demands],
        partial(_default_utilization_scorer, node_availability_summary=NodeAvailabilitySummary({})),
    )
    return dict(nodes), unserved


def _head(config: dict[str, Any]) -> str:
    return config["head_node_type"]


@pytest.mark.parametrize("name", ["ray_cluster.yaml", *MANIFESTS])
def test_ray_accepts_it(name: str) -> None:
    validate_config(autoscaling(name))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ((), "max_worker"),
        (("available_node_types", "cpu_worker"), "max_worker"),
        (("docker",), "imagge"),
    ],
)
def test_ray_refuses_a_misspelt_field(path: tuple[str, ...], wrong: str) -> None:
    config = prepare_config(read("ray_cluster.yaml"))
    place = config
    for part in path:
        place = place[part]
    place[wrong] = 1
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        validate_config(config)


@pytest.mark.parametrize("name", MANIFESTS)
def test_kuberay_and_kubernetes_accept_it(name: str) -> None:
    manifest = read(name)
    check_kuberay(manifest)
    for group in groups(manifest):
        check_pod(group["template"])


@pytest.mark.parametrize("name", MANIFESTS)
def test_kuberay_refuses_every_misspelt_field(name: str) -> None:
    manifest = read(name)
    for group in groups(manifest):
        group["template"] = {"spec": {}}  # The pods are not KubeRay's.

    assert misspelt_and_accepted(manifest, check_kuberay, at_least=30) == []


@pytest.mark.slow  # The package reads its schema for every check.
def test_kubernetes_refuses_every_misspelt_field_of_a_pod() -> None:
    *_, gpu = groups(read("kuberay_job.yaml"))

    assert misspelt_and_accepted(gpu["template"], check_pod, at_least=25) == []


def misspelt_and_accepted(
    document: dict[str, Any], check: Callable[[dict[str, Any]], None], at_least: int
) -> list[str]:
    """Fields that pass with one letter more."""
    check(document)
    paths = list(fields(document))
    assert len(paths) >= at_least
    accepted: list[str] = []
    for path in paths:
        wrong = copy.deepcopy(document)
        place: Any = wrong
        for part in path[:-1]:
            place = place[part]
        place[f"{path[-1]}x"] = place.pop(path[-1])
        try:
            check(wrong)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError):
            continue
        accepted.append("/".join(map(str, path)))
    return accepted


FREE = ("rayStartParams", "requests", "limits")  # Maps whose keys are the user's.


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key)
            if key not in FREE:
                yield from fields(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from fields(part, (*path, index))


@pytest.mark.parametrize("name", ["ray_cluster.yaml", *MANIFESTS])
def test_slice_workers_and_embedders_get_cpu_nodes(name: str) -> None:
    nodes, unserved = started_for(name, PAIR * 12)  # --workers 12

    assert unserved == []
    assert [kind for kind in nodes if "cpu" in kind]
    assert not [kind for kind in nodes if "gpu" in kind]


@pytest.mark.parametrize("name", ["ray_cluster.yaml", *MANIFESTS])
def test_vllm_gets_gpu_nodes(name: str) -> None:
    nodes, unserved = started_for(name, [LLM, LLM])

    assert unserved == []
    assert sum(count for kind, count in nodes.items() if "gpu" in kind) == 2


@pytest.mark.parametrize("name", ["ray_cluster.yaml", *MANIFESTS])
def test_a_demand_that_no_node_can_serve_shows(name: str) -> None:
    _, unserved = started_for(name, [{"GPU": 64.0}])

    assert unserved


@pytest.mark.parametrize("name", ["ray_cluster.yaml", *MANIFESTS])
def test_nothing_is_built_on_the_head_and_one_worker_is_always_there(name: str) -> None:
    config = autoscaling(name)
    types = config["available_node_types"]

    assert types[_head(config)]["resources"]["CPU"] == 0
    assert sum(kind["min_workers"] for kind in types.values()) == 1


@pytest.mark.parametrize("name", MANIFESTS)
def test_all_pods_share_the_folder_and_one_image_a_kind(name: str) -> None:
    for group in groups(read(name)):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {"shared": "/shared"}
        assert {volume["name"] for volume in pod["volumes"]} == {"shared"}
        assert container["image"].startswith("memoryflow")


@pytest.mark.parametrize("name", MANIFESTS)
def test_all_pods_may_write_the_shared_folder(name: str) -> None:
    """A new volume belongs to root, and no container runs as root."""
    for group in groups(read(name)):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["fsGroup"] == 1000
        assert pod["containers"][0]["securityContext"]["runAsNonRoot"]


def test_no_warehouse_travels_to_the_nodes() -> None:
    """The default one is in the folder that is copied, and so may others be that git ignores."""
    config = read("ray_cluster.yaml")

    assert f"/{DEFAULT_WAREHOUSE}/" in (REPO / ".gitignore").read_text().split()
    assert ".gitignore" in config["rsync_filter"]
    assert {".git", ".venv"} <= set(config["rsync_exclude"])


def test_versions_are_those_of_this_environment() -> None:
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    image = f"rayproject/ray:{ray.__version__}-"
    docker = read("ray_cluster.yaml")["docker"]

    assert docker["image"].startswith(image)
    assert python == "py311" or "py311" in docker["image"]
    assert {cluster_of(read(name))["rayVersion"] for name in MANIFESTS} == {ray.__version__}


def test_the_token_is_asked_for_everywhere() -> None:
    commands = read("ray_cluster.yaml")
    starts = [*commands["head_start_ray_commands"], *commands["worker_start_ray_commands"]]

    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    for name in MANIFESTS:
        options = cluster_of(read(name))["authOptions"]
        assert options == {"mode": "token", "secretName": "memoryflow-ray-token"}


def test_the_manifests_have_the_same_cluster() -> None:
    one, other = (cluster_of(read(name)) for name in MANIFESTS)

    assert one == other


def test_the_job_is_a_command_that_exists() -> None:
    import click
    import typer.main

    from jobs.commands import run

    spec = read("kuberay_job.yaml")["spec"]
    python, *arguments = shlex.split(spec["entrypoint"])
    app = typer.Typer()
    run.register(app)
    command = typer.main.get_command(app)
    with click.Context(click.Command("x")):
        context = command.make_context("run", arguments[3:])

    assert [python, *arguments[:3]] == ["python", "-m", "jobs.cli", "run"]
    assert context.params["address"] == "auto"
    assert yaml.safe_load(spec["runtimeEnvYAML"]) == {"env_vars": dict(OWN_VARIABLES)}
