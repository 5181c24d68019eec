"""What is asked: closes an hour, the corpus, the shape of an incident, how the deployment is cut. Pure."""

from dataclasses import dataclass

HOURS_A_MONTH = 730


@dataclass(frozen=True, slots=True)
class Load:
    """One question to the simulator; every rate is even over the hour.

    Args:
        closes_per_hour: incidents closed in an hour, all knowledge bases together.
        documents: documents that stand already.
        changes_per_close: later edits and reopenings of each closed incident.
        incident_bytes: an incident's item in the customer's table.
        document_bytes: a document without its sidecar.
        document_tokens: what the embedding model counts.
        knowledge_bases: deployments side by side, each with a knowledge base and a ledger of its own.
        tick_minutes: how often a run begins.
        memory_mb: of the function.
    """

    closes_per_hour: float
    documents: float
    changes_per_close: float = 0.2
    incident_bytes: int = 4_096
    document_bytes: int = 2_048
    document_tokens: int = 600
    knowledge_bases: int = 1
    tick_minutes: float = 5
    memory_mb: int = 1_024

    @property
    def all_changes_per_second(self) -> float:
        """Publications and withdrawals of all deployments together."""
        return self.closes_per_hour * (1 + self.changes_per_close) / 3_600

    @property
    def changes_per_second(self) -> float:
        """Those of one deployment."""
        return self.all_changes_per_second / self.knowledge_bases

    @property
    def changes_per_month(self) -> float:
        """Those of all in a month."""
        return self.all_changes_per_second * 3_600 * HOURS_A_MONTH

    @property
    def documents_each(self) -> float:
        """Documents of one knowledge base."""
        return self.documents / self.knowledge_bases
