"""The specification as a judge of answers."""

import datetime
import re
import uuid

import jsonschema
import yaml

METHODS = ("get", "post", "patch", "delete")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00")

formats = jsonschema.FormatChecker(formats=())


@formats.checks("uuid", raises=ValueError)
def is_uuid(value):
    return not isinstance(value, str) or str(uuid.UUID(value)) == value


@formats.checks("date-time", raises=ValueError)
def is_time(value):
    """A time as answers write it; requests may use other forms."""
    return not isinstance(value, str) or bool(TIME.fullmatch(value) and datetime.datetime.fromisoformat(value))


class Specification:
    def __init__(self, path):
        self.document = yaml.safe_load(path.read_text())
        self.templates = [(template.strip("/").split("/"), template) for template in self.document["paths"]]
        # The most literal template first.
        self.templates.sort(key=lambda entry: [part.startswith("{") for part in entry[0]])
        self.validators = {}

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def template(self, path):
        parts = path.strip("/").split("/")
        for template, name in self.templates:
            if len(template) == len(parts) and all(t == p or t.startswith("{") for t, p in zip(template, parts)):
                return name
        return None

    def validator(self, schema):
        key = id(schema)
        if key not in self.validators:
            whole = {**schema, "components": self.document["components"]}
            self.validators[key] = jsonschema.Draft202012Validator(whole, format_checker=formats)
        return self.validators[key]

    def check(self, method, path, response):
        template = self.template(path)
        if response.status_code == 414:
            return  # may answer any path
        operation = template and self.document["paths"][template].get(method.lower())
        if operation is None:
            expected = (400, 404, 405) if template else (400, 404)
            assert response.status_code in expected, f"{method} {path} is not specified: {response.status_code}"
            return
        where = f"{method} {template} {response.status_code}"
        answers = operation["responses"]
        assert str(response.status_code) in answers, f"{where} is not specified: {response.text[:500]}"
        self.check_content(where, self.resolve(answers[str(response.status_code)]), response)

    def check_content(self, where, answer, response):
        content = answer.get("content")
        if not content:
            assert response.content == b"", f"{where}: a body where none is specified"
            return
        media_type = response.headers["Content-Type"].split(";")[0]
        assert media_type in content, f"{where}: {media_type} is not specified"
        if media_type == "application/json":
            self.validator(content[media_type]["schema"]).validate(response.json())
