"""What strangers may try on mta, and on both daemons at once: mail that wants memory and time, connections that want descriptors,
databases that somebody else holds, and secrets that must not be in a log. docs/hostile.md names the tests case by case."""

import base64
import contextlib
import imaplib
import json
import os
import signal
import smtplib
import socket
import sqlite3
import statistics
import threading
import time
import unittest

import support
from queue_test import FarServer, FarSession
from support import ALICE, BOB, PASSWORD, ok, wait_until


def peak_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@contextlib.contextmanager
def bounded(test, daemons, kib, seconds):
    """What is done within costs no daemon more than so much memory, and no longer."""
    before = {}
    for daemon in daemons:
        pid = test.server.pid(daemon)
        with open(f"/proc/{pid}/clear_refs", "w") as file:
            file.write("5")  # the peak is what it is now
        before[daemon] = pid, peak_kib(pid)
    began = time.monotonic()
    yield
    test.assertLess(time.monotonic() - began, seconds)
    for daemon, (pid, start) in before.items():
        test.assertEqual(pid, test.server.pid(daemon), f"{daemon} is another process")
        test.assertLess(peak_kib(pid) - start, kib + (support.KEPT_MEMORY << 10), f"{daemon} grew")


def folded(octets):
    """A header value of that many octets in lines that are none too long."""
    return b"\r\n ".join([b"x" * 70] * (octets // 73))


class HostileMailTest(support.ServerTest):
    """Mail that was made to cost much: taken, kept octet for octet, and shown, in bounded memory and time."""

    settings = ()

    def send(self, text):
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test")
            client.rcpt(ALICE)
            return client.data(text)[0]

    def test_mail_that_wants_memory_and_time(self):
        nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(10_000))
        messages = {
            "a header field of 20 MB": b"X-Large: " + folded(20_000_000) + b"\r\n\r\nx\r\n",
            "a subject of 5 MB": b"Subject: " + folded(5_000_000) + b"\r\n\r\nx\r\n",
            "300,000 fields": b"".join(b"X-%d: y\r\n" % n for n in range(300_000)) + b"\r\nx\r\n",
            "10,000 nested multiparts": nested,
            "1,000 messages in each other": b"Content-Type: message/rfc822\r\n\r\n" * 1_000,
            "100,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 100_000,
            "100,000 addresses": b"To: " + b",\r\n ".join(b"a%d@x.example" % n for n in range(100_000)) + b"\r\n\r\nx\r\n",
            "a group without end": b"To: group: " + b",\r\n ".join(b"a%d@x.example" % n for n in range(50_000)) + b"\r\n\r\nx\r\n",
            "a parameter in 100,000 pieces": b"Content-Type: text/plain" + b"".join(b";\r\n name*%d=a" % n for n in range(100_000))
                                             + b"\r\n\r\nx\r\n",
            "comments a million deep": b"To: " + b"\r\n ".join([b"(" * 900] * 1_200) + b"\r\n\r\nx\r\n",
            "a comment that ends in a backslash": b"To: a@x.example (\\\r\n\r\nx\r\n",
            "encoded words": b"Subject: " + b"\r\n ".join([b"=?iso-2022-jp?b?GyRC?= =?utf-7?q?+?= =?utf-8?q?=C3?="] * 20_000)
                             + b"\r\n\r\nx\r\n",
            "a million open tags": b"Content-Type: text/html\r\n\r\n" + b"<b><i><u>\r\n" * 333_334,
            "1,000 signatures": b"".join(b"DKIM-Signature: v=1; a=rsa-sha256; d=d%d.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" % n
                                         for n in range(1_000)) + b"\r\nx\r\n",
            "years that are none": b"Date: Thu, 01 Jan 0000 00:00:00 +0000\r\nDate: 1 Jan 99999 00:00 +9999\r\n\r\nx\r\n",
        }
        for number, (what, text) in enumerate(messages.items(), 1):
            with self.subTest(what), bounded(self, ("mta", "imapd"), 64 << 10, 30):
                self.assertEqual(250, self.send(b"From: carol@elsewhere.test\r\n" + text))
                with self.server.imap(mailbox="INBOX") as client:
                    def there():
                        client.noop()
                        return len(ok(client.search(None, "ALL"))[0].split()) == number
                    wait_until(there, "it arrives")
                    shown = ok(client.fetch(str(number), "(ENVELOPE BODYSTRUCTURE PREVIEW RFC822.SIZE)"))[0]
                    self.assertLess(len(shown if isinstance(shown, bytes) else b"".join(shown)), 4 << 20)
                    ok(client.search(None, "TEXT", "nowhere"))
        with self.server.imap(mailbox="INBOX") as client:
            for number, (what, text) in enumerate(messages.items(), 1):
                got = ok(client.fetch(str(number), "(BODY.PEEK[])"))[0][1]
                self.assertTrue(got.endswith(text), what)

    def test_a_header_that_hides_its_author_is_refused(self):
        for text in (b"X-Large: " + folded(20_000_000), b"".join(b"X-%d: y\r\n" % n for n in range(300_000)) + b"X: y"):
            with bounded(self, ("mta",), 32 << 10, 30):
                self.assertEqual(552, self.send(text + b"\r\nFrom: carol@elsewhere.test\r\n\r\nx\r\n"))

    def test_lines_without_end(self):
        with bounded(self, ("mta",), 32 << 10, 30):
            self.assertEqual(550, self.send(b"x" * (3 << 20)))
            with self.server.smtp() as client:
                client.ehlo()
                client.mail("carol@elsewhere.test")
                client.rcpt(ALICE)
                client.docmd("DATA")
                for _ in range(100):
                    client.send(b"y" * (1 << 20))  # 100 MB, more than is taken of any message
                client.send(b"\r\n.\r\n")
                self.assertIn(client.getreply()[0], (550, 552))
                self.assertEqual(250, client.noop()[0])

    def test_a_report_about_mail_with_odd_ids_is_made(self):
        """Message-IDs and references that are none come back in a report without breaking it."""
        far = FarServer(support.free_ports(1)[0])
        self.addCleanup(far.close)
        far.answers = {"RCPT": "550 5.1.1 <<nobody>>\t\x1b[2J here"}
        self.server.mailctl("alias", "set", "odd@example.test", "bob@far.test")
        with open(os.path.join(self.server.folder, "config.toml"), "a") as file:
            file.write(f'\n[routes]\n"far.test" = "127.0.0.1:{far.server_address[1]}"\n')
        os.kill(self.server.pid("mta"), signal.SIGHUP)
        for n, ids in enumerate((b"<<id>>", b"<>", b"<" * 500, b"<a@b>\r\n\t<c@d>", b"\xff\xfe<x")):
            with self.server.smtp() as client:
                client.ehlo()
                client.mail("bob@example.test")
                client.rcpt("odd@example.test")
                code, text = client.data(b"Message-ID: " + ids + b"\r\nReferences: " + ids + b"\r\nSubject: odd %d\r\n\r\nx\r\n" % n)
                self.assertEqual(250, code, text)
        with self.server.imap(BOB, mailbox="INBOX") as client:
            def reports():
                client.noop()
                return ok(client.search(None, "HEADER", "Content-Type", "multipart/report"))[0].split()
            wait_until(lambda: len(reports()) == 5, "all come back\n" + self.server.logs())
            for number in reports():
                structure = ok(client.fetch(number, "(BODYSTRUCTURE)"))[0]
                self.assertIn(b'"MESSAGE" "DELIVERY-STATUS"', (structure if isinstance(structure, bytes) else b"".join(structure)).upper())
            ok(client.thread("REFERENCES", "UTF-8", "ALL"))


class SecretsTest(support.ServerTest):

    settings = ('log.level="debug"', "login.max_failures=0")

    def test_nothing_secret_is_in_the_log(self):
        app = json.loads(self.server.mailctl("--json", "account", "app-password", "add", ALICE, "phone").stdout)["password"]
        wrong = "wrong staple battery"
        for password in (PASSWORD, app, wrong):
            for mechanism in ("PLAIN", "LOGIN"):
                with self.server.smtp("submission") as client:
                    client.starttls(context=support.any_certificate())
                    client.ehlo()
                    client.user, client.password = ALICE, password
                    try:
                        client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))
                        client.sendmail(ALICE, [BOB], "Subject: signed\r\n\r\nx\r\n")
                    except smtplib.SMTPAuthenticationError:
                        self.assertEqual(wrong, password)
            with contextlib.suppress(imaplib.IMAP4.error):
                self.server.imap(ALICE, password).logout()
            with contextlib.suppress(imaplib.IMAP4.error):
                client = imaplib.IMAP4(self.server.host, self.server.ports["imap"], timeout=support.PATIENCE)
                client.authenticate("PLAIN", lambda _: f"\0{ALICE}\0{password}".encode())
        with self.server.smtp("submission") as client:  # said where a command is expected
            client.ehlo()
            client.docmd("AUTH PLAIN " + base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode(), "more")
            client.docmd(PASSWORD)
        self.wait_for_secret_work()
        logs = self.server.log("mta") + self.server.log("imapd")
        self.assertIn("login_failed", logs)
        secrets = {PASSWORD, app, app.replace("-", ""), wrong}
        for password in (PASSWORD, app, wrong):
            for text in (password, f"\0{ALICE}\0{password}"):
                secrets.add(base64.b64encode(text.encode()).decode().rstrip("="))
        keys = 0
        for folder, _, files in os.walk(os.path.join(self.server.folder, "state")):
            for name in files:
                path = os.path.join(folder, name)
                if name.endswith(".pem") and "PRIVATE KEY" in open(path).read():
                    keys += 1
                    secrets.update(line for line in open(path).read().splitlines() if len(line) > 20 and "---" not in line)
        self.assertGreaterEqual(keys, 3)  # of TLS and two of DKIM
        for secret in secrets:
            self.assertNotIn(secret, logs)

    def wait_for_secret_work(self):
        with self.server.imap(BOB, mailbox="INBOX") as client:
            wait_until(lambda: client.noop() and len(ok(client.search(None, "SUBJECT", "signed"))[0].split()) == 4, "mail was signed")
            self.assertIn(b"DKIM-Signature", ok(client.fetch("1", "(BODY.PEEK[HEADER])"))[0][1])

    def test_an_unknown_user_takes_as_long_as_a_wrong_password(self):
        def smtp(user):
            with self.server.smtp("submission") as client:
                client.starttls(context=support.any_certificate())
                client.ehlo()
                client.user, client.password = user, "wrong"
                began = time.monotonic()
                with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
                    client.auth("PLAIN", client.auth_plain)
                return time.monotonic() - began, refused.exception.args

        def imap(user):
            client = imaplib.IMAP4(self.server.host, self.server.ports["imap"], timeout=support.PATIENCE)
            began = time.monotonic()
            with self.assertRaises(imaplib.IMAP4.error) as refused:
                client.login(user, "wrong")
            took = time.monotonic() - began
            client.shutdown()
            return took, str(refused.exception)

        for attempt in (smtp, imap):
            with self.subTest(attempt.__name__):
                results = {user: [attempt(user) for _ in range(3)] for user in (ALICE, "nobody@example.test", "alice@nowhere.test")}
                self.assertEqual(1, len({answer for rows in results.values() for _, answer in rows}))
                medians = [statistics.median(took for took, _ in rows) for rows in results.values()]
                self.assertGreater(min(medians), 1.9)
                self.assertLess(max(medians) - min(medians), 0.05, "the time tells who is there")


