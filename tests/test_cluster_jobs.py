"""Job files for clusters: they are read, name commands that exist, and fit what their tools accept."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modalign import cli

FOLDER = Path(__file__).parents[1] / "examples" / "cluster"
JOB = FOLDER / "embed-rayjob.yaml"


def read(path: Path) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def options(command: str) -> set[str]:
    return {name for argument in cli.app[command].assemble_argument_collection() for name in argument.names}


def test_the_ray_job_calls_a_command_that_exists() -> None:
    words = shlex.split(read(JOB)["spec"]["entrypoint"])
    assert words[0] == "modalign"
    assert {w for w in words if w.startswith("--")} <= options(words[1])


def test_the_ray_job_fits_the_schema_of_kuberay() -> None:
    """The schema is that of KubeRay's RayJob (ray-operator/config/crd/bases/ray.io_rayjobs.yaml)."""
    place = os.environ.get("KUBERAY_CRD")
    if not place:
        pytest.skip("KUBERAY_CRD does not name KubeRay's definition of a RayJob")
    schema = read(Path(place))["spec"]["versions"]
    wanted = next(v["schema"]["openAPIV3Schema"] for v in schema if v["name"] == "v1")
    validate = pytest.importorskip("jsonschema").Draft202012Validator(closed(wanted))
    assert [e.message for e in validate.iter_errors(read(JOB))] == []
    wrong = read(JOB)
    wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replica"] = 4
    assert list(validate.iter_errors(wrong))


def closed(schema: Any) -> Any:
    """The schema as the API server holds to it: fields that it does not name are mistakes, numbers may be text."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: closed(v) for k, v in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    named = schema.get("properties")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(named, dict) and not free and "kind" not in named:
        made["additionalProperties"] = False
    return made


def test_the_slurm_job_is_bash_that_calls_a_command_that_exists() -> None:
    path = FOLDER / "train.sbatch"
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text()
    given = re.findall(r"^#SBATCH (--[a-z-]+)(?:=\S+)?$", text, re.MULTILINE)
    assert len(given) == len(re.findall(r"^#SBATCH", text, re.MULTILINE)) == 8
    assert text.index("#SBATCH --output") < text.index("set -euo")  # Slurm reads no directive behind a command
    assert re.search(r"-m modalign train ", text)


@pytest.mark.parametrize("tool", ["shellcheck", "sbatch"])
def test_the_slurm_job_passes_its_tools(tool: str) -> None:
    """ShellCheck reads the script; sbatch asks the controller that SLURM_CONF names whether it would take the job."""
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    command = {"shellcheck": ["shellcheck"], "sbatch": ["sbatch", "--test-only"]}[tool]
    done = subprocess.run([*command, str(FOLDER / "train.sbatch")], check=False, capture_output=True, text=True)
    if "Unable to contact slurm controller" in done.stderr or "Could not establish a configuration" in done.stderr:
        pytest.skip("no Slurm controller answers, or none is named")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tool != "sbatch" or re.search(r"Job \d+ to start at .* on nodes ", done.stderr)
