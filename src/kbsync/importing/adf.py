"""Atlassian Document Format to Markdown: every kind of node, people left out. Pure; imports nothing of ours.

An unknown kind gives the text inside it, so nothing is lost to a newer Jira. Own code: the libraries on the
index write ADF (adf-lib, adf-builder) or are months old and unused (adflux, adf-bridge).

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

Node = Mapping[str, object]

PERSON = "[person]"
"""Stands for whoever is mentioned: people do not belong into a document."""

_MOST_LEVELS = 60
_LINKS = re.compile(r"(?:https?|mailto|ftp):\S+")
_MARKS = {"strong": "**", "em": "*", "strike": "~~"}


def is_adf(value: object) -> bool:
    """Tell whether a value is a document of Jira's format."""
    return (
        isinstance(value, Mapping) and value.get("type") == "doc" and isinstance(value.get("content"), list)
    )


def adf_to_markdown(document: Node) -> str:
    """Return the document as Markdown; what is nested too deeply for any reader comes as plain text."""
    return _blocks(document, 0).strip("\n")


def _children(node: Node) -> list[Node]:
    content = node.get("content")
    return [child for child in content if isinstance(child, Mapping)] if isinstance(content, list) else []


def _said(node: Node, name: str) -> str:
    attributes = node.get("attrs")
    value = attributes.get(name) if isinstance(attributes, Mapping) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _kind(node: Node) -> str:
    return str(node.get("type", ""))


def _blocks(node: Node, level: int) -> str:
    children = _children(node)
    if all(_kind(child) in _INLINES for child in children):
        return _inlines(node, level)
    return "\n\n".join(filter(None, (_block(child, level + 1) for child in children)))


def _block(node: Node, level: int) -> str:
    if level > _MOST_LEVELS:
        return "".join(_texts(node))
    render = _BLOCKS.get(_kind(node)) or _INLINES.get(_kind(node)) or _blocks
    return render(node, level)


def _texts(node: Node) -> Iterator[str]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current.get("text"), str):
            yield str(current["text"])
        waiting.extend(reversed(_children(current)))


def _inlines(node: Node, level: int) -> str:
    return "".join(_block(child, level + 1) for child in _children(node))


def _text(node: Node, _level: int) -> str:
    text = str(node.get("text", ""))
    marks = node.get("marks")
    listed = marks if isinstance(marks, list) else []
    kinds = {_kind(mark): mark for mark in listed if isinstance(mark, Mapping)}
    inner = text.strip()
    if not inner:
        return text
    before, _, after = text.partition(inner)
    if "code" in kinds:
        inner = _code(inner)
    for kind, sign in _MARKS.items():
        if kind in kinds and "code" not in kinds:
            inner = f"{sign}{inner}{sign}"
    address = _said(kinds.get("link", {}), "href")
    if _LINKS.fullmatch(address) and address != text:
        inner = f"[{inner}]({address})"
    return f"{before}{inner}{after}"


