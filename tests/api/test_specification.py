"""The specification is complete and says what the server's own tables say."""

import json
import re

import jsonschema
import pytest
import yaml

import harness
from schema import METHODS, Specification

SPECIFICATION = Specification(harness.ROOT / "openapi" / "openapi.yaml")
DOCUMENT = SPECIFICATION.document
SCHEMAS = {
    "organization": "OrganizationCreate", "organization_patch": "OrganizationPatch", "team": "TeamCreate",
    "project": "ProjectCreate", "project_patch": "ProjectPatch", "experiment": "ExperimentCreate", "run": "RunCreate",
    "emission": "EmissionCreate", "project_token": "ProjectTokenCreate", "user_token": "UserTokenCreate",
    "user": "UserCreate", "credentials": "Credentials", "add_user": "AddUser", "membership": "MembershipPatch",
}
JSON_TYPES = {"string": "string", "email": "string", "uuid": "string", "timestamp": "string", "number": "number",
              "integer": "integer", "boolean": "boolean"}
FORMATS = {"email": "email", "uuid": "uuid", "timestamp": "date-time"}


def operations():
    for path, methods in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method.upper(), path, methods[method]


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_document_is_sound():
    assert DOCUMENT["openapi"].startswith("3.1.")
    for reference in references(DOCUMENT):
        SPECIFICATION.resolve({"$ref": reference})
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for method, path, operation in operations():
        declared = {p["name"] for p in map(SPECIFICATION.resolve, operation.get("parameters", [])) if p["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path)), (method, path)
        assert operation["responses"] and operation["summary"], (method, path)


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_schema_is_valid_and_so_are_its_examples(name):
    schema = DOCUMENT["components"]["schemas"][name]
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema.get("examples", []):
        SPECIFICATION.validator(schema).validate(example)
    for member, part in schema.get("properties", {}).items():
        for example in part.get("examples", []):
            SPECIFICATION.validator(part).validate(example)


def test_answers_say_all_their_members():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if schema.get("additionalProperties") is False:
            assert set(schema["required"]) == set(schema["properties"]), name


def test_routes_agree(tables):
    server = {(route["method"], route["path"]) for route in tables["routes"]}
    specified = {(method, path) for method, path, _ in operations()}
    assert server == specified


def test_operations_agree(tables):
    for route in tables["routes"]:
        operation = DOCUMENT["paths"][route["path"]][route["method"].lower()]
        where = (route["method"], route["path"])
        query = [p["name"] for p in map(SPECIFICATION.resolve, operation.get("parameters", [])) if p["in"] == "query"]
        assert query == route["query"], where
        successes = [status for status in operation["responses"] if status.startswith("2")]
        assert successes == [str(route["status"])], where
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        expected = route["body"] and {"$ref": f"#/components/schemas/{SCHEMAS[route['body']]}"}
        assert schema == expected, where


def expected_schema(member):
    """What the specification has to say of a member, apart from its description and examples."""
    kind = JSON_TYPES[member["type"]]
    schema = {"type": [kind, "null"] if member["nullable"] else kind}
    if member["type"] in FORMATS:
        schema["format"] = FORMATS[member["type"]]
    low, high = ("minLength", "maxLength") if kind == "string" else ("minimum", "maximum")
    for ours, theirs in (("minimum", low), ("exclusive_minimum", "exclusiveMinimum"), ("maximum", high)):
        if ours in member:
            schema[theirs] = member[ours]
    if "default" in member:
        schema["default"] = member["default"] if kind == "string" else json.loads(member["default"])
    return schema


def test_members_agree(tables):
    assert set(tables["bodies"]) == set(SCHEMAS)
    for body, members in tables["bodies"].items():
        schema = DOCUMENT["components"]["schemas"][SCHEMAS[body]]
        assert list(schema["properties"]) == [member["name"] for member in members], body
        assert schema.get("required", []) == [member["name"] for member in members if member["required"]], body
        for member in members:
            part = dict(schema["properties"][member["name"]])
            description = part.pop("description")
            assert part.pop("examples")
            assert part == expected_schema(member), (body, member["name"])
            assert member.get("unit", "") in description, (body, member["name"])


def test_query_parameters_agree(tables):
    for parameter in tables["query"]:
        specified = DOCUMENT["components"]["parameters"][parameter["name"]]
        assert specified["required"] == parameter["required"]
        assert specified["schema"] == expected_schema({**parameter, "nullable": False})


def test_it_is_served(server):
    client = harness.Client(server)
    text = (harness.ROOT / "openapi" / "openapi.yaml").read_text()
    assert client.get("/openapi.yaml").text == text
    assert client.get("/openapi.json").json() == yaml.safe_load(text)


def test_the_command_line_prints_it(carbond_binary):
    assert yaml.safe_load(harness.command(carbond_binary, "openapi").stdout) == DOCUMENT
    assert json.loads(harness.command(carbond_binary, "openapi", "--format", "json").stdout) == DOCUMENT
