"""The clients that are measured, each in a process of its own: kbsync, the original's handler, two bare ones.

    python -m benchmarks.clients NAME COUNT [AT_ONCE]

Prints one JSON line: seconds, CPU seconds, peak memory, and what the run reported.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3

from benchmarks.prepared import incident, pending
from kbsync.aws.attributes import value_of
from kbsync.aws.clients import Clients
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.lean_puts import LeanPuts
from kbsync.aws.record_writes import RecordWrites
from kbsync.bootstrap import build_engine, utc_now
from kbsync.model import Save, State, StoredIncident
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from kbsync.settings import Settings

PAGE = 100


def settings(**more: Any) -> Settings:
    """Return the settings of a deployment with marking on, as the template has them, and a page of 100."""
    chosen = {
        "backend": "aws",
        "s3_bucket": "documents",
        "kb_id": "BENCHMARKS",
        "data_source_id": "BENCHMARKS",
        "discovery": "queue",
        "batch_size": PAGE,
        "probe_sample": 0,
        "aws_region": "eu-west-1",
    }
    return Settings.model_validate({**chosen, **more})


def kbsync(_count: int, at_once: int) -> dict[str, Any]:
    """Run the main job, confirmation included; the drain is told apart by the progress it shows.

    Its rate counts from the end of its first page: a warm function has its clients already, and so has the
    bare client. The variable BENCHMARK_SETTINGS changes settings, as JSON.
    """
    changed = json.loads(os.environ.get("BENCHMARK_SETTINGS", "{}"))
    engine = build_engine(settings(publish_concurrency=at_once, **changed))
    drained: list[tuple[float, float, int]] = []

    def progress(step: str, done: int, _total: int | None) -> None:
        if step == "publish":
            drained.append((time.perf_counter(), time.process_time(), done))

    report = sync_once(engine, progress=progress)
    begun, cpu, first = drained[0] if drained else (0.0, 0.0, 0)
    seconds, cpu_seconds, last = drained[-1] if drained else (0.0, 0.0, 0)
    return {
        "drain_seconds": seconds - begun,
        "drain_cpu_seconds": cpu_seconds - cpu,
        "drain_count": last - first,
        "published": report.published,
        "indexed": report.indexed,
        "unchanged": report.unchanged,
        "status": report.status,
        "messages": report.messages,
    }


def original(count: int, _at_once: int) -> dict[str, Any]:
    """Do what the original's handler does for each incident: one put, one update, one after another.

    Source: ORIGINAL_DESIGN.md, `syncIncidentToS3` and `updateIncidentSyncStatus`.
    """
    s3 = boto3.client("s3", region_name="eu-west-1")
    table = boto3.client("dynamodb", region_name="eu-west-1")
    begun = time.perf_counter()
    for number in range(count):
        item = incident(number)
        body = json.dumps({**item, "synced_to_kb_at": utc_now().isoformat()}, indent=2)
        s3.put_object(
            Bucket="documents",
            Key=f"incidents/{item['incident_id']}.json",
            Body=body.encode(),
            ContentType="application/json",
            Metadata={"incident-id": str(item["incident_id"]), "source": "batch-sync"},
        )
        status = {"synced": True, "synced_at": utc_now().isoformat(), "sync_attempts": 1}
        table.update_item(
            TableName="incidents",
            Key={"incident_id": {"S": item["incident_id"]}, "sk": {"S": "METADATA"}},
            UpdateExpression="SET kb_sync_status = :status",
            ExpressionAttributeValues={":status": value_of(status)},
        )
    return {"drain_seconds": time.perf_counter() - begun, "published": count}


def bare(count: int, at_once: int) -> dict[str, Any]:
    """Make the calls of a drain and nothing else: documents are rendered before the clock starts."""
    clients, documents = Clients("eu-west-1"), _rendered(count)
    writes = RecordWrites(DynamoTable(clients.dynamodb, "kbsync"), utc_now)
    lean = _ready_puts(clients, documents[0])
    with ThreadPoolExecutor(at_once) as threads:
        begun, cpu = time.perf_counter(), time.process_time()
        for start in range(0, count, PAGE):
            page = range(start, min(start + PAGE, count))
            _read_page(clients, page)
            list(threads.map(lambda number: _put(lean, documents[number]), page))
            writes.save([_settled(number) for number in page])
    return {
        "drain_seconds": time.perf_counter() - begun,
        "drain_cpu_seconds": time.process_time() - cpu,
        "published": count,
    }


def puts(count: int, at_once: int) -> dict[str, Any]:
    """Put the documents and nothing else, without a pause: what this machine can do beside the server."""
    documents = _rendered(count)
    lean = _ready_puts(Clients("eu-west-1"), documents[0])
    with ThreadPoolExecutor(at_once) as threads:
        begun, cpu = time.perf_counter(), time.process_time()
        list(threads.map(lambda document: _put(lean, document), documents))
    return {
        "drain_seconds": time.perf_counter() - begun,
        "drain_cpu_seconds": time.process_time() - cpu,
        "published": count,
    }


def _rendered(count: int) -> list[Any]:
    transform = IncidentTransform(TransformRules())
    incidents = map(incident, range(count))
    return [transform.desired(StoredIncident(str(each["incident_id"]), each, "")) for each in incidents]


def _ready_puts(clients: Clients, first: Any) -> LeanPuts:
    """Return lean puts that know the way: boto3 has sent one."""
    lean = LeanPuts(clients, "documents")
    clients.s3_once.put_object(
        Bucket="documents",
        Key="incidents/first.md.metadata.json",
        Body=first.sidecar,
        IfNoneMatch="*",
        ChecksumAlgorithm="SHA256",
        Metadata={"fingerprint": first.fingerprint},
    )
    return lean


def _read_page(clients: Clients, page: range) -> None:
    ids = [f"INC-{number:07}" for number in page]
    names = {"#queue": "queue", "#due": "due"}
    values = {":queue": {"S": "publish#0"}, ":until": {"S": "~"}}
    clients.dynamodb.query(
        TableName="kbsync",
        IndexName="queue-due",
        KeyConditionExpression="#queue = :queue AND #due <= :until",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
        Limit=PAGE,
    )
    for table, keys in (
        ("kbsync", [{"pk": {"S": f"incident#{each}"}, "sk": {"S": "record"}} for each in ids]),
        ("incidents", [{"incident_id": {"S": each}, "sk": {"S": "METADATA"}} for each in ids]),
    ):
        wanted: Any = {table: {"Keys": keys, "ConsistentRead": True}}
        clients.dynamodb.batch_get_item(RequestItems=wanted)


def _put(lean: LeanPuts, document: Any) -> None:
    for key, content in ((document.sidecar_key, document.sidecar), (document.key, document.body)):
        metadata = {"fingerprint": document.fingerprint, "source": "batch-sync"}
        lean.put(key, content, content_type="text/markdown", metadata=metadata, if_etag="")


def _settled(number: int) -> Save:
    record = pending(number)
    return Save(
        type(record)(incident_id=record.incident_id, state=State.PUBLISHED, fingerprint="f" * 64), record.due
    )


CLIENTS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "kbsync": kbsync,
    "original": original,
    "bare": bare,
    "puts": puts,
}


def main() -> None:
    """Run one client and print what it took."""
    count, at_once = int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 32  # noqa: PLR2004
    idle_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, cpu = time.perf_counter(), time.process_time()
    told = CLIENTS[sys.argv[1]](count, at_once)
    taken = {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "idle_mib": idle_kib / 1024,
    }
    print(
        json.dumps(
            {"drain_seconds": taken["seconds"], "drain_cpu_seconds": taken["cpu_seconds"], **taken, **told}
        )
    )


if __name__ == "__main__":
    main()
