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


def not_json(constant):
    raise ValueError(f"{constant} is not JSON")


def parse(response):
    """The answer's JSON; Python's reader would take NaN and Infinity as well."""
    return response.json(parse_constant=not_json)


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
        verb = "get" if method == "HEAD" else method.lower()
        operation = template and self.document["paths"][template].get(verb)
        if operation is None or response.status_code == 414:
            self.check_refusal(method, path, template, response)
            return
        where = f"{method} {template} {response.status_code}"
        answers = operation["responses"]
        assert str(response.status_code) in answers, f"{where} is not specified: {response.text[:500]}"
        answer = self.resolve(answers[str(response.status_code)])
        self.check_headers(where, answer, response)
        self.check_content(where, answer, method, response)

    def check_refusal(self, method, path, template, response):
        """What answers a path or method that is not specified; too long a URL may be any path's."""
        expected = (400, 404, 405, 414) if template else (400, 404, 414)
        assert response.status_code in expected, f"{method} {path} is not specified: {response.status_code}"
        if method != "HEAD":
            self.validator(self.document["components"]["schemas"]["Error"]).validate(parse(response))

    @staticmethod
    def check_headers(where, answer, response):
        for name in answer.get("headers", {}):
            assert name in response.headers, f"{where}: no {name}"

    def check_content(self, where, answer, method, response):
        content = answer.get("content")
        if method == "HEAD":
            assert response.content == b"", f"{where}: a body for HEAD"
            return
        if not content:
            assert response.content == b"", f"{where}: a body where none is specified"
            return
        media_type = response.headers["Content-Type"].split(";")[0]
        assert media_type in content, f"{where}: {media_type} is not specified"
        if media_type == "application/json":
            self.validator(content[media_type]["schema"]).validate(parse(response))
