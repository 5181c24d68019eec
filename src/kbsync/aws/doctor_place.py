"""What the doctor's AWS checks look at, and whether this machine's clock agrees with AWS's.

Imports clients, settings and findings. Invariant: making a place calls nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import boto3
from botocore.exceptions import ClientError, ProfileNotFound

from kbsync.aws.clients import Clients
from kbsync.aws.doctor_calls import asking, credentials_missing, region_missing
from kbsync.doctor.finding import Finding, FindingError, clock_finding
from kbsync.model import Clock
from kbsync.settings import Settings


@dataclass(frozen=True)
class Place:
    """What all AWS checks look at: the settings, the clients, their region, and this machine's clock."""

    settings: Settings
    clients: Clients
    region: str
    now: Clock


def place_of(settings: Settings, now: Clock) -> Place:
    """Return the place that the settings name, with clients of its region.

    Raises:
        FindingError: AWS_PROFILE does not exist, or no region is named by the settings or by boto3's own.
    """
    try:
        default_region = boto3.session.Session().region_name
    except ProfileNotFound as missing:
        raise FindingError(credentials_missing(missing), ends_all=True) from missing
    region = settings.aws_region or default_region
    if not region:
        raise FindingError(region_missing(), ends_all=True)
    return Place(settings, Clients(region), region, now)


def check_clock(place: Place) -> Iterator[Finding]:
    """Compare the clock with the Date header of an AWS answer, be it a refusal for the clock's sake."""
    with asking("dynamodb:DescribeTable", "AWS account"):
        try:
            answer = place.clients.dynamodb.describe_table(TableName=place.settings.incidents_table)
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as refusal:  # what it refuses is judged by the table's own check
            headers = refusal.response["ResponseMetadata"]["HTTPHeaders"]
    said = server_time(headers)
    if said is not None:
        yield clock_finding(place.now() - said, "AWS")


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """Return the moment at which AWS answered, by the answer's Date header; None without one."""
    text = headers.get("date", "")
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None
