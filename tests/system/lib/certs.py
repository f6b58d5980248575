"""Throw-away certificates for TLS tests, made with the openssl command."""

import os
import ssl
import subprocess


def run(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


def make_authority(folder, name="ca"):
    key, cert = os.path.join(folder, f"{name}.key"), os.path.join(folder, f"{name}.crt")
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", f"/CN=test {name}", "-keyout", key, "-out", cert)
    return cert, key


def make_leaf(folder, name, authority, subject_alt="DNS:localhost,IP:127.0.0.1", days="2"):
    """Certificate and key signed by `authority` (cert, key)."""
    key, cert = os.path.join(folder, f"{name}.key"), os.path.join(folder, f"{name}.crt")
    request, extensions = os.path.join(folder, f"{name}.csr"), os.path.join(folder, f"{name}.ext")
    run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    with open(extensions, "w", encoding="ascii") as out:
        out.write(f"subjectAltName={subject_alt}\n")
    run("x509", "-req", "-in", request, "-CA", authority[0], "-CAkey", authority[1],
        "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", cert)
    return cert, key


class Certificates:
    """One authority, a server certificate for localhost and one client certificate."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.authority = make_authority(folder)
        self.server = make_leaf(folder, "server", self.authority)
        self.client = make_leaf(folder, "client", self.authority)

    def client_context(self, with_certificate=False, version=None):
        context = ssl.create_default_context(cafile=self.authority[0])
        if with_certificate:
            context.load_cert_chain(*self.client)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context
