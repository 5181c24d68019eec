"""Several workers on one deployment: what a second one adds, and what becomes of one that is killed.

    python -m benchmarks.workers [COUNT]

Prints Markdown tables. A worker syncs until a whole run finds nothing left; while another holds the publisher
lease it asks again, a tenth of a second later. `together` is the product: one deployment, one lease. `apart`
gives each worker a deployment and a share of its own, server included: as far as a lease for each shard could
ever take one deployment, if S3, DynamoDB and the knowledge base took any rate. Then one worker is killed with
half of the puts made, and the one that waits takes over when the lease has run out. 15 ms a request.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.__main__ import DELAY_SECONDS, Server, first_run, heading, running_server
from benchmarks.clients import settings
from kbsync.bootstrap import build_engine
from kbsync.engine import Engine, Policy
from kbsync.errors import BusyError
from kbsync.pipeline.sync import sync_once

WORKERS = (1, 2, 4)
ASKS_AGAIN_SECONDS = 0.1
AT_ONCE = 32
_OBJECTS_EACH = 2
_POLICY = Policy()


@dataclass(frozen=True)
class LeaseTimes:
    """How long a silent holder keeps the lease, and how long a taker-over waits beyond that."""

    seconds: float = _POLICY.lease_seconds
    grace_seconds: float = _POLICY.lease_grace_seconds

    def applied_to(self, engine: Engine) -> Engine:
        """Return the engine with these times; a call then takes a quarter of a lease at most."""
        timeout = min(_POLICY.call_timeout_seconds, self.seconds / 4)
        policy = replace(
            engine.policy,
            lease_seconds=self.seconds,
            lease_grace_seconds=self.grace_seconds,
            call_timeout_seconds=timeout,
        )
        return replace(engine, policy=policy)


def work(lease: LeaseTimes) -> dict[str, Any]:
    """Sync until a run of our own finds nothing left; returns what this worker did, and when."""
    engine = lease.applied_to(build_engine(settings(publish_concurrency=AT_ONCE)))
    moments: list[float] = []
    counted: Counter[str] = Counter(published=0, indexed=0, busy=0)

    def progress(step: str, _done: int, _total: int | None) -> None:
        if step == "publish":
            moments.append(time.time())

    while True:
        began = time.time()
        try:
            report = sync_once(engine, progress=progress)
        except BusyError:
            counted["busy"] += 1
            time.sleep(ASKS_AGAIN_SECONDS)
            continue
        counted.update(published=report.published, indexed=report.indexed)
        if report.published:
            moments.insert(0, began)
        if not report.found and not report.pending:
            return {**counted, "moments": moments, "cpu_seconds": time.process_time()}


def start(server: Server, lease: LeaseTimes) -> "subprocess.Popen[str]":
    """Start one worker as a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.workers",
        "--work",
        str(lease.seconds),
        str(lease.grace_seconds),
    ]
    return subprocess.Popen(  # noqa: S603 - our own module
        command, env=server.environment(), stdout=subprocess.PIPE, text=True
    )


