"""The double as a process of its own: prints its address, then serves until it is ended."""

import argparse
import sys

import boto3

from bedrock_double.double import Double
from bedrock_double.server import Server
from bedrock_double.switches import Place, Switches


def main() -> None:
    """Serve one knowledge base over the bucket that boto3's environment reaches."""
    parser = argparse.ArgumentParser(prog="bedrock_double", description=__doc__)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", default="incidents/")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--kind", choices=["VECTOR", "MANAGED"], default="VECTOR")
    parser.add_argument(
        "--store", choices=["S3_VECTORS", "OPENSEARCH_SERVERLESS"], default="OPENSEARCH_SERVERLESS"
    )
    parser.add_argument("--job-seconds", type=float, default=0.0)
    given = parser.parse_args()
    server = Server(given.port)
    place = Place(bucket=given.bucket, prefix=given.prefix, kind=given.kind, store=given.store)
    server.double = Double(boto3.client("s3"), place, switches=Switches(job_seconds=given.job_seconds))
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
