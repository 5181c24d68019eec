"""Measure and print Markdown tables: `python -m benchmarks [SIZE ...]`, sizes of 1000 and 10000 by default.

Figures are ratios and counts; seconds compare within one run only. Each client is a process of its own.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from socket import socket
from typing import Any
from urllib.request import Request, urlopen

from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform

DELAY_SECONDS = 0.015
SIZES = (1_000, 10_000)
HISTORIES = (1_000, 10_000, 100_000, 1_000_000)
IDLE_SHARDS = (1, 4)
BASELINE_INCIDENTS = 200
"""The baseline goes at one speed, whatever the number: it is measured on these."""
REOPENED_SHARE = 10
_IMPORT = """
import time
begun = time.perf_counter()
import kbsync.lambda_handlers.batch
print(time.perf_counter() - begun)
"""


@dataclass(frozen=True)
class Server:
    """A running server of canned answers."""

    address: str

    def post(self, path: str, asked: Mapping[str, Any]) -> Any:
        """Ask the server itself for something."""
        request = Request(f"{self.address}{path}", json.dumps(asked).encode())  # noqa: S310 - our own process
        with urlopen(request) as answer:  # noqa: S310 - as above
            return json.loads(answer.read() or b"null")

    def environment(self) -> dict[str, str]:
        """Return the variables of a client that takes this server for AWS."""
        return {
            **{name: value for name, value in os.environ.items() if name not in _UNSET},
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }

    def run(self, client: str, count: int, at_once: int = 32, **settings: object) -> dict[str, Any]:
        """Run one client to its end; returns what it told, with what the server counted meanwhile."""
        self.post("/_counts", {})
        environment = {**self.environment(), "BENCHMARK_SETTINGS": json.dumps(settings)}
        command = [sys.executable, "-m", "benchmarks.clients", client, str(count), str(at_once)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
        return {**json.loads(done.stdout.splitlines()[-1]), **self.post("/_counts", {})}


_UNSET = ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN")


@contextmanager
def running_server(delay_seconds: float = DELAY_SECONDS) -> Iterator[Server]:
    """Start the server on a free port of loopback and end it afterwards."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.server", str(port), str(delay_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        assert process.stdout is not None  # noqa: S101 - it was asked for
        process.stdout.readline()
        try:
            yield Server(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def first_run(server: Server, asked: Mapping[str, Any]) -> None:
    """Prepare the tables of a deployment that has run before: what only a first run does is not measured."""
    server.post("/_prepare", {})
    server.run("kbsync", 0)
    server.post("/_prepare", {"keep": True, **asked})


def row(name: str, told: Mapping[str, Any], count: int) -> str:
    """Return one line: requests, units, puts and CPU for each incident, and the peak of memory."""
    requests = sum(number for kind, number in told["requests"].items() if not kind.startswith("refused"))
    refused = sum(number for kind, number in told["requests"].items() if kind.startswith("refused"))
    puts = told["requests"].get("S3 PUT", 0)
    reads = sum(number for kind, number in told["units"].items() if kind.endswith("read"))
    writes = sum(number for kind, number in told["units"].items() if kind.endswith("write"))
    each = max(count, 1)
    cells = [
        name,
        str(count),
        str(puts),
        f"{requests / each:.2f}" if count else f"{requests} in all",
        f"{reads / each:.2f} / {writes / each:.2f}" if count else f"{reads} / {writes} in all",
        f"{told['cpu_seconds'] / each * 1000:.1f}" if count else f"{told['cpu_seconds'] * 1000:.0f} in all",
        f"{told['peak_mib'] - told['idle_mib']:.0f}",
        str(refused),
    ]
    return f"| {' | '.join(cells)} |"


def scenarios(server: Server, size: int) -> None:
    """Print one line a scenario, each beginning where the one before ended."""
    first_run(server, {"pending": size})
    print(row("cold", server.run("kbsync", size), size), flush=True)
    print(row("no-op", server.run("kbsync", 0), 0), flush=True)
    edited = size // 100
    server.post("/_prepare", {"keep": True, "edit": edited, "word": "once"})
    print(row("1 % edited", server.run("kbsync", edited), edited), flush=True)
    same = server.run("kbsync", size, exclude="category=none-such")
    print(row("rules changed, bytes the same", same, size), flush=True)
    other = server.run("kbsync", size, exclude="category=none-such", document_language="en")
    print(row("template changed, all bytes other", other, size), flush=True)
    reopened = size // REOPENED_SHARE
    server.post("/_prepare", {"keep": True, "reopen": reopened})
    wave = server.run("kbsync", reopened, exclude="category=none-such", document_language="en")
    print(row("10 % reopened", wave, reopened), flush=True)


def drains(server: Server, size: int) -> None:
    """Print how fast the publish queue is drained, as ratios to the baseline and to the bare client."""
    server.post("/_prepare", {"pending": BASELINE_INCIDENTS, "strict": False})
    told = server.run("original", BASELINE_INCIDENTS)
    baseline = BASELINE_INCIDENTS / told["drain_seconds"]
    rates = {}
    for client, at_once in (("bare", 32), ("puts", 64)):
        server.post("/_prepare", {"pending": size})
        told = server.run(client, size, at_once)
        rates[client], cpu = size / told["drain_seconds"], told["drain_cpu_seconds"] / size * 1000
        ratios = f"{rates[client] / baseline:.1f} | {rates[client] / rates['bare']:.2f}"
        print(f"| {client} | {at_once} | {ratios} | {cpu:.2f} |", flush=True)
    bare = rates["bare"]
    for at_once, page in ((1, 100), (8, 100), (32, 100), (64, 100), (64, 500)):
        first_run(server, {"pending": size})
        told = server.run("kbsync", size, at_once, batch_size=page)
        drained = told["drain_count"]
        rate, cpu = drained / told["drain_seconds"], told["drain_cpu_seconds"] / drained * 1000
        name = f"kbsync, pages of {page}"
        print(f"| {name} | {at_once} | {rate / baseline:.1f} | {rate / bare:.2f} | {cpu:.2f} |", flush=True)


def idle_runs(server: Server) -> None:
    """Print what a run with nothing to do asks, by the number of settled records and of shards."""
    rendered_by = IncidentTransform(TransformRules()).rendered_by
    for history in HISTORIES:
        first_run(server, {"history": history, "rendered_by": rendered_by})
        for shards in IDLE_SHARDS:
            server.run("kbsync", 0, queue_shards=shards)  # the first to see so many shards notes it
            told = server.run("kbsync", 0, queue_shards=shards)
            print(idle_row(history, shards, told), flush=True)


def idle_row(history: int, shards: int, told: Mapping[str, Any]) -> str:
    """Return one line: all requests and units, queries by what was queried, and the run's milliseconds."""
    queries = ", ".join(f"{name} {times}" for name, times in sorted(told["queries"].items()))
    units = sum(told["units"].values())
    cells = [history, shards, sum(told["requests"].values()), units, queries, round(told["seconds"] * 1000)]
    return f"| {' | '.join(map(str, cells))} |"


def heading(*columns: str) -> None:
    """Print a table's head."""
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def import_seconds() -> float:
    """Return how long the batch function's imports take, the least of five."""
    ran = (
        subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True)  # noqa: S603
        for _ in range(5)
    )
    return min(float(each.stdout) for each in ran)


def main() -> None:
    """Print all tables."""
    sizes = [int(each) for each in sys.argv[1:]] or list(SIZES)
    packages = ", ".join(f"{name} {version(name)}" for name in ("kbsync", "boto3", "obstore"))
    print(f"Python {platform.python_version()}, {packages}, {os.cpu_count()} cores")
    with running_server() as server:
        heading("drain of 2,000", "at once", "to the baseline", "to the bare client", "CPU ms each")
        drains(server, 2_000)
        heading(
            "scenario",
            "incidents",
            "puts",
            "requests each",
            "read / write units each",
            "CPU ms each",
            "MiB more",
            "refused",
        )
        for size in sizes:
            scenarios(server, size)
        heading("settled records", "shards", "requests", "units", "queries", "milliseconds")
        idle_runs(server)
    print(f"\nImport of the batch function: {import_seconds() * 1000:.0f} ms")


if __name__ == "__main__":
    main()
