"""docs/CASES.md says which tests cover which case."""

from cases_table import CASES, PAGE, covering_tests, page


def test_page_of_cases_is_what_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python tests/docs/cases_table.py"


def test_tests_name_only_cases_that_exist() -> None:
    assert sorted(covering_tests().keys() - CASES.keys()) == []
