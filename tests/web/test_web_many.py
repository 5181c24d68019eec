"""A hundred thousand incidents: each page shows one page of them, and the last one can be reached.

Slow: it makes the hundred thousand, by SQL from one that was really synced.
"""

import re
from pathlib import Path

import pytest

from web.many import many_incidents
from web.visiting import words


@pytest.mark.slow
def test_every_page_shows_a_bounded_part_of_a_hundred_thousand(tmp_path: Path) -> None:
    many = many_incidents(tmp_path, 100_000)

    assert "100,000" in words(many.get("/"))
    for path in ("/incidents", "/incidents?state=indexed", "/incidents?status=CLOSED"):
        page = many.get(path)
        assert len(re.findall(r'href="/incident\?id=INC-\d+"', page)) == 50
        assert 'rel="next"' in page

    last = many.get("/incidents?state=indexed&cursor=INC-099989")

    assert re.findall(r'href="/incident\?id=(INC-\d+)"', last)[-1] == "INC-099999"
    assert 'rel="next"' not in last
    assert "INC-050000" in many.get("/incident?id=INC-050000")
