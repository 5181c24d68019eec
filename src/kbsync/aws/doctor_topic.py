"""The doctor's look at the alerts' topic: there, in this region, and somebody confirmed to hear it.

Imports clients and findings. Invariant: Get and List calls only; nothing is published, no address is shown.
"""

from collections import Counter
from collections.abc import Iterator

from kbsync.aws.doctor_calls import asking, wrong_region
from kbsync.aws.doctor_place import Place
from kbsync.aws.doctor_tables import region_of_arn
from kbsync.doctor.finding import Code, Finding, error, warning, well

UNCONFIRMED = "PendingConfirmation"
"""Source: SNS API reference, ListSubscriptionsByTopic."""


def check_topic(place: Place) -> Iterator[Finding]:
    """Judge `ALERT_TOPIC_ARN` and its subscriptions."""
    arn = place.settings.alert_topic_arn
    if not arn:
        remedy = "set ALERT_TOPIC_ARN to an SNS topic that people are subscribed to"
        yield warning(Code.ALERTS_OFF, "alerts", "no topic is named: alerts go to the log only", remedy)
        return
    subject = f"topic {arn.rpartition(':')[2]}"
    there = region_of_arn(arn)
    if there and there != place.region:
        yield wrong_region(subject, there, place.region)
        return
    remedy = "check ALERT_TOPIC_ARN, or deploy the stack, which makes one"
    absent = error(Code.TOPIC_MISSING, subject, "there is no such topic", remedy)
    with asking("sns:GetTopicAttributes", subject, absent=absent):
        place.clients.sns.get_topic_attributes(TopicArn=arn)
    pages = place.clients.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    with asking("sns:ListSubscriptionsByTopic", subject, absent=absent):
        found = [each for page in pages for each in page.get("Subscriptions", [])]
    waiting = Counter(
        each.get("Protocol", "") for each in found if each.get("SubscriptionArn") == UNCONFIRMED
    )
    confirmed = len(found) - waiting.total()
    yield from _judge(subject, confirmed, waiting)


def _judge(subject: str, confirmed: int, waiting: "Counter[str]") -> Iterator[Finding]:
    if waiting:
        told = ", ".join(f"{count} {protocol}" for protocol, count in sorted(waiting.items()))
        seen = f"{told} not confirmed, {confirmed} confirmed"
        remedy = "confirm it by the link in the mail from AWS (see the junk folder), or subscribe again"
        make = warning if confirmed else error
        yield make(Code.SUBSCRIPTION_UNCONFIRMED, subject, seen, remedy)
    elif not confirmed:
        remedy = "subscribe somebody: aws sns subscribe --protocol email, or the stack's AlertEmail"
        yield warning(Code.SUBSCRIPTION_MISSING, subject, "nobody is subscribed: alerts reach no one", remedy)
    else:
        yield well(Code.ALERTS, subject, f"{confirmed} confirmed subscriptions")
