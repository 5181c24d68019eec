"""What doctor finds in the bucket, the knowledge base, its data sources and the topic."""

from collections.abc import Callable
from typing import Any

from aws_setup import FOREIGN, OURS, SetUp, an_answer
from control_plane import COHERE, Base, Source

from doctor.naming import Expected, assert_named, cases
from kbsync.doctor.finding import Code, Severity

FIXED = {
    "chunkingStrategy": "FIXED_SIZE",
    "fixedSizeChunkingConfiguration": {"maxTokens": 450, "overlapPercentage": 12},
}
LONG = {
    "chunkingStrategy": "FIXED_SIZE",
    "fixedSizeChunkingConfiguration": {"maxTokens": 800, "overlapPercentage": 12},
}


def _ours(setup: SetUp, **values: Any) -> None:
    for name, value in values.items():
        setattr(setup.control.sources[OURS], name, value)


def no_bucket(setup: SetUp) -> None:
    setup.change(s3_bucket="nowhere-at-all")
    _ours(setup, bucket="nowhere-at-all")


def public_bucket(setup: SetUp) -> None:
    setup.clients.s3.delete_public_access_block(Bucket=setup.bucket)


def half_public_bucket(setup: SetUp) -> None:
    setup.clients.s3.put_public_access_block(
        Bucket=setup.bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True}
    )


def unencrypted_bucket(setup: SetUp) -> None:
    setup.refuse("s3.GetBucketEncryption", "ServerSideEncryptionConfigurationNotFoundError", 404)


def unversioned_bucket(setup: SetUp) -> None:
    setup.clients.s3.put_bucket_versioning(
        Bucket=setup.bucket, VersioningConfiguration={"Status": "Suspended"}
    )


def foreign_objects(setup: SetUp) -> None:
    setup.put("incidents/folder/")
    for number in range(4):
        setup.put(f"incidents/manual-{number}.pdf")
        setup.put(f"incidents/manual-{number}.pdf.metadata.json")


def objects_that_may_not_be_read(setup: SetUp) -> None:
    setup.hook("s3.HeadObject", an_answer(403))


def public_access_that_may_not_be_read(setup: SetUp) -> None:
    setup.refuse("s3.GetPublicAccessBlock", "AccessDenied", 403)


def encryption_that_may_not_be_read(setup: SetUp) -> None:
    setup.refuse("s3.GetBucketEncryption", "AccessDenied", 403)


def no_knowledge_base(setup: SetUp) -> None:
    setup.change(kb_id="KBNOWHERE1")


def failed_knowledge_base(setup: SetUp) -> None:
    setup.control.base.status = "FAILED"


def managed_knowledge_base(setup: SetUp) -> None:
    setup.control.base = Base(kind="MANAGED", store="")


def sql_knowledge_base(setup: SetUp) -> None:
    setup.control.base = Base(kind="SQL", store="")


def no_data_source(setup: SetUp) -> None:
    setup.change(data_source_id="DSNOWHERE1")


def failed_data_source(setup: SetUp) -> None:
    _ours(setup, status="FAILED")


def web_data_source(setup: SetUp) -> None:
    _ours(setup, kind="WEB")


def other_bucket(setup: SetUp) -> None:
    _ours(setup, bucket="other-documents")


def narrow_prefix(setup: SetUp) -> None:
    _ours(setup, prefixes=("incidents/2025/",))


def whole_bucket(setup: SetUp) -> None:
    _ours(setup, prefixes=())


def prefix_without_slash(setup: SetUp) -> None:
    _ours(setup, prefixes=("incidents",))


def several_prefixes(setup: SetUp) -> None:
    def add(parsed: dict[str, Any]) -> None:
        place = parsed["dataSource"]["dataSourceConfiguration"]["s3Configuration"]
        place["inclusionPrefixes"] = ["incidents/", "manuals/"]

    setup.alter("bedrock-agent.GetDataSource", add)


def overlapping_part(setup: SetUp) -> None:
    setup.control.sources[FOREIGN] = Source(setup.bucket, prefixes=("incidents/old/",))


