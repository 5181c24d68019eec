import json
import re
from pathlib import Path

import pytest

from kbsync.model import Document, StoredIncident
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform

INCIDENTS = Path(__file__).parents[3] / "shared" / "data" / "incidents.jsonl"


@pytest.mark.slow
@pytest.mark.skipif(not INCIDENTS.exists(), reason="the real incidents are not part of the repository")
def test_all_real_incidents_transform_without_error_and_without_fillers() -> None:
    """Slow (10 s): 5,966 real incidents show that nothing that people write breaks the transform."""
    transform = IncidentTransform(TransformRules())
    lines = INCIDENTS.read_text(encoding="utf-8").split("\n")
    items = [json.loads(line) for line in lines if line]

    wanted = [transform.desired(StoredIncident(item["incident_id"], item, "")) for item in items]

    documents = [document for document in wanted if isinstance(document, Document)]
    assert len(documents) == sum(item["status"] == "CLOSED" for item in items)
    assert len({document.key.lower() for document in documents}) == len(documents)
    assert all(len(document.sidecar) <= 1024 for document in documents)
    filler = re.compile(rb"\n\n(?:None|null|No especificada)\n")
    assert [document.key for document in documents if filler.search(document.body)] == []