class ManyConnectionsTest(support.ServerTest):

    settings = ("smtp.max_connections_per_address=400", "imap.max_connections_per_address=400", 'smtp.command_timeout="3s"',
                'imap.login_timeout="3s"', 'imap.idle_timeout="3s"')

    def crowd(self, port, count):
        connections = []
        for _ in range(count):
            connection = socket.create_connection((self.server.host, self.server.ports[port]), support.PATIENCE)
            self.addCleanup(connection.close)
            connections.append(connection)
        return connections

    def test_a_thousand_connections_from_one_address(self):
        """Those beyond the limit are told so; the others cost little, and end when they only dawdle."""
        for port, daemon, word, last in (("smtp", "mta", b"220 ", b"421 "), ("imap", "imapd", b"* OK", b"* BYE")):
            with self.subTest(port), bounded(self, (daemon,), 48 << 10, 40):
                crowd = self.crowd(port, 1_000)
                greeted = []
                for connection in crowd:
                    with contextlib.suppress(ConnectionError):
                        if connection.recv(4_096).startswith(word):
                            greeted.append(connection)
                self.assertLessEqual(len(greeted), 400)
                self.assertGreater(len(greeted), 300)
                stop = threading.Event()

                def dawdle():
                    while not stop.wait(0.2):
                        for connection in greeted:
                            with contextlib.suppress(OSError):
                                connection.sendall(b"x")
                dawdling = threading.Thread(target=dawdle)
                dawdling.start()
                began = time.monotonic()
                for connection in greeted:  # each is ended by its deadline, however often it said something
                    text = b""
                    with contextlib.suppress(ConnectionError):
                        while piece := connection.recv(4_096):
                            text += piece
                    self.assertTrue(text.startswith(last) or not text, text)
                stop.set()
                dawdling.join()
                self.assertLess(time.monotonic() - began, 15)
                # Somebody from elsewhere was never kept out.
                with socket.create_connection((self.server.host, self.server.ports[port]), support.PATIENCE, ("127.0.0.2", 0)) as other:
                    self.assertTrue(other.recv(4_096).startswith(word))

    def test_an_idle_that_never_ends_is_ended(self):
        client = self.server.imap(mailbox="INBOX")
        self.addCleanup(client.shutdown)
        client.send(b"i IDLE\r\n")
        self.assertTrue(client.readline().startswith(b"+"))
        began = time.monotonic()
        while not (line := client.readline()).startswith(b"* BYE"):
            self.assertTrue(line, "no word of goodbye")
        self.assertLess(time.monotonic() - began, 15)


