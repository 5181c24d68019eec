"""Servers that several tests share: one of each for a test run's worker."""

import os
from collections.abc import Iterator

import pytest

from aws_servers import ENVIRONMENT, running_ministack


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a stand-in for AWS; the environment points boto3 at it, whatever stood there before."""
    with running_ministack(tmp_path_factory.mktemp("ministack") / "server.log") as address:
        kept = dict(os.environ)
        os.environ.update({**ENVIRONMENT, "AWS_ENDPOINT_URL": address})
        try:
            yield address
        finally:
            os.environ.clear()
            os.environ.update(kept)
