"""A certificate authority of the tests, and what it signs."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

import harness

DAY = datetime.timedelta(days=1)


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def key_pem(key, password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


class Certificate:
    """A certificate with its chain and its key, as PEM."""

    def __init__(self, certificate, chain, key):
        self.certificate, self.key = certificate, key
        self.pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (certificate, *chain))
        self.key_pem = key_pem(key)
        self.serial = certificate.serial_number

    def write(self, directory):
        """Replaces the files as a tool that renews certificates does: whole, or not at all."""
        for name, pem in (("cert.pem", self.pem), ("key.pem", self.key_pem)):
            (directory / "new").write_bytes(pem)
            (directory / "new").chmod(0o600)
            (directory / "new").rename(directory / name)


class Authority:
    """Signs through an intermediate, so that a server that leaves out its chain is found out."""

    def __init__(self, directory):
        self._root_key, self._key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        name = harness.unique("root")
        root = self._sign(name, self._root_key, name, self._root_key, ca=True)
        self._intermediate = self._sign("intermediate", self._key, name, self._root_key, ca=True)
        self.file = directory / "ca.pem"
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def _sign(name, key, issuer, issuer_key, ca=False, begins=-DAY, ends=90 * DAY):
        now = datetime.datetime.utcnow()
        addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + begins).not_valid_after(now + ends)
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def certificate(self, rsa_key=False, **validity):
        key = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
        signed = self._sign("carbond", key, "intermediate", self._key, **validity)
        return Certificate(signed, [self._intermediate], key)
