"""Ten broken set-ups by name: each is named by its code, and its remedy says what to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from aws_setup import FOREIGN, OURS, SetUp, an_answer, denied
from control_plane import Source

from doctor.naming import Expected, assert_named, cases
from kbsync.aws.tables import incidents_table


def missing_index(setup: SetUp) -> None:
    definition: Any = incidents_table(setup.settings.incidents_table)
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:2]
    setup.replace_table(definition)


def keys_only_projection(setup: SetUp) -> None:
    definition: Any = incidents_table(setup.settings.incidents_table)
    definition["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    setup.replace_table(definition)


def wrong_prefix(setup: SetUp) -> None:
    setup.control.sources[OURS].prefixes = ("tickets/",)


def json_prefix(setup: SetUp) -> None:
    setup.put("incidents/INC-7.json", b"{}")
    setup.put("incidents/INC-8.json", b"{}")


def no_permission(setup: SetUp) -> None:
    setup.hook("bedrock-agent.ListDataSources", denied)


def unconfirmed_subscription(setup: SetUp) -> None:
    arn = setup.settings.alert_topic_arn
    body = f"""<ListSubscriptionsByTopicResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">
      <ListSubscriptionsByTopicResult><Subscriptions><member>
        <TopicArn>{arn}</TopicArn><Protocol>email</Protocol><Endpoint>oncall@example.com</Endpoint>
        <SubscriptionArn>PendingConfirmation</SubscriptionArn><Owner>000000000000</Owner>
      </member></Subscriptions></ListSubscriptionsByTopicResult>
    </ListSubscriptionsByTopicResponse>"""
    setup.hook("sns.ListSubscriptionsByTopic", an_answer(200, body))


def foreign_data_source(setup: SetUp) -> None:
    setup.control.sources[FOREIGN] = Source(setup.bucket, prefixes=())


def old_sidecar_budget(setup: SetUp) -> None:
    setup.control.base.store = "S3_VECTORS"
    setup.change(metadata_budget_bytes=10240)


def clock_off_by_ten_minutes(setup: SetUp) -> None:
    setup.clock_ahead = timedelta(minutes=-10)


def wrong_region(setup: SetUp) -> None:
    setup.move_bucket("us-east-1")


TEN = {
    missing_index: ("index-missing", "error", "create GSI-2-status-priority"),
    keys_only_projection: ("index-projection", "error", "delete GSI-2-status-priority and create it anew"),
    wrong_prefix: ("wrong-prefix", "error", "set S3_PREFIX=tickets/"),
    json_prefix: ("leftover-json", "warning", "--include '*.json' --exclude '*.metadata.json'"),
    no_permission: ("permission-missing", "error", "allow bedrock:ListDataSources"),
    unconfirmed_subscription: ("subscription-unconfirmed", "error", "link in the mail"),
    foreign_data_source: ("data-source-overlap", "error", "a prefix apart from ours"),
    old_sidecar_budget: ("sidecar-budget", "error", "set METADATA_BUDGET_BYTES=1024"),
    clock_off_by_ten_minutes: ("clock-skew", "error", "NTP"),
    wrong_region: ("wrong-region", "error", "set AWS_REGION=us-east-1"),
}


def test_sound_setup_has_nothing_wrong(setup: SetUp) -> None:
    wrong = setup.wrong()

    assert wrong == {}


@cases(TEN)
def test_broken_setup_is_named_with_its_remedy(
    setup: SetUp, spoil: Callable[[SetUp], None], expected: Expected
) -> None:
    spoil(setup)

    assert_named(setup.wrong(), expected)
