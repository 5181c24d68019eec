"""Calls of the command line on a home in a temporary folder, with the hash embedder: no model is loaded."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from builders import an_incident
from kbsync.cli.main import app

MADE_UP = (
    an_incident(),
    an_incident(
        incident_id="INC-1002",
        title="Certificado caducado en la pasarela",
        description="El certificado TLS venció durante la noche.",
        severity="low",
        language="es",
        resolved_at="2025-04-01T10:00:00Z",
        resolution={"description": "Se renovó el certificado.", "resolved_at": "2025-04-01T10:00:00Z"},
    ),
    an_incident(incident_id="INC-1003", status="OPEN", title="Disk almost full", resolution=None),
)
UNREADABLE = an_incident(incident_id="INC-1004", title="Broken backup", description={"not": "a text"})


def write_lines(path: Path, incidents: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in incidents), encoding="utf-8")
    return path


@dataclass
class Cli:
    """The command line with one home; settings come as environment variables."""

    folder: Path
    children: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        return {"KBSYNC_HOME": str(self.home), "EMBEDDER": "hash"}

    def __call__(self, *arguments: str, given: bytes = b"", **settings: str) -> Result:
        environment = {**self.environment, **settings}
        return CliRunner().invoke(app, list(arguments), input=given, env=environment)

    def json(self, *arguments: str, **settings: str) -> Any:
        result = self(*arguments, "--json", **settings)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def child(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """Start the command line as a process of its own, as a terminal does: Ctrl-C reaches it.

        A shell's background job ignores SIGINT, and so do its children, whatever runs the tests.
        """
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "kbsync", *arguments],
                env={**os.environ, **self.environment, **settings},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        self.children.append(child)
        return child

    def end(self) -> None:
        """Leave no process behind, whatever became of the test."""
        for child in self.children:
            with child:
                child.kill()

    def begin(self, incidents: Sequence[Mapping[str, object]] = MADE_UP) -> "Cli":
        """Import incidents into a new home."""
        self.json("import", str(write_lines(self.folder / "incidents.jsonl", incidents)))
        return self

    def synced(self, incidents: Sequence[Mapping[str, object]] = MADE_UP, **settings: str) -> "Cli":
        """Import incidents and sync them."""
        self.begin(incidents)("sync", **settings)
        return self
