"""The only place that makes boto3 clients: retries and time-outs are explicit, credentials are boto3's own.

Endpoints are boto3's standard variables (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_BEDROCK_AGENT`, ...), so a
test or a VPC endpoint needs no setting of ours. Invariant: nothing connects before the first call.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kbsync.aws.lean_json import ease_bedrock_agent, ease_dynamodb
from kbsync.errors import MissingExtraError

try:
    import boto3
    from botocore.config import Config
except ImportError as missing:
    raise MissingExtraError("AWS mode needs boto3", hint="pip install 'kbsync[aws]'") from missing

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_bedrock_agent import AgentsforBedrockClient
    from mypy_boto3_bedrock_agent_runtime import AgentsforBedrockRuntimeClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

CONNECT_SECONDS = 5
READ_SECONDS = 15
ATTEMPTS = 3
CONNECTIONS = 64
"""Open connections a client: none of the calls that a run makes at once waits for another's."""


@dataclass(frozen=True)
class Clients:
    """One client a service, made when it is first used; one object a thread pool may share.

    A call takes at most `attempts` times connect plus read time. Calls that publish are tried once: what
    became of them is decided by a HEAD, never by the SDK (AWS_FACTS.md section 7, DESIGN.md section 5).
    Source: botocore 1.44.8, `Config`; default retry mode changed between versions, so it is named.
    """

    region: str | None

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB, with retries: conditional writes meet their own earlier effect as a failed condition."""
        client = boto3.client("dynamodb", region_name=self.region, config=config(ATTEMPTS))
        ease_dynamodb(client.meta.events)
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """S3 for reading, with retries."""
        return boto3.client("s3", region_name=self.region, config=config(ATTEMPTS))

    @cached_property
    def s3_once(self) -> "S3Client":
        """S3 for puts and deletes, without retries."""
        return boto3.client("s3", region_name=self.region, config=config(1))

    @cached_property
    def credentials(self) -> "Credentials | None":
        """Whatever boto3's chain finds, for a client that is not boto3's; None where it finds nothing."""
        return boto3.Session(region_name=self.region).get_credentials()

    @cached_property
    def bedrock(self) -> "AgentsforBedrockClient":
        """Knowledge bases, data sources, ingestion jobs and document states."""
        client = boto3.client("bedrock-agent", region_name=self.region, config=config(ATTEMPTS))
        ease_bedrock_agent(client.meta.events)
        return client

    @cached_property
    def bedrock_runtime(self) -> "AgentsforBedrockRuntimeClient":
        """Retrieval."""
        return boto3.client("bedrock-agent-runtime", region_name=self.region, config=config(ATTEMPTS))

    @cached_property
    def functions(self) -> "LambdaClient":
        """Lambda, to ask for a run; tried once: a run that nobody asks for begins with the next tick."""
        return boto3.client("lambda", region_name=self.region, config=config(1))

    @cached_property
    def sns(self) -> "SNSClient":
        """Alerts."""
        return boto3.client("sns", region_name=self.region, config=config(ATTEMPTS))


def config(attempts: int) -> Config:
    """Return the client settings for so many attempts a call, the first one included."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        user_agent_extra="kbsync",
    )
