"""What Bedrock accepts of a document and of its sidecar (AWS_FACTS.md, sections 1 and 2)."""

import json
from pathlib import PurePosixPath

SIDECAR = ".metadata.json"
FORMATS = frozenset({".txt", ".md", ".html", ".doc", ".docx", ".csv", ".xls", ".xlsx", ".pdf"})
MOST_SIDECAR_BYTES = {"S3_VECTORS": 1_024, "OPENSEARCH_SERVERLESS": 10_240}
MOST_DOCUMENT_BYTES = 50 * 1024 * 1024
MOST_CHUNK_CHARACTERS = 1_200
"""About the default of 300 tokens."""

Scalar = str | float | bool
Attributes = dict[str, Scalar | list[str]]

_TYPED = {
    "STRING": ("stringValue", str),
    "NUMBER": ("numberValue", int | float),
    "BOOLEAN": ("booleanValue", bool),
    "STRING_LIST": ("stringListValue", list),
}


class RefusedError(Exception):
    """The document is not taken; the message is its status reason."""


def is_supported(key: str) -> bool:
    """Whether the knowledge base reads files of this kind."""
    return PurePosixPath(key).suffix.lower() in FORMATS


def text_of(body: bytes) -> str:
    """Return a document's text; raise RefusedError where it is too large, empty or not UTF-8."""
    if len(body) > MOST_DOCUMENT_BYTES:
        raise RefusedError("the document is larger than 50 MB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError("the document is not UTF-8") from error
    if not text.strip() or text.startswith("#!"):
        raise RefusedError("the file format was not supported")
    return text


def attributes_of(sidecar: bytes, *, most_bytes: int) -> Attributes:
    """Return the attributes that filters compare; numbers are floating point there.

    Raises:
        RefusedError: one wrong attribute costs the document its place.
    """
    if len(sidecar) > most_bytes:
        raise RefusedError(
            f"metadata was larger than service limit of MaximumFileSizeSupported: {most_bytes} bytes"
        )
    try:
        parsed = json.loads(sidecar)
    except ValueError as error:
        raise RefusedError("Ignored file due to invalid metadata: not JSON") from error
    given = parsed.get("metadataAttributes") if isinstance(parsed, dict) else None
    if not isinstance(given, dict) or not given:
        raise RefusedError("No metadata was provided in metadata file")
    return {key: _value(key, entry) for key, entry in given.items()}


def _value(key: str, entry: object) -> Scalar | list[str]:
    value: object = entry
    if isinstance(entry, dict):
        name, kind = _TYPED.get(str(entry.get("value", {}).get("type")), ("", str))
        value = entry.get("value", {}).get(name)
        if not isinstance(value, kind):
            value = None
    is_list = isinstance(entry, dict) and isinstance(value, list) and len(value) > 0
    if not (is_list or isinstance(value, str | int | float)) or value == "" or not 0 < len(key) <= 100:
        raise RefusedError("Ignored file due to invalid metadata attributes")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value  # type: ignore[return-value]  # a text, a boolean or a list of texts, as tested above


def chunks_of(text: str) -> list[str]:
    """Return the passages of a text: whole paragraphs up to the size of a passage."""
    chunks: list[str] = []
    for paragraph in text.split("\n\n"):
        if chunks and len(chunks[-1]) + len(paragraph) < MOST_CHUNK_CHARACTERS:
            chunks[-1] += f"\n\n{paragraph}"
        else:
            chunks.append(paragraph)
    return chunks
