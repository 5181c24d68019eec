"""Settings: where each comes from, and every problem at once with its remedy."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from kbsync.errors import ConfigInvalidError
from kbsync.setting_sources import load_settings
from kbsync.settings import Settings, variable


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_gives_the_defaults() -> None:
    settings = load_settings({}, {})

    assert settings.backend == "local"
    assert settings.s3_prefix == "incidents/"
    assert settings.closed_statuses == ("CLOSED",)
    assert settings.home == Path("~/.kbsync").expanduser()
    assert {setting.origin for setting in settings.listing()} == {"default"}


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path / "s.toml", "batch_size = 1\nmax_attempts = 1\nqueue_shards = 1\n")

    settings = load_settings(
        {"batch_size": 3, "config": file}, {"BATCH_SIZE": "2", "MAX_ATTEMPTS": "2", "TIMEZONE": ""}
    )

    assert (settings.batch_size, settings.max_attempts, settings.queue_shards) == (3, 2, 1)
    assert [settings.origin(name) for name in ("batch_size", "max_attempts", "queue_shards", "timezone")] == [
        "flag",
        "environment",
        "file",
        "default",
    ]


def test_flag_of_none_counts_as_not_given() -> None:
    assert load_settings({"batch_size": None}, {"BATCH_SIZE": "9"}).batch_size == 9


def test_settings_file_in_the_home_is_read(tmp_path: Path) -> None:
    write(tmp_path / "kbsync.toml", "\ufeffbatch_size = 8\n")

    settings = load_settings({"home": str(tmp_path)}, {})

    assert settings.batch_size == 8
    assert settings.config == tmp_path / "kbsync.toml"


def test_settings_file_named_in_the_environment_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "other.toml", 'exclude = ["category=test"]\n')

    assert load_settings({}, {"KBSYNC_CONFIG": str(file)}).exclude == (("category", "test"),)


def test_lists_and_rules_are_read_from_text() -> None:
    settings = load_settings(
        {}, {"CLOSED_STATUSES": "CLOSED, RESOLVED,", "CONFIDENTIAL": "category = hr , owner=a=b"}
    )

    assert settings.closed_statuses == ("CLOSED", "RESOLVED")
    assert settings.confidential == (("category", "hr"), ("owner", "a=b"))


def test_rules_given_in_a_program_are_kept() -> None:
    assert Settings(exclude=(("category", "test"),)).exclude == (("category", "test"),)


@pytest.mark.parametrize(("text", "seconds"), [("", None), ("0", 0.0), ("60", 60.0)], ids=repr)
def test_wait_may_be_empty_for_no_limit(tmp_path: Path, text: str, seconds: float | None) -> None:
    file = write(tmp_path / "s.toml", f'wait_seconds = "{text}"\n')

    assert load_settings({"config": file}, {}).wait_seconds == seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KBSYNC_BACKEND", "azure"),
        ("S3_PREFIX", "incidents"),
        ("S3_PREFIX", "../up/"),
        ("S3_PREFIX", "/"),
        ("S3_PREFIX", "a\\b/"),
        ("BATCH_SIZE", "0"),
        ("BATCH_SIZE", "501"),
        ("BATCH_SIZE", "many"),
        ("CLOSED_STATUSES", ","),
        ("TIMEZONE", "Mars/Base"),
        ("DATE_ORDER", "YMD"),
        ("METADATA_BUDGET_BYTES", "10"),
        ("LEASE_SECONDS", "1"),
        ("QUEUE_SHARDS", "33"),
        ("DISCOVERY", "guess"),
        ("EXCLUDE", "category"),
        ("CONFIDENTIAL", "=x"),
        ("EMBEDDER", "gpt"),
        ("KBSYNC_LOCAL_FAULTS", "["),
        ("KBSYNC_LOCAL_FAULTS", "[]"),
        ("LOG_LEVEL", "LOUD"),
        ("WAIT_SECONDS", "inf"),
        ("WAIT_SECONDS", "nan"),
        ("KBSYNC_HOME", " "),
    ],
    ids=lambda value: value,
)
def test_wrong_value_names_variable_origin_and_an_example(name: str, value: str) -> None:
    with pytest.raises(ConfigInvalidError, match=rf"{name} \(from environment\).* -> .*for example"):
        load_settings({}, {name: value})


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "s.toml", "batch_sise = 5\nzzz = 1\nqueue_shards = 99\n")

    with pytest.raises(ConfigInvalidError, match="4 settings are wrong") as caught:
        load_settings({"config": file}, {"TIMEZONE": "Nowhere"})

    text = str(caught.value)
    assert "did you mean batch_size?" in text
    assert "unknown setting 'zzz' -> known names" in text
    assert "QUEUE_SHARDS (from file)" in text
    assert "TIMEZONE (from environment)" in text
    assert "99" not in text.partition("QUEUE_SHARDS")[2].partition("TIMEZONE")[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "there is no file"), (b"batch_size =", "is not TOML"), (b"\xff\xfe\x00", "cannot be read")],
    ids=["missing", "not toml", "not utf-8"],
)
def test_settings_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "s.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigInvalidError, match=problem):
        load_settings({"config": file}, {})


@pytest.mark.parametrize("line", ["exclude = 5", "exclude = [5]", "home = 5"], ids=str)
def test_value_of_another_type_in_the_file_is_named(tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "s.toml", line + "\n")

    with pytest.raises(ConfigInvalidError, match=r"\(from file\)"):
        load_settings({"config": file}, {})


def test_unknown_setting_in_a_program_is_refused() -> None:
    with pytest.raises(ValidationError, match="batch_sise"):
        Settings.model_validate({"batch_sise": 5})


def test_settings_are_frozen() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.batch_size = 5


def test_listing_shows_rules_as_they_are_written() -> None:
    settings = load_settings({}, {"EXCLUDE": "category=test,severity=low", "LOG_LEVEL": "debug"})

    shown = {setting.name: setting.value for setting in settings.listing()}

    assert shown["EXCLUDE"] == "category=test,severity=low"
    assert shown["LOG_LEVEL"] == "DEBUG"
    assert shown["WAIT_SECONDS"] == ""


def test_variables_keep_the_names_of_the_original_design() -> None:
    assert [variable(name) for name in ("s3_prefix", "batch_size", "home")] == [
        "S3_PREFIX",
        "BATCH_SIZE",
        "KBSYNC_HOME",
    ]


def test_aws_without_its_names_is_told_each_of_them_beside_other_problems() -> None:
    with pytest.raises(ConfigInvalidError) as caught:
        load_settings({"backend": "aws"}, {"S3_BUCKET": "documents", "BATCH_SIZE": "0"})

    text = str(caught.value)
    assert "3 settings are wrong" in text
    assert "KB_ID: KBSYNC_BACKEND=aws needs it -> Bedrock knowledge base; for example" in text
    assert "DATA_SOURCE_ID: KBSYNC_BACKEND=aws needs it" in text
    assert "BATCH_SIZE (from environment)" in text


def test_settings_of_a_program_are_held_to_the_same_rule() -> None:
    with pytest.raises(ValueError, match="KBSYNC_BACKEND=aws needs KB_ID, DATA_SOURCE_ID"):
        Settings(backend="aws", s3_bucket="documents")
