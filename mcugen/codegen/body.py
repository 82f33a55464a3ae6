"""The C text of every call, and what several of them share: functions that are equal, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.codegen.stage import declaration
from mcugen.ops.base import Constant


@dataclass(frozen=True)
class Body:
    """One call in C: a line of comment, its constant tables, its functions."""

    comment: str
    tables: tuple[Constant, ...]
    text: str

    def __str__(self) -> str:
        return "".join([self.comment, *map(declaration, self.tables), self.text])

    def meaning(self, name: str) -> str:
        """Tables and functions without the call's C name."""
        return str(replace(self, comment="")).replace(name, "@")


def share_functions(bodies: Mapping[str, Body], names: Mapping[str, str]) -> tuple[list[Body], dict[str, str]]:
    """The bodies without those that equal an earlier one but for the name, and every node's function.

    bodies: by C name; names: C names by node.
    """
    first: dict[str, str] = {}
    stands_for = {name: first.setdefault(body.meaning(name), name) for name, body in bodies.items()}
    return [bodies[name] for name in first.values()], {node: stands_for.get(name, name) for node, name in names.items()}


def share_tables(bodies: Sequence[Body]) -> list[Body]:
    """Each table once, where it is used first, aligned as its strictest user asks."""
    first: dict[tuple[str, bytes], Constant] = {}
    stands_for: dict[str, str] = {}
    for table in (table for body in bodies for table in body.tables):
        known = first.setdefault(table.content, table)
        first[table.content] = replace(known, align=max(known.align, table.align))
        stands_for[table.name] = known.name
    kept = {table.name: table for table in first.values()}
    return [_with_tables(body, kept, stands_for) for body in bodies]


def tables_bytes(bodies: Iterable[Body]) -> int:
    return sum(table.values.nbytes for body in bodies for table in body.tables)


def _with_tables(body: Body, kept: Mapping[str, Constant], stands_for: Mapping[str, str]) -> Body:
    tables = tuple(kept[table.name] for table in body.tables if table.name in kept)
    text = body.text
    for table in body.tables:
        if stands_for[table.name] != table.name:
            text = re.sub(rf"\b{table.name}\b", stands_for[table.name], text)
    return replace(body, tables=tables, text=text)
