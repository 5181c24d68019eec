"""The functions' package: what is pruned, what is refused, and that pruned botocore serves our clients."""

import importlib.util
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import botocore
import pytest

import kbsync
from template.stack import Stack

DEPLOY = Path(__file__).parents[2] / "deploy"
MODELS = Path(botocore.__file__).parent / "data"
CLIENTS = Path(kbsync.__file__).parent / "aws" / "clients.py"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prune_bundle, check_bundle = script("prune_bundle"), script("check_bundle")


def elf(machine: int) -> bytes:
    """Return the head of a 64-bit little-endian shared object for a machine."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(40)


def a_bundle(folder: Path) -> Path:
    for name in (*check_bundle.NEEDED, *(f"botocore/data/{each}/x" for each in prune_bundle.services())):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("", encoding="utf-8")
    (folder / "pydantic_core").mkdir()
    library = folder / "pydantic_core" / "_pydantic_core.cpython-313-aarch64-linux-gnu.so"
    library.write_bytes(elf(check_bundle.MACHINES["aarch64"]))
    return folder


def test_services_are_exactly_those_of_our_clients() -> None:
    made = re.findall(r'boto3\.client\("([a-z0-9-]+)"', CLIENTS.read_text(encoding="utf-8"))

    assert sorted({*made, "xray"}) == prune_bundle.services()


def test_pruning_keeps_our_services_and_what_they_share(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    (bundle / "botocore/data/ec2").mkdir()
    (bundle / "bin").mkdir()

    prune_bundle.prune(bundle)
    prune_bundle.prune(bundle)

    left = {each.name for each in (bundle / "botocore/data").iterdir()}
    assert left == {*prune_bundle.services(), "endpoints.json"}
    assert not (bundle / "bin").exists()


def test_service_that_botocore_does_not_know_removes_nothing(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    (bundle / "botocore/data/ec2").mkdir()
    shutil.rmtree(bundle / "botocore/data/sns")

    with pytest.raises(FileNotFoundError, match="sns"):
        prune_bundle.prune(bundle)

    assert (bundle / "botocore/data/ec2").exists()


def test_whole_bundle_for_the_right_machine_has_no_fault(tmp_path: Path) -> None:
    assert check_bundle.faults_of(a_bundle(tmp_path), "aarch64", "3.13") == []


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("x.cpython-313-x86_64-linux-gnu.so", elf(62), "is not for aarch64"),
        ("x.abi3.so", elf(62), "is not for aarch64"),
        ("x.so.1", b"MZ", "is not for aarch64"),
        ("x.cpython-311-aarch64-linux-gnu.so", elf(183), "is for another Python than 3.13"),
    ],
    ids=["machine", "machine-abi3", "no-elf", "python"],
)
def test_library_of_another_kind_is_refused(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    bundle = a_bundle(tmp_path)
    (bundle / name).write_bytes(content)

    assert check_bundle.faults_of(bundle, "aarch64", "3.13") == [f"{name} {fault}"]


def test_missing_and_too_large_bundles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = a_bundle(tmp_path)
    (bundle / "boto3/__init__.py").unlink()
    monkeypatch.setattr(check_bundle, "LIMIT_BYTES", 10)

    first, second = check_bundle.faults_of(bundle, "aarch64", "3.13")

    assert first == "boto3/__init__.py is missing"
    assert second.endswith("bytes unzipped, allowed are 10")


@pytest.mark.slow
def test_pruned_botocore_makes_every_client(tmp_path: Path) -> None:
    """Slow: a new interpreter imports both handlers and loads the models of all our services."""
    shutil.copytree(
        MODELS.parent, tmp_path / "botocore", ignore=shutil.ignore_patterns("data", "__pycache__")
    )
    for each in MODELS.iterdir():
        if each.is_file():
            (tmp_path / "botocore/data").mkdir(exist_ok=True)
            shutil.copy(each, tmp_path / "botocore/data")
    for name in prune_bundle.services():
        shutil.copytree(MODELS / name, tmp_path / "botocore/data" / name)
    text = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import botocore; from kbsync.aws.clients import Clients; made = Clients('eu-west-1')\n"
        "print(botocore.__file__)\n"
        "import kbsync.lambda_handlers.batch, kbsync.lambda_handlers.stream\n"
        "names = ('dynamodb', 's3', 's3_once', 'bedrock', 'bedrock_runtime', 'sns')\n"
        "for name in names: getattr(made, name)\n"
        "made.s3.generate_presigned_url('get_object', Params={'Bucket': 'b', 'Key': 'k'})"
    )
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-west-1",
        "HOME": str(tmp_path),
    }

    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(tmp_path))


def test_functions_name_build_targets_and_handlers_that_exist() -> None:
    for name, each in Stack({"ExportBucket": "exports"}).resources("AWS::Serverless::Function").items():
        module, function = each["Properties"]["Handler"].rsplit(".", 1)
        made = subprocess.run(
            ["make", "-C", str(DEPLOY), "-n", f"build-{name}"], capture_output=True, text=True, check=False
        )
        assert (made.returncode, "build.sh" in made.stdout) == (0, True), name
        assert each["Metadata"] == {"BuildMethod": "makefile"}
        assert callable(getattr(importlib.import_module(module), function))
