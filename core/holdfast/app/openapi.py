"""The API as an OpenAPI document, out of the table of operations, and a page that shows it."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jinja2 import Environment, PackageLoader

from .failures import STATUS
from .operations import OPERATIONS, Operation
from .plain import JsonObject

SCHEMAS = "#/components/schemas/"
SCALARS: Mapping[Any, JsonObject] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    type(None): {"type": "null"},
}


@cache
def document() -> JsonObject:
    """OpenAPI 3.1."""
    from .. import __version__

    schemas: dict[str, JsonObject] = {"Error": ERROR}
    paths = {f"/v1/{row.name}": {"post": _operation(row, schemas)} for row in OPERATIONS.values()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Holdfast", "version": __version__, "description": DESCRIPTION},
        "security": [{"token": []}],
        "paths": paths | _TRANSFERS,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


DESCRIPTION = (
    "Long-term memory for agents. Every call carries a token, which is bound to ids or is an administrator's; ids "
    "that a token is bound to need not be given."
)
ERROR: JsonObject = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "add_id": {
                    "type": ["string", "null"],
                    "description": "the add whose messages are journaled all the same",
                },
            },
        }
    },
}


def _json(schema: JsonObject, kind: str = "application/json") -> JsonObject:
    return {"content": {kind: {"schema": schema}}}


def _failures() -> JsonObject:
    error = _json({"$ref": f"{SCHEMAS}Error"})
    told: dict[str, list[str]] = {}
    for kind, status in STATUS:
        told.setdefault(str(status), []).append((kind.__doc__ or "").splitlines()[0])
    return {status: {"description": " ".join(texts), **error} for status, texts in sorted(told.items())}


def _operation(row: Operation, schemas: dict[str, JsonObject]) -> JsonObject:
    given = row.arguments.model_json_schema(ref_template=SCHEMAS + "{model}")
    schemas[row.arguments.__name__] = given
    who = " For administrators." if row.whole else ""
    body = {"required": bool(given.get("required")), **_json({"$ref": SCHEMAS + row.arguments.__name__})}
    return {
        "operationId": row.name,
        "summary": row.summary + who,
        "requestBody": body,
        "responses": {"200": {"description": "Done.", **_json(_result(row.result, schemas))}, **_failures()},
    }


_LINES: JsonObject = _json({"type": "string"}, "application/x-ndjson")
_TRANSFERS: JsonObject = {
    "/v1/export": {
        "post": {
            "operationId": "export",
            "summary": "Everything that carries the ids of the body, as JSON Lines; with everything=true the whole "
            "store.",
            "requestBody": _json({"$ref": f"{SCHEMAS}Whose"}),
            "responses": {"200": {"description": "The export.", **_LINES}, **_failures()},
        }
    },
    "/v1/import": {
        "post": {
            "operationId": "import",
            "summary": "Read an export back. Answers with lines of progress, and result or error as the last. "
            "For administrators.",
            "requestBody": {"required": True, **_LINES},
            "responses": {"200": {"description": "How it went.", **_LINES}, **_failures()},
        }
    },
}


# -- results ------------------------------------------------------------------------------------------------------


def _result(result: Any, schemas: dict[str, JsonObject]) -> JsonObject:
    if isinstance(result, tuple):
        name, kind = result
        return {"type": "object", "properties": {name: schema_of(kind, schemas)}, "required": [name]}
    return schema_of(result, schemas)


def schema_of(kind: Any, schemas: dict[str, JsonObject]) -> JsonObject:
    """The schema of a record's JSON form; records go to `schemas` by their names."""
    if kind in SCALARS:
        return SCALARS[kind]
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in schemas:
            schemas[kind.__name__] = {}  # before its fields: a record may hold its own kind
            schemas[kind.__name__] = _record(kind, schemas)
        return {"$ref": SCHEMAS + kind.__name__}
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(part, schemas) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (list, tuple, Sequence):
        return {"type": "array", "items": schema_of(parts[0], schemas)}
    if kind is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {"type": "object"}
    return {}


def _record(kind: type, schemas: dict[str, JsonObject]) -> JsonObject:
    hints = get_type_hints(kind)
    names = [one.name for one in fields(kind)]
    return {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "properties": {name: schema_of(hints[name], schemas) for name in names},
        "required": names,
    }


# -- page ---------------------------------------------------------------------------------------------------------


@cache
def page() -> str:
    """The document as HTML, which loads nothing from other servers."""
    pages = Environment(loader=PackageLoader("holdfast.app"), autoescape=True, trim_blocks=True)
    return pages.get_template("docs.html").render(api=document())
