"""What each TLS port agrees to and what it does not: protocols, ciphers, curves. scripts/testssl asks more, and takes minutes."""

import concurrent.futures
import unittest

import support
from support import run

PORTS = {"smtp": "smtp", "submission": "smtp", "submissions": "", "imap": "imap", "imaps": "", "https": ""}
# A client that would take anything, so that it is the server which refuses.
CARELESS = ("-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")


class TlsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        https = support.free_ports(1)[0]
        cls.server = support.Server(settings=(f"mta_sts.port={https}", 'mta_sts.address="127.0.0.1"'))
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        cls.ports = {**cls.server.ports, "https": https}

    def handshake(self, port, *options):
        """What was agreed on, as "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: nothing."""
        protocol = PORTS[port]
        result = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.ports[port]}", "-servername", "mta-sts.example.test",
                     *(("-starttls", protocol) if protocol else ()), *options, stdin="")
        new = [line for line in result.stdout.splitlines() if line.startswith(("New, ", "Reused, "))]
        if not new or "(NONE)" in new[0]:
            return ""
        return new[0].split(", ", 1)[1].replace(", Cipher is", "")

    def everywhere(self, *options):
        """What each port agrees to."""
        with concurrent.futures.ThreadPoolExecutor(len(PORTS)) as threads:
            return dict(zip(PORTS, threads.map(lambda port: self.handshake(port, *options), PORTS)))

    def assert_refused(self, what, *options):
        with self.subTest(what):
            self.assertEqual(dict.fromkeys(PORTS, ""), self.everywhere(*options))

    def assert_agreed(self, what, expected, *options):
        with self.subTest(what):
            for port, agreed in self.everywhere(*options).items():
                self.assertRegex(agreed, expected, port)

    def test_protocols(self):
        self.assert_refused("TLS 1.0", "-tls1", *CARELESS)
        self.assert_refused("TLS 1.1", "-tls1_1", *CARELESS)
        self.assert_agreed("TLS 1.2", r"^TLSv1\.2 ECDHE-ECDSA-AES256-GCM-SHA384$", "-tls1_2")
        self.assert_agreed("TLS 1.3", r"^TLSv1\.3 TLS_AES_256_GCM_SHA384$")

    def test_ciphers(self):
        for what in ("eNULL", "aNULL", "kRSA", "PSK", "SRP", "3DES", "RC4", "DES", "MD5", "CAMELLIA", "ARIA", "SEED", "IDEA", "EXPORT"):
            ciphers = run("openssl", "ciphers", "-s", "-tls1_2", f"{what}:@SECLEVEL=0")
            if ciphers.returncode == 0 and ciphers.stdout.strip():  # else this OpenSSL cannot even ask for it
                self.assert_refused(what, "-tls1_2", "-cipher", f"{what}:@SECLEVEL=0")
        self.assert_agreed("a client's bad taste", r"ECDHE-ECDSA-(AES256-GCM-SHA384|CHACHA20-POLY1305)$", "-tls1_2", "-cipher",
                           "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384:@SECLEVEL=0")

    def test_groups(self):
        for group in ("sect163r2", "secp192k1", "secp160r1", "secp224r1"):
            self.assert_refused(group, "-tls1_2", "-groups", group, *CARELESS)
        for group in ("X25519", "P-256", "P-384"):
            self.assert_agreed(group, "TLSv1.3", "-groups", group)

    def test_nothing_is_negotiated_again_nor_compressed(self):
        for port in PORTS:
            with self.subTest(port):
                protocol = PORTS[port]
                result = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.ports[port]}", "-tls1_2", "-comp", "-servername",
                             "mta-sts.example.test", *(("-starttls", protocol) if protocol else ()), stdin="R\n")
                self.assertIn("Secure Renegotiation IS supported", result.text)
                self.assertIn("Compression: NONE", result.text)
                self.assertRegex(result.text, "no renegotiation|handshake failure|RENEGOTIATING[\\s\\S]*error")


if __name__ == "__main__":
    support.main()
