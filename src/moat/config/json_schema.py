"""What a shape takes, as a JSON Schema, for editors that complete and check.

It lets through all that the shape takes. Where a rule is more than a form (a host's spelling, a
name used twice), only the shape knows. `python -m moat.config.json_schema` prints moat.yaml's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moat.config.schema import (
    Anything,
    Boolean,
    Checked,
    Choice,
    Either,
    Integer,
    ListOf,
    MapOf,
    Quantity,
    Record,
    Shape,
    Text,
    WordsOf,
)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANYTHING = {
    "type": ["string", "number", "boolean", "array", "object"],
    "items": {"$ref": "#/$defs/anything"},
    "additionalProperties": {"$ref": "#/$defs/anything"},
}


def json_schema(
    shape: Shape[Any], *, title: str = "", help: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what `shape` takes.

    `help` describes keys, each by its name in `documented_keys`.
    """
    return {
        "$schema": _DIALECT,
        **({"title": title} if title else {}),
        **_Writer(help or {}).described(shape, ""),
        "$defs": {"anything": _ANYTHING},
    }


class _Writer:
    """Writes the schema of one shape after another, knowing where each is."""

    def __init__(self, help: Mapping[str, str]) -> None:
        self._help = help

    def described(self, shape: Shape[Any], key: str) -> dict[str, Any]:
        text = self._help.get(key)
        return ({"description": text} if text else {}) | self._form(shape, key)

    def _form(self, shape: Shape[Any], key: str) -> dict[str, Any]:
        match shape:
            case Text():
                return _text(shape)
            case Choice():
                return {"enum": list(shape.words)}
            case Boolean():
                return {"type": "boolean"}
            case Integer():
                return {"type": "integer", "minimum": shape.minimum, "maximum": shape.maximum}
            case Quantity():
                words = {"type": "string", "pattern": f"^(?:{shape.pattern})$"}
                return {"anyOf": [words, {"type": "number", "minimum": 0}]}
            case Anything():
                return {"$ref": "#/$defs/anything"}
            case Either():
                forms = (shape.text, shape.mapping)
                return {"anyOf": [self._form(form, key) for form in forms]}
            case ListOf():
                return {"type": ["array", "null"], "items": self._form(shape.item, key + "[]")}
            case WordsOf():
                return {
                    "type": ["array", "null"],
                    "prefixItems": [self._form(shape.program, key + "[]")],
                    "items": self._form(shape.word, key + "[]"),
                    "minItems": 1,
                }
            case MapOf():
                return self._map(shape, key)
            case Record():
                return self._record(shape, key)
            case Checked():
                return self._form(shape.shape, key)
        raise TypeError(f"no schema for a {type(shape).__name__}")

    def _map(self, shape: MapOf[Any, Any], key: str) -> dict[str, Any]:
        return {
            "type": ["object", "null"],
            "propertyNames": self._form(shape.key, key),
            "additionalProperties": self._form(shape.value, key + ".*"),
        }

    def _record(self, shape: Record[Any], key: str) -> dict[str, Any]:
        above = key + "." if key else ""
        properties = {
            name: self.described(below, above + name) for name, below in shape.fields.items()
        }
        schema: dict[str, Any] = {
            # Nothing is an empty mapping, which is fine where no key must be there.
            "type": "object" if shape.required else ["object", "null"],
            "properties": properties,
            "additionalProperties": False,
        }
        for older, name in shape.older.items():
            note = {"description": f"The older name of {name}.", "deprecated": True}
            properties[older] = properties[name] | note
        if shape.older:
            schema["not"] = {
                "anyOf": [
                    {"type": "object", "required": [name, older]}
                    for older, name in shape.older.items()
                ]
            }
        if shape.required:
            schema["required"] = [name for name in shape.fields if name in shape.required]
        return schema


def _text(shape: Text[Any]) -> dict[str, Any]:
    if shape.pattern is None:
        return {"type": "string"}
    return {"type": "string", "pattern": f"^(?:{shape.pattern})$"}


def _main() -> None:
    import json
    import sys

    from moat.config.project_help import HELP, TITLE
    from moat.config.project_schema import PROJECT

    json.dump(json_schema(PROJECT, title=TITLE, help=HELP), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    _main()