def ended(worker: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for a worker and return what it told."""
    answer, _ = worker.communicate()
    if worker.returncode:
        raise SystemExit(f"a worker ended with {worker.returncode}")
    return dict(json.loads(answer.splitlines()[-1]))


def row(name: str, workers: Sequence[dict[str, Any]], puts: int) -> str:
    """Return one line: seconds from the first page to the last, CPU of all, and who published what."""
    moments = [moment for told in workers for moment in told["moments"]]
    cpu = sum(told["cpu_seconds"] for told in workers)
    shares = " + ".join(str(told["published"]) for told in workers)
    return f"| {name} | {len(workers)} | {max(moments) - min(moments):.1f} | {cpu:.1f} | {shares} | {puts} |"


def together(count: int, number: int, lease: LeaseTimes, delay_seconds: float = DELAY_SECONDS) -> str:
    """Let some workers loose on one deployment; raise where the end state is not whole."""
    with running_server(delay_seconds) as server:
        first_run(server, {"pending": count})
        server.post("/_counts", {})
        workers = [start(server, lease) for _ in range(number)]
        told = [ended(worker) for worker in workers]
        puts = server.post("/_counts", {})["requests"]["S3 PUT"]
        require_whole(server, count)
    return row("together", told, puts)


def apart(count: int, number: int, lease: LeaseTimes) -> str:
    """Give each worker a deployment of its own, with its share of the incidents."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server()) for _ in range(number)]
        for server in servers:
            first_run(server, {"pending": count // number})
            server.post("/_counts", {})
        workers = [start(server, lease) for server in servers]
        told = [ended(worker) for worker in workers]
        puts = sum(server.post("/_counts", {})["requests"]["S3 PUT"] for server in servers)
        for server in servers:
            require_whole(server, count // number)
    return row("apart", told, puts)


def require_whole(server: Server, count: int) -> None:
    """Raise unless every incident is published, confirmed and says so, and nothing waits."""
    state = server.post("/_state", {})
    documents = state["objects"] - state["objects"] % _OBJECTS_EACH
    wanted = {"records": {"indexed": count}, "queued": 0, "synced": count}
    if {name: state[name] for name in wanted} != wanted or documents < _OBJECTS_EACH * count:
        raise SystemExit(f"not whole: {state}")


@dataclass(frozen=True)
class TakeOver:
    """What a killed worker's work cost the next one."""

    puts_before: int
    """Made, or on their way, when the worker was killed."""
    puts: int
    refused: int
    """Puts of what stood there already: a HEAD then told that it was ours."""
    waited_seconds: float
    """From the kill to the next worker's first put."""
    published_by_the_next: int


def killed(count: int, lease: LeaseTimes, delay_seconds: float = DELAY_SECONDS) -> TakeOver:
    """Kill a worker with half of the puts made, while another waits; raise unless the end state is whole."""
    with running_server(delay_seconds) as server:
        first_run(server, {"pending": count})
        server.post("/_counts", {})
        counts: Counter[str] = Counter()
        first = start(server, lease)
        _until(server, counts, 1)
        second = start(server, lease)
        _until(server, counts, count)
        first.kill()
        first.communicate()
        at = time.monotonic()
        counts.update(server.post("/_counts", {})["requests"])
        before = counts["S3 PUT"]
        _until(server, counts, before + 1)
        waited = time.monotonic() - at
        told = ended(second)
        counts.update(server.post("/_counts", {})["requests"])
        require_whole(server, count)
    return TakeOver(
        puts_before=before,
        puts=counts["S3 PUT"],
        refused=counts["refused PreconditionFailed"],
        waited_seconds=waited,
        published_by_the_next=told["published"],
    )


def _until(server: Server, counts: "Counter[str]", puts: int) -> None:
    while counts["S3 PUT"] < puts:
        time.sleep(ASKS_AGAIN_SECONDS / 10)
        counts.update(server.post("/_counts", {})["requests"])


def main() -> None:
    """Print both tables; with `--work`, be a worker instead."""
    parser = argparse.ArgumentParser(description="Several workers on one deployment.")
    parser.add_argument("count", type=int, nargs="?", default=2_000)
    parser.add_argument("--work", type=float, nargs=2, metavar=("LEASE", "GRACE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(work(LeaseTimes(*given.work))))
        return
    lease = LeaseTimes()
    heading("workers", "number", "seconds", "CPU s of all", "published by each", "puts")
    for number in WORKERS:
        print(together(given.count, number, lease), flush=True)
    for number in WORKERS[1:]:
        print(apart(given.count, number, lease), flush=True)
    heading("puts at the kill", "in the end", "refused as made before", "waited s", "published by the next")
    found = killed(given.count, lease)
    cells = (
        found.puts_before,
        found.puts,
        found.refused,
        round(found.waited_seconds),
        found.published_by_the_next,
    )
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
