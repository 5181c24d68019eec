"""Says how many schedules were explored, whatever worker explored them."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sum of what each test noted."""
    played = sum(
        int(value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", ())
        if name == "schedules"
    )
    if played:
        terminalreporter.write_line(f"{played} schedules explored")
