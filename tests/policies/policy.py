"""Policies of the template's roles, evaluated offline.

The rules are IAM's for one identity-based policy: an explicit deny wins, then an allow, else the implicit
deny. Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements: Resource" (`*`, `?`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.actions import Need
from template.stack import Stack, actions_of


@dataclass(frozen=True)
class Grant:
    """One action that one statement of a role allows."""

    sid: str
    action: str


@dataclass(frozen=True)
class RolePolicy:
    """All statements of one role; attributes of resources are put in for their names."""

    statements: Sequence[Mapping[str, Any]]

    def grants(self) -> set[Grant]:
        """Return everything that is allowed, by statement."""
        return {
            Grant(each["Sid"], action)
            for each in self.statements
            if each["Effect"] == "Allow"
            for action in actions_of(each)
        }

    def judge(self, need: Need) -> set[Grant]:
        """Return the grants that allow a need; an empty set is a denial."""
        hits = [each for each in self.statements if _speaks_of(each, need)]
        if any(each["Effect"] == "Deny" for each in hits):
            return set()
        return {Grant(each["Sid"], need.action) for each in hits}


def policy_of(stack: Stack, function: str) -> RolePolicy:
    """Return the policy under which a function of the template works."""
    role = str(stack.resources("AWS::Serverless::Function")[function]["Properties"]["Role"])
    properties = stack.resources("AWS::IAM::Role")[role.removesuffix(".Arn")]["Properties"]
    if "ManagedPolicyArns" in properties:
        raise ValueError("managed policies are not evaluated")
    found = [each for policy in properties["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    if conditional := [each["Sid"] for each in found if "Condition" in each]:
        raise ValueError(f"conditions are not evaluated: {conditional}")
    return RolePolicy([{**each, "Resource": _resources(stack, each)} for each in found])


def _resources(stack: Stack, statement: Mapping[str, Any]) -> list[str]:
    given = statement["Resource"]
    return [str(stack.ref(each)) for each in ([given] if isinstance(given, str) else given)]


def _speaks_of(statement: Mapping[str, Any], need: Need) -> bool:
    return need.action in actions_of(statement) and any(
        _matches(pattern, need.resource) for pattern in statement["Resource"]
    )


def _matches(pattern: str, resource: str) -> bool:
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.fullmatch("".join(parts), resource, re.DOTALL) is not None
