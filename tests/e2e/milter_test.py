"""Filters: a scripted milter that does everything the protocol allows, and real ones, opendkim and rspamd."""

import json
import os
import re
import shutil
import smtplib
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

import support
from support import ALICE, BOB, ok, wait_until

ADD_FIELDS, CHANGE_BODY, ALL = 0x01, 0x02, 0x1ff
NO_REPLY = {"L": 0x80, "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000, "N": 0x40000, "B": 0x80000}
NO_REPLIES = sum(NO_REPLY.values())
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def packet(letter, data=b""):
    return struct.pack(">I", len(data) + 1) + letter + data


def field(letter, name, value, index=None):
    return packet(letter, (b"" if index is None else struct.pack(">I", index)) + name + b"\0" + value + b"\0")


class Milter:
    """Answers each step by answers[letter] (bytes, a list of them, or a function of the data); whatever is not there goes on."""

    def __init__(self, answers=None, omissions=0, actions=ALL, negotiation=None):
        self.answers, self.seen = answers or {}, []
        self.silent = {letter for letter, bit in NO_REPLY.items() if omissions & bit}
        self.negotiation = negotiation or packet(b"O", struct.pack(">III", 6, actions, omissions))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def setting(self):
        return f"inet:127.0.0.1:{self.port}"

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                head = stream.read(4)
                if len(head) < 4:
                    return
                data = stream.read(struct.unpack(">I", head)[0])
                letter, rest = data[:1], data[1:]
                self.seen.append((letter.decode(), rest))
                if letter == b"O":
                    connection.sendall(self.negotiation)
                elif letter == b"Q":
                    return
                elif letter not in (b"D", b"A") and letter.decode() not in self.silent:
                    answer = self.answers.get(letter.decode(), packet(b"c"))
                    answer = answer(rest) if callable(answer) else answer
                    if answer is None:
                        return
                    connection.sendall(answer)

    def steps(self):
        return "".join(letter for letter, _ in self.seen if letter != "D")


class MilterTest(unittest.TestCase):
    def serve(self, *milters, settings=()):
        listed = ", ".join(f'"{one if isinstance(one, str) else one.setting}"' for one in milters)
        self.server = support.Server(settings=[f"milter.list=[{listed}]", 'milter.command_timeout="2s"', *settings])
        self.addCleanup(self.server.close)
        self.server.start()

    def send(self, subject, body="hello\n", sender="carol@elsewhere.test", to=(ALICE,)):
        """The reply to the message."""
        message = f"From: {sender}\nTo: {to[0]}\nSubject: {subject}\n\n{body}".replace("\n", "\r\n").encode()
        with self.server.smtp() as client:
            client.ehlo()
            client.mail(sender)
            for recipient in to:
                client.rcpt(recipient)
            return client.data(message)

    def stored(self, subject, user=ALICE, mailbox="INBOX"):
        uid = support.ServerTest.wait_for_mail(self, subject, user, mailbox)
        with self.server.imap(user, mailbox=mailbox) as client:
            return ok(client.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1].decode()

    def trace(self, address=ALICE):
        return json.loads(self.server.mailctl("--json", "trace", address).stdout)[0]

    def test_refused_recipients_are_shown_to_who_asks_for_them(self):
        asks, does_not = Milter({"R": packet(b"r")}, omissions=0x800), Milter()
        self.serve(asks, does_not)
        with self.server.smtp() as client:
            client.ehlo()
            client.mail("carol@elsewhere.test")
            self.assertEqual(550, client.rcpt("nobody@example.test")[0])
            client.rset()
        shown = [data for letter, data in asks.seen if letter == "R"]
        self.assertEqual([b"<nobody@example.test>\0"], shown)
        macros = [data for letter, data in asks.seen if letter == "D" and data.startswith(b"R")]
        self.assertIn(b"{rcpt_mailer}\0error\0", macros[0])
        self.assertIn(b"{rcpt_host}\x005.1.1\0", macros[0])
        self.assertNotIn("R", does_not.steps())

    def test_every_step_is_shown(self):
        milter = Milter()
        self.serve(milter)
        with self.server.smtp() as client:
            client.ehlo()
            client.docmd("NONSENSE")
            client.mail("carol@elsewhere.test", ["SIZE=100"])
            client.docmd("NONSENSE")
            client.rcpt(ALICE)
            client.rcpt("nobody@example.test")
            client.data(b"Subject: all steps\r\nX-Two:  a\r\n b\r\n\r\nhello\r\n.dot\r\n")
            client.mail("second@elsewhere.test")
            client.rset()
            client.mail("third@elsewhere.test")
        wait_until(lambda: milter.steps().endswith("Q"), "no end")
        self.assertEqual("OCHMURTLLNBEMAMQ", milter.steps())
        seen = [(letter, data) for letter, data in milter.seen if letter != "D"]
        self.assertIn(b"[127.0.0.1]\0" + b"4", seen[1][1])
        self.assertTrue(seen[1][1].endswith(b"127.0.0.1\0"))
        self.assertEqual(("H", b"client.example\0"), seen[2])
        self.assertEqual(("M", b"<carol@elsewhere.test>\0SIZE=100\0"), seen[3])
        self.assertEqual(("U", b"NONSENSE\0"), seen[4])
        self.assertEqual(("R", b"<alice@example.test>\0"), seen[5])
        self.assertEqual([("L", b"Subject\0all steps\0"), ("L", b"X-Two\0 a\n b\0"), ("N", b""), ("B", b"hello\r\n.dot\r\n")], seen[7:11])
        macros = {letter: data for letter, data in milter.seen if letter == "D" for letter in [data[:1]]}
        self.assertIn(b"{client_addr}\x00127.0.0.1\0", macros[b"C"])
        self.assertIn(b"{rcpt_addr}\0alice@example.test\0", macros[b"R"])
        self.assertRegex(macros[b"M"], rb"i\0[0-9a-z]{12}\0")
        self.assertIn(macros[b"E"].split(b"\0")[1].decode(), self.trace()["id"])

    def test_what_a_milter_does_not_want_is_left_out(self):
        milter = Milter(omissions=0x01 | 0x02 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x8000)
        self.serve(milter)
        self.assertEqual(250, self.send("left out")[0])
        self.assertEqual("OMRE", milter.steps()[:4])

    def test_changes(self):
        end = (field(b"h", b"X-Last", b"added\nfolded") + field(b"i", b"X-First", b"inserted", 0) + field(b"m", b"Subject", b"changed", 1)
               + field(b"m", b"X-Gone", b"", 2) + packet(b"b", b"another ") + packet(b"p") + packet(b"b", b"body\r\n")
               + packet(b"e", b"<new@elsewhere.test>\0") + packet(b"+", b"<bob@example.test>\0") + packet(b"-", b"<Alice@example.test>\0")
               + packet(b"c"))
        second = Milter()
        self.serve(Milter({"E": end}), second)
        code, _ = self.send("before\nX-Gone: 1\nX-Gone: 2")
        self.assertEqual(250, code)
        text = self.stored("changed", BOB)
        self.assertTrue(text.startswith("Return-Path: <new@elsewhere.test>\r\nDelivered-To: bob@example.test\r\n"), text)
        head, _, body = text.partition("\r\n\r\n")
        self.assertEqual("another body\r\n", body)
        self.assertIn("\r\nX-First: inserted\r\nFrom: ", head)
        self.assertTrue(head.endswith("\r\nSubject: changed\r\nX-Gone: 1\r\nX-Last: added\r\n\tfolded"), head)
        with self.server.imap(mailbox="INBOX") as client:
            self.assertEqual([b""], ok(client.uid("SEARCH", None, "ALL")))
        self.assertIn(("L", b"X-Last\0added\n\tfolded\0"), second.seen)
        self.assertIn(("B", b"another body\r\n"), second.seen)

    def test_a_large_message_keeps_its_body(self):
        milter = Milter({"E": field(b"h", b"X-Seen", b"yes") + packet(b"c")}, omissions=NO_REPLIES)
        self.serve(milter)
        body = "".join(f"line {n}\n" for n in range(100_000))
        self.assertEqual(250, self.send("large", body)[0])
        text = self.stored("large")
        self.assertIn("\r\nX-Seen: yes\r\n\r\nline 0\r\n", text)
        self.assertTrue(text.endswith(body.replace("\n", "\r\n")))
        self.assertEqual(body.replace("\n", "\r\n").encode(), b"".join(data for letter, data in milter.seen if letter == "B"))

    def test_refusals_at_every_step(self):
        for step in "CHMRTLNBE":
            for answer, reply in ((packet(b"r"), (550, b"5.7.1")), (packet(b"t"), (451, b"4.7.1")),
                                  (packet(b"y", b"554 5.7.9 100%% no\0"), (554, b"5.7.9 100% no"))):
                with self.subTest(step=step, answer=answer):
                    milter = Milter({step: answer})
                    server = support.Server(settings=[f'milter.list=["{milter.setting}"]'])
                    server.start()
                    try:
                        with self.assertRaises(smtplib.SMTPException) as raised, server.smtp() as client:
                            client.sendmail("carol@elsewhere.test", [ALICE], b"Subject: x\r\n\r\nx\r\n")
                        self.assertIn(str((reply[0], reply[1]))[:-2], str(vars(raised.exception)) + str(raised.exception))
                    finally:
                        server.close()

    def test_accept_and_skip(self):
        session = Milter({"C": packet(b"a")})
        message = Milter({"M": packet(b"a")})
        skipping = Milter({"B": packet(b"s")}, omissions=0x400)
        self.serve(session, message, skipping)
        self.assertEqual(250, self.send("accepted", "x" * 500 + "\n" + ("y" * 70 + "\n") * 3_000)[0])
        self.assertEqual(["OC", "OCHM"], [one.steps().rstrip("AQ") for one in (session, message)])
        self.assertEqual("OCHMRTLLLNBE", skipping.steps().rstrip("Q"))

    def test_discarded_mail_is_in_the_ledger_and_nowhere_else(self):
        self.serve(Milter({"R": packet(b"d")}))
        self.assertEqual(250, self.send("discarded")[0])
        wait_until(lambda: self.trace()["recipients"][0]["state"] == "removed", "not removed")
        with self.server.imap(mailbox="INBOX") as client:
            self.assertEqual([b""], ok(client.uid("SEARCH", None, "ALL")))

    def test_quarantine_is_held_in_the_queue(self):
        self.serve(Milter({"E": packet(b"q", b"looks odd\0") + packet(b"c")}))
        self.assertEqual(250, self.send("odd")[0])
        story = self.trace()
        self.assertEqual("held", story["recipients"][0]["state"])
        self.assertIn("looks odd", story["recipients"][0]["last_reply"])
        self.assertIn("looks odd", self.server.mailctl("queue", "list", "--state", "held").stdout)
        self.server.mailctl("queue", "release", story["id"])
        self.stored("odd")

    def test_spam_goes_to_junk(self):
        self.serve(Milter({"E": field(b"h", b"X-Spam-Flag", b"YES") + packet(b"c")}))
        self.assertEqual(250, self.send("spam")[0])
        self.assertIn("X-Spam-Flag: YES", self.stored("spam", mailbox="Junk"))
        story = wait_until(lambda: [one for one in [self.trace()] if one["recipients"][0]["state"] == "delivered"], "no end")[0]
        self.assertIn('junk="', story["checks"])
        self.assertEqual("Junk", story["recipients"][0]["mailbox"])

    def test_a_sender_cannot_say_that_his_mail_is_spam(self):
        self.serve(Milter())
        self.assertEqual(250, self.send("no spam\nX-Spam: Yes")[0])
        self.stored("no spam")

    def test_failures(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        dead = f"inet:127.0.0.1:{port}"
        silent = Milter({"M": lambda data: b""})
        leaving = Milter({"E": lambda data: None})
        babbling = Milter({"R": b"\0\0\0\0\0"})
        huge = Milter({"E": b"\xff\xff\xff\xff"})
        strange = Milter(negotiation=packet(b"O", struct.pack(">III", 6, ALL, 0xffffffff)))
        early = Milter({"M": field(b"h", b"X-Early", b"x")})
        unannounced = Milter({"E": field(b"h", b"X-Not-Said", b"x") + packet(b"c")}, actions=CHANGE_BODY)
        for milter in (dead, silent.setting, leaving.setting, babbling.setting, huge.setting, strange.setting, early.setting,
                       unannounced.setting, "unix:/nowhere/at/all"):
            for then, code in (("tempfail", 451), ("accept", 250), ("reject", 550)):
                with self.subTest(milter=milter, then=then):
                    server = support.Server(settings=[f'milter.list=["{milter} on_failure={then}"]', 'milter.command_timeout="1s"'])
                    server.start()
                    try:
                        with server.smtp() as client:
                            client.ehlo()
                            replies = [client.mail("carol@elsewhere.test")[0]]
                            if replies[-1] == 250:
                                replies.append(client.rcpt(ALICE)[0])
                            if replies[-1] == 250:
                                replies.append(client.data(b"Subject: x\r\n\r\nx\r\n")[0])
                        self.assertEqual(code, replies[-1], server.log("mta")[-2000:])
                        self.assertIn("event=milter_failed", server.log("mta"))
                    finally:
                        server.close()

    def test_each_kind_of_mail_has_its_filters(self):
        incoming, submitted = Milter(), Milter()
        self.serve(f"{incoming.setting} mail=incoming", f"{submitted.setting} mail=submitted")
        self.send("from outside")
        with self.server.submission() as client:
            client.sendmail(ALICE, [BOB], b"Subject: from inside\r\n\r\nx\r\n")
        self.stored("from inside", BOB)
        senders = lambda milter: [data for letter, data in milter.seen if letter == "M"]
        self.assertEqual([b"<carol@elsewhere.test>\0"], [one.split(b"size")[0].split(b"SIZE")[0] for one in senders(incoming)])
        self.assertTrue(all(one.startswith(b"<alice@example.test>") for one in senders(submitted)))
        self.assertEqual(1, len(senders(submitted)))
        macros = b"".join(data for letter, data in submitted.seen if letter == "D" and data[:1] == b"M")
        self.assertIn(b"{auth_authen}\0alice@example.test\0", macros)
        self.assertIn(b"{auth_type}\0", macros)
        # Date and Message-ID, which we add, are there for filters to sign.
        names = [data.split(b"\0")[0] for letter, data in submitted.seen if letter == "L"]
        self.assertIn(b"Date", names)
        self.assertIn(b"Message-ID", names)


class RealMilters(unittest.TestCase):
    serve, send, stored = MilterTest.serve, MilterTest.send, MilterTest.stored

    def begin(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def folder(self):
        # Daemons that become somebody else want to read it.
        folder = tempfile.mkdtemp(prefix="postrider-test-")
        os.chmod(folder, 0o755)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def test_opendkim_signs(self):
        folder = self.folder()
        support.run("opendkim-genkey", "-D", folder, "-d", "example.test", "-s", "odk")
        path = f"{folder}/opendkim.sock"
        with open(f"{folder}/opendkim.conf", "w") as file:
            file.write(f"Domain example.test\nSelector odk\nKeyFile {folder}/odk.private\nSocket local:{path}\nMode s\n"
                       f"PidFile {folder}/pid\nRequireSafeKeys no\n")
        self.begin("opendkim", "-f", "-x", f"{folder}/opendkim.conf")
        wait_until(lambda: os.path.exists(path), "opendkim does not listen")
        self.serve(f"unix:{path}")
        with self.server.submission() as client:
            client.sendmail(ALICE, [BOB], f"From: {ALICE}\r\nTo: {BOB}\r\nSubject: by opendkim\r\n\r\nhello\r\n".encode())
        text = self.stored("by opendkim", BOB)
        self.assertRegex(text, r"DKIM-Signature: [^:]*d=example\.test;\s+s=odk;")
        import dkim
        with open(f"{folder}/odk.txt") as file:
            record = "".join(re.findall(r'"([^"]*)"', file.read())).encode()
        # Ours stand above it.
        self.assertTrue(dkim.DKIM(text.encode()).verify(idx=2, dnsfunc=lambda name, **_: record))

    @unittest.skipUnless(shutil.which("rspamd"), "rspamd is not installed: scripts/setup test")
    def test_rspamd_refuses_gtube(self):
        folder = self.folder()
        port = support.free_ports(3)
        shutil.copytree("/etc/rspamd", f"{folder}/conf", symlinks=True)
        with open(f"{folder}/rspamd.conf", "w") as file:
            file.write(RSPAMD.format(folder=folder, milter=port[0], normal=port[1]))
        os.mkdir(f"{folder}/lib")
        shutil.chown(f"{folder}/lib", "_rspamd", "_rspamd")
        self.begin("rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", "-c", f"{folder}/rspamd.conf")

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port[0])) == 0
        wait_until(listens, "rspamd does not listen")
        self.serve(f"inet:127.0.0.1:{port[0]} name=rspamd")
        self.assertEqual(250, self.send("harmless")[0])
        self.stored("harmless")
        code, text = self.send("gtube", GTUBE + "\n")
        self.assertEqual((554, True), (code, b"Gtube" in text), text)


RSPAMD = """
options {{ pidfile = "{folder}/lib/pid"; dns {{ nameserver = ["127.0.0.1:9:1"]; timeout = 1s; retransmits = 1; }} filters = ""; }}
logging {{ type = "console"; level = "error"; }}
metric {{ name = default; actions {{ reject = 15; add_header = 6; }} }}
worker "normal" {{ bind_socket = "127.0.0.1:{normal}"; count = 1; }}
worker "rspamd_proxy" {{
  bind_socket = "127.0.0.1:{milter}"; milter = yes; timeout = 20s; count = 1;
  upstream "local" {{ default = yes; hosts = "127.0.0.1:{normal}"; }}
}}
"""

if __name__ == "__main__":
    support.main()
