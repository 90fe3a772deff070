"""The way between a tracker and its server: connections that are cut anywhere, and TLS."""

import ssl
import subprocess

import pytest

from cutter import Cutter
from faulty import FaultyServer
import harness
from sites import Site
from tracker import Tracker, rejected, segments

EXPERIMENT = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def site(carbond_binary, new_database, jwt_key_file):
    site = Site(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file)
    yield site
    site.down()


@pytest.mark.parametrize("seed", range(3))
def test_connections_are_cut_anywhere(site, tmp_path, seed):
    host, port = site.server.host_and_port
    with Cutter(host, port, seed=seed) as cutter:
        with site.tracker(tmp_path / "spool", url=cutter.url, batch_size=20) as tracker:
            runs = {}
            for _ in range(4):
                run = tracker.run()
                runs[run] = tracker.sync(50)
            tracker.flush()
            stats = tracker.stats()
        assert cutter.cuts > 10
    for run, ids in runs.items():
        assert site.ids(run) == sorted(ids)
    assert stats["delivered"] == 200 and stats["rejected"] == 0, stats
    assert not segments(tmp_path / "spool") and not rejected(tmp_path / "spool")


# -- TLS ----------------------------------------------------------------------------------------------------------------

def certificate(directory, name):
    """A self-signed one, and its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                           "-addext", f"subjectAltName={name}", "-keyout", key, "-out", certificate], capture_output=True)
    assert done.returncode == 0, done.stderr
    return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    return {"right": certificate(directory, "IP:127.0.0.1"), "of another": certificate(directory, "DNS:other.example")}


def server_with(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return FaultyServer(ssl=context)


def test_a_server_whose_certificate_is_trusted(certificates, tmp_path):
    with server_with(certificates["right"]) as server:
        with Tracker(server.url, tmp_path / "spool", experiment=EXPERIMENT,
                     environment={"CARBOND_CA_FILE": str(certificates["right"][0])}) as tracker:
            run = tracker.run()
            ids = tracker.sync(5)
            tracker.flush()
        assert server.ids(run) == ids


@pytest.mark.parametrize("pair, trusted", [("right", None), ("right", "of another"), ("of another", "of another")])
def test_a_server_that_may_be_anybody_gets_nothing(certificates, tmp_path, pair, trusted):
    with server_with(certificates[pair]) as server:
        environment = {"CARBOND_CA_FILE": str(certificates[trusted][0])} if trusted else {}
        with Tracker(server.url, tmp_path / "spool", token="cpt_secret", experiment=EXPERIMENT,
                     environment=environment) as tracker:
            tracker.run()
            tracker.sync(5)
            harness.until(lambda: tracker.stats()["retries"] >= 2)
            assert tracker.stats()["link"] == 2 and tracker.stats()["pending"] == 5
        assert not server.requests
