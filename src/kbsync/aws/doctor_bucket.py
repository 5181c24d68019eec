"""The doctor's look at the documents bucket: region, exposure, encryption, versions, the prefix's objects.

Imports clients and findings. Invariant: HEAD, Get and List calls only; no object's bytes are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from botocore.exceptions import ClientError

from kbsync.aws.aws_errors import code_of
from kbsync.aws.doctor_calls import asking, wrong_region
from kbsync.aws.doctor_place import Place
from kbsync.doctor.finding import Check, Code, Finding, error, warning, well

MOST_OBJECTS = 100_000
"""Objects under the prefix that are looked at: a hundred List calls."""
_EXAMPLES = 3
_SIDECAR = ".md.metadata.json"
_PUBLIC_ACCESS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@dataclass
class _Kinds:
    """How many objects of each kind are under the prefix, with the first few names of those not ours."""

    documents: int = 0
    others: int = 0
    records: int = 0
    json_keys: list[str] = field(default_factory=list)
    other_keys: list[str] = field(default_factory=list)

    def count(self, key: str) -> None:
        """Count one object by its name: a document, a sidecar, a `.json` record, or something else."""
        if key.endswith(".md"):
            self.documents += 1
        elif key.endswith((_SIDECAR, "/")):
            return
        elif key.endswith(".json") and not key.endswith(".metadata.json"):
            self.records += 1
            _note(self.json_keys, key)
        else:
            self.others += 1
            _note(self.other_keys, key)


def _note(examples: list[str], key: str) -> None:
    if len(examples) < _EXAMPLES:
        examples.append(key)


def _told(examples: list[str]) -> str:
    return ", ".join([*examples, "..."] if len(examples) == _EXAMPLES else examples)


class BucketChecks:
    """All checks of `S3_BUCKET`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._name = place.settings.s3_bucket
        self._prefix = place.settings.s3_prefix
        self._subject = f"bucket {self._name}"
        self._s3 = place.clients.s3

    def checks(self) -> list[tuple[str, Check]]:
        """Return every check with its name."""
        checks = (
            self.check_bucket,
            self.check_public_access,
            self.check_encryption,
            self.check_versioning,
            self.check_reads,
            self.check_prefix,
        )
        return [(self._subject, check) for check in checks]

    def _absent(self) -> Finding:
        remedy = f"check S3_BUCKET (here {self._name}) and the account; or deploy the stack, which makes one"
        return error(Code.BUCKET_MISSING, self._subject, "there is no such bucket", remedy)

    def check_bucket(self) -> Iterator[Finding]:
        """Judge whether the bucket can be reached, and its region."""
        with asking("s3:ListBucket", self._subject, absent=self._absent()):
            head = self._s3.head_bucket(Bucket=self._name)
        there = head.get("BucketRegion", "")
        if there and there != self._place.region:
            yield wrong_region(self._subject, there, self._place.region)
        else:
            yield well(Code.BUCKET, self._subject, f"it can be reached in {there or self._place.region}")

    def check_public_access(self) -> Iterator[Finding]:
        """Judge whether documents could be made public by mistake."""
        closed: dict[str, bool] = {}
        unset = "NoSuchPublicAccessBlockConfiguration"
        with asking("s3:GetBucketPublicAccessBlock", self._subject, absent=self._absent()):
            try:
                answer = self._s3.get_public_access_block(Bucket=self._name)
                closed = {
                    str(name): value is True
                    for name, value in answer["PublicAccessBlockConfiguration"].items()
                }
            except ClientError as refusal:
                if code_of(refusal) != unset:
                    raise
        is_open = [name for name in _PUBLIC_ACCESS if not closed.get(name)]
        if is_open:
            seen = f"public access is not blocked ({', '.join(is_open)} off), unless the account blocks it"
            yield warning(Code.BUCKET_PUBLIC, self._subject, seen, "block all public access of the bucket")

    def check_encryption(self) -> Iterator[Finding]:
        """Judge whether new objects are encrypted."""
        unset = "ServerSideEncryptionConfigurationNotFoundError"
        rules: list[object] = []
        with asking("s3:GetEncryptionConfiguration", self._subject, absent=self._absent()):
            try:
                answer = self._s3.get_bucket_encryption(Bucket=self._name)
                rules = list(answer["ServerSideEncryptionConfiguration"]["Rules"])
            except ClientError as refusal:
                if code_of(refusal) != unset:
                    raise
        if not rules:
            remedy = "set default encryption (AES256, or aws:kms with your key)"
            yield warning(Code.BUCKET_ENCRYPTION, self._subject, "it has no default encryption", remedy)

    def check_versioning(self) -> Iterator[Finding]:
        """Judge whether a document that was replaced by mistake can be brought back."""
        with asking("s3:GetBucketVersioning", self._subject, absent=self._absent()):
            status = self._s3.get_bucket_versioning(Bucket=self._name).get("Status", "off")
        if status != "Enabled":
            remedy = "enable versioning, with a lifecycle rule that removes old versions after some days"
            yield warning(Code.BUCKET_VERSIONING, self._subject, f"versioning is {status}", remedy)

    def check_reads(self) -> Iterator[Finding]:
        """Try a HEAD of an object that does not exist: 404 is the answer of who may read."""
        key = f"{self._prefix}kbsync-doctor-looks-for-nothing.md"
        subject = f"{self._subject}, objects under {self._prefix}"
        with asking("s3:GetObject", subject):
            try:
                self._s3.head_object(Bucket=self._name, Key=key)
            except ClientError as refusal:
                if code_of(refusal) not in ("404", "NoSuchKey"):
                    raise
        yield well(Code.BUCKET, subject, "they can be looked at")

    def check_prefix(self) -> Iterator[Finding]:
        """List what is under the prefix and tell documents from leftovers and foreign objects."""
        subject, kinds, looked_at = f"prefix {self._prefix}", _Kinds(), 0
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=self._prefix)
        with asking("s3:ListBucket", self._subject, absent=self._absent()):
            for page in islice(pages, MOST_OBJECTS // 1000):
                for each in page.get("Contents", []):
                    kinds.count(each["Key"])
                    looked_at += 1
        if kinds.records:
            yield warning(
                Code.LEFTOVER_JSON,
                subject,
                f"{kinds.records} .json objects that no knowledge base reads: {_told(kinds.json_keys)}",
                "leftovers of an earlier Lambda; when `kbsync status` shows everything indexed, remove them:"
                f" aws s3 rm s3://{self._name}/{self._prefix} --recursive --exclude '*' --include '*.json'"
                " --exclude '*.metadata.json'",
            )
        if kinds.others:
            yield warning(
                Code.FOREIGN_OBJECTS,
                subject,
                f"{kinds.others} objects that kbsync did not write: {_told(kinds.other_keys)}",
                "move them out: what the knowledge base can read of them is searched like incidents",
            )
        more = ", the first ones only" if looked_at >= MOST_OBJECTS else ""
        yield well(Code.PREFIX, subject, f"{kinds.documents} documents{more}")
