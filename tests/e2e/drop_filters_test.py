"""Filters see what programs of this machine send by sendmail, too."""

import email
import email.policy
import json
import os
import subprocess
import tempfile
import time
import unittest

import milter_test
import support
from milter_test import Milter, field, packet
from support import ALICE, BOB, ok, wait_until


class DropFiltersTest(unittest.TestCase):

    serve, stored, trace = milter_test.MilterTest.serve, milter_test.MilterTest.stored, milter_test.MilterTest.trace

    def sendmail(self, text, to=(BOB,)):
        with tempfile.TemporaryDirectory(prefix="postrider-test-") as folder:
            path = os.path.join(folder, "sendmail")
            os.symlink(os.path.join(support.PROGRAMS, "mailctl/sendmail"), path)
            sent = subprocess.run([path, "-i", "-f", ALICE, *to], input=text, capture_output=True, text=True, timeout=support.PATIENCE,
                                  env={**os.environ, "POSTRIDER_CONFIG": os.path.join(self.server.folder, "config.toml")})
        self.assertEqual(0, sent.returncode, sent.stderr)

    def dropped(self):
        """What waits to be taken."""
        folder = os.path.join(self.server.folder, "state/drop")
        return [name for name in os.listdir(folder) if not name.startswith(".")]

    def report(self):
        """The report that came to the sender."""
        with self.server.imap(ALICE, mailbox="INBOX") as client:
            wait_until(lambda: client.noop() and ok(client.search(None, "ALL"))[0], "a report comes\n" + self.server.logs())
            self.assertEqual(b"1", ok(client.search(None, "ALL"))[0])
            raw = ok(client.fetch("1", "(BODY.PEEK[])"))[0][1]
        message = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual("multipart/report", message.get_content_type())
        return raw.decode()

    def nothing_for(self, user):
        with self.server.imap(user, mailbox="INBOX") as client:
            self.assertEqual(b"", ok(client.search(None, "ALL"))[0])

    def test_every_step_is_shown(self):
        milter, only_incoming = Milter(), Milter()
        self.serve(milter, only_incoming.setting + " mail=incoming")
        self.sendmail("Subject: all steps\nX-Two:  a\n b\n\nhello\n.dot\n", (BOB, "nobody@example.test"))
        text = self.stored("all steps", BOB)
        wait_until(lambda: milter.steps().endswith("Q"), "no end")
        self.assertEqual("OCHMRTLLLLLNBEQ", milter.steps())
        seen = [(letter, data) for letter, data in milter.seen if letter != "D"]
        self.assertTrue(seen[1][1].startswith(b"localhost\0" + b"4"), seen[1])
        self.assertTrue(seen[1][1].endswith(b"127.0.0.1\0"), seen[1])
        self.assertEqual([("H", b"mail.example.test\0"), ("M", b"<alice@example.test>\0"), ("R", b"<bob@example.test>\0")], seen[2:5])
        shown = [data.split(b"\0")[0] for letter, data in seen if letter == "L"]
        self.assertEqual([b"Date", b"Message-ID", b"From", b"Subject", b"X-Two"], shown)
        self.assertIn(("B", b"hello\r\n.dot\r\n"), seen)
        macros = {letter: data for letter, data in milter.seen if letter == "D" for letter in [data[:1]]}
        self.assertIn(b"{daemon_name}\0sendmail\0", macros[b"C"])
        self.assertRegex(macros[b"M"], rb"i\0[0-9a-z]{12}\0")
        self.assertEqual(0, only_incoming.connections)
        self.assertRegex(text, r"\r\nReceived: by mail\.example\.test \(from uid \d+\)\r\n\tid \w+; [^\r]*\r\nDate: ")

    def test_text_alone_is_shown_as_a_body(self):
        milter = Milter({"E": field(b"h", b"X-Seen", b"yes") + packet(b"c")})
        self.serve(milter)
        self.sendmail("the disk is full: really\n\nhelp\n")
        with self.server.imap(BOB, mailbox="INBOX") as client:
            wait_until(lambda: client.noop() and ok(client.search(None, "HEADER", "X-Seen", "yes"))[0], "it comes")
            self.assertEqual(b"the disk is full: really\r\n\r\nhelp\r\n", ok(client.fetch("1", "(BODY.PEEK[TEXT])"))[0][1])
        self.assertIn(("B", b"the disk is full: really\r\n\r\nhelp\r\n"), milter.seen)

    def test_changes(self):
        end = (field(b"h", b"X-Last", b"added") + field(b"m", b"Subject", b"changed", 1) + packet(b"b", b"another ") + packet(b"b", b"body\r\n")
               + packet(b"e", b"<new@example.test>\0") + packet(b"+", b"<alice@example.test>\0") + packet(b"+", b"<nobody@example.test>\0")
               + packet(b"-", b"<Bob@example.test>\0") + packet(b"c"))
        self.serve(Milter({"E": end}))
        self.sendmail("Subject: before\n\nbody\n")
        text = self.stored("changed", ALICE)
        self.assertTrue(text.startswith("Return-Path: <new@example.test>\r\nDelivered-To: alice@example.test\r\nReceived: by "), text)
        head, _, body = text.partition("\r\n\r\n")
        self.assertTrue(head.endswith("\r\nSubject: changed\r\nX-Last: added"), head)
        self.assertEqual("another body\r\n", body)
        self.nothing_for(BOB)

    def test_a_large_body_keeps_its_octets(self):
        milter = Milter({"E": field(b"h", b"X-Seen", b"yes") + packet(b"c")}, omissions=milter_test.NO_REPLIES)
        self.serve(milter)
        body = "".join(f"line {n}\n" for n in range(100_000))
        self.sendmail("Subject: large\n\n" + body)
        text = self.stored("large", BOB)
        self.assertIn("\r\nX-Seen: yes\r\n\r\nline 0\r\n", text)
        self.assertTrue(text.endswith(body.replace("\n", "\r\n")))
        self.assertEqual(body.replace("\n", "\r\n").encode(), b"".join(data for letter, data in milter.seen if letter == "B"))

    def test_what_is_refused_comes_back_with_the_filters_words(self):
        self.serve(Milter({"E": packet(b"y", b"554 5.7.9 we do not like cats\0")}))
        self.sendmail("Subject: cats\n\nx\n")
        report = self.report()
        self.assertIn("554 5.7.9 we do not like cats", report)
        self.assertIn("Status: 5.7.9", report)
        self.nothing_for(BOB)
        self.assertEqual([], self.dropped())

    def test_a_recipient_is_refused_and_the_other_gets_it(self):
        self.serve(Milter({"R": lambda data: packet(b"r") if data.startswith(b"<refused@") else packet(b"c")}))
        self.sendmail("Subject: for one\n\nx\n", ("refused@elsewhere.test", BOB))
        self.stored("for one", BOB)
        report = self.report()
        self.assertIn("refused@elsewhere.test", report)
        self.assertIn("550 5.7.1", report)
        self.assertNotIn("Final-Recipient: rfc822;bob", report.replace("; ", ";"))

    def test_what_cannot_be_judged_now_waits_and_is_asked_again(self):
        answers = [packet(b"t")]
        milter = Milter({"E": lambda data: answers.pop() if answers else packet(b"c")})
        self.serve(milter)
        self.sendmail("Subject: later\n\nx\n")
        wait_until(lambda: "drop_filtered" in self.server.log("mta"), "it is asked")
        self.assertEqual(1, len(self.dropped()))
        self.nothing_for(BOB)
        self.stored("later", BOB)
        wait_until(lambda: not self.dropped(), "the file goes")
        self.assertEqual(2, milter.connections)

    def test_what_nobody_could_judge_for_too_long_comes_back(self):
        self.serve(Milter({"M": packet(b"t")}), settings=('queue.lifetime="2s"',))
        self.sendmail("Subject: too long\n\nx\n")
        self.assertIn("554 5.4.7", self.report())
        self.nothing_for(BOB)

    def test_a_filter_that_is_not_there(self):
        self.serve(f"inet:127.0.0.1:{support.free_ports(1)[0]} on_failure=accept")
        self.sendmail("Subject: accepted all the same\n\nx\n")
        self.stored("accepted all the same", BOB)

    def test_quarantine_is_held_in_the_queue(self):
        self.serve(Milter({"E": packet(b"q", b"looks odd\0") + packet(b"c")}))
        self.sendmail("Subject: odd\n\nx\n")

        def held():
            return json.loads(self.server.mailctl("--json", "queue", "list", "--state", "held").stdout)
        row = wait_until(held, "it is held")[0]
        self.assertRegex(row["reason"], r"^held by a filter: .*looks odd$")
        self.nothing_for(BOB)
        self.server.mailctl("queue", "release", row["id"])
        self.stored("odd", BOB)

    def test_discarded_mail_is_in_the_ledger_and_nowhere_else(self):
        self.serve(Milter({"T": packet(b"d")}))
        self.sendmail("Subject: thrown away\n\nx\n")
        wait_until(lambda: not self.dropped() and self.trace(BOB)["recipients"][0]["state"] == "removed", "it is removed")
        self.nothing_for(BOB)

    def test_spam_goes_to_junk(self):
        self.serve(Milter({"E": field(b"h", b"X-Spam", b"Yes") + packet(b"c")}, actions=milter_test.ALL))
        self.sendmail("Subject: by a script gone wild\n\nx\n")
        self.stored("by a script gone wild", BOB, "Junk")

    def test_a_header_beyond_what_filters_see_comes_back(self):
        self.serve(Milter())
        self.sendmail("Subject: large\n" + "X-Large: x\n" * 10_000 + "\nx\n")
        self.assertIn("The header is too large to be looked at by the filters here", self.report())

    def test_a_filter_that_hangs_holds_up_no_shutdown(self):
        hanging = Milter({"E": lambda data: time.sleep(1_000)})
        self.serve(hanging, settings=('milter.content_timeout="10m"',))
        self.sendmail("Subject: patience\n\nx\n")
        wait_until(lambda: hanging.steps().endswith("E"), "it is asked")
        began = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(1, len(self.dropped()))
        hanging.answers.clear()
        self.server.start()
        self.stored("patience", BOB)


if __name__ == "__main__":
    support.main()
