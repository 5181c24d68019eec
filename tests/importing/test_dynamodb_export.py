"""A table export is read file by file, from any line on, and never taken for whole where it is not."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from builders import an_incident
from exports import export_lines, write_export
from kbsync.errors import UsageError
from kbsync.importing.dynamodb_export import ExportSource, folder_source, manifest_keys

ITEMS = [an_incident(incident_id=f"INC-{number}") for number in range(7)]


def ids_of(source: ExportSource, part: int = 0, position: str = "") -> list[str]:
    return [name for stretch in source.read(part, position) for name, _ in stretch.items]


@pytest.mark.parametrize("name", ["data.json.gz", "data.json", "data"], ids=["gzip", "plain", "nameless"])
def test_one_file_is_read_whatever_its_name_says(tmp_path: Path, name: str) -> None:
    content = export_lines(ITEMS)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    source = folder_source(tmp_path / name)

    assert source.parts == 1
    assert ids_of(source) == [f"INC-{number}" for number in range(7)]


def test_values_come_out_as_the_table_holds_them(tmp_path: Path) -> None:
    item = an_incident(tags={"a", "b"}, size=5, blob=b"\x00", nothing=None) | {"empty": None}
    (tmp_path / "f.json").write_bytes(export_lines([item]))

    ((found, attributes),) = next(folder_source(tmp_path / "f.json").read(0, "")).items

    assert found == "INC-1001"
    assert (attributes["tags"], attributes["blob"], attributes["empty"]) == ({"a", "b"}, b"\x00", None)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_reading_goes_on_behind_every_position_it_gave(tmp_path: Path, size: int) -> None:
    (tmp_path / "f.json.gz").write_bytes(gzip.compress(export_lines(ITEMS)))
    source = ExportSource("f", [str(tmp_path / "f.json.gz")], lambda name: Path(name).open("rb"), size=size)  # noqa: SIM115 - the source closes it
    everything, before = ids_of(source), 0

    for stretch in source.read(0, ""):
        before += len(stretch.items)

        assert ids_of(source, position=stretch.position) == everything[before:]


def test_lines_that_are_no_incident_are_counted(tmp_path: Path) -> None:
    lines = [*ITEMS[:1], {"incident_id": "INC-1", "sk": "COMMENT#1", "status": "x"}, {"other": "thing"}]
    (tmp_path / "f.json").write_bytes(export_lines(lines) + b"{half\n\n")

    (stretch,) = folder_source(tmp_path / "f.json").read(0, "")

    assert (len(stretch.items), stretch.unreadable) == (1, 3)


def test_incremental_export_gives_the_new_image_and_no_deletions(tmp_path: Path) -> None:
    typed = json.loads(export_lines(ITEMS[:1]))["Item"]
    keys = {"incident_id": {"S": "INC-9"}, "sk": {"S": "METADATA"}}
    lines = [
        {"Metadata": {"WriteTimestampMicros": {"N": "1"}}, "Keys": keys, "NewImage": typed},
        {"Metadata": {"WriteTimestampMicros": {"N": "2"}}, "Keys": keys, "OldImage": typed},
    ]
    (tmp_path / "f.json").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    (stretch,) = folder_source(tmp_path / "f.json").read(0, "")

    assert ([name for name, _ in stretch.items], stretch.unreadable) == (["INC-0"], 1)


@pytest.mark.parametrize("start", ["folder", "above", "manifest"])
def test_export_is_found_by_its_manifest(tmp_path: Path, start: str) -> None:
    place = write_export(tmp_path, [ITEMS[:3], ITEMS[3:]])
    (place / "data" / "left-over.json").write_bytes(export_lines(ITEMS))

    source = folder_source(
        {"folder": place, "above": tmp_path, "manifest": place / "manifest-files.json"}[start]
    )

    assert source.parts == 2
    assert ids_of(source, 0) + ids_of(source, 1) == [f"INC-{number}" for number in range(7)]


def test_folder_without_a_manifest_is_every_data_file_in_it(tmp_path: Path) -> None:
    place = write_export(tmp_path, [ITEMS[:3], ITEMS[3:]])
    (place / "manifest-files.json").unlink()

    assert folder_source(tmp_path).parts == 2


def wrong_folders(tmp_path: Path) -> Sequence[tuple[Path, str]]:
    missing = write_export(tmp_path / "missing", [ITEMS])
    (missing / "data" / "data0000.json.gz").unlink()
    write_export(tmp_path / "two" / "a", [ITEMS])
    write_export(tmp_path / "two" / "b", [ITEMS])
    (tmp_path / "empty").mkdir()
    return [
        (missing, "is missing"),
        (tmp_path / "two", "holds 2 exports"),
        (tmp_path / "empty", "no export"),
        (tmp_path / "nowhere", "no export"),
    ]


def test_folder_that_is_no_whole_export_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for folder, reason in wrong_folders(tmp_path):
        with pytest.raises(UsageError, match=reason):
            folder_source(folder)


@pytest.mark.parametrize("content", [b"not json", b'{"a": 1}', b"[1]", b"\xff"])
def test_manifest_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"no manifest-files\.json"):
        manifest_keys(content, "m")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_file_is_an_error_and_never_read_as_if_whole(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress(export_lines(ITEMS))
    middle = len(whole) // 2
    broken = (
        whole[:-12]
        if damage == "cut"
        else whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    )
    (tmp_path / "f.json.gz").write_bytes(broken)

    with pytest.raises(UsageError, match="cut or damaged"):
        ids_of(folder_source(tmp_path / "f.json.gz"))
