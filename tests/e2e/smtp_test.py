"""SMTP as swaks, curl and smtplib speak it: inbound, submission, what is refused and how."""

import smtplib
import socket
import ssl
import unittest

import support
from support import ALICE, BOB, PASSWORD, ok, run


class SwaksTest(support.ServerTest):

    def swaks(self, port, *arguments, to=ALICE, sender="carol@elsewhere.test", subject="by swaks"):
        return run("swaks", "--server", self.server.host, "--port", str(self.server.ports[port]), "--from", sender, "--to", to,
                   "--helo", "client.example", "--header", f"Subject: {subject}", "--timeout", "30", *arguments)

    def assert_sent(self, result):
        self.assertEqual(0, result.returncode, result.text)

    def assert_refused(self, result, reply):
        self.assertNotEqual(0, result.returncode, result.text)
        self.assertIn(f"<** {reply}", result.text.replace("<~*", "<**"))

    def login(self, user=ALICE, password=PASSWORD, mechanism="PLAIN"):
        return ["--auth", mechanism, "--auth-user", user, "--auth-password", password]

    def test_plain_inbound(self):
        self.assert_sent(self.swaks("smtp", subject="swaks plain"))
        self.wait_for_mail("swaks plain")

    def test_starttls_inbound(self):
        self.assert_sent(self.swaks("smtp", "--tls", subject="swaks inbound tls"))
        uid = self.wait_for_mail("swaks inbound tls")
        with self.server.imap(mailbox="INBOX") as client:
            header = ok(client.uid("FETCH", uid, "(BODY.PEEK[HEADER])"))[0][1].decode()
        self.assertIn("ESMTPS", header)
        self.assertIn("TLSv1.3", header)
        self.assertTrue(header.startswith("Return-Path: <carol@elsewhere.test>\r\n"), header[:200])

    def test_submission_with_starttls_and_every_mechanism_of_swaks(self):
        for mechanism in ("PLAIN", "LOGIN"):
            subject = f"swaks 587 {mechanism}"
            self.assert_sent(self.swaks("submission", "--tls", *self.login(mechanism=mechanism), to=BOB, sender=ALICE,
                                        subject=subject))
            self.wait_for_mail(subject, BOB)

    def test_submissions(self):
        self.assert_sent(self.swaks("submissions", "--tls-on-connect", *self.login(), to=BOB, sender=ALICE, subject="swaks 465"))
        self.wait_for_mail("swaks 465", BOB)

    def test_wrong_password(self):
        self.assert_refused(self.swaks("submission", "--tls", *self.login(password="wrong"), to=BOB, sender=ALICE), "535 5.7.8")

    def test_login_of_nobody_gets_the_same_answer(self):
        self.assert_refused(self.swaks("submission", "--tls", *self.login("nobody@example.test"), to=BOB, sender=ALICE),
                            "535 5.7.8")

    def test_unknown_user(self):
        self.assert_refused(self.swaks("smtp", to="nobody@example.test"), "550 5.1.1")

    def test_foreign_domain(self):
        self.assert_refused(self.swaks("smtp", to="someone@foreign.test"), "550 5.7.1")

    def test_submission_without_login(self):
        self.assert_refused(self.swaks("submission", "--tls", to=BOB, sender=ALICE), "530 5.7.0")

    def test_sender_of_another_account(self):
        self.assert_refused(self.swaks("submission", "--tls", *self.login(), to=BOB, sender=BOB), "553 5.7.1")


