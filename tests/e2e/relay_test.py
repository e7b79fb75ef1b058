"""Mail to another site: Debian's Postfix takes it, over TLS, or is down when it comes."""

import email
import email.policy
import os
import re
import signal
import unittest

import postfix
import support
from support import ALICE, PASSWORD

RETRY = ['queue.retry=["1s"]', 'server.hostname="mx.example.test"']


class RelayTest(unittest.TestCase):

    def site(self, **options):
        """A Postfix that is not started, and our server with a route to it."""
        remote = postfix.Postfix(**options)
        self.addCleanup(remote.close)
        server = support.Server(settings=RETRY, routes=[f"remote.test={remote.route}"])
        self.addCleanup(server.close)
        server.start()
        return remote, server

    def arrived(self, remote, count):
        support.wait_until(lambda: len(remote.messages()) >= count, f"{count} messages are there\n{remote.log()[-3000:]}")
        return remote.messages()

    def test_mail_of_every_kind_arrives_unchanged_over_tls(self):
        remote, server = self.site()
        remote.start()
        bodies = {
            "plain": b"hello\r\n.\r\n..\r\n.two dots\r\nend\r\n",
            "eight-bit": "grüße\r\n".encode(),
            "no line end": b"end",
            "large": b"0123456789abcdef" * 60 + b"\r\n" + b"x" * 70 + b"\r\n" * 20_000,
        }
        with server.submission() as client:
            for subject, body in bodies.items():
                client.sendmail(ALICE, ["bob@remote.test"], f"Subject: {subject}\r\n\r\n".encode() + body,
                                mail_options=["BODY=8BITMIME"])
        for octets in self.arrived(remote, len(bodies)):
            head, body = octets.split(b"\n\n", 1)
            message = email.message_from_bytes(head + b"\n\n", policy=email.policy.default)
            sent = bodies[message["Subject"]].replace(b"\r\n", b"\n")
            self.assertEqual(sent.rstrip(b"\n"), body.rstrip(b"\n"), message["Subject"])
            first = message.get_all("Received")[0]
            self.assertRegex(first, r"from mx\.example\.test .*using TLSv1\.3")

    def test_many_messages_share_few_connections(self):
        remote, server = self.site()
        remote.start()
        with server.submission() as client:
            for number in range(150):
                client.sendmail(ALICE, ["bob@remote.test"], f"Subject: {number}\r\n\r\nhello\r\n")
        subjects = sorted(int(re.search(rb"^Subject: (\d+)", octets, re.M).group(1)) for octets in self.arrived(remote, 150))
        self.assertEqual(list(range(150)), subjects)
        self.assertLessEqual(remote.connections(), 12)

    def test_a_refusal_comes_back_as_a_report(self):
        remote, server = self.site()
        remote.start()
        with server.submission() as client:
            client.sendmail(ALICE, ["bob@remote.test", "bob@elsewhere.remote.test"], "Subject: x\r\n\r\nhello\r\n")
        self.arrived(remote, 1)
        with server.imap(ALICE, mailbox="INBOX") as client:
            support.wait_until(lambda: client.noop() and support.ok(client.search(None, "ALL"))[0], "the report is there")
            data = support.ok(client.fetch("1", "(BODY.PEEK[])"))
        self.assertIn(b"bob@elsewhere.remote.test", data[0][1])

    def test_mail_for_a_site_that_is_down_survives_a_crash_and_arrives_once(self):
        remote, server = self.site()
        swaks = support.run("swaks", "--server", server.host, "--port", str(server.ports["submission"]), "--tls",
                            "--auth-user", ALICE, "--auth-password", PASSWORD, "--from", ALICE, "--to", "bob@remote.test",
                            "--header", "Subject: patience")
        self.assertEqual(0, swaks.returncode, swaks.text)
        self.assertRegex(swaks.text, r"<~\s+250 2\.0\.0")
        support.wait_until(lambda: "Connection refused" in server.log("mta"), "it was tried\n" + server.logs())
        for daemon in ("mta", "imapd"):
            os.kill(server.pid(daemon), signal.SIGKILL)
        server.start()
        support.wait_until(lambda: server.log("mta").rsplit("queue_open", 1)[1].count("Connection refused") >= 2,
                           "it is tried again\n" + server.logs())
        remote.start()
        self.arrived(remote, 1)
        support.wait_until(lambda: "event=delivered" in server.log("mta"), "the queue ends it")
        # Nothing more comes: what would be a second copy were tried within a second.
        with server.submission() as client:
            client.sendmail(ALICE, ["bob@remote.test"], "Subject: behind it\r\n\r\nhello\r\n")
        subjects = sorted(re.search(rb"^Subject: (.*)$", octets, re.M).group(1) for octets in self.arrived(remote, 2))
        self.assertEqual([b"behind it", b"patience"], subjects)

    def test_a_new_route_takes_effect_with_sighup(self):
        remote = postfix.Postfix()
        self.addCleanup(remote.close)
        remote.start()
        server = support.Server(settings=RETRY, routes=["remote.test=127.0.0.1:1"])
        self.addCleanup(server.close)
        server.start()
        with server.submission() as client:
            client.sendmail(ALICE, ["bob@remote.test"], "Subject: rerouted\r\n\r\nhello\r\n")
        support.wait_until(lambda: "Connection refused" in server.log("mta"), "it was tried\n" + server.logs())
        name = os.path.join(server.folder, "config.toml")
        with open(name) as file:
            text = file.read()
        self.assertIn("127.0.0.1:1\"", text)
        with open(name, "w") as file:
            file.write(text.replace("127.0.0.1:1\"", remote.route + "\""))
        os.kill(server.pid("mta"), signal.SIGHUP)
        self.assertIn(b"Subject: rerouted", self.arrived(remote, 1)[0])


if __name__ == "__main__":
    support.main()
