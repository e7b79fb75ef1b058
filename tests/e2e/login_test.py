"""Logins by certificate (EXTERNAL) through both daemons, with certificates that OpenSSL makes."""

import base64
import imaplib
import os
import shutil
import signal
import smtplib
import ssl
import subprocess
import tempfile
import unittest

import support
from support import ALICE, BOB, PASSWORD, ok, run

CAROL = "carol@example.test"


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name):
        self.folder, self.name, self.file = folder, name, os.path.join(folder, f"{name}.pem")
        self.openssl("req", "-x509", *self.key(name), "-days", "30", "-subj", f"/CN={name}", "-out", self.file)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", os.path.join(self.folder, f"{name}.key"))

    def issue(self, name, names, days=30, usage="clientAuth"):
        """A certificate's file, its key behind it."""
        file = os.path.join(self.folder, f"{self.name}-{name}")
        with open(file + ".ext", "w") as extensions:
            extensions.write(f"extendedKeyUsage={usage}\n" + (f"subjectAltName={names}\n" if names else ""))
        self.openssl("req", *self.key(f"{self.name}-{name}"), "-subj", f"/CN={name}/emailAddress={ALICE}", "-out", file + ".csr")
        self.openssl("x509", "-req", "-in", file + ".csr", "-CA", self.file, "-CAkey", os.path.join(self.folder, f"{self.name}.key"),
                     "-CAcreateserial", "-days", str(days), "-extfile", file + ".ext", "-out", file + ".crt")
        with open(file + ".pem", "w") as both:
            for part in (file + ".crt", file + ".key"):
                with open(part) as one:
                    both.write(one.read())
        return file + ".pem"