def _code(text: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    sign, room = "`" * (longest + 1), " " if longest else ""
    return f"{sign}{room}{text}{room}{sign}"


def _heading(node: Node, level: int) -> str:
    depth = _said(node, "level")
    return f"{'#' * (int(depth) if depth in '123456' and depth else 1)} {_inlines(node, level)}"


def _fenced(node: Node, _level: int) -> str:
    text = "".join(_texts(node))
    sign = "`" * max(3, *(len(run) + 1 for run in re.findall("`{3,}", text)), 3)
    language = re.sub(r"[^\w+#.-]", "", _said(node, "language"))[:30]
    return f"{sign}{language}\n{text}\n{sign}"


def _quoted(node: Node, level: int) -> str:
    return "\n".join(f"> {line}".rstrip() for line in _blocks(node, level).split("\n"))


def _titled(node: Node, level: int) -> str:
    title = _said(node, "title")
    return "\n\n".join(filter(None, (f"**{title}**" if title else "", _blocks(node, level))))


def _item(mark: str, node: Node, level: int) -> str:
    """Return a list item; a code block begins on a line of its own, where every reader sees the fence."""
    text = _blocks(node, level)
    first, *rest = ("\n" + text if text.startswith("```") else text).split("\n")
    indent = " " * len(mark)
    return "\n".join([f"{mark}{first}".rstrip(), *(f"{indent}{line}".rstrip() for line in rest)])


def _bullets(node: Node, level: int) -> str:
    return "\n".join(_item("- ", child, level + 1) for child in _children(node))


def _numbers(node: Node, level: int) -> str:
    order = _said(node, "order")
    first = int(order) if order.isascii() and order.isdigit() and len(order) < len("1000000000") else 1
    children = enumerate(_children(node), start=first)
    return "\n".join(_item(f"{number}. ", child, level + 1) for number, child in children)


def _tasks(node: Node, level: int) -> str:
    return "\n".join(_task(child, level + 1) for child in _children(node))


def _task(node: Node, level: int) -> str:
    if _kind(node) == "taskList":
        return "\n".join(f"  {line}" for line in _tasks(node, level).split("\n"))
    return _item("- [x] " if _said(node, "state") == "DONE" else "- [ ] ", node, level)


def _table(node: Node, level: int) -> str:
    rows = [[_cell(cell, level) for cell in _children(row)] for row in _children(node)]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    has_head = all(_kind(cell) == "tableHeader" for cell in _children(_children(node)[0]))
    width = max(map(len, rows))
    head, body = (rows[0], rows[1:]) if has_head else ([""] * width, rows)
    lines = [head, ["---"] * width, *body]
    return "\n".join("| " + " | ".join([*line, *[""] * (width - len(line))]) + " |" for line in lines)


def _cell(node: Node, level: int) -> str:
    text = re.sub(r"(?<!\\)\|", r"\\|", _blocks(node, level + 1))
    return " ".join(text.split())


def _media(node: Node, _level: int) -> str:
    return f"[{_said(node, 'alt') or 'attachment'}]"


def _date(node: Node, _level: int) -> str:
    stamp = _said(node, "timestamp")
    if not re.fullmatch(r"-?\d{1,14}", stamp):
        return ""
    return datetime.fromtimestamp(int(stamp) / 1000, UTC).date().isoformat()


def _card(node: Node, _level: int) -> str:
    address = _said(node, "url")
    return address if _LINKS.fullmatch(address) else ""


def _emoji(node: Node, _level: int) -> str:
    return _said(node, "text") or _said(node, "shortName")


def _extension(node: Node, level: int) -> str:
    return _blocks(node, level) or _said(node, "text")


_Render = Callable[[Node, int], str]

_INLINES: Mapping[str, _Render] = {
    "text": _text,
    "hardBreak": lambda _node, _level: "\n",
    "mention": lambda _node, _level: PERSON,
    "emoji": _emoji,
    "date": _date,
    "status": lambda node, _level: _said(node, "text"),
    "placeholder": lambda _node, _level: "",
    "inlineCard": _card,
    "inlineExtension": _extension,
    "mediaInline": _media,
}

_BLOCKS: Mapping[str, _Render] = {
    "paragraph": _inlines,
    "caption": _inlines,
    "heading": _heading,
    "codeBlock": _fenced,
    "blockquote": _quoted,
    "panel": _quoted,
    "rule": lambda _node, _level: "***",
    "bulletList": _bullets,
    "orderedList": _numbers,
    "decisionList": _bullets,
    "taskList": _tasks,
    "table": _table,
    "media": _media,
    "blockCard": _card,
    "embedCard": _card,
    "expand": _titled,
    "nestedExpand": _titled,
    "extension": _extension,
    "bodiedExtension": _extension,
}
"""Kinds that have no form of their own (doc, listItem, mediaSingle, layoutSection) give what is in them."""
