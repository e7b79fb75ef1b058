"""The end of a daemon: while it reads its configuration again, and while sessions still wait for the disk."""

import contextlib
import fcntl
import glob
import os
import signal
import sqlite3
import subprocess
import unittest

import support
from support import ALICE, ok


class StopTest(unittest.TestCase):

    def setUp(self):
        self.server = support.Server(settings=["server.drain_timeout=1s"])
        self.addCleanup(self.server.close)
        self.server.start()
        self.server.stop()

    def start(self, daemon):
        """A daemon whose exit status can be seen."""
        config = os.path.join(self.server.folder, "config.toml")
        with open(os.path.join(self.server.folder, "log", f"{daemon}.log"), "wb") as log:
            process = subprocess.Popen([os.path.join(support.PROGRAMS, daemon, daemon), "--config", config], stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for_event(daemon, "listening")
        return process

    def wait_for_event(self, daemon, event):
        support.wait_until(lambda: f" event={event} " in self.server.log(daemon).replace("\n", " "),
                           f"{daemon} says {event}\n" + self.server.log(daemon))

    def state(self, path):
        return os.path.join(self.server.folder, "state", path)

    def test_reloads_that_are_under_way(self):
        for daemon in ("mta", "imapd"):
            process = self.start(daemon)
            for _ in range(50):
                process.send_signal(signal.SIGHUP)
            self.wait_for_event(daemon, "reloaded")
            for _ in range(50):
                process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(0, process.wait(support.PATIENCE), self.server.log(daemon))

    def test_a_session_that_waits_for_the_lock_of_its_account(self):
        process = self.start("imapd")
        client = self.server.imap(mailbox="INBOX")
        self.addCleanup(client.shutdown)
        ok(client.append("INBOX", "", None, b"Subject: one\r\n\r\nx\r\n"))
        locks = [open(path, "rb+") for path in glob.glob(self.state("accounts/*/*.lock"))]
        self.assertTrue(locks)
        with contextlib.ExitStack() as held:
            for lock in locks:
                held.enter_context(lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
            client.send(b"x UID STORE 1:* +FLAGS (\\Flagged)\r\n")
            support.wait_until(lambda: self.waiting_for_a_lock(process.pid), "the command waits")
            process.send_signal(signal.SIGTERM)
            self.wait_for_event("imapd", "stopped")
        self.assertEqual(0, process.wait(support.PATIENCE), self.server.log("imapd"))

    def waiting_for_a_lock(self, pid):
        with open("/proc/locks") as locks:
            return any("->" in line and f" {pid} " in line for line in locks)

    def test_stop_waits_for_the_process_and_not_for_its_file(self):
        process = self.start("mta")
        client = self.server.smtp()
        self.addCleanup(client.close)
        client.ehlo()
        client.mail("carol@elsewhere.test")
        client.rcpt(ALICE)
        self.assertEqual(354, client.docmd("DATA")[0])  # for this it drains
        stop = subprocess.Popen([os.path.join(support.ROOT, "scripts/run"), "--dir", self.server.folder, "--stop"])
        self.wait_for_event("mta", "stopping")
        os.unlink(os.path.join(self.server.folder, "mta.pid"))
        self.assertEqual(0, stop.wait(support.PATIENCE))
        self.assertTrue(support.ended(process.pid))

    def test_a_session_that_waits_for_the_queue(self):
        process = self.start("mta")
        with contextlib.closing(sqlite3.connect(self.state("queue.db"), isolation_level=None)) as queue:
            queue.execute("BEGIN IMMEDIATE")
            client = self.server.smtp()
            self.addCleanup(client.close)
            client.ehlo()
            client.mail("carol@elsewhere.test")
            client.rcpt(ALICE)
            self.assertEqual(354, client.docmd("DATA")[0])
            client.send(b"Subject: not acknowledged\r\n\r\nx\r\n.\r\n")
            process.send_signal(signal.SIGTERM)
            self.wait_for_event("mta", "sessions_cut")
            threads = len(os.listdir(f"/proc/{process.pid}/task"))
            support.wait_until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) < threads, "the loops have ended")
            queue.execute("ROLLBACK")
        self.assertEqual(0, process.wait(support.PATIENCE), self.server.log("mta"))


if __name__ == "__main__":
    support.main()
