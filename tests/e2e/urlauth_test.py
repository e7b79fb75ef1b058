"""What was appended by IMAP is sent by submission without being sent there again: GENURLAUTH, BURL, URLFETCH (RFC 4467, 4468)."""

import imaplib
import re
import smtplib

import support
from support import ALICE, BOB, ok

for command in ("GENURLAUTH", "URLFETCH", "RESETKEY"):
    imaplib.Commands[command] = ("AUTH", "SELECTED")


class BurlTest(support.ServerTest):
    settings = ('server.hostname="mail.example.test"', 'imap.url_hosts=["imap.example.test"]')

    def draft(self, text, user=ALICE):
        """The UID of a message in Drafts."""
        with self.server.imap(user) as client:
            data = ok(client.append("Drafts", r"(\Draft)", None, text))[0]
            return re.search(rb"APPENDUID \d+ (\d+)", data)[1].decode()

    def authorized(self, path, access, user=ALICE):
        with self.server.imap(user) as client:
            rump = f"imap://{user.replace('@', '%40')}@mail.example.test/{path};URLAUTH={access.replace('@', '%40')}"
            status, _ = client._simple_command("GENURLAUTH", f'"{rump}"', "INTERNAL")
            self.assertEqual("OK", status)
            return client.response("GENURLAUTH")[1][0].decode().strip('"')

    def burl(self, *parts, user=ALICE, to=BOB):
        """The answers to BURL for URLs and BDAT for octets, the last one with LAST."""
        client = self.server.submission(user)
        self.addCleanup(client.close)
        client.ehlo()
        self.assertEqual(f"imap imap://mail.example.test", client.esmtp_features["burl"])
        self.assertEqual(250, client.mail(user)[0])
        self.assertEqual(250, client.rcpt(to)[0])
        answers = []
        for number, part in enumerate(parts, 1):
            last = " LAST" if number == len(parts) else ""
            if isinstance(part, str):
                client.putcmd("BURL", part + last)
            else:
                client.send(b"BDAT %d%s\r\n%s" % (len(part), last.encode(), part))
            answers.append(client.getreply())
        return answers

    def received(self, subject, user=BOB):
        uid = self.wait_for_mail(subject, user)
        with self.server.imap(user, mailbox="INBOX") as client:
            return ok(client.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]

    def test_a_draft_is_delivered_octet_by_octet(self):
        text = (f"From: {ALICE}\r\nTo: {BOB}\r\nSubject: by BURL\r\nMessage-ID: <burl@example.test>\r\nDate: Mon, 23 Nov 2026 08:15:00 "
                "+0000\r\n\r\n.\r\n..dots\r\n" + "".join(f"line {n} {'x' * (n % 60)}\r\n" for n in range(30_000))).encode()
        uid = self.draft(text)
        for url in (self.authorized(f"Drafts/;UID={uid}", f"submit+{ALICE}"),
                    f"imap://{ALICE.replace('@', '%40')}@imap.example.test/Drafts/;UID={uid}"):
            self.assertEqual(250, self.burl(url)[0][0])
            self.assertTrue(self.received("by BURL").endswith(text))
            with self.server.imap(BOB, mailbox="INBOX") as client:
                ok(client.store("1:*", "+FLAGS", r"\Deleted"))
                ok(client.expunge())

    def test_an_attachment_is_forwarded_without_a_download(self):
        attachment = b"attached " * 20_000
        self.server.deliver(ALICE, "with attachment", "")
        whole = (b"Subject: holds it\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
                 b"Content-Type: application/x-it\r\n\r\n" + attachment + b"\r\n--b--\r\n")
        uid = self.draft(whole)
        head = (f"From: {ALICE}\r\nSubject: forwarded by BURL\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
                "--c\r\n\r\nsee below\r\n--c\r\n").encode()
        path = f"Drafts/;UID={uid}/;SECTION="
        answers = self.burl(head, self.authorized(path + "2.MIME", f"submit+{ALICE}"),
                            self.authorized(path + "2", f"submit+{ALICE}"), b"\r\n--c--\r\n")
        self.assertEqual([250] * 4, [code for code, _ in answers])
        self.assertTrue(self.received("forwarded by BURL").endswith(
            b"--c\r\nContent-Type: application/x-it\r\n\r\n" + attachment + b"\r\n--c--\r\n"))

    def test_a_url_is_for_the_one_who_submits(self):
        uid = self.draft(f"From: {ALICE}\r\nSubject: private\r\n\r\nnot yours\r\n".encode())
        url = self.authorized(f"Drafts/;UID={uid}", f"submit+{ALICE}")
        self.assertEqual(554, self.burl(url, user=BOB, to=BOB)[0][0])
        with self.server.imap(BOB) as client:
            client._simple_command("URLFETCH", f'"{url}"')
            self.assertTrue(client.response("URLFETCH")[1][0].endswith(b" NIL"))
        with self.server.imap(ALICE) as client:
            self.assertEqual("OK", client._simple_command("RESETKEY", "Drafts")[0])
        self.assertEqual((554, b"5.6.6 the URL names nothing that you may send"), self.burl(url)[0])

    def test_who_has_the_url_reads_by_imap(self):
        uid = self.draft(b"Subject: shown\r\n\r\nfor all users\r\n")
        url = self.authorized(f"Drafts/;UID={uid}/;SECTION=TEXT", "authuser")
        with self.server.imap(BOB) as client:
            client._simple_command("URLFETCH", f'"{url}"')
            self.assertEqual(b"for all users\r\n", client.response("URLFETCH")[1][0][1])


if __name__ == "__main__":
    support.main()
