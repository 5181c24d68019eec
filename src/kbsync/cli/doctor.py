"""The command that looks for what is wrong with a set-up, and says how to mend it.

May import the doctor, bootstrap's clock and findings. Invariant: it writes nothing and opens no engine.
"""

from typing import Any

from rich.text import Text

from kbsync.bootstrap import utc_now
from kbsync.cli.command import OK, SOME_FAILED, Call
from kbsync.cli.terminal import counted, table
from kbsync.doctor.composing import examine_backend
from kbsync.doctor.finding import Severity, findings_view

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def doctor(call: Call) -> int:
    """Look at everything that kbsync needs, and say what is wrong with it and how to mend it.

    Nothing is written. Exit code 1 where something must be mended before anything can be relied on.
    """
    settings = call.settings
    view: dict[str, Any] = {  # Any: a view, whose values are shown as they are
        "backend": settings.backend,
        **findings_view(examine_backend(settings, utc_now)),
    }
    call.answer(view, lambda: _show(call, view))
    return OK if view["ok"] else SOME_FAILED


def _show(call: Call, view: dict[str, Any]) -> None:
    rows = []
    for each in view["findings"]:
        state = Text(each["severity"], style=_STYLES[Severity(each["severity"])])
        seen = f"{each['seen']}. Remedy: {each['remedy']}" if each["remedy"] else each["seen"]
        rows.append((state, each["code"], each["subject"], seen))
    call.out.print(table(["", "finding", "of", "seen"], rows))
    call.out.print(f"{counted(view['errors'], 'error')}, {counted(view['warnings'], 'warning')}.")
    if view["errors"] or view["warnings"]:
        call.hint("next: mend the errors first, from the top; docs/doctor.md explains every finding")
