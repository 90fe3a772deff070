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
    "batch_emission": "BatchEmission", "user": "UserCreate", "credentials": "Credentials", "add_user": "AddUser", "membership": "MembershipPatch",
}
JSON_TYPES = {"string": "string", "email": "string", "uuid": "string", "timestamp": "string", "number": "number",
              "integer": "integer", "boolean": "boolean", "cursor": "string"}
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


def inside(node, key):
    """All values of a key, however deep, with the mapping that has it."""
    if isinstance(node, dict):
        if key in node:
            yield node, node[key]
        for value in node.values():
            yield from inside(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from inside(value, key)


def has_example(schema):
    schema = SPECIFICATION.resolve(schema)
    return bool(schema.get("examples")
                or "items" in schema and has_example(schema["items"])
                or "anyOf" in schema and all(map(has_example, schema["anyOf"])))


def contents():
    """Every body and answer: where it is, and its media type's entry."""
    for method, path, operation in operations():
        answers = [operation.get("requestBody", {}), *map(SPECIFICATION.resolve, operation["responses"].values())]
        for answer in answers:
            for media_type, content in answer.get("content", {}).items():
                yield (method, path, media_type), content


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


def test_nothing_is_unused():
    used = set(references(DOCUMENT))
    for kind in ("parameters", "responses", "schemas"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, (kind, name)
    schemes = {name for _, _, operation in operations() for way in operation["security"] for name in way}
    assert schemes == set(DOCUMENT["components"]["securitySchemes"])


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_schema_is_valid(name):
    schema = DOCUMENT["components"]["schemas"][name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"]
    for member, part in schema.get("properties", {}).items():
        assert part.get("description"), member


def test_examples_are_valid():
    for schema, examples in inside(DOCUMENT, "examples"):
        assert isinstance(examples, list) and examples, schema
        for example in examples:
            SPECIFICATION.validator(schema).validate(example)
    for holder, example in inside([DOCUMENT["paths"], DOCUMENT["components"]["parameters"]], "example"):
        SPECIFICATION.validator(holder["schema"]).validate(example)


def test_bodies_and_answers_have_examples():
    for where, content in contents():
        assert "example" in content or has_example(content["schema"]), where


def test_answers_say_all_their_members():
    """A member that the specification does not know, or that is missing, fails the tests of the answers."""
    requests = {*SCHEMAS.values(), "EmissionBatch"}
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name in requests or name == "NoRun":
            continue
        assert set(schema["required"]) == set(schema["properties"]), name
        if name != "Report":  # which is a part of others
            assert schema.get("additionalProperties", schema.get("unevaluatedProperties")) is False, name


def test_members_have_the_same_unit_everywhere(tables):
    units = {member["name"]: member["unit"]
             for members in tables["bodies"].values() for member in members if "unit" in member}
    units["emissions"] = units["emissions_sum"]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for member, part in schema.get("properties", {}).items():
            if member in units and part.get("type") != "array":
                assert part["description"].endswith(f", in {units[member]}"), (name, member)


def test_older_routes_name_the_newer():
    """They take and answer the same."""
    newer = re.compile(r"For older clients: the same as `(\w+) (\S+)`\.")
    for method, path, operation in operations():
        singular = re.match(r"/(organization|team|teams|project|experiment|run|emission)(/|$)", path)
        assert not singular or operation.get("deprecated"), (method, path)
        if not operation.get("deprecated") or operation["description"].startswith("For older clients; nothing"):
            continue
        verb, place = newer.fullmatch(operation["description"]).groups()
        other = DOCUMENT["paths"][place][verb.lower()]
        assert verb == method and not other.get("deprecated"), (method, path)
        for key in ("parameters", "requestBody", "responses", "security"):
            assert operation.get(key) == other.get(key), (method, path, key)


def test_operations_tell_their_refusals():
    for method, path, operation in operations():
        wanted = {"400", "500"}
        if operation.get("parameters") or "requestBody" in operation:
            wanted.add("422")
        if "requestBody" in operation:
            wanted |= {"413", "415", "503"}
        if operation["security"] and {} not in operation["security"]:
            wanted |= {"401", "403", "503"}
        assert wanted <= set(operation["responses"]), (method, path)


def test_limited_operations_tell_it(tables):
    for route in tables["routes"]:
        operation = DOCUMENT["paths"][route["path"]][route["method"].lower()]
        assert ("429" in operation["responses"]) == route["limited"], (route["method"], route["path"])


def test_routes_agree(tables):
    server = {(route["method"], route["path"]) for route in tables["routes"]}
    specified = {(method, path) for method, path, _ in operations()}
    assert server == specified


def test_operations_agree(tables):
    for route in tables["routes"]:
        operation = DOCUMENT["paths"][route["path"]][route["method"].lower()]
        where = (route["method"], route["path"])
        parameters = [{"$ref": f"#/components/parameters/{name}"}
                      for name in re.findall(r"\{(\w+)\}", route["path"]) + route["query"]]
        assert operation.get("parameters", []) == parameters, where
        successes = [status for status in operation["responses"] if status.startswith("2")]
        assert successes == [str(route["status"])], where
        forms = operation.get("requestBody", {}).get("content", {})
        schema = {"$ref": f"#/components/schemas/{SCHEMAS[route['body']]}"} if route["body"] else None
        if route["body"] == "batch_emission":
            assert forms["application/x-ndjson"]["schema"] == schema
            [(_, batch)] = SPECIFICATION.resolve(forms["application/json"]["schema"])["properties"].items()
            assert batch["items"] == schema
            continue
        assert ("application/json" in forms) == (schema is not None), where
        assert all(form["schema"] == schema for form in forms.values()), where


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
            assert part.pop("description") and part.pop("examples")
            assert part == expected_schema(member), (body, member["name"])


def test_query_parameters_agree(tables):
    specified = {name for name, part in DOCUMENT["components"]["parameters"].items() if part["in"] == "query"}
    assert specified == {parameter["name"] for parameter in tables["query"]}
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
