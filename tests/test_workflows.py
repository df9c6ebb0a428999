# SPDX-License-Identifier: GPL-2.0-only
"""The workflows call targets that exist, for the versions that the package is for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="the workflows are not here")


class Job(NamedTuple):
    """A job of a workflow; ``matrix`` has one value for each name in turn."""

    name: str
    content: dict[str, Any]

    def steps(self, key: str) -> list[str]:
        """Return what the steps run, or which actions they use."""
        return [step[key] for step in self.content["steps"] if key in step]

    def matrix(self) -> dict[str, list[str]]:
        """Return the values of the matrix."""
        return dict(self.content.get("strategy", {}).get("matrix", {}))

    def commands(self) -> list[str]:
        """Return what the steps run, for each value of the matrix."""
        commands = self.steps("run")
        for name, values in self.matrix().items():
            place = "${{ matrix." + name + " }}"
            commands = [text.replace(place, value) for text in commands for value in values]
        return commands


def content(path: Path) -> dict[str, Any]:
    """Return a workflow."""
    return dict(yaml.safe_load(path.read_text("utf-8")))


def jobs() -> list[Job]:
    """Return the jobs of all workflows."""
    return [
        Job(f"{path.stem}: {name}", job)
        for path in WORKFLOWS
        for name, job in content(path)["jobs"].items()
    ]


def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def versions() -> list[str]:
    """Return the versions of Python that the package is for."""
    prefix = "Programming Language :: Python :: "
    found = [name.removeprefix(prefix) for name in project()["project"]["classifiers"]]
    return [version for version in found if re.fullmatch(r"3\.\d+", version)]


def ci_versions() -> list[str]:
    """Return the versions of Python that CI tests."""
    (matrix,) = (job.matrix()["python"] for job in jobs() if "python" in job.matrix())
    return matrix


@pytest.mark.skipif(not shutil.which("make"), reason="make is not here")
def test_a_step_runs_targets_that_make_lists_or_ci_run() -> None:
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    targets = set(re.findall(r"^([a-z-]+) ", done.stdout, flags=re.M))
    for job in jobs():
        for command in job.commands():
            program, *arguments = command.split()
            assert program == ".ci/run" or (program == "make" and arguments), job.name
            assert set(arguments) <= targets, job.name
    assert (ROOT / ".ci" / "run").exists()


def test_all_supported_versions_of_python_are_tested() -> None:
    assert [version for version in ci_versions() if not version.endswith("t")] == versions()
    assert project()["project"]["requires-python"] == f">={versions()[0]}"


def test_an_action_is_pinned_by_the_hash_of_its_commit_and_says_which_version_it_is() -> None:
    uses = [
        line.strip().removeprefix("- ")
        for path in WORKFLOWS
        for line in path.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert uses
    for line in uses:
        assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_an_action_has_the_same_version_everywhere() -> None:
    used = {action for job in jobs() for action in job.steps("uses")}
    assert len({action.partition("@")[0] for action in used}) == len(used)


def test_a_workflow_may_read_and_only_jobs_that_publish_may_do_more() -> None:
    for path in WORKFLOWS:
        assert content(path)["permissions"] == {"contents": "read"}, path.name
    more = {job.name: job.content["permissions"] for job in jobs() if "permissions" in job.content}
    assert more == {
        "release: publish": {"id-token": "write"},
        "release: deploy": {"id-token": "write", "pages": "write"},
    }


def test_a_job_that_publishes_runs_no_code_of_the_project() -> None:
    publishing = [job for job in jobs() if "permissions" in job.content]
    assert [job.steps("run") for job in publishing] == [[], []]


def test_a_job_ends_in_time_and_a_checkout_keeps_no_credentials() -> None:
    for job in jobs():
        assert job.content["timeout-minutes"] <= 240, job.name
        for step in job.content["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, job.name


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_wheels_are_made_for_each_tested_python_and_both_c_libraries(machine: str) -> None:
    pytest.importorskip("cibuildwheel", reason="it is a part of the extra lint")
    done = subprocess.run(
        [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers",
         "--platform", "linux", "--archs", machine, str(ROOT)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert set(done.stdout.split()) == {
        f"cp{version.replace('.', '')}-{libc}_{machine}"
        for version in ci_versions()
        for libc in ("manylinux", "musllinux")
    }
