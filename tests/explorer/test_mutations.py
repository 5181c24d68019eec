"""The code broken on purpose in five places: each time a named test must notice.

Each mutation is a patch of the sources. It is applied to a copy, and the test runs on that copy in a process
of its own; a patch that no longer applies is a failure too: mend it with the code.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).with_name("mutations")
EXPLORER = "tests/explorer/test_explorer.py::test_any_fault_at_any_effect_ends_as_if_there_had_been_none"
NOTICED_BY = {
    "mark-without-condition": (
        "tests/explorer/test_explorer.py::"
        "test_owners_change_at_any_effect_is_what_counts_in_the_end[publish 3-edited]"
    ),
    "mark-before-publish": f"{EXPLORER}[publish 3]",
    "document-before-sidecar": (
        "tests/pipeline/test_crash.py::test_killed_between_two_puts_the_sidecar_stands_alone"
    ),
    "statement-error-ignored": (
        "tests/aws/test_dynamodb_batches.py::"
        "test_o_32_statements_that_failed_inside_a_good_answer_are_written_one_by_one"
    ),
    "follow-up-job-forgotten": f"{EXPLORER}[job already scanning]",
}
SOME_FAILED = 1
"""Exit code of pytest. Source: its reference, "Exit codes": 5 would mean that the named test is gone."""


def ran(test: str, sources: Path) -> subprocess.CompletedProcess[str]:
    """Run one test of this checkout over these sources."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "--no-header",
            test,
        ],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))},
            "PYTHONPATH": str(sources),
            "KBSYNC_EXPLORE_EVERY": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTICED_BY)
def test_broken_code_is_noticed(name: str, tmp_path: Path) -> None:
    """Slow: the sources are copied, and a test runs in another process."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    patched = subprocess.run(
        ["git", "apply", "--unsafe-paths", str(PATCHES / f"{name}.patch")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert patched.returncode == 0, patched.stderr

    done = ran(NOTICED_BY[name], tmp_path / "src")

    assert done.returncode == SOME_FAILED, done.stdout[-3000:] + done.stderr[-1000:]


def test_every_mutation_has_a_test_that_notices_it() -> None:
    assert {each.stem for each in PATCHES.glob("*.patch")} == set(NOTICED_BY)
