"""One deployment for each test of the policies, composed from the template's own variables."""

from collections.abc import Iterator

import pytest

from bedrock_double.subjects import BedrockSubject
from policies.deployment import Deployment, deployed
from policies.recording import recording


@pytest.fixture
def deployment(
    bedrock: BedrockSubject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Deployment]:
    """A deployment with a new table, a new bucket, a stream, a key, and JSON records."""
    for service in ("BEDROCK_AGENT", "BEDROCK_AGENT_RUNTIME"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", bedrock.server.address)
    for name in ("S3_BUCKET", "KB_ID", "DATA_SOURCE_ID"):  # what no function of the stack does without
        monkeypatch.setenv(name, "of-the-tests")
    with recording() as recorder, deployed(bedrock, recorder, capsys) as made:
        yield made
