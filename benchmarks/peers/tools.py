"""The tools that are measured: how each is installed, called, timed, and asked what it serves."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.corpus import Files

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / ".venv-peers"
NO_TELEMETRY = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
}
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Taken out: a tool whose modules are compiled anew at every start is not what anybody has."""
OURS, TOLD = "kbsync", "kbsync, told"
NAMES = (OURS, TOLD, "dlt", "langchain", "llamaindex", "cocoindex")


@dataclass(frozen=True)
class Figures:
    """What one case took: whole commands, start-up included, and what the runner told of its inside."""

    seconds: float
    cpu_seconds: float
    told: Mapping[str, float]


@dataclass(frozen=True)
class Tool:
    """One tool; `kbsync, told` is kbsync where writers mark: a run reads nothing but what changed."""

    name: str
    python: Path

    @property
    def module(self) -> str:
        """Return the runner's module."""
        return f"benchmarks.peers.run_{self.name.split(',')[0]}"

    @property
    def is_told(self) -> bool:
        """Whether this is kbsync where the writers mark."""
        return self.name == TOLD

    def commands(self, store: Path, files: Files) -> list[list[str]]:
        """Return the command lines of one case."""
        if not self.name.startswith(OURS):
            return [["sync", str(store), str(files.whole)]]
        importing = [["import", str(store), str(files.whole)]]
        if self.is_told and store.exists():
            importing = [["import", str(store), str(files.changed)]] if files.changed_ids else []
        return [*importing, ["sync", str(store)]]

    def sync(self, store: Path, files: Files, **environment: str) -> Figures:
        """Run one case to its end; raises CalledProcessError where a command fails or is killed."""
        commands = self.commands(store, files)
        store.mkdir(exist_ok=True)
        told: dict[str, float] = {}
        began, cpu = time.perf_counter(), _children_cpu_seconds()
        for command in commands:
            for name, value in self._run(command, environment).items():
                told[name] = (
                    max(told.get(name, 0), value) if name == "peak_mib" else told.get(name, 0) + value
                )
        return Figures(time.perf_counter() - began, _children_cpu_seconds() - cpu, told)

    def served(self, store: Path) -> dict[str, int]:
        """Return which version of which incident the store would answer with."""
        return dict(self._run(["served", str(store)], {}))

    def _run(self, arguments: list[str], environment: Mapping[str, str]) -> Any:
        done = subprocess.run(  # noqa: S603 - our own runner
            [str(self.python), "-m", self.module, *arguments],
            env={**_inherited(), **NO_TELEMETRY, **environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != NO_BYTECODE}


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def environment_of(name: str) -> Path:
    """Return the Python of a peer's own environment, whether it is there or not."""
    return ENVIRONMENTS / name / "bin" / "python"


def installed(name: str) -> Path:
    """Return the Python that runs a tool; a peer's environment is made from its pinned list.

    Raises:
        CalledProcessError: no package index, or a package has no wheel for this machine.
    """
    if name.startswith(OURS):
        return Path(sys.executable)
    python, uv = environment_of(name), Path(sys.executable).parent / "uv"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)  # noqa: S603 - ours
    subprocess.run(  # noqa: S603 - as above
        [str(uv), "pip", "sync", "--quiet", "--require-hashes", str(HERE / f"{name}.txt")],
        env={**os.environ, "VIRTUAL_ENV": str(python.parent.parent)},
        check=True,
    )
    return python


def versions(name: str) -> str:
    """Return the packages that a peer's list names first, with their versions."""
    wanted = [line.split("==")[0].split("[")[0] for line in (HERE / f"{name}.in").read_text().split()]
    pinned = (HERE / f"{name}.txt").read_text().splitlines()
    return ", ".join(
        line.removesuffix(" \\").replace("==", " ")
        for line in pinned
        if line.split("==")[0].split("[")[0] in wanted
    )
