"""Two servers that forward to each other: senders are rewritten, reports come back, and circles end."""

import smtplib
import unittest

import support
from support import ALICE, ok

CAROL = "carol@second.test"


class ForwardTest(unittest.TestCase):
    """example.test and second.test, each of which knows the way to the other."""

    @classmethod
    def setUpClass(cls):
        settings = ('queue.retry=["1s"]', "checks.dmarc=off", "checks.spf=off")
        cls.first = support.Server(settings=settings)
        cls.second = support.Server(users=(CAROL,), settings=settings)
        cls.first.arguments += ["--route", f"second.test=127.0.0.1:{cls.second.ports['smtp']}"]
        for domain in ("example.test", "far.test"):
            cls.second.arguments += ["--route", f"{domain}=127.0.0.1:{cls.first.ports['smtp']}"]
        for server in (cls.first, cls.second):
            cls.addClassCleanup(server.close)
            server.start()
        # A sender who lives on the second server, and writes to the first.
        cls.first.mailctl("alias", "set", "away@example.test", CAROL)
        cls.first.mailctl("alias", "set", "gone@example.test", "nobody@second.test")
        cls.first.mailctl("alias", "set", "circle@example.test", "circle@second.test")
        cls.second.mailctl("alias", "set", "circle@second.test", "circle@example.test")

    def texts(self, server, user):
        with server.imap(user, mailbox="INBOX") as client:
            numbers = ok(client.search(None, "ALL"))[0].split()
            return [ok(client.fetch(number.decode(), "BODY.PEEK[]"))[0][1].decode() for number in numbers]

    def mail_with(self, server, user, word):
        def found():
            return [text for text in self.texts(server, user) if word in text]
        return support.wait_until(found, f"{user} has no mail with {word}\n{server.logs()}")[0]

    def test_forwarded_mail_leaves_in_a_name_of_ours(self):
        self.first.deliver("away@example.test", "forwarded", sender="dave@far.test")
        text = self.mail_with(self.second, CAROL, "forwarded")
        self.assertRegex(text, r"Return-Path: <SRS0=\w{6}=\w\w=far\.test=dave@example\.test>")
        self.assertIn("Delivered-To: away@example.test\r\n", text)

    def test_a_report_about_it_reaches_the_sender(self):
        # The sender is a user of the second server, so that the report has a way back by way of the first.
        self.first.deliver("away@example.test", "with a way back", sender=CAROL)
        text = self.mail_with(self.second, CAROL, "with a way back")
        rewritten = text.split("Return-Path: <")[1].split(">")[0]
        with self.first.smtp() as client:
            client.sendmail("", [rewritten], b"Subject: it failed\r\n\r\nreport\r\n")
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail("spam@far.test", [rewritten], b"Subject: spam\r\n\r\nx\r\n")
        self.assertEqual(550, refused.exception.recipients[rewritten][0])
        self.mail_with(self.second, CAROL, "it failed")

    def test_a_circle_ends_with_a_report(self):
        with self.first.submission(ALICE) as client:
            client.sendmail(ALICE, ["circle@example.test"], f"From: {ALICE}\r\nSubject: round\r\n\r\nx\r\n".encode())
        report = self.mail_with(self.first, ALICE, "5.4.6")
        self.assertIn("circle@example.test", report)


if __name__ == "__main__":
    support.main()
