"""Backup, restore and recovery of a running server: what was acknowledged before is there afterwards."""

import contextlib
import glob
import imaplib
import json
import os
import shutil
import sqlite3
import threading

import load
import support
from support import ALICE, BOB, ok, wait_until

LARGE = 400_000  # octets: a message whose body is a file of the queue


class Sender(threading.Thread):
    """Sends until it is told to end; knows what was acknowledged."""

    def __init__(self, server, first):
        super().__init__(daemon=True)
        self.server, self.next = server, first
        self.accepted, self.ending, self.error = [], threading.Event(), None

    def run(self):
        try:
            with self.server.smtp() as client:
                while not self.ending.is_set():
                    size = LARGE if self.next % 10 == 0 else 3_000
                    to = (ALICE, BOB)[self.next % 2]
                    client.sendmail("load@elsewhere.test", [to], load.message(self.next, size))
                    self.accepted.append(self.next)
                    self.next += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        self.ending.set()
        self.join(support.PATIENCE)
        if self.error:
            raise self.error


def numbers(server, user, mailbox="INBOX"):
    """The numbers of the messages of a mailbox, each with the digest of its text."""
    found = {}
    with server.imap(user, mailbox=mailbox) as client:
        for part in ok(client.fetch("1:*", "(BODY.PEEK[])")):
            if isinstance(part, tuple):
                match = load.NUMBER.search(part[1])
                if match:
                    found[int(match.group(1))] = support.digest(part[1][match.start():])
    return found


def mailboxes_of(server):
    return {**numbers(server, ALICE), **numbers(server, BOB)}


class BackupTest(support.ServerTest):
    settings = ('queue.retry=["1s"]', 'queue.lifetime="3s"')

    def setUp(self):
        self.backups = self.server.folder + "-backups"
        self.addCleanup(shutil.rmtree, self.backups, ignore_errors=True)
        self.state = os.path.join(self.server.folder, "state")

    def mailctl(self, *arguments):
        return json.loads(self.server.mailctl("--json", *arguments).stdout)

    def account_file(self, user):
        return self.mailctl("account", "show", user)["file"]

    def check(self, expected):
        """All of these are there, with the text that they were sent with."""
        wait_until(lambda: set(expected) <= set(mailboxes_of(self.server)), "every message that was acknowledged")
        there = mailboxes_of(self.server)
        for number in expected:
            size = LARGE if number % 10 == 0 else 3_000
            self.assertEqual(support.digest(load.message(number, size)), there[number], f"message {number}")

    def restore_all(self):
        self.server.stop()
        shutil.rmtree(self.state)
        os.mkdir(self.state, 0o770)
        self.server.mailctl("restore", "--all", "--from", self.backups)
        self.server.start()

    def test_backup_under_load_and_everything_restored(self):
        senders = [Sender(self.server, first) for first in (1_000, 2_001, 3_000)]
        for sender in senders:
            sender.start()
        wait_until(lambda: sum(len(sender.accepted) for sender in senders) > 60, "load")
        before = [number for sender in senders for number in list(sender.accepted)]
        first = self.mailctl("backup", self.backups)
        self.assertEqual([], first["problems"])
        wait_until(lambda: sum(len(sender.accepted) for sender in senders) > len(before) + 30, "more load")
        more = [number for sender in senders for number in list(sender.accepted)]
        second = self.mailctl("backup", "--keep", "2", self.backups)
        self.assertEqual([], second["problems"])
        for sender in senders:
            sender.end()
        self.assertEqual([], self.mailctl("backup", "--verify", self.backups)["problems"])
        with self.server.imap(ALICE, mailbox="INBOX") as client:
            validity = client.response("UIDVALIDITY")[1]
        self.restore_all()
        self.check(more)
        self.assertEqual(0, self.mailctl("audit", "--files")["findings"])
        with self.server.imap(ALICE, mailbox="INBOX") as client:
            self.assertNotEqual(validity, client.response("UIDVALIDITY")[1], "UIDs begin anew")
        # The one before is whole, too.
        shutil.rmtree(second["backup"])
        self.restore_all()
        self.check(before)
        self.assertEqual(0, self.mailctl("audit", "--files")["findings"])
        # Mail goes on as before.
        self.server.deliver(ALICE, subject="after it")
        self.wait_for_mail("after it")

    def test_a_folder_and_an_account_come_back_while_everything_runs(self):
        with self.server.imap(BOB) as client:
            ok(client.create("Projects"))
            for number in (1, 2):
                ok(client.append("Projects", r"(\Flagged)", None, f"Subject: plan {number}\r\n\r\nx\r\n".encode()))
        self.mailctl("backup", self.backups)
        with self.server.imap(BOB) as client:
            ok(client.delete("Projects"))
        self.assertEqual(2, self.mailctl("restore", "--from", self.backups, "--folder", "Projects", BOB)["restored"])
        with self.server.imap(BOB, mailbox="Restored/Projects") as client:
            self.assertIn(rb"\Flagged", ok(client.fetch("1", "(FLAGS)"))[0])
        with self.server.imap(BOB, mailbox="INBOX") as watching:
            self.mailctl("restore", "--from", self.backups, "--replace", BOB)
            self.server.deliver(BOB, subject="after the restore")
            self.wait_for_mail("after the restore", BOB)
            ok(watching.noop())
        with self.server.imap(BOB) as client:
            self.assertEqual([b"2"], ok(client.select("Projects")))
        self.assertEqual(0, self.mailctl("audit", "--files")["findings"])

    def damage(self, path):
        """Beneath stopped daemons, so that it is met when the file is opened."""
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with open(path, "r+b") as file:
            file.write(b"x" * 90)

    def test_a_damaged_account_is_set_aside_and_recovered_while_everything_runs(self):
        self.server.deliver(BOB, subject="before the damage")
        self.wait_for_mail("before the damage", BOB)
        path = self.account_file(BOB)
        self.server.stop()
        self.damage(path)
        self.server.start()
        self.server.deliver(BOB, subject="meanwhile")
        with self.server.imap(BOB) as client:
            status, text = client.select("INBOX")
            self.assertEqual("NO", status)
            self.assertIn(b"CORRUPTION", text[0])
        wait_until(lambda: "account_set_aside" in self.server.logs(), "a line in a log")
        self.assertFalse(os.path.exists(path))
        self.assertEqual(1, len([name for name in glob.glob(path + ".damaged-*") if not name.endswith(("-wal", "-shm"))]))
        # Another account notices nothing.
        self.server.deliver(ALICE, subject="for the other one")
        self.wait_for_mail("for the other one")
        # It waits for longer than any other mail would: its sender can do nothing about it.
        wait_until(lambda: "4.3.0" in self.server.mailctl("queue", "list").stdout, "mail that waits")
        wait_until(lambda: self.server.log("mta").count("451 4.3.0") > 5, "attempts beyond the lifetime")
        self.assertNotIn("event=failed", self.server.log("mta"))
        self.assertIn("mailctl recover", self.server.mailctl("doctor", "--offline", check=False).stdout)
        with contextlib.suppress(imaplib.IMAP4.error):
            self.assertEqual("NO", self.server.imap(BOB).select("INBOX")[0])
        done = self.mailctl("recover", BOB)
        self.assertEqual(0, done["lost"])
        self.wait_for_mail("before the damage", BOB)
        self.wait_for_mail("meanwhile", BOB)
        self.assertTrue(os.path.exists(done["read"]), "the damaged file stays")
        self.assertEqual(0, self.mailctl("audit", "--files")["findings"])


if __name__ == "__main__":
    support.main()
