"""DMARC's aggregate reports (RFC 7489, 7.2) between two servers: one counts what comes in the name of the other's domain and
reports it the day after, the other shows what it reads."""

import email
import gzip
import json
import os
import re
import sqlite3
import unittest
import xml.etree.ElementTree

import dkim

import support
from support import ok, run
from trust_test import NameServer, crlf

ALICE, CAROL = "alice@receiver.test", "carol@sender.test"


class ReportTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.names = NameServer()
        common = [f'dns.server="127.0.0.1:{cls.names.port}"', 'queue.retry=["1s"]']
        cls.receiver = support.Server([ALICE], common + ['server.hostname="mx.receiver.test"', 'reports.dmarc="on"',
                                                         'arc.trusted_sealers=["list.test"]'])
        cls.sender = support.Server([CAROL], common + ['server.hostname="mx.sender.test"'],
                                    [f"receiver.test=127.0.0.1:{cls.receiver.ports['smtp']}"])
        cls.receiver.arguments += ["--route", f"sender.test=127.0.0.1:{cls.sender.ports['smtp']}"]
        for server, domain, policy in ((cls.receiver, "receiver.test", "reject"), (cls.sender, "sender.test", "quarantine")):
            cls.addClassCleanup(server.close)
            server.start()
            cls.names.txt(f"_dmarc.{domain}", f"v=DMARC1; p={policy}; sp=reject; rua=mailto:carol@{domain}")
            for name, text in re.findall(r"^(\S+_domainkey\S+)\. IN TXT (.*)$", server.mailctl("dns", domain).stdout, re.MULTILINE):
                cls.names.add(name, "TXT", text)
        cls.names.txt("sender.test", "v=spf1 ip4:127.0.0.0/8 -all")

    def message(self, subject, body="hello\n"):
        return crlf(f"From: ceo@sender.test\nTo: {ALICE}\nSubject: {subject}\n\n{body}")

    def sealed(self, message):
        """By a list that vouches for it."""
        private = run("openssl", "genrsa", "-traditional", "2048").stdout
        public = run("openssl", "rsa", "-pubout", stdin=private).stdout
        self.names.txt("arc._domainkey.list.test", "v=DKIM1; k=rsa; p=" + "".join(l for l in public.splitlines() if "-" not in l))
        results = crlf("Authentication-Results: mx.list.test; dmarc=pass header.from=sender.test\n")
        return b"".join(dkim.arc_sign(results + message, b"arc", b"list.test", private.encode(), b"mx.list.test",
                                      include_headers=[b"from", b"to", b"subject"])) + message

    def deliver(self, sender, message):
        with self.receiver.smtp() as client:
            client.sendmail(sender, [ALICE], message)

    def the_day_ends(self):
        self.receiver.stop()
        database = sqlite3.connect(os.path.join(self.receiver.folder, "state", "dmarc.db"))
        database.execute("UPDATE OR REPLACE result SET day = day - 1")
        database.commit()
        database.close()
        self.receiver.start()

    def received(self):
        """The report that lies in Carol's mailbox."""
        with self.sender.imap(CAROL, mailbox="INBOX") as client:
            uids = ok(client.uid("SEARCH", None, "SUBJECT", '"Report Domain: sender.test"'))[0].split()
            self.assertEqual(1, len(uids))
            return ok(client.uid("FETCH", uids[0].decode(), "(BODY.PEEK[])"))[0][1]

    def record(self, name, **_):
        """DNS for python3-dkim."""
        found = self.names.records[name.decode().rstrip(".").lower()]["TXT"]
        return "".join(re.findall(r'"([^"]*)"', found[0])).encode()

    def rows(self, report):
        """(messages, disposition, dkim, spf, reason, MAIL FROM) of each record."""
        found = set()
        for record in report.iter("record"):
            self.assertEqual("127.0.0.1", record.findtext("row/source_ip"))
            self.assertEqual("sender.test", record.findtext("identifiers/header_from"))
            evaluated = record.find("row/policy_evaluated")
            found.add((record.findtext("row/count"), *(evaluated.findtext(name) for name in ("disposition", "dkim", "spf", "reason/type")),
                       record.findtext("identifiers/envelope_from")))
        return found

    def test_one_server_reports_to_the_other(self):
        for subject in ("one", "two"):
            with self.sender.submission(CAROL) as client:
                client.sendmail(CAROL, [ALICE], crlf(f"From: {CAROL}\nTo: {ALICE}\nSubject: {subject}\n\nhello\n"))
        support.wait_until(lambda: self.receiver.log("mta").count("dmarc=pass:sender.test") == 2, "both have come")
        self.deliver("x@evil.test", self.message("forged"))
        self.deliver("bounce@list.test", self.sealed(self.message("through a list", "hello\n-- \nfooter\n")))
        self.the_day_ends()
        shown = support.wait_until(lambda: json.loads(self.sender.mailctl("--json", "report", "list", "sender.test").stdout),
                                   "the report has come\n" + self.receiver.log("mta")[-3000:])
        self.assertEqual([("dmarc", "mx.receiver.test", 2, 2)],
                         [(one["kind"], one["from"], one["good"], one["bad"]) for one in shown])
        self.assertIn("2 good, 2 bad", self.sender.mailctl("report", "show", shown[0]["id"]).stdout)

        message = self.received()
        self.assertEqual(2, message.count(b"DKIM-Signature:"))
        for index in (0, 1):
            self.assertTrue(dkim.DKIM(message).verify(idx=index, dnsfunc=self.record))
        parsed = email.message_from_bytes(message)
        self.assertIn("dmarc=pass (p=reject) header.from=receiver.test", re.sub(r"\s+", " ", parsed["Authentication-Results"]))
        attached = parsed.get_payload()[1]
        self.assertEqual("application/gzip", attached.get_content_type())
        self.assertRegex(attached.get_filename(), r"^mx\.receiver\.test!sender\.test!\d+!\d+!.+\.xml\.gz$")
        report = xml.etree.ElementTree.fromstring(gzip.decompress(attached.get_payload(decode=True)))
        self.assertEqual(shown[0]["id"], report.findtext("report_metadata/report_id"))
        self.assertEqual("postmaster@receiver.test", report.findtext("report_metadata/email"))
        span = report.find("report_metadata/date_range")
        self.assertEqual(86_399, int(span.findtext("end")) - int(span.findtext("begin")))
        self.assertEqual(["sender.test", "quarantine", "reject"],
                         [report.findtext(f"policy_published/{name}") for name in ("domain", "p", "sp")])
        self.assertEqual({("2", "none", "pass", "pass", None, "sender.test"),
                          ("1", "quarantine", "fail", "fail", None, "evil.test"),
                          ("1", "none", "fail", "fail", "local_policy", "list.test")}, self.rows(report))
        self.assertIn("arc=pass as[1].d=list.test as[1].s=arc", [element.text for element in report.iter("comment")])


if __name__ == "__main__":
    support.main()
