"""Trackers that speak TLS to a real server: they trust its authority alone, and do not notice that its certificate is renewed."""

import signal

import pytest

import certificates
import harness
from sites import Site
from tracker import rejected, segments


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(tmp_path_factory, authority):
    directory = tmp_path_factory.mktemp("tls")
    authority.certificate().write(directory)
    return directory


@pytest.fixture(scope="module")
def site(carbond_binary, new_database, jwt_key_file, files, authority):
    site = Site(carbond_binary, new_database(), "--jwt-hs256-key-file", jwt_key_file, "--tls-cert", files / "cert.pem",
                "--tls-key", files / "key.pem", authority=authority.file)
    yield site
    site.down()


def trusting(authority):
    return {"CARBOND_CA_FILE": str(authority.file)}


def test_all_arrives_once_while_the_certificate_is_renewed(site, files, authority, tmp_path):
    with site.tracker(tmp_path / "spool", environment=trusting(authority)) as tracker:
        run = tracker.run()
        for renewals in range(1, 4):
            tracker.emit(1000)
            authority.certificate().write(files)
            site.server.process.send_signal(signal.SIGHUP)
            harness.until(lambda: site.server.log().count("msg=reloaded") == renewals, 20, "the reload")
        tracker.flush()
    assert site.count(run) == 3000 and len(set(site.ids(run))) == 3000


def test_another_authority_gets_nothing(site, tmp_path):
    """What is emitted waits for the right server."""
    other = certificates.Authority(tmp_path)
    with site.tracker(tmp_path / "spool", environment=trusting(other)) as tracker:
        run = tracker.run()
        tracker.emit(10)
        tracker.flush(500, code=4)
        harness.until(lambda: "certificate" in tracker.log(), 20, "a word on the certificate")
    assert segments(tmp_path / "spool") and not rejected(tmp_path / "spool")
    assert site.count(run) == 0