def five_data_sources(setup: SetUp) -> None:
    for number, kind in enumerate(("S3", "WEB", "CUSTOM", "S3")):
        setup.control.sources[f"DSOTHER00{number}"] = Source(kind=kind)


def semantic_chunks(setup: SetUp) -> None:
    _ours(setup, ingestion={"chunkingConfiguration": {"chunkingStrategy": "SEMANTIC"}})


def hierarchical_chunks_on_s3_vectors(setup: SetUp) -> None:
    setup.control.base.store = "S3_VECTORS"
    _ours(setup, ingestion={"chunkingConfiguration": {"chunkingStrategy": "HIERARCHICAL"}})


def long_chunks_for_cohere(setup: SetUp) -> None:
    setup.control.base.model = COHERE
    _ours(setup, ingestion={"chunkingConfiguration": LONG})


def whole_documents_for_cohere(setup: SetUp) -> None:
    setup.control.base.model = COHERE
    _ours(setup, ingestion={"chunkingConfiguration": {"chunkingStrategy": "NONE"}})


def parser_for_a_thousand(setup: SetUp) -> None:
    _ours(setup, ingestion={"parsingConfiguration": {"parsingStrategy": "BEDROCK_DATA_AUTOMATION"}})


def _carry_out_a_job(setup: SetUp, looks: int) -> None:
    ids = {"knowledgeBaseId": "KBDOUBLE01", "dataSourceId": OURS}
    bedrock = setup.clients.bedrock
    job = bedrock.start_ingestion_job(**ids)["ingestionJob"]
    for _ in range(looks):
        bedrock.get_ingestion_job(**ids, ingestionJobId=job["ingestionJobId"])


def failed_job(setup: SetUp) -> None:
    setup.control.switches.job_fails = 1
    _carry_out_a_job(setup, looks=1)


def no_topic(setup: SetUp) -> None:
    setup.change(alert_topic_arn="")


def topic_that_is_gone(setup: SetUp) -> None:
    setup.change(alert_topic_arn=f"{setup.settings.alert_topic_arn}-gone")


def topic_of_another_region(setup: SetUp) -> None:
    setup.change(alert_topic_arn=setup.settings.alert_topic_arn.replace("eu-west-1", "eu-south-2"))


def nobody_subscribed(setup: SetUp) -> None:
    setup.alter("sns.ListSubscriptionsByTopic", lambda parsed: parsed["Subscriptions"].clear())


def one_of_two_unconfirmed(setup: SetUp) -> None:
    waiting = {"Protocol": "email", "SubscriptionArn": "PendingConfirmation"}
    setup.alter("sns.ListSubscriptionsByTopic", lambda parsed: parsed["Subscriptions"].append(waiting))


