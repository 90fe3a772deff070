"""Two tenants, every route, ids swapped in every place where an id can stand (path, query, body): no byte of the other's
data in an answer, and nothing of the other's changed in the database."""

import pytest

import harness
import swaps
import tenants
from test_matrix import EXPECTED


@pytest.fixture(scope="module")
def swapped(carbond_binary, new_database, jwt_key_file):
    with harness.Server(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file, "--cors-origin",
                        harness.DASHBOARD, *swaps.UNHURRIED) as server:
        world = tenants.Tenants(harness.World(server))
        world.save()
        yield world


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_ids_swapped(name, tables, swapped):
    route = next(route for route in tables["routes"] if f"{route['method']} {route['path']}" == name)
    assert swaps.faults_of_route(swapped, route, tables) == []
