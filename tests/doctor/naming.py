"""What every table of broken set-ups asserts: the one finding, how bad it is, and its remedy."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kbsync.doctor.finding import Finding, Severity

Expected = tuple[str, str, str]


def cases(broken: Mapping[Callable[[Any], None], Expected]) -> pytest.MarkDecorator:
    """Run a test once for each broken set-up, under the name of what spoils it."""
    table = [pytest.param(spoil, expected, id=spoil.__name__) for spoil, expected in broken.items()]
    return pytest.mark.parametrize(("spoil", "expected"), table)


def assert_named(wrong: Mapping[str, Finding], expected: Expected) -> None:
    """Hold that this finding alone is not well, as badly as expected, and that it names its remedy."""
    code, severity, remedy = expected

    assert set(wrong) == {code}
    assert wrong[code].severity is Severity(severity)
    assert remedy in wrong[code].remedy
