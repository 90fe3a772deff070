"""The client library is tested against real servers, made by the harness of tests/api, whose fixtures these are."""

import importlib.util
import pathlib
import sys

API = pathlib.Path(__file__).resolve().parents[1] / "api"
sys.path.insert(0, str(API))

_spec = importlib.util.spec_from_file_location("conftest_of_api", API / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

pytest_configure = _fixtures.pytest_configure
no_findings_at_the_end = _fixtures.no_findings_at_the_end
no_findings = _fixtures.no_findings
carbond_binary = _fixtures.carbond_binary
cluster = _fixtures.cluster
template = _fixtures.template
new_database = _fixtures.new_database
database = _fixtures.database
jwt_key_file = _fixtures.jwt_key_file
server = _fixtures.server
world = _fixtures.world
tree = _fixtures.tree
