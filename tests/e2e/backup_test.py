"""Backup, restore and recovery of a running server: what was acknowledged before is there afterwards."""

import contextlib
import glob
import imaplib
import json
import os
import re
import shutil
import sqlite3
import threading
import time
from email.utils import mktime_tz, parsedate_tz

import load
import support
from support import ALICE, BOB, ok, wait_until

LARGE = 400_000  # octets: a message whose body is a file of the queue


class Sender(threading.Thread):
    """Sends until it is told to end; knows what was acknowledged."""

    def __init__(self, server, first, recipients=(ALICE, BOB)):
        super().__init__(daemon=True)
        self.server, self.next, self.recipients = server, first, recipients
        self.accepted, self.ending, self.error = [], threading.Event(), None

    def run(self):
        try:
            with self.server.smtp() as client:
                while not self.ending.is_set():
                    size = LARGE if self.next % 10 == 0 else 3_000
                    to = self.recipients[self.next % len(self.recipients)]
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


class BackupFixture(support.ServerTest):
    settings = ('queue.retry=["1s"]', 'queue.lifetime="3s"')

    def setUp(self):
        self.backups = self.server.folder + "-backups"
        self.addCleanup(shutil.rmtree, self.backups, ignore_errors=True)
        self.state = os.path.join(self.server.folder, "state")

    def watching(self, user):
        """A session that has INBOX open, and may end at any time."""
        client = self.server.imap(user, mailbox="INBOX")
        self.addCleanup(client.shutdown)
        return client

    def mailctl(self, *arguments):
        return json.loads(self.server.mailctl("--json", *arguments).stdout)


class BackupTest(BackupFixture):
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
        watching = self.watching(BOB)
        self.mailctl("restore", "--from", self.backups, "--replace", BOB)
        self.server.deliver(BOB, subject="after the restore")
        self.wait_for_mail("after the restore", BOB)
        with self.assertRaisesRegex(imaplib.IMAP4.abort, "was restored"):
            watching.noop()
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

    def test_a_log_that_is_deleted_under_running_daemons_loses_nothing(self):
        self.server.deliver(BOB, subject="in the log")
        self.wait_for_mail("in the log", BOB)
        os.remove(self.account_file(BOB) + "-wal")
        # Whoever has the account open puts what was in it into the file, be it at its next use or before.
        wait_until(lambda: "nothing to recover" in self.server.mailctl("recover", BOB, check=False).stdout, "a whole file")
        self.assertIn("event=deleted_log_saved", self.server.log("mta") + self.server.log("imapd"))
        self.server.deliver(BOB, subject="beside the log")
        for subject in ("in the log", "beside the log"):
            self.wait_for_mail(subject, BOB)
        self.server.stop()
        self.server.start()
        for subject in ("in the log", "beside the log"):
            self.wait_for_mail(subject, BOB)
        self.assertEqual(0, self.mailctl("audit", "--files")["findings"])


