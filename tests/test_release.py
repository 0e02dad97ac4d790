"""What is said of the release in several places is the same in each."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import doh3d

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))


def yaml_of(path):
    return pytest.importorskip("yaml").safe_load((ROOT / path).read_text())


def pythons():
    """Versions of Python that the classifiers name, as strings."""
    named = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line)
        for line in PROJECT["classifiers"]
    ]
    return [match[1] for match in named if match]


def test_the_version_is_the_same_everywhere():
    citation = yaml_of("CITATION.cff")
    assert citation["version"] == PROJECT["version"] == doh3d.__version__
    assert json.loads((ROOT / "web/package.json").read_text())["version"] == doh3d.__version__
    assert citation["license"] == PROJECT["license"]


def test_the_same_pythons_are_named_everywhere():
    first, *_, last = pythons()
    following = f"3.{int(last[2:]) + 1}"
    assert PROJECT["requires-python"] == f">={first},<{following}"
    makefile = (ROOT / "Makefile").read_text()
    low, high = (version.replace(".", ", ") for version in (first, last))
    assert f"not ({low}) <= sys.version_info[:2] <= ({high})" in makefile
    assert set(pythons()) <= {f"3.{minor}" for minor in re.findall(r"python3\.(\d+)", makefile)}
    for page in ("README.md", "CONTRIBUTING.md", "docs/quickstart.md"):
        assert f"Python {first} to {last}" in (ROOT / page).read_text(), page
    assert yaml_of(".github/workflows/ci.yml")["jobs"]["check"]["strategy"]["matrix"] == {
        "python": pythons()
    }


def test_the_workflow_runs_what_has_to_pass_and_nothing_else():
    job = yaml_of(".github/workflows/ci.yml")["jobs"]["check"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ['git config --global --add safe.directory "$GITHUB_WORKSPACE"', ".ci/run"]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_of_issues_are_such_as_the_host_takes(path):
    form = yaml_of(path)
    assert {"name", "description", "body"} <= set(form)
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    names = [part["id"] for part in asked]
    labels = [part["attributes"]["label"] for part in asked]
    assert len(set(names)) == len(names)
    assert len(set(labels)) == len(labels)
    assert {part["type"] for part in form["body"]} <= {"markdown", "textarea", "input", "dropdown"}
    # A rendered block shows no Markdown, and an input takes none.
    assert all("render" not in part["attributes"] for part in asked if part["type"] == "input")