class SmtpTest(support.ServerTest):

    def test_curl_sends(self):
        with support.temporary_folder() as folder:
            path = f"{folder}/mail"
            with open(path, "w", newline="") as file:
                file.write(f"From: {ALICE}\r\nTo: {BOB}\r\nSubject: by curl\r\n\r\nline\r\n.dot\r\n")
            for scheme, port in (("smtps", "submissions"), ("smtp", "submission")):
                result = run("curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--user", f"{ALICE}:{PASSWORD}",
                             "--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", path,
                             f"{scheme}://{self.server.host}:{self.server.ports[port]}/client.example")
                self.assertEqual(0, result.returncode, result.text)
        with self.server.imap(BOB, mailbox="INBOX") as client:
            def both():
                client.noop()
                return ok(client.search(None, "SUBJECT", '"by curl"'))[0].split()[1:]
            number = support.wait_until(both, "both mails are there")[0]
            self.assertTrue(ok(client.fetch(number, "(BODY.PEEK[TEXT])"))[0][1].startswith(b"line\r\n.dot\r\n"))

    def test_several_recipients_one_unknown(self):
        with self.server.smtp() as client:
            refused = client.sendmail("carol@elsewhere.test", [ALICE, "nobody@example.test", BOB],
                                      "Subject: several\r\n\r\nx\r\n")
        self.assertEqual(["nobody@example.test"], list(refused))
        self.assertEqual(550, refused["nobody@example.test"][0])
        self.wait_for_mail("several")
        self.wait_for_mail("several", BOB)

    def test_plus_address_and_postmaster_and_case(self):
        with self.server.smtp() as client:
            client.sendmail("carol@elsewhere.test", ["ALICE+shop@Example.Test"], "Subject: plus\r\n\r\nx\r\n")
            client.sendmail("carol@elsewhere.test", ["postmaster@example.test"], "Subject: to the postmaster\r\n\r\nx\r\n")
        self.wait_for_mail("plus")
        self.wait_for_mail("to the postmaster")

    def test_many_messages_in_one_connection(self):
        with self.server.smtp() as client:
            for number in range(20):
                client.sendmail("carol@elsewhere.test", [BOB], f"Subject: kept {number:02}\r\n\r\nx\r\n")
        self.wait_for_mail("kept 00", BOB)
        self.wait_for_mail("kept 19", BOB)

    def test_extensions(self):
        with self.server.smtp() as client:
            client.ehlo()
            for extension in ("pipelining", "size", "8bitmime", "smtputf8", "enhancedstatuscodes", "chunking", "binarymime",
                              "starttls", "dsn", "limits"):
                self.assertIn(extension, client.esmtp_features)
            self.assertNotIn("auth", client.esmtp_features)
            client.starttls(context=support.any_certificate())
            client.ehlo()
            self.assertNotIn("starttls", client.esmtp_features)
        with self.server.smtp("submission") as client:
            client.starttls(context=support.any_certificate())
            client.ehlo()
            for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
                self.assertIn(mechanism, client.esmtp_features["auth"].split())

    def test_bare_line_feed_is_refused_and_the_session_goes_on(self):
        for end in (b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n"):
            with self.server.smtp() as client:
                client.helo("client.example")
                client.mail("carol@elsewhere.test")
                client.rcpt(ALICE)
                self.assertEqual(354, client.docmd("DATA")[0])
                client.send(b"Subject: smuggled\r\n\r\ntext" + end + b"MAIL FROM:<evil@elsewhere.test>\r\n.\r\n")
                self.assertEqual(550, client.getreply()[0])
                self.assertEqual(250, client.noop()[0])  # in step: nothing of the message was taken for a command
        with self.server.imap(mailbox="INBOX") as client:
            self.assertEqual([b""], ok(client.search(None, "SUBJECT", "smuggled")))

    def test_injected_command_before_starttls_is_not_answered(self):
        with socket.create_connection((self.server.host, self.server.ports["smtp"]), 30) as connection:
            file = connection.makefile("rb")
            file.readline()
            connection.sendall(b"EHLO client.example\r\n")
            while file.readline()[3:4] == b"-":
                pass
            connection.sendall(b"STARTTLS\r\nVRFY injected\r\n")
            self.assertTrue(file.readline().startswith(b"220"))
            secured = support.any_certificate().wrap_socket(connection)
            secured.sendall(b"EHLO again.example\r\n")
            self.assertTrue(secured.recv(4096).startswith(b"250"))

    def test_too_large_is_refused_before_it_is_sent(self):
        with self.server.smtp() as client:
            client.ehlo()
            size = int(client.esmtp_features["size"])
            self.assertEqual(552, client.mail("carol@elsewhere.test", [f"SIZE={size + 1}"])[0])

    def test_submission_completes_a_message(self):
        with self.server.submission() as client:
            client.sendmail(ALICE, [BOB], "Subject: without date\r\n\r\nx\r\n")
        uid = self.wait_for_mail("without date", BOB)
        with self.server.imap(BOB, mailbox="INBOX") as client:
            header = ok(client.uid("FETCH", uid, "(BODY.PEEK[HEADER])"))[0][1].decode()
        self.assertIn("\r\nDate: ", header)
        self.assertRegex(header, r"\r\nMessage-ID: <[^>]+@[^>]+>")
        self.assertIn("ESMTPSA", header)


if __name__ == "__main__":
    support.main()
