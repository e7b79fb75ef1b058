"""What the daemons tell of themselves: figures for Prometheus, which docs/metrics.md names one by one, and health."""

import http.client
import json
import os
import re
import smtplib
import subprocess
import time
import unittest

import support
from support import ALICE, BOB, ok

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def ask(port, path):
    """Status and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=support.PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


class Figures:
    """A page, read as strictly as the format says."""

    def __init__(self, text):
        self.types, self.labels, self.values = {}, {}, {}
        name = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                assert name not in self.types, f"{name} is there twice"
            elif line.startswith("# TYPE "):
                assert line.split(" ")[2] == name, line
                self.types[name], self.labels[name] = line.split(" ")[3], set()
            else:
                sample = SAMPLE.fullmatch(line)
                assert sample, line
                suffix = sample[1].removeprefix(name)
                assert suffix in (("_bucket", "_sum", "_count") if self.types[name] == "histogram" else ("",)), line
                labels = dict(LABEL.findall(sample[2] or ""))
                self.labels[name] |= labels.keys() - {"le"}
                key = (sample[1], tuple(sorted(labels.items())))
                assert key not in self.values, line
                self.values[key] = float(sample[3])

    def __call__(self, name, **labels):
        return self.values[name, tuple(sorted(labels.items()))]


class MetricsTest(support.ServerTest):

    users = (ALICE, BOB)
    mta_port, imapd_port = support.free_ports(2)
    settings = (f"metrics.mta_port={mta_port}", f"metrics.imapd_port={imapd_port}", 'log.format="json"', 'queue.retry=["1h"]')
    routes = (f"far.test=127.0.0.1:{support.free_ports(1)[0]}",)

    def figures(self, port):
        status, text = ask(port, "/metrics")
        self.assertEqual(200, status)
        return Figures(text)

    def until(self, port, name, least, **labels):
        """The figures, as soon as this one has got that far."""
        end = time.monotonic() + support.PATIENCE
        while (figures := self.figures(port))(name, **labels) < least:
            self.assertLess(time.monotonic(), end, f"{name} stays at {figures(name, **labels)}")
            time.sleep(0.05)
        return figures

    def test_the_document_has_every_figure_and_no_other(self):
        with open(os.path.join(support.ROOT, "docs/metrics.md"), encoding="utf-8") as file:
            rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`(\w+)` )?\| (\w+) \| .+ \|$", file.read(), re.M)
        self.assertGreater(len(rows), 30)
        for daemon, port in (("mta", self.mta_port), ("imapd", self.imapd_port)):
            written = {(name, kind, label) for name, kind, label, where in rows if where in (daemon, "both")}
            figures = self.figures(port)
            given = {(name, kind, "".join(figures.labels[name])) for name, kind in figures.types.items()}
            self.assertEqual(written, given, daemon)

    def test_a_message_is_counted_where_it_passes(self):
        before = self.figures(self.mta_port)
        self.server.deliver(subject="counted")
        after = self.until(self.mta_port, "postrider_recipients_total",
                           before("postrider_recipients_total", outcome="delivered") + 1, outcome="delivered")
        for name, labels in (("postrider_messages_accepted_total", {"from": "smtp"}),
                             ("postrider_smtp_accept_seconds_count", {}), ("postrider_queue_commit_seconds_count", {}),
                             ("postrider_delivery_seconds_count", {}), ("postrider_account_commits_total", {}),
                             ("postrider_sessions_total", {"listener": "smtp"})):
            self.assertGreater(after(name, **labels), before(name, **labels), name)
        self.assertGreater(after("postrider_accepted_bytes_total"), before("postrider_accepted_bytes_total"))
        self.assertLess(time.time(), after("postrider_certificate_expiry_seconds"))
        self.assertEqual(-1, after("postrider_audit_findings"))
        self.until(self.mta_port, "postrider_account_flush_seconds_count", 1)

    def test_refusals_are_counted_by_their_status(self):
        before = self.figures(self.mta_port)("postrider_smtp_refusals_total", status="5.1")
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test")
            self.assertEqual(550, client.rcpt("nobody@example.test")[0])
        self.assertEqual(before + 1, self.figures(self.mta_port)("postrider_smtp_refusals_total", status="5.1"))

    def test_logins_and_commands_are_counted(self):
        before = self.figures(self.imapd_port)
        with self.server.imap(mailbox="INBOX") as client:
            ok(client.fetch("1:*", "(FLAGS)"))
            during = self.figures(self.imapd_port)
        self.assertEqual(before("postrider_sessions", listener="imap") + 1, during("postrider_sessions", listener="imap"))
        for name, labels in (("postrider_logins_total", {"result": "ok"}),
                             ("postrider_imap_command_seconds_count", {"kind": "login"}),
                             ("postrider_imap_command_seconds_count", {"kind": "select"}),
                             ("postrider_imap_command_seconds_count", {"kind": "fetch"})):
            self.assertEqual(before(name, **labels) + 1, during(name, **labels), name)
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.server.submission(password="wrong")
        # One for each mechanism that the client tries.
        self.assertLessEqual(1, self.figures(self.mta_port)("postrider_logins_total", result="failed"))

    def test_the_queue_is_shown_by_destination(self):
        with self.server.submission() as client:
            client.sendmail(ALICE, ["carol@far.test", "dave@far.test"], "Subject: x\r\n\r\nhello\r\n")
        figures = self.until(self.mta_port, "postrider_queue_recipients", 2, state="waiting")
        self.assertEqual(2, figures("postrider_queue_waiting_recipients", destination="far.test"))
        self.assertEqual(0, figures("postrider_queue_waiting_recipients", destination="(other)"))
        self.assertLessEqual(1, figures("postrider_relay_unreachable_total"))
        self.assertLess(time.time() - 600, figures("postrider_queue_oldest_seconds"))

    def test_both_are_well(self):
        self.assertEqual((200, "loops: well\ndisk: well\nqueue: well\n"), ask(self.mta_port, "/healthz"))
        self.assertEqual((200, "loops: well\ndisk: well\n"), ask(self.imapd_port, "/healthz"))
        self.assertEqual(404, ask(self.imapd_port, "/")[0])

    def test_every_line_of_the_log_is_json(self):
        lines = (self.server.log("mta") + self.server.log("imapd")).splitlines()
        self.assertGreater(len(lines), 5)
        for line in lines:
            self.assertLessEqual({"time", "level", "program", "event"}, json.loads(line).keys(), line)


class HealthTest(unittest.TestCase):

    def test_a_state_folder_that_is_gone_is_told(self):
        port = support.free_ports(1)[0]
        server = support.Server(settings=(f"metrics.mta_port={port}",))
        self.addCleanup(server.close)
        server.start()
        run = os.path.join(server.folder, "state/run")
        os.rename(run, run + ".away")
        try:
            status, text = ask(port, "/healthz")
        finally:
            os.rename(run + ".away", run)
        self.assertEqual(503, status)
        self.assertRegex(text, r"disk: .+ cannot be written: No such file or directory\. Look at the disk")
        self.assertEqual(200, ask(port, "/healthz")[0])

    def test_an_address_that_others_reach_needs_to_be_meant(self):
        program = os.path.join(support.PROGRAMS, "mta/mta")
        given = {**os.environ, "POSTRIDER_METRICS_ADDRESS": "0.0.0.0", "POSTRIDER_METRICS_MTA_PORT": "1"}
        result = subprocess.run([program, "--check"], env=given, capture_output=True, text=True)
        self.assertEqual(1, result.returncode)
        self.assertIn("name those who may in metrics.networks", result.stderr)
        given["POSTRIDER_METRICS_NETWORKS"] = "192.0.2.0/24"
        self.assertEqual(0, subprocess.run([program, "--check"], env=given, capture_output=True).returncode)


if __name__ == "__main__":
    support.main()