def client_context(certificate=None, version=None):
    context = support.any_certificate()
    if certificate:
        context.load_cert_chain(certificate)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class ExternalTest(support.ServerTest):
    users = (ALICE, BOB, CAROL)

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="postrider-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.ours, cls.theirs = Authority(cls.folder, "ours"), Authority(cls.folder, "theirs")
        cls.alice = cls.ours.issue("alice", f"email:{ALICE}")
        cls.trusted = os.path.join(cls.folder, "trusted.pem")
        shutil.copy(cls.ours.file, cls.trusted)
        cls.settings = (f'tls.client_ca="{cls.trusted}"',)
        super().setUpClass()

    def imap(self, context, port="imaps"):
        if port == "imaps":
            client = imaplib.IMAP4_SSL(self.server.host, self.server.ports[port], ssl_context=context, timeout=support.PATIENCE)
        else:
            client = imaplib.IMAP4(self.server.host, self.server.ports[port], timeout=support.PATIENCE)
            client.starttls(context)
        self.addCleanup(client.shutdown)
        return client

    def smtp(self, context, port="submission"):
        if port == "submissions":
            client = smtplib.SMTP_SSL(self.server.host, self.server.ports[port], local_hostname="client.example",
                                      timeout=support.PATIENCE, context=context)
        else:
            client = self.server.smtp(port)
            client.starttls(context=context)
        self.addCleanup(client.close)
        client.ehlo()
        return client

    def smtp_login(self, client, name=""):
        return client.auth("EXTERNAL", lambda challenge=None: name, initial_response_ok=bool(name))

    def imap_login(self, client, name=""):
        return client.authenticate("EXTERNAL", lambda challenge: name.encode())

    def offered(self, context):
        """Where EXTERNAL is."""
        found = {port for port in ("imap", "imaps") if "AUTH=EXTERNAL" in self.imap(context, port).capabilities}
        return found | {port for port in ("submission", "submissions")
                        if "EXTERNAL" in self.smtp(context, port).esmtp_features["auth"].split()}

    def test_a_certificate_logs_in_on_every_port(self):
        context = client_context(self.alice)
        for port in ("imap", "imaps"):
            client = self.imap(context, port)
            self.assertEqual("OK", self.imap_login(client)[0])
            ok(client.select("INBOX"))
        for port in ("submission", "submissions"):
            client = self.smtp(context, port)
            self.assertEqual(235, self.smtp_login(client)[0])
            client.sendmail(ALICE, [BOB], f"Subject: by certificate on {port}\r\n\r\nhello\r\n")
            with self.assertRaises(smtplib.SMTPSenderRefused):
                client.sendmail(BOB, [ALICE], "Subject: in another's name\r\n\r\nhello\r\n")
            self.wait_for_mail(f"by certificate on {port}", BOB)

    def test_curl_logs_in(self):
        result = run("curl", "-sS", "--insecure", "--cert", self.alice, "--key", self.alice, "--login-options", "AUTH=EXTERNAL",
                     "--user", f"{ALICE}:", "--url", f"imaps://{self.server.host}:{self.server.ports['imaps']}/", "-X", "MYRIGHTS INBOX")
        self.assertIn("* MYRIGHTS INBOX", result.text)

    def test_who_one_may_be(self):
        both = self.ours.issue("both", f"email:{BOB},DNS:bob.example.test,email:{ALICE}")
        for name, whose in (("", BOB), (BOB, BOB), (ALICE.upper(), ALICE)):
            client = self.imap(client_context(both))
            self.imap_login(client, name)
            self.assertIn(whose.encode(), ok(client.getacl("INBOX"))[0] + repr(ok(client.myrights("INBOX"))).encode())
            self.assertEqual(235, self.smtp_login(self.smtp(client_context(both)), name)[0])

    def refused(self, certificate, name=""):
        """What both daemons say."""
        with self.assertRaises(imaplib.IMAP4.error) as by_imap:
            self.imap_login(self.imap(client_context(certificate)), name)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as by_smtp:
            self.smtp_login(self.smtp(client_context(certificate)), name)
        return str(by_imap.exception), by_smtp.exception.smtp_code, by_smtp.exception.smtp_error

    def test_everybody_else_gets_one_answer(self):
        with self.assertRaises(imaplib.IMAP4.error) as wrong:
            self.server.imap(BOB, "wrong", tls=True)
        answers = {self.refused(self.alice, BOB), self.refused(self.alice, "nobody@example.test"),
                   self.refused(self.ours.issue("nobody", "email:nobody@example.test"))}
        self.server.mailctl("account", "disable", CAROL)
        answers.add(self.refused(self.ours.issue("carol", f"email:{CAROL}")))
        self.assertEqual({(str(wrong.exception).strip("b'"), 535, b"5.7.8 user name or password is wrong")}, answers)
        self.assertIn(f"login_failed", self.server.log("imapd"))
        self.assertIn(f"user={CAROL}", self.server.log("mta"))

    def test_certificates_that_count_for_nothing_break_nothing(self):
        own = Authority(self.folder, "alone")
        with open(own.file, "a") as both, open(os.path.join(self.folder, "alone.key")) as key:
            both.write(key.read())
        for what, certificate in {"none": None, "another authority": self.theirs.issue("alice", f"email:{ALICE}"),
                                  "expired": self.ours.issue("expired", f"email:{ALICE}", days=-1),
                                  "for servers": self.ours.issue("server", f"email:{ALICE}", usage="serverAuth"),
                                  "self-signed": own.file, "no address": self.ours.issue("unnamed", "DNS:alice.example.test"),
                                  "an address in the subject only": self.ours.issue("subject", None)}.items():
            with self.subTest(what):
                context = client_context(certificate)
                self.assertEqual(set(), self.offered(context))
                client = self.imap(context)
                with self.assertRaises(imaplib.IMAP4.error):
                    self.imap_login(client)
                ok(client.login(ALICE, PASSWORD))
                client = self.smtp(context)
                self.assertEqual(504, client.docmd("AUTH", "EXTERNAL =")[0])
                client.login(ALICE, PASSWORD)

    def test_without_tls_there_is_none(self):
        with self.server.smtp("submission") as client:
            client.ehlo()
            self.assertNotIn("EXTERNAL", client.esmtp_features["auth"])
            self.assertEqual(504, client.docmd("AUTH", "EXTERNAL =")[0])
        with imaplib.IMAP4(self.server.host, self.server.ports["imap"]) as client:
            self.assertNotIn("AUTH=EXTERNAL", client.capabilities)

    def test_only_where_users_log_in_a_certificate_is_asked_for(self):
        asked = set()
        for port, protocol in (("smtp", "smtp"), ("submission", "smtp"), ("submissions", ""), ("imap", "imap"), ("imaps", "")):
            result = run("openssl", "s_client", "-connect", f"{self.server.host}:{self.server.ports[port]}",
                         *(("-starttls", protocol) if protocol else ()))
            if "Acceptable client certificate CA names\nCN = ours" in result.text:
                asked.add(port)
            else:
                self.assertIn("No client certificate CA names sent", result.text)
        self.assertEqual({"submission", "submissions", "imap", "imaps"}, asked)
        with self.server.smtp() as client:
            client.starttls(context=client_context(self.alice))
            client.ehlo()
            self.assertNotIn("auth", client.esmtp_features)

    def test_a_session_with_a_certificate_is_not_resumed(self):
        def connect(context, session):
            with support.socket.create_connection((self.server.host, self.server.ports["imaps"]), support.PATIENCE) as plain:
                with context.wrap_socket(plain, session=session) as tls:
                    greeting = tls.recv(1 << 16)
                    return tls.session, tls.session_reused, b"AUTH=EXTERNAL" in greeting
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = client_context(self.alice, version)
                session, reused, external = connect(context, None)
                self.assertTrue(session.has_ticket and external and not reused)
                self.assertEqual((False, True), connect(context, session)[1:])
                context = client_context(None, version)
                session, reused, external = connect(context, None)
                self.assertEqual((True, False), connect(context, session)[1:], "others are")

    def test_zz_a_reload_takes_the_new_authorities(self):
        context = client_context(self.alice)
        held = self.imap(context)
        self.assertEqual({"imap", "imaps", "submission", "submissions"}, self.offered(context))
        shutil.copy(self.theirs.file, self.trusted)
        for daemon in ("mta", "imapd"):
            os.kill(self.server.pid(daemon), signal.SIGHUP)
        support.wait_until(lambda: self.offered(context) == set(), "the old authority is still trusted")
        self.assertEqual("OK", self.imap_login(held)[0], "what was verified stays so for its connection")
        shutil.copy(self.ours.file, self.trusted)
        for daemon in ("mta", "imapd"):
            os.kill(self.server.pid(daemon), signal.SIGHUP)
        support.wait_until(lambda: len(self.offered(context)) == 4, "the authority is not trusted again")


if __name__ == "__main__":
    support.main()
