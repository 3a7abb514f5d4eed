"""What the query string of a call asks for, as SQL: the part of PostgREST's language that chat needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

OPERATORS: Final = {
    "eq": SQL("="),
    "neq": SQL("<>"),
    "gt": SQL(">"),
    "gte": SQL(">="),
    "lt": SQL("<"),
    "lte": SQL("<="),
    "like": SQL("LIKE"),
    "ilike": SQL("ILIKE"),
}
SEARCHES: Final = {
    "fts": SQL("to_tsquery"),
    "plfts": SQL("plainto_tsquery"),
    "phfts": SQL("phraseto_tsquery"),
    "wfts": SQL("websearch_to_tsquery"),
}
STATES: Final = {"null": SQL("NULL"), "true": SQL("TRUE"), "false": SQL("FALSE"), "unknown": SQL("UNKNOWN")}
ORDERS: Final = {
    "asc": SQL("ASC"),
    "desc": SQL("DESC"),
    "nullsfirst": SQL("NULLS FIRST"),
    "nullslast": SQL("NULLS LAST"),
}
NAME: Final = re.compile(r"[^\W\d][\w ]*|\*")
SEARCH: Final = re.compile(r"(fts|plfts|phfts|wfts)(?:\(([^)]*)\))?")
GROUPS: Final = ("or", "and", "not.or", "not.and")
OWN: Final = frozenset({"select", "order", "limit", "offset", "on_conflict", "columns", *GROUPS})


class Unreadable(Exception):
    """A query that this part does not know.

    Args:
        text: What of it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query string, read.

    Attributes:
        columns: What is asked for of each row.
        where: Conditions, with `WHERE`, or nothing.
        order: With `ORDER BY`, or nothing.
        limit: Rows, if that is asked for.
        offset: Rows that are left out first.
        on_conflict: Columns.
        names: Columns of a body that count; all without any.
    """

    columns: Composable
    where: Composable
    order: Composable
    limit: int | None
    offset: int
    on_conflict: tuple[str, ...]
    names: tuple[str, ...]


def read(pairs: Iterable[tuple[str, str]], rows: Identifier) -> Query:
    """Read a query string.

    Args:
        pairs: Names and values, in order.
        rows: What the rows that it is about are called.

    Raises:
        Unreadable: It asks for something else.
    """
    given = list(pairs)
    last = dict(given)
    conditions = [_condition(rows, name, value) for name, value in given if name not in OWN]
    for name in GROUPS:
        conditions += [_group(rows, f"{name}{value}") for key, value in given if key == name]
    return Query(
        columns=_columns(rows, last.get("select") or "*"),
        where=SQL(" WHERE ") + SQL(" AND ").join(conditions) if conditions else SQL(""),
        order=_order(rows, last.get("order", "")),
        limit=_number(last["limit"]) if "limit" in last else None,
        offset=_number(last.get("offset", "0")),
        on_conflict=tuple(_split(last.get("on_conflict", ""))),
        names=tuple(_split(last.get("columns", ""))),
    )


def _columns(rows: Identifier, text: str) -> Composable:
    found: list[Composable] = []
    for part in _split(text):
        name, _, column = part.rpartition(":") if "::" not in part else ("", "", part)
        if not NAME.fullmatch(column.strip()):
            raise Unreadable(f"select={part}")
        if column == "*":
            found.append(SQL("{}.*").format(rows))
        else:
            shown = Identifier(name or column.strip())
            found.append(SQL("{}.{} AS {}").format(rows, Identifier(column.strip()), shown))
    return SQL(", ").join(found)


def _order(rows: Identifier, text: str) -> Composable:
    found: list[Composable] = []
    for part in _split(text):
        name, *words = part.split(".")
        if not set(words) <= ORDERS.keys():
            raise Unreadable(f"order={part}")
        found.append(
            SQL(" ").join([SQL("{}.{}").format(rows, Identifier(name)), *(ORDERS[word] for word in words)])
        )
    return SQL(" ORDER BY ") + SQL(", ").join(found) if found else SQL("")


def _condition(rows: Identifier, name: str, text: str) -> Composed:
    """`name=[not.]operator.value`."""
    if text.startswith("not."):
        return SQL("NOT ({})").format(_condition(rows, name, text.removeprefix("not.")))
    operator, dot, value = text.partition(".")
    column = SQL("{}.{}").format(rows, Identifier(name))
    if operator in OPERATORS and dot:
        value = value.replace("*", "%") if operator.endswith("like") else value
        return SQL("{} {} {}").format(column, OPERATORS[operator], Literal(value))
    if operator == "is" and value.lower() in STATES:
        return SQL("{} IS {}").format(column, STATES[value.lower()])
    if operator == "in" and value.startswith("(") and value.endswith(")"):
        items = [_unquoted(each) for each in _split(value[1:-1])]
        return SQL("{} = ANY({})").format(column, Literal(_array(items)))
    if (found := SEARCH.fullmatch(operator)) and dot:
        config = [Literal(found[2]) + SQL(", ")] if found[2] else []
        query = SQL("{}({}{})").format(SEARCHES[found[1]], SQL("").join(config), Literal(value))
        return SQL("{} @@ {}").format(column, query)
    raise Unreadable(f"{name}={text}")


def _group(rows: Identifier, text: str) -> Composed:
    """`or(a.eq.1,and(b.gt.2,c.is.null))`, nested at will."""
    if text.startswith("not."):
        return SQL("NOT {}").format(_group(rows, text.removeprefix("not.")))
    word, _, rest = text.partition("(")
    if word not in {"or", "and"} or not rest.endswith(")"):
        raise Unreadable(text)
    parts = [_member(rows, part) for part in _split(rest[:-1])]
    if not parts:
        raise Unreadable(text)
    between = SQL(" OR ") if word == "or" else SQL(" AND ")
    return SQL("({})").format(between.join(parts))


def _member(rows: Identifier, text: str) -> Composed:
    if re.match(r"(not\.)?(or|and)\(", text):
        return _group(rows, text)
    name, _, rest = text.partition(".")
    operator, dot, value = rest.removeprefix("not.").partition(".")
    negated = "not." if rest.startswith("not.") else ""
    return _condition(
        rows, name, f"{negated}{operator}{dot}{value if operator == 'in' else _unquoted(value)}"
    )


def _split(text: str) -> list[str]:
    """At commas outside of parentheses and quotes."""
    parts, depth, quoted, current = list[str](), 0, False, ""
    for sign in text:
        if sign == '"' and not current.endswith("\\"):
            quoted = not quoted
        if not quoted:
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if sign == "," and depth == 0:
                parts.append(current)
                current = ""
                continue
        current += sign
    return [*parts, current] if current else parts


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _array(items: Sequence[str]) -> str:
    escaped = ('"' + re.sub(r'(["\\])', r"\\\1", item) + '"' for item in items)
    return "{" + ",".join(escaped) + "}"


def _number(text: str) -> int:
    if not text.isdecimal():
        raise Unreadable(text)
    return int(text)
