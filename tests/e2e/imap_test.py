"""IMAP as imaplib, curl and mbsync speak it."""

import imaplib
import os
import re
import threading
import time
import unittest

import support
from support import ALICE, BOB, PASSWORD, ok, run

MESSAGE = b"From: carol@elsewhere.test\r\nTo: alice@example.test\r\nSubject: %s\r\n\r\n%s\r\n"


class ImapTest(support.ServerTest):
    users = (ALICE, BOB, "dave@example.test", "erin@example.test", "frank@example.test", "grace@example.test")

    def append(self, client, mailbox, subject, body=b"text", flags=None):
        return ok(client.append(mailbox, flags, None, MESSAGE % (subject.encode(), body)))

    def uids(self, client, *criteria):
        return ok(client.uid("SEARCH", None, *criteria))[0].split()

    def test_a_new_account_has_its_folders(self):
        with self.server.imap(BOB) as client:
            listed = b"\n".join(ok(client.list()))
            for name, use in ((b"Drafts", b"\\Drafts"), (b"Sent", b"\\Sent"), (b"Trash", b"\\Trash"), (b"Junk", b"\\Junk"),
                              (b"Archive", b"\\Archive")):
                self.assertRegex(listed, re.compile(rb"\([^)]*%s[^)]*\) \"/\" \"?%s\"?" % (re.escape(use), name)))
            subscribed = b"\n".join(ok(client.lsub()))  # or mail programs do not show them
            for name in (b"Drafts", b"Sent", b"Trash", b"Junk", b"Archive"):
                self.assertIn(name, subscribed)

    def test_append_search_flag_move_delete_expunge(self):
        with self.server.imap("dave@example.test", mailbox="INBOX") as client:
            for number in range(5):
                self.append(client, "INBOX", f"number {number}")
            ok(client.noop())
            uids = self.uids(client, "ALL")
            self.assertEqual(5, len(uids))
            self.assertEqual(uids[2:3], self.uids(client, "SUBJECT", '"number 2"'))
            ok(client.uid("STORE", uids[2], "+FLAGS", r"(\Flagged $Important)"))
            self.assertEqual(uids[2:3], self.uids(client, "FLAGGED", "KEYWORD", "$Important"))
            ok(client.create("Work/2026"))
            ok(client.uid("MOVE", uids[2], "Work/2026"))
            self.assertEqual(4, len(self.uids(client, "ALL")))
            ok(client.uid("STORE", uids[0], "+FLAGS.SILENT", r"(\Deleted)"))
            ok(client.uid("STORE", uids[1], "+FLAGS.SILENT", r"(\Deleted)"))
            ok(client.uid("EXPUNGE", uids[0]))
            self.assertEqual(uids[1:2] + uids[3:], self.uids(client, "ALL"))
            ok(client.expunge())
            self.assertEqual(uids[3:], self.uids(client, "ALL"))
            ok(client.select("Work/2026"))
            moved = ok(client.fetch("1", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
            self.assertIn(b"\\Flagged", moved[0][0])
            self.assertIn(b"$Important", moved[0][0])
            self.assertIn(b"number 2", moved[0][1])
            ok(client.unselect() if hasattr(client, "unselect") else client.close())
            ok(client.rename("Work", "Archive/Work"))
            ok(client.delete("Archive/Work/2026"))

    def test_append_and_fetch_byte_for_byte(self):
        body = bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b"") * 8 + b"\r\n" + os.urandom(1).hex().encode()
        with self.server.imap(BOB) as client:
            answer = self.append(client, "Drafts", "bytes", body, r"(\Draft)")
            self.assertIn(b"APPENDUID", answer[0])
            ok(client.select("Drafts", readonly=True))
            fetched = ok(client.fetch("*", "(RFC822.SIZE BODY.PEEK[])"))[0]
            expected = MESSAGE % (b"bytes", body)
            self.assertEqual(expected, fetched[1])
            self.assertIn(b"RFC822.SIZE %d" % len(expected), fetched[0])
            middle = ok(client.fetch("*", "(BODY.PEEK[]<100.50>)"))[0][1]
            self.assertEqual(expected[100:150], middle)

    def test_a_mailbox_name_beyond_ascii(self):
        with self.server.imap(BOB) as client:
            ok(client.create('"Entw&APw-rfe"'))
            self.assertTrue(any(b"Entw&APw-rfe" in line for line in ok(client.list())))
            ok(client.delete('"Entw&APw-rfe"'))

    def test_idle_is_told_at_once_by_the_other_daemon_and_by_another_session(self):
        with self.server.imap("erin@example.test", mailbox="INBOX") as idler, \
                self.server.imap("erin@example.test", mailbox="INBOX") as other:
            idler.send(b"i IDLE\r\n")
            self.assertTrue(idler.readline().startswith(b"+"))
            self.server.deliver("erin@example.test", "wakes")
            began = time.monotonic()
            self.assertIn(b"1 EXISTS", self.line_with(idler, b"EXISTS"))
            self.assertLess(time.monotonic() - began, 5)
            ok(other.noop())
            ok(other.store("1", "+FLAGS", r"(\Flagged)"))
            self.assertIn(b"\\Flagged", self.line_with(idler, b"FETCH"))
            ok(other.store("1", "+FLAGS", r"(\Deleted)"))
            ok(other.expunge())
            self.assertIn(b"1 EXPUNGE", self.line_with(idler, b"EXPUNGE"))
            idler.send(b"DONE\r\n")
            self.assertTrue(self.line_with(idler, b"i ").startswith(b"i OK"))

    def line_with(self, client, what):
        while True:
            line = client.readline()
            if not line:
                self.fail(f"the connection ended before {what}")
            if what in line:
                return line

    def test_wrong_password_and_nobody_get_the_same_answer(self):
        answers = []
        for user, password in ((ALICE, "wrong"), ("nobody@example.test", PASSWORD)):
            with self.assertRaises(Exception) as raised:
                self.server.imap(user, password)
            answers.append(str(raised.exception))
        self.assertIn("AUTHENTICATIONFAILED", answers[0])
        self.assertEqual(answers[0], answers[1])

    def test_tls_on_both_ports(self):
        self.server.imap(BOB, tls=True).logout()
        client = imaplib.IMAP4(self.server.host, self.server.ports["imap"])
        client.starttls(support.any_certificate())
        client.login(BOB, PASSWORD)
        client.logout()

    def test_curl(self):
        with self.server.imap("frank@example.test") as client:
            self.append(client, "INBOX", "for curl", b"curl reads this")
        base = f"imaps://{self.server.host}:{self.server.ports['imaps']}"
        curl = ["curl", "--silent", "--show-error", "--insecure", "--user", f"frank@example.test:{PASSWORD}"]
        listing = run(*curl, base + "/")
        self.assertIn("INBOX", listing.stdout, listing.text)
        mail = run(*curl, base + "/INBOX;MAILINDEX=1")
        self.assertIn("curl reads this", mail.stdout, mail.text)
        found = run(*curl, base + "/INBOX?SUBJECT%20curl")
        self.assertIn("SEARCH 1", found.stdout, found.text)

    def test_mbsync_both_ways(self):
        user = "grace@example.test"
        with self.server.imap(user) as client:
            for number in range(30):
                self.append(client, "INBOX", f"far {number}", b"text " * (number * 50))
            ok(client.create("Lists/Postrider"))
            self.append(client, "Lists/Postrider", "in a folder")
        with support.temporary_folder() as folder:
            config = os.path.join(folder, "mbsyncrc")
            with open(config, "w") as file:
                file.write(f"""
IMAPAccount it
Host {self.server.host}
Port {self.server.ports['imap']}
User {user}
Pass "{PASSWORD}"
AuthMechs LOGIN
SSLType None

IMAPStore far
Account it

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")
            os.makedirs(os.path.join(folder, "mail"))

            def sync():
                result = run("mbsync", "-c", config, "-a", timeout=120)
                self.assertEqual(0, result.returncode, result.text)

            def near(mailbox):
                return sorted(os.path.join(folder, "mail", mailbox, part, name) for part in ("cur", "new")
                              for name in os.listdir(os.path.join(folder, "mail", mailbox, part)))

            sync()
            self.assertEqual(30, len(near("INBOX")))
            self.assertEqual(1, len(near("Lists/Postrider")))
            # Near: one message read, one deleted, one written, a folder made. Far: one flagged, one arrives.
            files = near("INBOX")
            gone = re.search(rb"Subject: (.*)\r?\n", open(files[0], "rb").read()).group(1).strip().decode()
            os.unlink(files[0])
            read = re.search(rb"Subject: (.*)\r?\n", open(files[1], "rb").read()).group(1).strip().decode()
            os.rename(files[1], os.path.join(folder, "mail/INBOX/cur", os.path.basename(files[1]).split(":")[0] + ":2,S"))
            with open(os.path.join(folder, "mail/INBOX/new/1.written.here"), "wb") as file:
                file.write((MESSAGE % (b"from near", b"x")).replace(b"\r\n", b"\n"))
            with self.server.imap(user, mailbox="INBOX") as client:
                ok(client.store("30", "+FLAGS", r"(\Flagged)"))
                self.append(client, "INBOX", "arrives later")
            sync()
            with self.server.imap(user, mailbox="INBOX") as client:
                self.assertEqual(31, len(self.uids(client, "ALL")))
                self.assertEqual([], self.uids(client, "SUBJECT", f'"{gone}"') if gone not in ("far 1", "far 2") else [])
                self.assertEqual(1, len(self.uids(client, "SUBJECT", '"from near"')))
                self.assertIn(read, str(ok(client.fetch(ok(client.search(None, "SEEN"))[0].split()[0],
                                                        "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))))
            self.assertEqual(31, len(near("INBOX")))
            self.assertTrue(any(name.endswith("F") for name in near("INBOX")))
            before = near("INBOX")
            sync()
            self.assertEqual(before, near("INBOX"))

    def test_many_sessions_see_every_change(self):
        """Ten sessions on one mailbox while an eleventh changes it: each ends with the same picture."""
        sessions = [self.server.imap(ALICE, mailbox="Archive") for _ in range(10)]
        with self.server.imap(ALICE, mailbox="Archive") as writer:
            for number in range(20):
                self.append(writer, "Archive", f"seen by all {number}")
            ok(writer.noop())
            ok(writer.store("1:5", "+FLAGS", r"(\Deleted)"))
            ok(writer.expunge())
            ok(writer.store("3", "+FLAGS", r"(\Answered)"))
            expected = self.picture(writer)
            self.assertEqual(15, len(expected))
            pictures = []
            threads = [threading.Thread(target=lambda one=one: pictures.append(self.picture(one))) for one in sessions]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual([expected] * 10, pictures)
        for client in sessions:
            client.logout()

    def picture(self, client):
        """{UID: flags without Recent} of the selected mailbox, message by message."""
        ok(client.noop())
        lines = ok(client.uid("FETCH", "1:*", "(FLAGS)"))
        return {re.search(rb"UID (\d+)", line).group(1):
                set(re.search(rb"FLAGS \(([^)]*)\)", line).group(1).split()) - {b"\\Recent"}
                for line in lines if b"UID" in line}  # imaplib keeps what NOOP was told, without UIDs, until now


if __name__ == "__main__":
    support.main()
