"""template.yaml as a value: read with cfn-lint's reader, and resolved for a set of parameters."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from cfnlint.decode import cfn_yaml

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
ADOPTED = {
    "ExistingIncidentsTable": "incidents",
    "ExistingBucket": "piloto-plan-pruebas-origen-datos-source",
    "ExistingKnowledgeBaseId": "VH6SRH9ZNO",
}
"""The original's table, bucket and knowledge base. Source: ORIGINAL_DESIGN.md, its template."""


@cache
def template() -> dict[str, Any]:
    """Return the template; every short form (!Ref) is a mapping with its long name."""
    return json.loads(json.dumps(cfn_yaml.load(str(TEMPLATE))))


@dataclass
class Stack:
    """The template for these parameters; attributes of resources stay as `Name.Attribute`."""

    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        defaults = {name: each["Default"] for name, each in template()["Parameters"].items()}
        self.values: dict[str, Any] = {**defaults, **self.parameters}

    def resources(self, kind: str = "") -> dict[str, Any]:
        """Return what this stack makes, of one type or of all."""
        return {
            name: self.resolved({key: part for key, part in each.items() if key != "Condition"})
            for name, each in template()["Resources"].items()
            if kind in ("", each["Type"]) and self.holds(each.get("Condition", ""))
        }

    def environment(self, function: str) -> dict[str, Any]:
        """Return a function's variables: those of Globals and its own, as Lambda gives them: text."""
        shared = template()["Globals"]["Function"]["Environment"]["Variables"]
        own = template()["Resources"][function]["Properties"].get("Environment", {}).get("Variables", {})
        return {name: str(value) for name, value in self.resolved({**shared, **own}).items()}

    def holds(self, condition: str) -> bool:
        return not condition or bool(self.resolved(template()["Conditions"][condition]))

    def resolved(self, value: Any) -> Any:
        """Return the value with every intrinsic function carried out."""
        if isinstance(value, list):
            found = [self.resolved(each) for each in value]
            return [each for each in found if each != "AWS::NoValue"]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (name := next(iter(value))) in _FUNCTIONS:
            return _FUNCTIONS[name](self, value[name])
        return {key: found for key, each in value.items() if (found := self.resolved(each)) != "AWS::NoValue"}

    def ref(self, name: str) -> Any:
        return self.values.get(name, name)

    def sub(self, given: Any) -> str:
        text, own = (given, {}) if isinstance(given, str) else given
        names = {name: self.resolved(each) for name, each in own.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda hit: str(names.get(hit[1], self.ref(hit[1]))), text)

    def chosen(self, given: list[Any]) -> Any:
        return self.resolved(given[1] if self.holds(given[0]) else given[2])


_FUNCTIONS = {
    "Ref": Stack.ref,
    "Fn::GetAtt": lambda _, given: given if isinstance(given, str) else ".".join(given),
    "Fn::Sub": Stack.sub,
    "Fn::If": Stack.chosen,
    "Fn::Equals": lambda stack, given: stack.resolved(given[0]) == stack.resolved(given[1]),
    "Fn::Not": lambda stack, given: not stack.resolved(given[0]),
    "Fn::And": lambda stack, given: all(stack.resolved(each) for each in given),
    "Fn::Or": lambda stack, given: any(stack.resolved(each) for each in given),
    "Condition": lambda stack, given: stack.holds(given) if isinstance(given, str) else stack.resolved(given),
}


def statements(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy statement of the stack's roles and resource policies with its owner's name."""
    for name, each in stack.resources().items():
        properties = each.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties[key] for key in ("PolicyDocument",) if key in properties]
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement


def actions_of(statement: Mapping[str, Any]) -> list[str]:
    """Return a statement's actions as a list."""
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else list(actions)


def uploaded_template(bucket: str) -> str:
    """Put the template, with the code that the bucket holds, into the bucket, and return its address.

    A template over 51,200 bytes is not taken inline. Source: CloudFormation, "Quotas".
    """
    s3 = boto3.client("s3")
    body = TEMPLATE.read_text(encoding="utf-8")
    packaged = body.replace("CodeUri: deploy", f"CodeUri: {{Bucket: {bucket}, Key: code.zip}}")
    s3.put_object(Bucket=bucket, Key="template.yaml", Body=packaged.encode())
    return f"{s3.meta.endpoint_url}/{bucket}/template.yaml"
