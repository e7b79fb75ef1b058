"""MTA-STS (RFC 8461) and TLS-RPT (RFC 8460) with a name server, a web server and a mail server on the loopback: who gets mail, who
gets none, and what is reported."""

import datetime
import email
import gzip
import http.server
import json
import os
import socket
import socketserver
import sqlite3
import ssl
import tempfile
import threading
import unittest

import support
from support import ALICE, run
from trust_test import NameServer

FOLDER = tempfile.TemporaryDirectory(prefix="postrider-test-")
POLICY = "version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: 604800\n"


def path(name):
    return os.path.join(FOLDER.name, name)


def make_authority():
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-keyout", path("ca.key"),
            "-out", path("ca.pem"), "-subj", "/CN=authority")


def make_certificate(*names, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), label=""):
    """The file with certificate and key; names: for which it is good."""
    base = path(names[0] + label)
    with open(base + ".ext", "w") as file:
        file.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
    openssl("req", "-newkey", *key, "-nodes", "-keyout", base + ".key", "-out", base + ".csr", "-subj", "/CN=x")
    openssl("x509", "-req", "-in", base + ".csr", "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days", "9",
            "-extfile", base + ".ext", "-out", base + ".crt")
    with open(base + ".pem", "w") as out:
        for part in (base + ".crt", base + ".key"):
            with open(part) as file:
                out.write(file.read())
    return base + ".pem"


def openssl(*arguments):
    result = run("openssl", *arguments)
    assert result.returncode == 0, result.text


