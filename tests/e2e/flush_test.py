"""A disk that does not flush: what IMAP clients are told of changes then, and that the next flush is to be believed again."""

import os
import unittest
import unittest.mock

import faults
import support
from support import ALICE, ok


class FlushTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.server = support.Server((ALICE,))
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        cls.server.deliver(subject="flag me")
        with cls.server.imap(mailbox="INBOX") as client:
            support.wait_until(lambda: client.noop() and ok(client.search(None, "ALL"))[0], "the mail is there")
        cls.server.stop()
        cls.layer = faults.Layer(os.path.join(cls.server.folder, "state"))
        cls.layer.set()
        cls.enterClassContext(unittest.mock.patch.dict(support.ENVIRONMENT, cls.layer.environment))
        cls.server.start()

    def tearDown(self):
        self.layer.set()

    def flag(self, client, name):
        status, answer = client.store("1", "+FLAGS.SILENT", name)
        return status, (answer[0] or b"").decode()

    def flags(self):
        with self.server.imap(mailbox="INBOX") as client:
            return ok(client.fetch("1", "(FLAGS)"))[0].decode()

    def wal_size(self):
        for folder, _, files in os.walk(os.path.join(self.server.folder, "state/accounts")):
            for name in files:
                if name.endswith("-wal"):
                    return os.path.getsize(os.path.join(folder, name))
        return None

    def test_one_flush_that_fails_is_made_good(self):
        with self.server.imap(mailbox="INBOX") as client:
            # The first transaction of a log flushes its head by itself, and is undone where that fails.
            self.assertEqual("OK", self.flag(client, "before")[0])
            self.layer.set("imapd EIO flush *.db-wal 0 1")
            status, answer = self.flag(client, "once")
            self.assertEqual("OK", status, answer)
            self.assertEqual(0, self.wal_size(), "all of it was written into the file itself")
            self.assertEqual("OK", self.flag(client, "again")[0])
        self.assertIn("before once again", self.flags())

    def test_a_disk_that_fails_is_told_as_what_it_is(self):
        with self.server.imap(mailbox="INBOX") as client:
            self.assertEqual("OK", self.flag(client, "earlier")[0])
            self.layer.set("imapd EIO flush * 0 0")
            for name in ("first", "second"):
                status, answer = self.flag(client, name)
                self.assertEqual("NO", status)
                self.assertRegex(answer, r"\[UNAVAILABLE\] It was done, but the server's disk did not confirm it")
            self.assertIn("first second", self.flags())
            self.layer.set()
            self.assertEqual("OK", self.flag(client, "third")[0])
            self.assertEqual(0, self.wal_size(), "the log that had failed is not gone on with")
        self.assertIn("first second third", self.flags())
        self.assertIn("event=command_failed", self.server.log("imapd"))


if __name__ == "__main__":
    support.main()