BROKEN = {
    no_bucket: ("bucket-missing", "error", "check S3_BUCKET (here nowhere-at-all)"),
    public_bucket: ("bucket-public", "warning", "block all public access"),
    half_public_bucket: ("bucket-public", "warning", "block all public access"),
    unencrypted_bucket: ("bucket-encryption", "warning", "AES256"),
    unversioned_bucket: ("bucket-versioning", "warning", "enable versioning"),
    foreign_objects: ("foreign-objects", "warning", "move them out"),
    objects_that_may_not_be_read: ("permission-missing", "error", "allow s3:GetObject"),
    public_access_that_may_not_be_read: (
        "permission-missing",
        "error",
        "allow s3:GetBucketPublicAccessBlock",
    ),
    encryption_that_may_not_be_read: ("permission-missing", "error", "allow s3:GetEncryptionConfiguration"),
    failed_knowledge_base: ("knowledge-base-status", "error", "another KB_ID"),
    managed_knowledge_base: ("kb-type", "error", "set KB_TYPE=managed"),
    sql_knowledge_base: ("kb-type", "error", "reads documents from S3"),
    no_data_source: ("data-source-missing", "error", "check DATA_SOURCE_ID (here DSNOWHERE1)"),
    failed_data_source: ("data-source-status", "error", "mend it in Bedrock"),
    web_data_source: ("data-source-type", "error", "a data source of its own"),
    other_bucket: ("wrong-bucket", "error", "set S3_BUCKET=other-documents"),
    narrow_prefix: ("wrong-prefix", "error", "set S3_PREFIX=incidents/2025/"),
    whole_bucket: ("prefix-wide", "warning", "a data source of its own"),
    prefix_without_slash: ("prefix-wide", "warning", "a data source of its own"),
    several_prefixes: ("several-prefixes", "warning", "a data source of its own"),
    overlapping_part: ("data-source-overlap", "error", "a prefix apart from ours"),
    five_data_sources: ("quota-data-sources", "warning", "remove one"),
    semantic_chunks: ("chunking", "warning", "FIXED_SIZE, 450 tokens"),
    hierarchical_chunks_on_s3_vectors: ("chunking", "warning", "FIXED_SIZE, 450 tokens"),
    long_chunks_for_cohere: ("chunking", "warning", "FIXED_SIZE, 450 tokens"),
    whole_documents_for_cohere: ("chunking", "warning", "FIXED_SIZE, 450 tokens"),
    parser_for_a_thousand: ("parsing-limit", "warning", "the default parser"),
    failed_job: ("job-failed", "warning", "bedrock:InvokeModel"),
    no_topic: ("alerts-off", "warning", "set ALERT_TOPIC_ARN"),
    topic_that_is_gone: ("topic-missing", "error", "check ALERT_TOPIC_ARN"),
    topic_of_another_region: ("wrong-region", "error", "set AWS_REGION=eu-south-2"),
    nobody_subscribed: ("subscription-missing", "warning", "aws sns subscribe"),
    one_of_two_unconfirmed: ("subscription-unconfirmed", "warning", "link in the mail"),
}


@cases(BROKEN)
def test_broken_place_of_documents_is_named_with_its_remedy(
    setup: SetUp, spoil: Callable[[SetUp], None], expected: Expected
) -> None:
    spoil(setup)

    assert_named(setup.wrong(), expected)


def test_absent_knowledge_base_is_told_of_it_and_of_its_data_source(setup: SetUp) -> None:
    no_knowledge_base(setup)

    wrong = setup.wrong()

    assert set(wrong) == {"knowledge-base-missing", "data-source-missing"}
    assert "check KB_ID (here KBNOWHERE1)" in wrong["knowledge-base-missing"].remedy


def test_managed_connector_is_left_to_a_person(setup: SetUp) -> None:
    setup.change(kb_type="managed", metadata_budget_bytes=10240)
    managed_knowledge_base(setup)
    _ours(setup, kind="MANAGED_KNOWLEDGE_BASE_CONNECTOR")

    wrong = setup.wrong()

    assert set(wrong) == {"data-source-unread"}
    assert f"s3://{setup.bucket}/incidents/" in wrong["data-source-unread"].remedy


def test_sound_neighbours_and_chunks_are_well(setup: SetUp) -> None:
    setup.control.sources[FOREIGN] = Source(setup.bucket, prefixes=("manuals/",))
    setup.control.base.model = COHERE
    _ours(setup, ingestion={"chunkingConfiguration": FIXED})

    found = {each.code: each for each in setup.findings()}

    assert {each.severity for each in found.values()} == {Severity.OK}
    assert found[Code.CHUNKING].seen == "FIXED_SIZE of 450 tokens"
    assert found[Code.QUOTA_DATA_SOURCES].seen.startswith("2 of 5")


def test_newest_job_is_told_with_its_state(setup: SetUp) -> None:
    _carry_out_a_job(setup, looks=2)

    told = [each.seen for each in setup.findings() if each.code is Code.JOBS]

    assert told[0].endswith("is COMPLETE")


def test_longer_passages_fit_a_model_that_takes_them(setup: SetUp) -> None:
    setup.control.base.model = COHERE.replace("multilingual-v3", "v4:0")
    _ours(setup, ingestion={"chunkingConfiguration": LONG})

    assert setup.wrong() == {}


def test_no_address_of_a_subscriber_is_shown(setup: SetUp) -> None:
    one_of_two_unconfirmed(setup)

    told = " ".join(each.seen + each.remedy + each.subject for each in setup.findings())

    assert "oncall@example.com" not in told