def server_context(file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


class WebServer(http.server.ThreadingHTTPServer):
    """Says of each host what pages has for it: a body, or a status."""

    def __init__(self, file):
        self.pages, self.asked = {}, []
        super().__init__(("127.0.0.1", 0), Page)
        self.socket = server_context(file).wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class Page(http.server.BaseHTTPRequestHandler):

    def do_GET(self):
        self.server.asked.append(self.headers["Host"] + self.path)
        page = self.server.pages.get(self.headers["Host"], 404)
        self.send_response(page if isinstance(page, int) else 200)
        if page == 302:
            self.send_header("Location", f"https://{self.headers['Host']}/elsewhere")
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        if isinstance(page, str):
            self.wfile.write(page.encode())

    def log_message(self, *arguments):
        pass


class MailServer(socketserver.ThreadingTCPServer):
    """Takes every message. file: its certificate; None: it offers no TLS."""
    daemon_threads = True

    def __init__(self, address, port, file):
        self.file, self.messages = file, []
        super().__init__((address, port), MailSession)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class MailSession(socketserver.StreamRequestHandler):

    def say(self, *lines):
        self.wfile.write("".join(line + "\r\n" for line in lines).encode())

    def handle(self):
        self.say("220 mx")
        for line in iter(self.rfile.readline, b""):
            word = line[:4].upper()
            if word == b"EHLO":
                self.say(*(["250-mx", "250 STARTTLS"] if self.server.file else ["250 mx"]))
            elif line.upper().startswith(b"STARTTLS"):
                self.say("220 go on")
                self.connection = server_context(self.server.file).wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                return self.secured()
            elif not self.command(word):
                return

    def secured(self):
        for line in iter(self.rfile.readline, b""):
            if line[:4].upper() == b"EHLO":
                self.say("250 mx")
            elif not self.command(line[:4].upper()):
                return

    def command(self, word):
        if word == b"DATA":
            self.say("354 go on")
            text = b""
            for line in iter(self.rfile.readline, b".\r\n"):
                text += line
            self.server.messages.append(text)
        self.say("221 bye" if word == b"QUIT" else "250 ok")
        return word != b"QUIT"


class PolicyTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        make_authority()
        support.ENVIRONMENT["SSL_CERT_FILE"] = path("ca.pem")
        cls.port = support.free_ports(1)[0]
        cls.https = support.free_ports(1)[0]
        good = make_certificate("mx.good.test")
        other = make_certificate("mx.other.test")
        cls.names = NameServer()
        cls.peers = {}
        certificates = {"good": good, "idle": good, "wrong": other, "plain": None, "testing": None, "evil": other, "redirected": None,
                        "unnamed": make_certificate("mx.unnamed.test")}
        for number, (domain, file) in enumerate(certificates.items(), start=20):
            cls.names.add(f"{domain}.test", "MX", f"10 mx.{domain}.test.")
            cls.names.add(f"mx.{domain}.test", "A", f"127.0.0.{number}")
            cls.names.txt(f"_mta-sts.{domain}.test", "v=STSv1; id=1;")
            cls.names.add(f"mta-sts.{domain}.test", "A", "127.0.0.1")
            cls.peers[domain] = MailServer(f"127.0.0.{number}", cls.port, file)
        cls.names.txt("_smtp._tls.wrong.test", "v=TLSRPTv1; rua=mailto:tls@reports.test")
        cls.names.add("reports.test", "MX", "10 mx.reports.test.")
        cls.names.add("mx.reports.test", "A", "127.0.0.40")
        cls.peers["reports"] = MailServer("127.0.0.40", cls.port, None)
        cls.web = WebServer(make_certificate(*[f"mta-sts.{domain}.test" for domain in cls.peers if domain != "evil"]))
        cls.https = cls.web.server_address[1]
        pages = {"good": ("enforce", "mx.good.test"), "idle": ("testing", "mx.idle.test"), "wrong": ("enforce", "mx.wrong.test"), "plain": ("enforce", "*.plain.test"),
                 "testing": ("testing", "mx.elsewhere.test"), "evil": ("enforce", "mx.evil.test"),
                 "unnamed": ("enforce", "mx.elsewhere.test")}
        cls.web.pages = {f"mta-sts.{domain}.test": POLICY.format(mode=mode, host=host) for domain, (mode, host) in pages.items()}
        cls.web.pages["mta-sts.redirected.test"] = 302
        cls.own_port = support.free_ports(1)[0]
        rsa = make_certificate("mx.example.test", key=("rsa:2048",), label="-rsa")
        cls.server = support.Server(settings=[
            'queue.retry=["1s"]', f'dns.server="127.0.0.1:{cls.names.port}"', f"relay.port={cls.port}", f"relay.https_port={cls.https}",
            'server.hostname="mx.example.test"', f"mta_sts.port={cls.own_port}", 'mta_sts.address="127.0.0.1"', 'mta_sts.mode="enforce"',
            f'tls.more_certificates=["{make_certificate("mta-sts.example.test")}", "{rsa}"]'])
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def send(self, domain, head="", subject="x"):
        with self.server.submission() as client:
            client.sendmail(ALICE, [f"bob@{domain}.test"], f"{head}Subject: {subject}\r\n\r\nhello\r\n")

    def story(self, domain):
        return self.server.mailctl("trace", f"bob@{domain}.test", "--limit", "1").stdout

    def wait_for(self, domain, text):
        support.wait_until(lambda: text in self.story(domain), f"{text} of {domain}\n{self.story(domain)}")

    def test_a_good_certificate_gets_mail_and_the_trace_says_why(self):
        self.send("good")
        self.wait_for("good", "handed over")
        self.assertIn("certificate verified (MTA-STS: the policy names mx.good.test)", self.story("good"))
        self.assertEqual(1, len(self.peers["good"].messages))

    def change(self, file, statement):
        """While the server does not run."""
        self.server.stop()
        database = sqlite3.connect(os.path.join(self.server.folder, "state", file))
        database.execute(statement)
        database.commit()
        database.close()
        self.server.start()

    def test_the_policy_of_an_idle_domain_is_fetched_before_it_ends(self):
        page = "mta-sts.idle.test/.well-known/mta-sts.txt"
        self.send("idle")
        self.wait_for("idle", "handed over")
        self.assertEqual(1, self.web.asked.count(page))
        self.change("tls.db", "UPDATE policy SET fetched = fetched - 700000 WHERE domain = 'idle.test'")
        support.wait_until(lambda: self.web.asked.count(page) == 2, "the policy is fetched anew")

    def test_a_wrong_certificate_gets_no_mail(self):
        self.send("wrong")
        self.wait_for("wrong", "The certificate of mx.wrong.test is not the one that it must have: hostname mismatch")
        self.assertIn("MTA-STS", self.server.mailctl("queue", "show", "bob@wrong.test", check=False).stdout + self.story("wrong"))
        self.assertEqual([], self.peers["wrong"].messages)

    def test_a_server_whose_tls_was_stripped_gets_no_mail(self):
        self.send("plain")
        self.wait_for("plain", "mx.plain.test offers no TLS")
        self.assertEqual([], self.peers["plain"].messages)
        self.send("plain", "TLS-Required: No\r\n", "waived")
        support.wait_until(lambda: self.peers["plain"].messages, "what waives TLS has come")
        self.assertEqual(1, len(self.peers["plain"].messages))
        self.assertIn(b"Subject: waived", self.peers["plain"].messages[0])

    def test_a_host_that_the_policy_does_not_name_is_not_even_asked(self):
        self.send("unnamed")
        self.wait_for("unnamed", "MTA-STS: the policy does not name mx.unnamed.test")
        self.assertEqual([], self.peers["unnamed"].messages)

    def test_testing_is_not_enforced(self):
        self.send("testing")
        self.wait_for("testing", "handed over")

    def test_a_policy_from_a_web_server_without_a_good_certificate_is_none(self):
        self.send("evil")
        self.wait_for("evil", "handed over")
        self.assertIn("event=mta_sts_failed domain=evil.test", self.server.log("mta"))

    def test_redirects_are_not_followed(self):
        self.send("redirected")
        self.wait_for("redirected", "handed over")
        self.assertNotIn("mta-sts.redirected.test/elsewhere", self.web.asked)

    def test_the_day_is_reported_to_who_asks(self):
        self.send("wrong", subject="reported")
        self.wait_for("wrong", "The certificate of mx.wrong.test")
        self.change("tls.db", "UPDATE OR REPLACE result SET day = day - 1")
        reports = self.peers["reports"].messages
        support.wait_until(lambda: reports, "the report has come\n" + self.server.log("mta")[-3000:])
        head, body = reports[0].split(b"\r\n\r\n", 1)
        self.assertIn(b"TLS-Report-Domain: wrong.test", head)
        self.assertIn(b"DKIM-Signature:", head)
        self.assertIn(b"report-type=\"tlsrpt\"", head)
        attached = email.message_from_bytes(reports[0]).get_payload()[1]
        self.assertEqual("application/tlsrpt+gzip", attached.get_content_type())
        report = json.loads(gzip.decompress(attached.get_payload(decode=True)))
        policy = report["policies"][0]
        self.assertEqual("sts", policy["policy"]["policy-type"])
        self.assertEqual(["mx.wrong.test"], policy["policy"]["mx-host"])
        self.assertEqual("certificate-host-mismatch", policy["failure-details"][0]["result-type"])
        yesterday = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1)
        self.assertEqual(f"{yesterday}T00:00:00Z", report["date-range"]["start-datetime"])

    def ask(self, request, name="mta-sts.example.test"):
        context = ssl.create_default_context(cafile=path("ca.pem"))
        with socket.create_connection(("127.0.0.1", self.own_port)) as plain:
            with context.wrap_socket(plain, server_hostname=name) as client:
                client.sendall(request)
                answer = b""
                for piece in iter(lambda: client.recv(10_000), b""):
                    answer += piece
                return answer

    def test_our_own_policy_is_served(self):
        answer = self.ask(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.test\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertTrue(answer.endswith(b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.test\r\nmax_age: 604800\r\n"), answer)
        for request, status in ((b"GET / HTTP/1.1\r\nHost: mta-sts.example.test\r\n\r\n", b"404"),
                                (b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.elsewhere.test\r\n\r\n", b"404"),
                                (b"POST /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.test\r\n\r\n", b"405"),
                                (b"nonsense\r\n\r\n", b"400"), (b"GET " + b"x" * 20_000, b"400")):
            self.assertEqual(status, self.ask(request)[9:12], request[:50])

    def test_certificates_go_by_name_and_kind_of_key(self):
        for name, algorithms, kind in (("mta-sts.example.test", "ECDSA+SHA256", "id-ecPublicKey"),
                                       ("mx.example.test", "RSA-PSS+SHA256", "rsaEncryption"),
                                       ("mx.example.test", "ECDSA+SHA256", None)):
            result = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.own_port}", "-servername", name, "-sigalgs", algorithms,
                         "-CAfile", path("ca.pem"), "-verify_hostname", name)
            if kind is None:
                self.assertNotIn("Verify return code: 0 (ok)", result.text)
                continue
            self.assertIn("Verify return code: 0 (ok)", result.text)

    def test_the_records_are_printed_and_checked(self):
        records = self.server.mailctl("dns", "example.test").stdout
        self.assertRegex(records, r'_mta-sts\.example\.test\. IN TXT "v=STSv1; id=[0-9a-f]{32}"')
        self.assertIn("mta-sts.example.test. IN CNAME mx.example.test.", records)
        found = self.server.mailctl("dns", "check", "example.test", check=False).stdout
        self.assertIn("has no record that can be used, so others do not look for the policy", found)
        self.assertNotIn("No certificate of this server is good for mta-sts.example.test", found)


if __name__ == "__main__":
    support.main()
