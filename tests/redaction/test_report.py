"""What redaction took out is told by counts; without its libraries nothing is published."""

from pathlib import Path
from typing import Any

import pytest

from builders import Home, an_incident
from cli.calling import Cli
from kbsync.doctor.composing import check_redaction
from kbsync.model import StoredIncident
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform import redact as module
from kbsync.pipeline.transform import transform as transforming
from kbsync.pipeline.transform.redact import REDACTION_VERSION, lacking
from kbsync.pipeline.transform.redaction_rule import rule_set
from kbsync.views.redactions import redactions_view, version_of
from kbsync.views.story import explain_view
from kbsync.withdrawal import in_force, withdraw_all

LIBRARY = "phonenumbers and stdnum cannot be found"


def filled(home: Home) -> None:
    """Two documents of which one rule took something each, one that holds nothing, one open incident."""
    texts = (
        "write to ana@correo.es or leo@correo.es",
        "password=Verano!2024x, ask ana@correo.es",
        "Disk full",
    )
    incidents = [
        an_incident(incident_id=f"INC-{number}", description=text) for number, text in enumerate(texts)
    ]
    upsert_incidents(home.engine, [*incidents, an_incident(incident_id="INC-open", status="OPEN")])
    sync_once(home.engine)


def view_of(home: Home, **asked: Any) -> Any:
    return redactions_view(home.engine, **{"rule": "", "limit": 20, "offset": 0, **asked})


def without_libraries(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    monkeypatch.setattr(home.engine.transform, "lacking", lacking())


def test_report_counts_by_rule_incident_and_version(home: Home) -> None:
    filled(home)

    view = view_of(home)

    assert (view["documents"], view["redacted"], view["older"]) == (3, 2, 0)
    assert view["rules"] == [
        {"rule": "email", "found": 3, "incidents": 2},
        {"rule": "password", "found": 1, "incidents": 1},
    ]
    assert view["versions"] == [{"version": REDACTION_VERSION, "documents": 3}]
    assert "Verano" not in str(view)


def test_report_lists_the_incidents_of_a_rule_page_by_page(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kbsync.views.redactions._PAGE", 1)
    filled(home)

    first = view_of(home, rule="email", limit=1)
    second = view_of(home, rule="email", limit=1, offset=1)

    assert first["incidents"] == [{"incident_id": "INC-0", "redactions": {"email": 2}}]
    assert (first["next_offset"], second["next_offset"]) == (1, None)
    assert [each["incident_id"] for each in second["incidents"]] == ["INC-1"]
    assert view_of(home, rule="jwt")["incidents"] == []


def test_changed_rules_look_at_every_document_and_put_only_what_differs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule set of another version that finds one thing more: all are read, one is put."""
    filled(home)
    by_old = home.engine.transform.rendered_by
    more = (*module.RULES, module.RedactionRule("disk", ("disk",), module.re.compile("Disk")))
    monkeypatch.setattr(
        transforming, "redact", lambda text, counts, _rules: module.redact(text, counts, rule_set(more))
    )
    monkeypatch.setattr(home.engine.transform, "_rendered_by", by_old.replace("redaction=", "redaction=9"))
    older = view_of(home)["older"]

    report = sync_once(home.engine)

    assert older == 3
    assert (report.found, report.published, report.unchanged) == (3, 1, 2)
    assert view_of(home)["older"] == 0
    assert version_of(home.ledger.records(["INC-0"])["INC-0"].rendered_by) == f"9{REDACTION_VERSION}"
    assert version_of("") == "unknown"


def test_without_its_libraries_nothing_is_published_and_withdrawals_go_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: before the first put; what waits keeps its attempts and goes on when redaction is back."""
    filled(home)
    upsert_incidents(home.engine, [an_incident(incident_id="INC-new"), an_incident(incident_id="INC-0")])
    reopen_incident(home.engine, "INC-1")
    with monkeypatch.context() as patched:
        without_libraries(home, patched)
        report = sync_once(home.engine)
        wants = explain_view(home.engine, "INC-new")["wants"]
        shown = home.engine.transform.shown("a title")
        lacks = view_of(home)["lacking"]

    assert (report.status, report.published, report.withdrawn, report.pending) == ("degraded", 0, 1, 2)
    assert report.messages == (f"nothing is published without redaction: {LIBRARY}",)
    assert (home.state("INC-1"), home.state("INC-0")) == ("withdrawn", "indexed")
    assert (LIBRARY in wants, shown, lacks) == (True, "[REDACTED]", LIBRARY)
    assert home.ledger.records(["INC-new"])["INC-new"].attempts == 0
    assert sync_once(home.engine).indexed == 2


def test_empty_table_of_rules_is_lacking_too() -> None:
    assert lacking(rule_set(())) == "the table of rules is empty"
    assert lacking() == ""


def test_doctor_looks_for_the_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    (well,) = check_redaction()
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    (wrong,) = check_redaction()

    assert (str(well.code), well.seen) == (
        "redaction",
        f"{len(module.RULES)} rules, version {REDACTION_VERSION}",
    )
    assert (str(wrong.code), "nothing is published" in wrong.seen) == ("redaction-missing", True)


def test_command_shows_the_report_and_refuses_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ("ask ana@correo.es", "ask leo@correo.es", "Disk full")
    cli = Cli(tmp_path).synced(
        [an_incident(incident_id=f"INC-{number}", description=text) for number, text in enumerate(texts)]
    )

    shown = cli("redaction", "report", "--rule", "email", "--limit", "1").stdout
    changed = cli("redaction", REDACT_NAMES="Quillfeather").stdout

    assert "2 of 3 documents had something taken out." in shown
    assert "INC-0: 1 email" in shown
    assert "more: --offset 1" in shown
    assert "3 documents rendered by other rules or settings." in changed
    assert cli.json("redaction", "report")["rules"] == [{"rule": "email", "found": 2, "incidents": 2}]
    assert cli("redaction", "values").exit_code == 2
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert f"Nothing is published: {LIBRARY}." in cli("redaction").stdout
    (tmp_path / "other").mkdir()
    assert "0 of 0 documents" in Cli(tmp_path / "other").begin([])("redaction").stdout


def test_what_cannot_be_redacted_is_not_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that breaks hides the whole text, also where a person has withdrawn everything."""

    def broken(_: Any) -> bool:
        raise RuntimeError

    rules = rule_set([module.RedactionRule("broken", ("title",), module.re.compile("title"), broken)])
    monkeypatch.setattr(home.engine.transform, "_rule_set", rules)
    withdraw_all(home.engine, reason="moving")
    transform = in_force(home.engine).transform

    assert (transform.shown("a title"), transform.shown("another"), transform.lacking) == (
        "[REDACTED]",
        "another",
        "",
    )
    assert transform.title(StoredIncident("INC-1", {"title": "a title"}, "")) == "[REDACTED]"
    assert transform.title(StoredIncident("INC-1", {"title": 7}, "")) is None
