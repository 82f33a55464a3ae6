"""The workflows for a user's repository: they parse, and their commands run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from mcugen.commands.init_ci import WHERE
from tests.unit.model_files import write_h5
from tests.unit.test_cli import call, refused, sample

KINDS = ("github", "gitlab")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    write_h5(tmp_path / "models" / "small net.h5", *sample())
    return tmp_path


def write(kind: str, repository: Path, *options: object) -> dict[Any, Any]:
    result = call("init-ci", kind, "-o", repository, *options)
    assert result.exit_code == 0, result.output
    found: dict[Any, Any] = yaml.safe_load((repository / WHERE[kind]).read_text())
    return found


def commands(kind: str, found: dict[Any, Any]) -> list[str]:
    if kind == "github":
        return [step["run"] for step in found["jobs"]["firmware"]["steps"] if "run" in step]
    return [str(line) for line in found["firmware"]["script"]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_steps_run(kind: str, repository: Path) -> None:
    """The very commands, in the repository's folder, by the shell that the runner uses; pip excepted."""
    install, *steps = commands(kind, write(kind, repository, "--flash-limit", 100_000, "--ram-limit", 60_000))
    assert install.strip() == "python -m pip install mcugen"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for step in steps:
        run = ["bash", "-e", "-o", "pipefail", "-c", step]
        done = subprocess.run(run, cwd=repository, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"
    report = repository / "mcugen-report"
    assert {path.name for path in report.iterdir()} == {"budget.json", "verify.json", "test.json", "test.xml", "profile.json"}
    assert json.loads((report / "verify.json").read_text())["passed"] and json.loads((report / "test.json").read_text())["passed"]
    assert ElementTree.parse(report / "test.xml").getroot().get("failures") == "0"


@pytest.mark.parametrize("kind", KINDS)
def test_the_budget_gates(kind: str, repository: Path) -> None:
    steps = commands(kind, write(kind, repository, "--flash-limit", 3000))
    gate = next(step for step in steps if "mcugen build" in step)
    assert "--flash-limit 3000 " in gate and "'models/small net.h5'" in gate
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    (repository / "mcugen-report").mkdir()
    done = subprocess.run(["bash", "-ec", gate], cwd=repository, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == 1


def test_github_keeps_the_report_whatever_happens(repository: Path) -> None:
    found = write("github", repository)
    last = found["jobs"]["firmware"]["steps"][-1]
    assert last["if"] == "always()" and last["with"]["path"] == "mcugen-report/"
    assert found["permissions"] == {"contents": "read"} and set(found[True]) == {"push", "pull_request"}  # YAML 1.1: on


def test_gitlab_keeps_the_report_whatever_happens(repository: Path) -> None:
    artifacts = write("gitlab", repository, "--install", "mcugen==0.1.0")["firmware"]["artifacts"]
    assert artifacts["when"] == "always" and artifacts["reports"]["junit"] == "mcugen-report/test.xml"
    assert "python -m pip install mcugen==0.1.0" in (repository / WHERE["gitlab"]).read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten_unasked(kind: str, repository: Path) -> None:
    target = repository / WHERE[kind]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("mine")
    refused(call("init-ci", kind, "-o", repository), "exists already; overwrite it with --force")
    assert target.read_text() == "mine"
    assert call("init-ci", kind, "-o", repository, "--force").exit_code == 0 and target.read_text() != "mine"


def test_which_model(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (repository / "b.h5").write_bytes(b"")
    refused(call("init-ci", "github", "-o", repository), "holds 2 models (b.h5, models/small net.h5); name the model with")
    refused(call("init-ci", "github", "-o", repository, "--model", repository / "no.h5"), "does not exist")
    outside = tmp_path_factory.mktemp("outside") / "m.h5"
    outside.write_bytes(b"")
    refused(call("init-ci", "github", "-o", repository, "--model", outside), "is not below")
    strange = repository / "${{ github.token }}.h5"
    strange.write_bytes(b"")
    refused(call("init-ci", "github", "-o", repository, "--model", strange), "a workflow may misread")
    refused(call("init-ci", "github", "-o", repository / "none"), "is no folder")
    refused(call("init-ci", "github", "-o", repository, "--model", repository / "b.h5", "--install", "x; rm y"), "--install")
    assert not (repository / ".github").exists()
    empty = tmp_path_factory.mktemp("empty")
    refused(call("init-ci", "gitlab", "-o", empty), "holds no model")
