"""What an administrator changes is seen by the running daemons at once."""

import json
import smtplib
import unittest

import support
from support import ALICE, BOB, PASSWORD, ok


class MailctlTest(support.ServerTest):

    def rcpt(self, address):
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test")
            return client.rcpt(address)[0]

    def logs_in(self, user, password=PASSWORD):
        try:
            self.server.imap(user, password).logout()
            return True
        except OSError:
            raise
        except Exception:
            return False

    def add(self, address):
        self.server.mailctl("account", "add", "--password-stdin", address, stdin=PASSWORD + "\n")

    def test_domain_and_account(self):
        self.assertEqual(550, self.rcpt("new@second.test"))
        self.server.mailctl("domain", "add", "second.test")
        self.assertEqual(550, self.rcpt("new@second.test"))
        self.add("new@second.test")
        self.assertEqual(250, self.rcpt("new@second.test"))
        self.assertTrue(self.logs_in("new@second.test"))
        self.server.mailctl("account", "disable", "new@second.test")
        self.assertFalse(self.logs_in("new@second.test"))
        self.server.mailctl("account", "enable", "new@second.test")
        self.assertTrue(self.logs_in("new@second.test"))
        self.server.mailctl("account", "remove", "new@second.test")
        self.assertEqual(550, self.rcpt("new@second.test"))
        self.assertFalse(self.logs_in("new@second.test"))
        self.server.mailctl("domain", "remove", "second.test")

    def test_password(self):
        self.add("change@example.test")
        self.assertTrue(self.logs_in("change@example.test"))
        self.server.mailctl("password", "change@example.test", stdin="another one\n")
        self.assertFalse(self.logs_in("change@example.test"))
        self.assertTrue(self.logs_in("change@example.test", "another one"))

    def test_alias_with_several_targets(self):
        self.server.mailctl("alias", "set", "all@example.test", ALICE, BOB)
        self.server.deliver("all@example.test", "to all")
        self.wait_for_mail("to all", ALICE)
        self.wait_for_mail("to all", BOB)
        self.server.mailctl("alias", "remove", "all@example.test")
        self.assertEqual(550, self.rcpt("all@example.test"))

    def test_catch_all(self):
        self.server.mailctl("domain", "catch-all", "example.test", ALICE)
        self.server.deliver("whoever@example.test", "caught")
        self.server.mailctl("domain", "catch-all", "--none", "example.test")
        self.wait_for_mail("caught")
        self.assertEqual(550, self.rcpt("whoever@example.test"))

    def test_international_domain_under_both_names(self):
        self.server.mailctl("domain", "add", "bücher.test")
        self.add("leser@xn--bcher-kva.test")
        self.assertEqual(250, self.rcpt("leser@xn--bcher-kva.test"))
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test", ["SMTPUTF8"])
            client.command_encoding = "utf-8"
            self.assertEqual(250, client.rcpt("leser@bücher.test")[0])

    def test_quota(self):
        self.add("small@example.test")
        self.server.mailctl("quota", "set", "small@example.test", "64KiB")
        self.server.deliver("small@example.test", "fits", "x" * 70 + "\r\n")
        self.wait_for_mail("fits", "small@example.test")
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test", ["SIZE=200000"])
            code, answer = client.rcpt("small@example.test")
            self.assertIn(code, (452, 552), answer)
            self.assertIn(b".2.2", answer)

    def test_json_and_queue_and_doctor(self):
        accounts = json.loads(self.server.mailctl("--json", "account", "list").stdout)
        self.assertIn(ALICE, [account["address"] for account in accounts])
        support.wait_until(lambda: not json.loads(self.server.mailctl("--json", "queue", "list").stdout), "the queue is empty")
        said = self.server.mailctl("doctor", check=False)
        self.assertIn(self.server.folder, said.stdout + said.stderr)


if __name__ == "__main__":
    support.main()
