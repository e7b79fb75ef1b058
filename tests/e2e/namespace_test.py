"""What needs a network and file systems of its own: a client that does not come from the loopback, and a disk that is full.

The test runs itself again in namespaces that it makes (unshare), as root or as an ordinary user.
"""

import imaplib
import os
import smtplib
import subprocess
import sys
import tempfile
import unittest

import support
from support import ALICE, PASSWORD, ok

INSIDE = "POSTRIDER_TEST_NAMESPACE"
# An address for documentation (RFC 5737); on the namespace's only interface, so that clients come from it too.
ELSEWHERE = "203.0.113.1"


class RemoteClientTest(support.ServerTest):
    """Passwords in clear are taken from within the machine only."""

    @classmethod
    def setUpClass(cls):
        cls.server = support.Server(host=ELSEWHERE)
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def test_submission_takes_a_password_under_tls_only(self):
        with self.server.smtp("submission") as client:
            client.ehlo()
            self.assertEqual("SCRAM-SHA-256", client.esmtp_features["auth"].strip())
            for mechanism in ("PLAIN", "LOGIN"):
                code, text = client.docmd("AUTH", mechanism)
                self.assertEqual((538, b"5.7.11"), (code, text[:6]))
            client.starttls(context=support.any_certificate())
            client.ehlo()
            self.assertIn("PLAIN", client.esmtp_features["auth"])
            client.login(ALICE, PASSWORD)
            client.sendmail(ALICE, [ALICE], "Subject: from elsewhere\r\n\r\nhello\r\n")
        with self.server.imap(tls=True) as client:
            ok(client.select())
            support.wait_until(lambda: client.noop() and ok(client.search(None, "SUBJECT", '"from elsewhere"'))[0], "it arrives")

    def test_imap_takes_a_password_under_tls_only(self):
        client = imaplib.IMAP4(self.server.host, self.server.ports["imap"], timeout=support.PATIENCE)
        self.assertIn("LOGINDISABLED", client.capabilities)
        self.assertNotIn("AUTH=PLAIN", client.capabilities)
        self.assertIn("AUTH=SCRAM-SHA-256", client.capabilities)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "PRIVACYREQUIRED"):
            client.login(ALICE, PASSWORD)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "PRIVACYREQUIRED"):
            client.authenticate("PLAIN", lambda _: b"\0" + ALICE.encode() + b"\0" + PASSWORD.encode())
        client.starttls(support.any_certificate())
        self.assertNotIn("LOGINDISABLED", client.capabilities)
        client.login(ALICE, PASSWORD)
        client.logout()


class FullDiskTest(unittest.TestCase):
    """A disk with nothing left: what is refused, and that all goes on when there is room again."""

    def setUp(self):
        self.disk = tempfile.mkdtemp(prefix="postrider-disk-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", self.disk], check=True)
        self.addCleanup(os.rmdir, self.disk)
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)
        before, tempfile.tempdir = tempfile.tempdir, self.disk
        self.server = support.Server(host=ELSEWHERE, settings=['queue.retry=["1s"]'])  # what the full disk puts off
        tempfile.tempdir = before
        self.addCleanup(self.server.close)
        self.server.start()

    def test_a_disk_that_takes_no_writes_is_said_in_words(self):
        self.assertEqual(250, self.send(1, 2_000)[0])
        self.server.stop()
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        try:
            for daemon in ("mta", "imapd"):
                result = support.run(os.path.join(support.PROGRAMS, daemon, daemon), "--config",
                                     os.path.join(self.server.folder, "config.toml"))
                self.assertEqual(1, result.returncode, result.text)
                self.assertIn("Read-only file system", result.stderr)
                self.assertIn(self.server.folder, result.stderr)
        finally:
            subprocess.run(["mount", "-o", "remount,rw", self.disk], check=True)
        self.server.start()
        self.assertEqual(250, self.send(2, 2_000)[0])
        with self.server.imap(tls=True, mailbox="INBOX") as client:
            support.wait_until(lambda: client.noop() and len(ok(client.search(None, "ALL"))[0].split()) == 2, "both are there")

    def fill(self):
        with open(os.path.join(self.disk, "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
            except OSError:
                pass
            try:
                while True:
                    file.write(b"\0")
            except OSError:
                pass

    def make_room(self):
        os.unlink(os.path.join(self.disk, "filler"))

    def send(self, number, size):
        text = f"Subject: number {number:03}\r\n\r\n".encode() + os.urandom(size // 2).hex("\n", 32).replace("\n", "\r\n").encode()
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test")
            code, answer = client.rcpt(ALICE)
            if code != 250:
                return code, answer
            return client.data(text)

    def test_mail_is_put_off_and_what_got_its_250_is_there(self):
        accepted = [number for number in range(20) if self.send(number, 20_000)[0] == 250]
        self.assertEqual(20, len(accepted))
        self.fill()
        refusals = 0
        for number, size in enumerate([2_000_000, 700_000] + [2_000] * 60, 100):
            code, answer = self.send(number, size)
            if code == 250:
                accepted.append(number)  # there was room in what the files had already
                continue
            self.assertEqual((452, b"4.3.1"), (code, answer[:5]))
            refusals += 1
        self.assertGreater(refusals, 2)
        self.make_room()
        self.assertEqual(250, self.send(200, 2_000_000)[0])
        accepted.append(200)
        with self.server.imap(tls=True, mailbox="INBOX") as client:
            support.wait_until(lambda: client.noop() and len(ok(client.search(None, "ALL"))[0].split()) >= len(accepted),
                               "everything that was accepted is in the mailbox")
            for number in accepted:
                self.assertEqual(1, len(ok(client.search(None, "SUBJECT", f'"number {number:03}"'))[0].split()), number)

    def test_imap_says_no_and_goes_on(self):
        self.assertEqual(250, self.send(1, 2_000)[0])
        with self.server.imap(tls=True, mailbox="INBOX") as client:
            support.wait_until(lambda: client.noop() and ok(client.search(None, "ALL"))[0], "it arrives")
            self.fill()
            status, text = client.append("INBOX", "", None, b"Subject: x\r\n\r\n" + b"y" * 1_000_000)
            self.assertEqual("NO", status, text)
            self.assertIn(b"full", text[0])
            # Reading needs no room.
            self.assertIn(b"number 001", ok(client.fetch("1", "BODY.PEEK[HEADER]"))[0][1])
            self.make_room()
            ok(client.append("INBOX", "", None, b"Subject: x\r\n\r\n" + b"y" * 1_000_000))
            ok(client.store("1", "+FLAGS", r"\Flagged"))
            self.assertEqual(b"1", ok(client.search(None, "FLAGGED"))[0])


if __name__ == "__main__":
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo"], check=True)
        support.main()
    else:
        user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *user, "--net", "--mount", sys.executable, "-W", "ignore", *sys.argv]
        os.execvpe("unshare", command, {**os.environ, INSIDE: "1"})
