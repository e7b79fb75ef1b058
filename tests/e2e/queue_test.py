"""The queue as an administrator and a sender see it: a destination that is down, reports, mailctl queue, trace, sendmail."""

import email
import email.policy
import json
import os
import signal
import socket
import socketserver
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

import support
from support import ALICE, BOB, ok

REMOTE = "far.test"


class FarServer(socketserver.ThreadingTCPServer):
    """Another server: takes mail, or says what it is told to say."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port):
        self.messages = []
        self.answers = {}  # by verb
        super().__init__(("127.0.0.1", port), FarSession)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class FarSession(socketserver.StreamRequestHandler):

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 far.test ESMTP")
        try:
            while True:
                line = self.rfile.readline()
                if not line:
                    return
                verb = line[:4].upper().decode()
                answer = self.server.answers.get(verb)
                if answer:
                    self.say(answer)
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (line := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(line[1:] if line.startswith(b".") else line)
                    self.server.messages.append(b"".join(lines))
                    self.say("250 2.0.0 taken as 77")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")
        except OSError:
            pass


class QueueCase(unittest.TestCase):

    settings = ('queue.retry=["1s", "2s"]', "queue.lifetime=10m", "relay.idle_timeout=1s")

    def setUp(self):
        self.far_port = support.free_ports(1)[0]
        self.server = support.Server(settings=self.settings, routes=[f"{REMOTE}=127.0.0.1:{self.far_port}"])
        self.addCleanup(self.server.close)
        self.server.start()
        self.far = None

    def bring_up(self, **answers):
        self.far = FarServer(self.far_port)
        self.far.answers = answers
        self.addCleanup(self.far.close)
        return self.far

    def send(self, to=f"bob@{REMOTE}", subject="a mail", options=(), rcpt_options=()):
        with self.server.submission() as client:
            client.ehlo()
            client.sendmail(ALICE, [to], f"From: {ALICE}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nhello\r\n".encode(),
                            options, rcpt_options)

    def json(self, *arguments):
        return json.loads(self.server.mailctl("--json", *arguments).stdout)

    def queue(self, *arguments):
        return self.json("queue", "list", *arguments)

    def wait_for_reason(self):
        return support.wait_until(lambda: next((row for row in self.queue() if row["reason"]), None), "an attempt was made")

    def wait_until_empty(self):
        support.wait_until(lambda: not self.queue(), "the queue is empty\n" + self.server.logs())

    def read_report(self, count=1):
        """The newest report in Alice's INBOX, as Python's email parses it."""
        def found():
            with self.server.imap(ALICE, mailbox="INBOX") as client:
                uids = ok(client.uid("SEARCH", None, "FROM", "mailer-daemon"))[0].split()
                if len(uids) < count:
                    return None
                return ok(client.uid("FETCH", uids[-1], "(BODY.PEEK[])"))[0][1]
        return email.message_from_bytes(support.wait_until(found, "a report comes\n" + self.server.logs()),
                                        policy=email.policy.default)

    def check_report(self, report, action, status):
        self.assertEqual("multipart/report", report.get_content_type())
        self.assertEqual("delivery-status", report.get_param("report-type"))
        self.assertEqual("<>", report["Return-Path"])
        self.assertEqual([], list(report.defects))
        human, machine, returned = report.get_payload()
        self.assertEqual("text/plain", human.get_content_type())
        self.assertEqual("message/delivery-status", machine.get_content_type())
        message, recipient = machine.get_payload()
        self.assertTrue(message["Reporting-MTA"].startswith("dns;"))
        self.assertEqual(f"rfc822; bob@{REMOTE}", recipient["Final-Recipient"])
        self.assertEqual(action, recipient["Action"])
        self.assertEqual(status, recipient["Status"])
        return human.get_content(), message, recipient, returned


class QueueTest(QueueCase):

    # --- the way of a message whose destination is down

    def test_destination_down_daemons_killed_then_up(self):
        self.send(subject="patience")
        row = self.wait_for_reason()
        self.assertEqual(f"bob@{REMOTE}", row["recipient"])
        self.assertIn("127.0.0.1", row["reason"])
        self.assertIn(row["reason"], self.server.mailctl("queue", "list").stdout)
        for daemon in ("mta", "imapd"):
            os.kill(self.server.pid(daemon), signal.SIGKILL)
        self.server.start()
        far = self.bring_up()
        self.wait_until_empty()
        self.assertEqual(1, len(far.messages))
        self.assertIn(b"Subject: patience", far.messages[0])
        story = self.json("trace", row["id"])[0]
        recipient = story["recipients"][0]
        self.assertEqual("relayed", recipient["state"])
        self.assertEqual("250 2.0.0 taken as 77", recipient["reply"])
        self.assertGreaterEqual(len(recipient["attempts"]), 1)
        self.assertEqual(ALICE, story["authenticated_as"])
        text = self.server.mailctl("trace", f"bob@{REMOTE}").stdout
        self.assertIn("handed over", text)
        self.assertIn(row["reason"], text)

    def test_a_local_message_is_traced_to_its_mailbox(self):
        self.server.deliver(BOB, "here")
        story = support.wait_until(
            lambda: next((one for one in self.json("trace", BOB) if one["recipients"][0]["state"] == "delivered"), None)
            if self.server.mailctl("trace", BOB, check=False).returncode == 0 else None, "it is delivered")
        self.assertEqual({"account": BOB, "mailbox": "INBOX", "uid": 1},
                         {key: story["recipients"][0][key] for key in ("account", "mailbox", "uid")})

    def test_a_refusal_comes_back_as_a_report(self):
        self.bring_up(RCPT="550 5.1.1 nobody of that name")
        self.send(subject="who is bob", options=["RET=HDRS", "ENVID=E77"],
                  rcpt_options=["NOTIFY=FAILURE", f"ORCPT=rfc822;bob@{REMOTE}"])
        human, message, recipient, returned = self.check_report(self.read_report(), "failed", "5.1.1")
        self.assertIn("550 5.1.1 nobody of that name", human)
        self.assertIn("no such address", human)
        self.assertEqual("E77", message["Original-Envelope-Id"])
        self.assertEqual(f"rfc822;bob@{REMOTE}", recipient["Original-Recipient"])
        self.assertEqual("smtp; 550 5.1.1 nobody of that name", recipient["Diagnostic-Code"])
        self.assertEqual("text/rfc822-headers", returned.get_content_type())
        self.assertIn("who is bob", returned.get_content())

    def test_success_is_reported_where_it_is_asked_for(self):
        self.bring_up()
        self.send(rcpt_options=["NOTIFY=SUCCESS"])
        human, *_ = self.check_report(self.read_report(), "relayed", "2.0.0")
        self.assertIn("not a failure", human)
        self.server.mailctl("alias", "set", "team@example.test", BOB, f"carol@{REMOTE}")
        self.send("team@example.test", rcpt_options=["NOTIFY=SUCCESS"])
        report = self.read_report(2)
        recipient = report.get_payload()[1].get_payload()[1]
        self.assertEqual("expanded", recipient["Action"])
        self.assertEqual("rfc822; team@example.test", recipient["Final-Recipient"])

    # --- mailctl queue

    def test_hold_release_and_flush(self):
        self.send()
        row = self.wait_for_reason()
        self.server.mailctl("queue", "hold", row["id"])
        support.wait_until(lambda: self.queue("--state", "held"), "it is held")
        far = self.bring_up()
        self.send(subject="the other")
        support.wait_until(lambda: len(far.messages) == 1, "the other one arrives")
        self.assertIn(b"the other", far.messages[0])
        self.server.mailctl("queue", "release", row["id"])
        self.wait_until_empty()
        self.assertEqual(2, len(far.messages))

    def test_bounce_and_remove(self):
        self.send(subject="back")
        row = self.wait_for_reason()
        self.server.mailctl("queue", "bounce", "--reason", "The house is closed", row["id"])
        human, *_ = self.check_report(self.read_report(), "failed", "5.7.0")
        self.assertIn("The house is closed", human)
        self.wait_until_empty()
        self.send(subject="away")
        row = self.wait_for_reason()
        self.server.mailctl("queue", "remove", row["id"])
        self.wait_until_empty()
        self.assertEqual("removed", self.json("trace", row["id"])[0]["recipients"][0]["state"])

    def test_the_queue_is_changed_while_mta_is_down(self):
        self.send()
        row = self.wait_for_reason()
        self.server.mailctl("queue", "hold", row["id"])
        support.wait_until(lambda: self.queue("--state", "held"), "it is held")
        self.server.stop()
        self.assertEqual("held", self.queue()[0]["state"])
        self.server.mailctl("queue", "bounce", row["id"])
        self.server.start()
        self.check_report(self.read_report(), "failed", "5.7.0")

    # --- sendmail

    def sendmail(self, *arguments, text, program="sendmail"):
        with tempfile.TemporaryDirectory(prefix="postrider-test-") as folder:
            path = os.path.join(folder, program)
            os.symlink(os.path.join(support.PROGRAMS, "mailctl/sendmail"), path)
            return subprocess.run([path, *arguments], input=text, capture_output=True, text=True, timeout=support.PATIENCE,
                                  env={**os.environ, "POSTRIDER_CONFIG": os.path.join(self.server.folder, "config.toml")})

    def wait_for(self, user, subject):
        def found():
            with self.server.imap(user, mailbox="INBOX") as client:
                uids = ok(client.uid("SEARCH", None, "SUBJECT", f'"{subject}"'))[0].split()
                return ok(client.uid("FETCH", uids[0], "(BODY.PEEK[])"))[0][1] if uids else None
        return email.message_from_bytes(support.wait_until(found, f"{subject} comes\n" + self.server.logs()))

    def test_sendmail_while_mta_is_down(self):
        self.server.stop()
        sent = self.sendmail("-i", BOB, text="Subject: from a program\n\n.\nhello\n")
        self.assertEqual(0, sent.returncode, sent.stderr)
        sent = self.sendmail("-t", text=f"To: {ALICE}\nBcc: {BOB}\nSubject: by its header\n\nhello\n")
        self.assertEqual(0, sent.returncode, sent.stderr)
        self.server.start()
        message = self.wait_for(BOB, "from a program")
        self.assertEqual(".\r\nhello\r\n", message.get_payload())
        for field in ("From", "Date", "Message-ID", "Received"):
            self.assertTrue(message[field], field)
        self.assertIsNone(self.wait_for(BOB, "by its header")["Bcc"])
        self.wait_for(ALICE, "by its header")

    def test_sendmail_while_mta_runs(self):
        self.assertEqual(0, self.sendmail("root", text="Subject: from cron\n\nx\n").returncode)
        self.wait_for(ALICE, "from cron")  # the postmaster, while system.root names nobody
        spoken = self.sendmail("-bs", text=f"EHLO x\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n"
                                           "Subject: spoken\r\n\r\nx\r\n.\r\nQUIT\r\n")
        self.assertIn("250 2.0.0 left for delivery", spoken.stdout)
        self.wait_for(BOB, "spoken")
        self.assertEqual(0, self.sendmail(text="", program="newaliases").returncode)
        refused = self.sendmail("-bd", text="")
        self.assertEqual(64, refused.returncode)
        self.assertIn("mta takes mail", refused.stderr)


class DeadDestinationTest(QueueCase):

    settings = ('queue.retry=["1h"]', "queue.lifetime=5d")

    def test_a_flush_tries_what_is_thought_to_be_dead(self):
        self.send(subject="one")
        self.wait_for_reason()
        self.send(subject="two")
        support.wait_until(lambda: len(self.queue("--state", "waiting")) == 2, "both wait")
        self.assertEqual(2, self.json("queue", "stats")[0]["waiting"])
        far = self.bring_up()
        self.assertIn("2 recipients are tried now", self.server.mailctl("queue", "flush", REMOTE).stdout)
        self.wait_until_empty()
        self.assertEqual(2, len(far.messages))

    def test_one_message_is_retried(self):
        self.send(subject="one")
        row = self.wait_for_reason()
        far = self.bring_up()
        self.server.mailctl("queue", "retry", row["id"])
        self.wait_until_empty()
        self.assertEqual(1, len(far.messages))


class SetAsideTest(QueueCase):

    def test_what_two_processes_died_on_is_set_aside(self):
        with socket.create_server(("127.0.0.1", self.far_port)) as silent:
            silent.settimeout(support.PATIENCE)
            self.send(subject="deadly")
            for _ in range(2):
                connection, _ = silent.accept()  # it is being tried
                os.kill(self.server.pid("mta"), signal.SIGKILL)
                connection.close()
                self.server.start()
            row = support.wait_until(lambda: next(iter(self.queue("--state", "held")), None), "it is set aside")
        self.assertEqual("Two processes ended while they had it in hand", row["reason"])
        self.assertIn("set_aside", self.server.log("mta"))
        self.assertIn("1 recipient is set aside", self.server.mailctl("doctor", "--offline", check=False).stdout)
        self.assertIn("Set aside", self.server.mailctl("trace", row["id"]).stdout)
        far = self.bring_up()
        self.server.mailctl("queue", "release", row["id"])
        self.wait_until_empty()
        self.assertEqual(1, len(far.messages))


class ShortLifeTest(QueueCase):

    settings = ('queue.retry=["1s"]', "queue.lifetime=3s", "queue.delay_warning=1s")

    def test_a_lifetime_ends_in_a_report(self):
        self.send(subject="too late")
        self.wait_until_empty()
        report = self.read_report(2)
        human, _, recipient, returned = self.check_report(report, "failed", "4.4.1")
        self.assertIn("until its time was over", human)
        self.assertEqual("message/rfc822", returned.get_content_type())
        self.assertEqual("too late", returned.get_payload(0)["Subject"])
        with self.server.imap(ALICE, mailbox="INBOX") as client:
            self.assertEqual(1, len(ok(client.uid("SEARCH", None, "SUBJECT", '"Your message is delayed"'))[0].split()))
            self.assertEqual(1, len(ok(client.uid("SEARCH", None, "SUBJECT", '"was not delivered"'))[0].split()))


class GreatQueueTest(QueueCase):
    """100,000 recipients wait; a million with POSTRIDER_LOAD=full."""

    settings = ('queue.retry=["1h"]', "queue.lifetime=5d")
    recipients = 1_000_000 if os.environ.get("POSTRIDER_LOAD") == "full" else 100_000
    of_one = 100  # recipients of one message

    def fill(self):
        """Half of them are due, all at a destination that is down; the others wait for an hour, at a hundred destinations."""
        now = int(time.time())
        with sqlite3.connect(os.path.join(self.server.folder, "state/queue.db")) as queue:
            for number in range(self.recipients // self.of_one):
                message = ((now - 10_000) * 1000 + number) << 19
                due = number % 2 == 0
                queue.execute("INSERT INTO message VALUES(?, ?, ?, '', 'test', '', '', 0, ?, 10, '')",
                              (message, self.of_one, ALICE, now))
                queue.execute("INSERT INTO body VALUES(?, ?)", (message, b"A: b\r\n\r\nx\r\n"))
                queue.execute("INSERT INTO ledger VALUES(?, ?, ?, 10, ?, 'test', '', '', '')", (message, now, self.of_one, ALICE))
                domain = REMOTE if due else f"away{number % 200}.test"
                queue.executemany(
                    "INSERT INTO recipient(message, number, account, destination, address, original, orcpt, notify, next_attempt)"
                    " VALUES(?1, ?2, 0, ?3, ?4, ?4, '', 0, ?5)",
                    ((message, one + 1, domain, f"user{one}@{domain}", now - 1 if due else now + 3_600)
                     for one in range(self.of_one)))

    def memory(self):
        with open(f"/proc/{self.server.pid('mta')}/status") as status:
            return next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM:"))

    def test_memory_is_bounded_and_commands_are_quick(self):
        self.server.stop()
        self.fill()
        before = time.monotonic()
        self.server.start()
        start = time.monotonic() - before

        def all_put_off():
            return sum(row["due"] for row in self.json("queue", "stats")) == 0
        support.wait_until(all_put_off, "everything that was due is put off", 600)
        put_off = time.monotonic() - before
        stats = self.json("queue", "stats", "--limit", "1000")
        self.assertEqual(REMOTE, stats[0]["destination"])
        self.assertEqual(self.recipients // 2, stats[0]["waiting"])
        self.assertEqual(101, len(stats))
        times = {}
        for command in (("stats",), ("list",), ("list", "--destination", "away1.test"), ("flush", "away1.test"),
                        ("hold", "--destination", "away3.test")):
            began = time.monotonic()
            self.json("queue", *command)
            times[" ".join(command)] = round(time.monotonic() - began, 2)
        print(f"\n{self.recipients} recipients: started in {start:.1f} s, {self.recipients // 2} put off in {put_off:.1f} s, "
              f"mta's memory {self.memory()} MiB; {times}", flush=True)
        self.assertLess(self.memory(), 400 + support.KEPT_MEMORY)
        self.assertLess(max(times.values()), 30)
        # A message goes through beside all of them.
        self.server.deliver(ALICE, "beside a great queue")
        support.wait_until(lambda: self.find("beside a great queue"), "it is delivered", 30)

    def find(self, subject):
        with self.server.imap(ALICE, mailbox="INBOX") as client:
            return ok(client.uid("SEARCH", None, "SUBJECT", f'"{subject}"'))[0]


class InstallTest(unittest.TestCase):

    def install(self, folder):
        return subprocess.run([os.path.join(support.ROOT, "scripts/lib/install"), folder], env=support.ENVIRONMENT,
                              capture_output=True, text=True, check=True).stderr

    def test_what_is_installed(self):
        with support.temporary_folder() as folder:
            self.assertEqual("", self.install(folder))
            for name in ("mta", "imapd", "mailctl"):
                self.assertEqual(0o755, os.stat(f"{folder}/usr/local/bin/{name}").st_mode & 0o7777)
            self.assertEqual(0o2755, os.stat(f"{folder}/usr/local/bin/sendmail").st_mode & 0o7777)
            for link in ("usr/sbin/sendmail", "usr/lib/sendmail", "usr/bin/mailq", "usr/bin/newaliases"):
                self.assertEqual("/usr/local/bin/sendmail", os.readlink(f"{folder}/{link}"))
            self.assertEqual(0o2771, os.stat(f"{folder}/var/lib/postrider").st_mode & 0o7777)
            self.assertEqual(0o3730, os.stat(f"{folder}/var/lib/postrider/drop").st_mode & 0o7777)
            with open(f"{folder}/etc/systemd/system/postrider-mta.service") as unit:
                self.assertIn("ExecStart=/usr/local/bin/mta\n", unit.read())
            with open(f"{folder}/etc/postrider/config.toml", "a") as file:
                file.write("# mine\n")
            self.install(folder)
            with open(f"{folder}/etc/postrider/config.toml") as file:
                self.assertIn("# mine", file.read())

    def test_another_mail_system_keeps_its_sendmail(self):
        with support.temporary_folder() as folder:
            os.makedirs(f"{folder}/usr/sbin")
            with open(f"{folder}/usr/sbin/sendmail", "w") as file:
                file.write("another one")
            self.assertIn("/usr/sbin/sendmail is of another mail system", self.install(folder))
            with open(f"{folder}/usr/sbin/sendmail") as file:
                self.assertEqual("another one", file.read())


if __name__ == "__main__":
    support.main()
