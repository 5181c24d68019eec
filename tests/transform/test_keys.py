from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsync.pipeline.transform.keys import document_key

IDS = (
    st.text(max_size=300)
    | st.from_regex(r"\A[A-Za-z0-9._-]{0,40}(?:__[0-9a-fA-F]{32})?\Z")
    | st.sampled_from(["CON", "nul.X", "A.", ".A", "INC-1", "inc-1", "\ud800"])
)


@pytest.mark.parametrize(
    ("incident_id", "name"),
    [
        ("INC-1001", "INC-1001"),
        ("CHG.2024_7", "CHG.2024_7"),
        ("", "id__e3b0c44298fc1c149afbf4c8996fb924"),
        ("inc-1001", "inc-1001__cae976b73deb69db715fdebd96dd59e0"),
        ("CON", "CON__a3dbc4b644a9a2c51e74509ded5c46cc"),
        ("INC/1", "INC_1__9edf5575992f305781bd910c9191630c"),
        ("NUL.TXT", "NUL_TXT__4c169a224386d3f07d9a9d35834a5e28"),
    ],
)
def test_a_key_is_the_same_for_ever(incident_id: Any, name: Any) -> None:
    assert document_key("incidents/", incident_id) == f"incidents/{name}.md"


def test_an_id_that_looks_like_an_altered_one_is_altered_itself() -> None:
    imitation = "CON__A3DBC4B644A9A2C51E74509DED5C46CC"

    assert document_key("", imitation).lower() != document_key("", "CON").lower()


@given(IDS, IDS)
def test_two_ids_never_share_a_key_even_without_letter_case(one: Any, other: Any) -> None:
    assert (document_key("p/", one).lower() == document_key("p/", other).lower()) == (one == other)


@given(IDS)
def test_a_key_is_one_safe_name_under_the_prefix(incident_id: Any) -> None:
    key = document_key("p/", incident_id)

    name = key.removeprefix("p/")
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not name.startswith(".")
    assert len(f"{name}.metadata.json") <= 255