class HeldDatabaseTest(unittest.TestCase):
    """Somebody holds a database: nothing is lost, others are served, and it goes on when it is let go."""

    def setUp(self):
        self.server = support.Server((ALICE, BOB))
        self.addCleanup(self.server.close)
        self.server.start()

    @contextlib.contextmanager
    def held(self, path):
        database = sqlite3.connect(path, isolation_level=None, timeout=30)
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            database.rollback()
            database.close()

    def attempt(self, subject, to=ALICE):
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test")
            client.rcpt(to)
            return client.data(f"Subject: {subject}\r\n\r\nx\r\n".encode())

    def subjects(self, user=ALICE):
        with self.server.imap(user, mailbox="INBOX") as client:
            if not ok(client.search(None, "ALL"))[0]:
                return []
            return sorted(part[1].decode().strip().removeprefix("Subject: ") for part in
                          ok(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if isinstance(part, tuple))

    def test_the_queue(self):
        with self.held(os.path.join(self.server.folder, "state/queue.db")):
            began = time.monotonic()
            code, text = self.attempt("too soon")
            self.assertEqual((451, b"4.3.0"), (code, text[:5]))
            self.assertLess(time.monotonic() - began, 30)
            with self.server.imap() as client:
                ok(client.append("INBOX", None, None, b"Subject: by imap\r\n\r\nx\r\n"))
        self.assertEqual(250, self.attempt("in time")[0])
        wait_until(lambda: self.subjects() == ["by imap", "in time"], "what was taken is there, and nothing else")

    def account_file(self, user):
        number = json.loads(self.server.mailctl("--json", "account", "show", user).stdout)["id"]
        for folder, _, files in os.walk(os.path.join(self.server.folder, "state/accounts")):
            if f"{number}.db" in files:
                return os.path.join(folder, f"{number}.db")
        self.fail(f"no file of account {number}")

    def test_an_account(self):
        self.attempt("first")
        wait_until(lambda: self.subjects() == ["first"], "it is there")
        with self.held(self.account_file(ALICE)):
            self.assertEqual(250, self.attempt("waits")[0])
            began = time.monotonic()
            self.assertEqual(250, self.attempt("for bob", BOB)[0])
            wait_until(lambda: self.subjects(BOB) == ["for bob"], "bob does not wait")
            self.assertLess(time.monotonic() - began, 8)
            with self.server.imap(mailbox="INBOX") as client:
                ok(client.fetch("1", "(ENVELOPE)"))  # who reads does not wait
                self.assertEqual("NO", client.store("1", "+FLAGS", r"\Flagged")[0])
                ok(client.noop())
        wait_until(lambda: self.subjects() == ["first", "waits"], "what waited is there")
        with self.server.imap(mailbox="INBOX") as client:
            ok(client.store("1", "+FLAGS", r"\Flagged"))


class KillingServer(FarServer):
    """Has taken the message when mta dies, and mta has not heard of it."""

    def __init__(self, port):
        self.before_reply = lambda: None
        super().__init__(port)
        self.RequestHandlerClass = KillingSession


class KillingSession(FarSession):

    def say(self, line):
        if line.startswith("250 2.0.0 taken"):
            self.server.before_reply()
        super().say(line)


class CrashAfterHandOverTest(unittest.TestCase):

    def test_a_second_copy_and_never_none(self):
        far = KillingServer(support.free_ports(1)[0])
        self.addCleanup(far.close)
        server = support.Server(settings=('queue.retry=["1s"]',), routes=[f"far.test=127.0.0.1:{far.server_address[1]}"])
        self.addCleanup(server.close)
        server.start()
        dead = threading.Event()

        def die():
            far.before_reply = lambda: None
            os.kill(server.pid("mta"), signal.SIGKILL)
            dead.set()
        far.before_reply = die
        with server.submission() as client:
            client.sendmail(ALICE, ["bob@far.test"], "Subject: once at least\r\n\r\nx\r\n")
        self.assertTrue(dead.wait(support.PATIENCE))
        server.start()
        wait_until(lambda: len(far.messages) == 2, "it is handed over again\n" + server.logs())
        wait_until(lambda: not json.loads(server.mailctl("--json", "queue", "list").stdout), "the queue is empty")
        self.assertEqual(2, len(far.messages))


if __name__ == "__main__":
    support.main()