class RestoreTest(BackupFixture):
    """What a user sees by IMAP of what an administrator brings back, while both daemons run."""

    FOLDER, WIRE, BELOW = "Reisen/Köln", '"Reisen/K&APY-ln"', '"Reisen/K&APY-ln/Dom"'
    DATE = '"03-Mar-2024 14:15:16 +0100"'

    def setUp(self):
        super().setUp()
        self.user = f"{self.id().rpartition('.')[2].replace('_', '-')[5:45]}@example.test"
        self.server.mailctl("account", "add", "--password-stdin", self.user, stdin=support.PASSWORD + "\n")

    def append(self, client, mailbox, number, flags=r"(\Seen \Flagged $Label2)"):
        text = f"From: carol@elsewhere.test\r\nSubject: paper\r\nMessage-ID: <{number}@papers.test>\r\n\r\nno. {number}\r\n"
        ok(client.append(mailbox, flags, self.DATE, text.encode()))

    def seen(self, client, mailbox):
        """The messages of a mailbox by number: UID, flags, and the dates; and the mailbox's UIDVALIDITY and UIDNEXT."""
        ok(client.select(mailbox, readonly=True))
        status = [int(client.response(name)[1][0]) for name in ("UIDVALIDITY", "UIDNEXT")]
        there = {}
        for part in ok(client.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")):
            if isinstance(part, tuple):
                number = int(re.search(rb"<(\d+)@", part[1]).group(1))
                uid, flags, date = re.search(rb'UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE "([^"]+)"', part[0]).groups()
                there[number] = int(uid), set(flags.decode().split()) - {r"\Recent"}, date
        return there, *status

    def assert_as_it_was(self, message, *flags):
        uid, now, date = message
        self.assertEqual(set(flags or (r"\Seen", r"\Flagged", "$Label2")), now)
        self.assertEqual(1709471716, mktime_tz(parsedate_tz(date.decode())))
        return uid

    def refused(self, *arguments, status=1):
        result = self.server.mailctl("restore", *arguments, check=False)
        self.assertEqual((status, ""), (result.returncode, result.stdout))
        return result.stderr

    def test_one_message_that_was_expunged(self):
        with self.server.imap(self.user, mailbox="INBOX") as client:
            for number in (1, 2, 3):
                self.append(client, "INBOX", number)
            before, validity, uid_next = self.seen(client, "INBOX")
            ok(client.select("INBOX"))
            ok(client.store("1:2", "+FLAGS", r"(\Deleted)"))
            ok(client.expunge())
            listed = self.mailctl("restore", "--list", "--folder", "inbox", self.user)
            self.assertEqual([("paper", "1@papers.test"), ("paper", "2@papers.test")],
                             [(row["subject"], row["message_id"]) for row in listed])
            self.assertEqual(1, self.mailctl("restore", "--message-id", "<2@papers.test>", self.user)["restored"])
            client.untagged_responses.clear()
            ok(client.noop())
            self.assertEqual([b"2"], client.untagged_responses.get("EXISTS"), "the session that has it open is told")
            after, same, _ = self.seen(client, "INBOX")
        self.assertEqual({2, 3}, set(after))
        self.assertEqual(before[3], after[3])
        self.assertEqual(validity, same)
        self.assertEqual(uid_next, self.assert_as_it_was(after[2]), "a new UID")
        self.assertIn("Nothing that was removed is kept", self.refused("--message-id", "2@papers.test", self.user))

    def test_one_message_of_a_backup(self):
        with self.server.imap(self.user, mailbox="INBOX") as client:
            for number in (1, 2, 3):
                self.append(client, "INBOX", number, r"(\Answered \Deleted $Label2)" if number == 2 else r"(\Seen)")
            self.mailctl("backup", self.backups)
            ok(client.expunge())
            ok(client.select("INBOX"))
            _, validity, uid_next = self.seen(client, "INBOX")
            chosen = ("restore", "--from", self.backups, "--message-id", "<2@papers.test>")
            self.assertEqual([{"folder": "INBOX", "messages": 1}], self.mailctl(*chosen, "--list", self.user))
            self.assertEqual(1, self.mailctl(*chosen, "--to", "Inbox", self.user)["restored"])
            after, same, _ = self.seen(client, "INBOX")
            self.assertEqual(validity, same)
            # Not to be expunged at once by the next mail program that comes along.
            self.assertEqual(uid_next, self.assert_as_it_was(after[2], r"\Answered", "$Label2"))
            # By UID, which with a folder names one message; what does not fit both is not there.
            by_uid = ("--from", self.backups, "--folder", "INBOX", "--uid", "3")
            said = self.server.mailctl("restore", *by_uid, self.user).stdout
            self.assertIn(f"1 message of {self.user} as of", said)
            self.assertIn("put into folders below Restored.", said)
            self.assert_as_it_was(self.seen(client, "Restored/INBOX")[0][3], r"\Seen")
            self.assertIn("--list shows its folders", self.refused(*by_uid, "--subject", "something else", self.user))
            self.assertIn("no backup from more than 1d ago", self.refused("--from", self.backups, "--before", "1d", self.user))

    def test_one_folder(self):
        with self.server.imap(self.user) as client:
            for mailbox in (self.WIRE, self.BELOW):
                ok(client.create(mailbox))
                ok(client.subscribe(mailbox))
            self.append(client, self.WIRE, 1)
            self.append(client, self.WIRE, 2, "($Label7)")
            self.append(client, self.BELOW, 3)
            _, validity, _ = self.seen(client, self.WIRE)
            self.mailctl("backup", self.backups)
            for mailbox in (self.BELOW, self.WIRE):
                ok(client.delete(mailbox))
                ok(client.unsubscribe(mailbox))
            # Where it was deleted here, it is made again.
            self.assertEqual(2, self.mailctl("restore", "--folder", self.FOLDER, self.user)["restored"])
            there, now, _ = self.seen(client, self.WIRE)
            self.assert_as_it_was(there[1])
            self.assert_as_it_was(there[2], "$Label7")
            self.assertGreater(now, validity, "it is another mailbox of that name")
            ok(client.unselect())
            ok(client.delete(self.WIRE))
            # From the backup, beside what there is and as itself.
            ok(client.unsubscribe(self.WIRE))
            from_backup = ("restore", "--from", self.backups, "--folder", self.FOLDER)
            self.assertEqual(2, self.mailctl(*from_backup, self.user)["restored"])
            self.assertEqual(2, self.mailctl(*from_backup, "--to", self.FOLDER, self.user)["restored"])
            for mailbox in ('"Restored/Reisen/K&APY-ln"', self.WIRE):
                there, latest, _ = self.seen(client, mailbox)
                self.assertEqual({1, 2}, set(there))
                self.assert_as_it_was(there[1])
                self.assert_as_it_was(there[2], "$Label7")
                self.assertGreater(latest, now)
            subscribed = b" ".join(ok(client.lsub())).decode()
            self.assertIn("Restored/Reisen/K&APY-ln", subscribed)
            self.assertNotIn("Dom", subscribed, "those below it were not asked for")

    def age(self, backup):
        """As if it had been made a day before."""
        path = os.path.join(backup, "manifest")
        with open(path) as file:
            lines = file.read().splitlines()[:-1]
        for at, line in enumerate(lines):
            word, _, time_made = line.partition(" ")
            if word in ("begun", "ended"):
                lines[at] = f"{word} {int(time_made) - 86_400}"
        text = "\n".join(lines) + "\n"
        with open(path, "w") as file:
            file.write(f"{text}end {support.digest(text.encode())}\n")

    def test_an_account_as_it_was_at_an_earlier_moment(self):
        with self.server.imap(self.user) as client:
            ok(client.create("Plans"))
            for number in (1, 2, 3):
                self.append(client, "INBOX", number)
            self.append(client, "Plans", 4, "($Label7)")
            first = self.mailctl("backup", self.backups)
            then, validity, _ = self.seen(client, "INBOX")
            # A day in which much goes wrong.
            ok(client.rename("Plans", "Unplanned"))
            ok(client.select("INBOX"))
            ok(client.store("1", "FLAGS", r"(\Deleted)"))
            ok(client.store("2", "FLAGS", "()"))
            ok(client.expunge())
            self.append(client, "INBOX", 5)
        self.age(first["backup"])
        self.mailctl("backup", self.backups)
        with self.server.imap(self.user) as client:
            _, _, uid_next = self.seen(client, "INBOX")
        watching = self.watching(self.user)
        watching.send(b"x1 IDLE\r\n")
        self.assertTrue(watching.readline().startswith(b"+"))
        done = self.mailctl("restore", "--from", self.backups, "--before", "12h", "--replace", self.user)
        self.assertEqual(first["backup"], done["backup"])
        self.assertIn(b"* BYE This mailbox was restored", watching.readline())
        self.assertTrue(os.path.exists(done["kept"]), "what it was until now")
        with self.server.imap(self.user) as client:
            now, anew, next_now = self.seen(client, "INBOX")
            self.assertEqual({1, 2, 3}, set(now))
            self.assertEqual(then, now, "flags and dates; the UIDs too, which have another UIDVALIDITY")
            self.assertGreater(anew, validity)
            self.assertGreater(next_now, uid_next, "no UID that was given out is given out again")
            self.assert_as_it_was(self.seen(client, "Plans")[0][4], "$Label7")
            self.assertEqual("NO", client.select("Unplanned")[0])
        self.server.deliver(self.user, subject="after it")
        self.assertGreaterEqual(int(self.wait_for_mail("after it", self.user)), next_now)
        # Without --before: the day after.
        self.mailctl("restore", "--from", self.backups, "--replace", self.user)
        with self.server.imap(self.user) as client:
            again, newest, _ = self.seen(client, "INBOX")
            self.assertEqual({2, 3, 5}, set(again))
            self.assertEqual(set(), again[2][1])
            self.assertGreater(newest, anew)

    def test_an_account_comes_back_while_mail_comes_in(self):
        sender = Sender(self.server, 500_001, (self.user,))
        sender.start()
        wait_until(lambda: len(sender.accepted) > 20, "load")
        saved = list(sender.accepted)
        self.mailctl("backup", self.backups)
        wait_until(lambda: len(sender.accepted) > len(saved) + 20, "more load")
        kept = self.mailctl("restore", "--from", self.backups, "--replace", self.user)["kept"]
        told = len(sender.accepted)
        wait_until(lambda: len(sender.accepted) > told + 20, "load that goes on")
        sender.end()
        after = sender.accepted[told + 1:]  # one may have been under way
        wait_until(lambda: {*saved, *after} <= set(numbers(self.server, self.user)), "what was saved, and what came after")
        with contextlib.closing(sqlite3.connect(kept)) as database:
            heads = [row[0] for row in database.execute("SELECT data FROM head")]
        replaced = {int(match.group(1)) for match in map(load.NUMBER.search, heads) if match}
        self.assertLessEqual(set(sender.accepted), replaced | set(numbers(self.server, self.user)), "nothing is lost")

    def test_what_contradicts_itself_is_refused_and_changes_nothing(self):
        self.mailctl("backup", self.backups)
        with self.server.imap(self.user, mailbox="INBOX") as client:
            self.append(client, "INBOX", 1)
        self.mailctl("backup", self.backups)
        before = self.mailctl("account", "show", self.user)
        from_backup = ("--from", self.backups)
        for options, sentence in (
                (("--replace", "--folder", "INBOX", self.user), "--replace makes the whole account"),
                (("--replace", "--list", self.user), "--replace makes the whole account"),
                (("--replace", "--message-id", "1@papers.test", self.user), "--replace makes the whole account"),
                (("--all", self.user), "Name one account, or --all"),
                (("--all", "--list"), "--all brings back everything"),
                (("--since", "2h", self.user), "which a backup does not know"),
                (("--uid", "1", self.user), "name it with --folder"),
                (("--uid", "0", "--folder", "INBOX", self.user), "--uid")):
            self.assertIn(sentence, self.refused(*from_backup, *options, status=2))
        self.assertEqual(before, self.mailctl("account", "show", self.user))
        with self.server.imap(self.user) as client:
            self.assertEqual({1}, set(self.seen(client, "INBOX")[0]))


if __name__ == "__main__":
    support.main()
