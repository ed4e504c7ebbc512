"""The part of JSON Schema that the RPC's document uses: enough to judge our own answers."""

import re

KEYWORDS = frozenset(
    (
        "$ref", "type", "enum", "const", "pattern", "properties", "required", "items",
        "additionalProperties", "anyOf", "oneOf", "description",
    )
)  # fmt: skip
TYPES = {
    "boolean": bool,
    "string": str,
    "object": dict,
    "array": list,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def resolve(document, ref):
    """Return what a local reference points at; KeyError if nothing is there."""
    assert ref.startswith("#/"), ref
    found = document
    for name in ref[2:].split("/"):
        found = found[name]
    return found


def faults(document, schema, value, where="result"):
    """Yield why a value does not fit a schema."""
    if "$ref" in schema:
        yield from faults(document, resolve(document, schema["$ref"]), value, where)
        return
    kind = TYPES.get(schema.get("type"), object)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, (int, float))):
        yield f"{where}: {value!r} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} does not match {schema['pattern']}"
    yield from _choices(document, schema, value, where)
    if isinstance(value, dict):
        yield from _members(document, schema, value, where)
    if isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            yield from faults(document, schema["items"], item, f"{where}[{place}]")


def _choices(document, schema, value, where):
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            tried = [list(faults(document, each, value, where)) for each in schema[keyword]]
            fitting = sum(not found for found in tried)
            if not fitting or (keyword == "oneOf" and fitting > 1):
                yield f"{where}: fits {fitting} of {keyword}: {min(tried, key=len)}"


def _members(document, schema, value, where):
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name}: is missing"
    properties, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            yield from faults(document, properties[name], item, f"{where}.{name}")
        elif other is False:
            yield f"{where}.{name}: is not described"
        elif other is not True:
            yield from faults(document, other, item, f"{where}.{name}")
