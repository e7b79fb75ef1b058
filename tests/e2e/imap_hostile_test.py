"""What clients must not say to imapd, and what they are answered: bad literals, endless commands, names that are none,
logins that are garbage, mail that is broken in every way. Whatever is said, the next session works."""

import base64
import socket
import threading
import time

import support
from support import ALICE, BOB, PASSWORD, ok


class Raw:
    """A connection that says what it likes."""

    def __init__(self, server, user=None):
        self.socket = socket.create_connection((server.host, server.ports["imap"]), timeout=support.PATIENCE)
        self.file = self.socket.makefile("rb")
        self.greeting = self.line()
        self.number = 0
        if user:
            self.command(f'LOGIN {user} "{PASSWORD}"', b"OK")

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def line(self):
        return self.file.readline()

    def command(self, text, status=None):
        """All lines of the answer; the last is the tagged one. Empty lines stand for the end of the connection."""
        self.number += 1
        tag = b"t%d " % self.number
        self.send(tag + (text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return self.answer(tag, status, text)

    def answer(self, tag, status=None, text=""):
        lines = []
        while not lines or not (lines[-1].startswith(tag) or not lines[-1]):
            lines.append(self.line())
        if status is not None and not lines[-1].startswith(tag + status):
            raise AssertionError(f"{text[:200]!r} is answered {lines[-1]!r}")
        return lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


class HostileTest(support.ServerTest):
    users = (ALICE, BOB, "dave@example.test", "erin@example.test")

    def raw(self, user=None):
        return Raw(self.server, user)

    def works(self):
        with self.server.imap(BOB, mailbox="INBOX") as client:
            ok(client.noop())

    # --- literals

    def test_literals_that_are_none(self):
        with self.raw() as c:
            for head in ("{4294967296}", "{99999999999}", "{18446744073709551616}", "{-1}", "{}", "{+}", "{1x}"):
                c.command(f"LOGIN {head}", b"BAD")
            c.send("e LOGIN {0+}\r\n {0+}\r\n\r\n")
            self.assertRegex(c.answer(b"e ")[-1], rb"^e NO \[AUTHENTICATIONFAILED\]")
        with self.raw(ALICE) as c:
            for head in ("{4294967296}", "{99999999999999999999}", "{-1}"):
                c.command(f"SELECT {head}", b"BAD")
            c.command("NOOP", b"OK")
        for unfinished in ("LOGIN {10+}\r\n123456789", "LOGIN {10", "AUTHENTICATE PLAIN\r\nAAAA"):
            with self.raw() as c:
                c.send("h " + unfinished)
        self.works()

    def test_a_thousand_literals_before_login_cost_nothing(self):
        with self.raw() as c:
            try:
                for number in range(1000):
                    c.send(b"a%d LOGIN {1048576}\r\n" % number)
            except OSError:
                pass  # it had enough of us
            lines = c.file.read().splitlines()
        self.assertFalse([line for line in lines if line.startswith(b"+")], "a literal was asked for")
        self.assertTrue(lines[-1].startswith(b"* BYE"), lines[-1])
        self.works()

    def test_a_refused_literal_is_never_read_as_commands(self):
        with self.raw(ALICE) as c:
            c.send(b"a SELECT {3000000+}\r\n" + b"b CREATE Injected\r\n" * 1000)
            text = c.file.read()
            self.assertIn(b"a BAD", text)
            self.assertIn(b"* BYE", text)
            self.assertNotIn(b"b ", text)
        with self.server.imap(ALICE) as client:
            self.assertEqual([None], ok(client.list('""', "Injected")))

    # --- sizes and depths

    def test_brackets_sets_and_patterns_without_end(self):
        with self.raw("dave@example.test") as c:
            c.command("SELECT INBOX", b"OK")
            for command in ("SEARCH ", "FETCH 1 ", "LIST ", "FETCH 1 BODY[HEADER.FIELDS ", "STORE 1 FLAGS ", "ESEARCH IN ",
                            "GETMETADATA ", "NOTIFY SET ", "THREAD REFERENCES UTF-8 "):
                c.command(command + "(" * 1_000_000, b"BAD")
                c.command(command + "(" * 50_000, b"BAD")
            c.command("SEARCH " + "NOT " * 10_000 + "ALL", b"OK")
            c.command("SEARCH " + "OR ALL " * 5_000 + "ALL", b"BAD")
            c.command("UID FETCH " + ",".join(str(2 * n + 1) for n in range(9_000)) + " UID", b"OK")
            c.command("UID FETCH " + "1," * 30_000 + "1 UID", b"BAD")
            for sequence in ("1:*", "*:*", "*", "4294967295:1", "4294967295"):
                c.command(f"UID FETCH {sequence} (UID)", b"OK")
            for sequence in ("0", "1:0", "4294967296", "1:", ",1", "1,,2", "-1", "1:2:3", "**"):
                c.command(f"UID FETCH {sequence} (UID)", b"BAD")
            began = time.monotonic()
            c.command('LIST "" "' + "%*" * 1_000 + '"', b"OK")
            c.command('LIST "" "' + "%*" * 1_000 + 'x"', b"OK")
            c.command('LIST "" "' + "(a+)+$" * 200 + '"', b"OK")
            self.assertLess(time.monotonic() - began, 20)
        self.works()

    # --- names

    def test_names_of_mailboxes(self):
        with self.raw("dave@example.test") as c:
            for name in ('"a//b"', '"/a"', '"//"', "x" * 10_000, '"a&b"', '"&AAA-"', '"&2AA-"', '"&Jjo!"', '"t\u00e9"', '""'):
                c.command(f"CREATE {name}", b"NO")
            for name in ('".."', '"../../x"', '"a\\\\b"', "\"'; DROP TABLE mailbox; --\"", '"%00"'):
                c.command(f"CREATE {name}", b"OK")  # names like any other: they never become paths
                c.command(f"DELETE {name}", b"OK")
            c.send(b"n CREATE {3+}\r\na\0b\r\n")
            self.assertRegex(c.answer(b"n ")[-1], rb"^n BAD")
            c.command("CREATE iNbOx", b"NO [ALREADYEXISTS]")
            c.command("STATUS inBOX (MESSAGES)", b"OK")
            c.command("DELETE InBox", b"NO [CANNOT]")
            c.command("CREATE Up/Down", b"OK")
            c.command("RENAME Up Up/Down/Up", b"NO")
            c.command("RENAME Up Up", b"NO")
            c.command("RENAME Nowhere Up", b"NO [NONEXISTENT]")
        with self.server.imap("dave@example.test") as client:
            self.assertEqual(1, len(ok(client.list('""', "Up/%"))))

    # --- messages

    def test_copies_onto_itself_and_pipelined_changes(self):
        with self.raw("erin@example.test") as c:
            c.command("CREATE Self", b"OK")
            c.command("SELECT Self", b"OK")
            c.send(b"".join(b"a%d APPEND Self {3+}\r\nabc\r\n" % n for n in range(4)))
            c.answer(b"a3 ", b"OK")
            self.assertIn(b"COPYUID", c.command("COPY 1:2 Self", b"OK")[-1])
            c.command("MOVE 1 Self", b"OK")
            found = c.command("UID SEARCH ALL", b"OK")
            self.assertIn(b"* SEARCH 2 3 4 5 6 7\r\n", found)
            # Each is obeyed before the next is looked at: the numbers are those after the EXPUNGE.
            c.send(b"p1 STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\np2 EXPUNGE\r\np3 STORE 1 +FLAGS.SILENT (\\Flagged)\r\n"
                   b"p4 UID SEARCH FLAGGED\r\n")
            self.assertIn(b"* SEARCH 4\r\n", c.answer(b"p4 ", b"OK"))

    def test_appends_that_say_too_much(self):
        with self.raw("erin@example.test") as c:
            c.command('APPEND INBOX "01-Jan-0000 00:00:00 +0000" {3+}\r\nabc', b"BAD")
            c.command('APPEND INBOX () {3+}\r\nabc', b"OK")
            c.command("APPEND INBOX (" + " ".join(f"k{n}" for n in range(10_000)) + ") {3+}\r\nabc", b"BAD")
            c.command("APPEND INBOX (" + " ".join(f"k{n}" for n in range(60)) + ") {3+}\r\nabc", b"NO [LIMIT]")
            c.command('APPEND INBOX "32-Foo-2026 99:00:00 +0000" {3+}\r\nabc', b"BAD")
            c.command("APPEND Nowhere {3+}\r\nabc", b"NO [TRYCREATE]")
            c.command("APPEND INBOX {0+}\r\n", b"NO")
            c.command("NOOP", b"OK")

    def test_broken_mail_is_shown(self):
        nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2_000))
        message = b"Content-Type: message/rfc822\r\n\r\n" * 1_000
        broken = (
            nested, message, b"no header at all", b"\r\n", b":\r\n\r\n", b"Subject", b"\0\0\0\r\n\r\n\0",
            b"Content-Type: multipart/mixed; boundary=" + b"x" * 10_000 + b"\r\n\r\n--" + b"x" * 10_000 + b"\r\n",
            b"To: " + b", ".join(b"a%d@x" % n for n in range(50_000)) + b"\r\n\r\n",
            b"To: group: a@x, b@y\r\n\r\n", b"From: " + b"(" * 100_000 + b"\r\n\r\n", b"From: (\\\r\n\r\n",
            b"Content-Type: text/plain" + b"".join(b"; name*%d=a" % n for n in range(20_000)) + b"\r\n\r\n",
            b"Subject: =?utf-8?q?=?iso-2022-jp?b?" + b"=?x?q?" * 1_000 + b"?=\r\n\r\n", b"Subject: \xc3\r\n\r\n\xff\xfe",
            b"Date: Thu, 01 Jan 0000 00:00:00 +0000\r\n\r\n", b"Date: 1 Jan 99999 00:00 +9999\r\n\r\n",
            b"Content-Type: text/html\r\n\r\n" + b"<b>" * 300_000,
            b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\n",
        )
        with self.raw("erin@example.test") as c:
            c.command("CREATE Broken", b"OK")
            for text in broken:
                c.command(b"APPEND Broken {%d+}\r\n%s" % (len(text), text), b"OK")
            c.command("SELECT Broken", b"OK")
        with self.server.imap("erin@example.test", mailbox="Broken") as client:
            for number, text in enumerate(broken, 1):
                data = ok(client.fetch(str(number), "(ENVELOPE BODYSTRUCTURE BODY PREVIEW RFC822.SIZE)"))
                self.assertTrue(data[0])
                got = ok(client.fetch(str(number), "(BODY.PEEK[])"))[0][1]
                self.assertEqual(support.digest(text), support.digest(got))
            ok(client.search(None, "TEXT", "nowhere"))
            ok(client.sort("(SUBJECT FROM TO DATE)", "UTF-8", "ALL"))
            ok(client.thread("REFERENCES", "UTF-8", "ALL"))

    # --- login

    def test_garbage_in_authenticate(self):
        good = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode()
        null = base64.b64encode(f"{ALICE}\0{ALICE}\0{PASSWORD}\0\0".encode()).decode()
        with self.raw() as c:
            for text in ("A", "AA", "AAA", "AA==A", "A===", "====", "*A", "!!!!", good[:-1], good + "A", null,
                         base64.b64encode(b"\0\0").decode(), base64.b64encode(b"\0\xff\xfe\0x").decode()):
                answer = c.command(f"AUTHENTICATE PLAIN {text}")[-1]
                self.assertRegex(answer, rb"^t\d+ (BAD|NO \[AUTHENTICATIONFAILED\])", text)
                if c.number % 4 == 0:  # five failures end a connection
                    c.__exit__()
                    c.__init__(self.server)
            c.command(f"AUTHENTICATE PLAIN {good}", b"OK")
        with self.raw() as c:
            c.send("a AUTHENTICATE PLAIN\r\n")
            self.assertTrue(c.line().startswith(b"+"))
            c.send(b"A" * (1 << 20) + b"\r\n")
            self.assertRegex(c.answer(b"a ")[-1], rb"^a BAD")
            for mechanism in ("EXTERNAL", "EXTERNAL =", "NTLM", "GSSAPI", "SCRAM-SHA-256-PLUS", "X" * 5_000):
                self.assertRegex(c.command(f"AUTHENTICATE {mechanism}")[-1], rb"^t\d+ (BAD|NO)", mechanism)
        with self.raw() as c:
            for first in ("n,,n=,r=abc", "n,,r=abc", "y,,n=alice@example.test", "p=tls-unique,,n=a,r=b", "n,,n=a,r="):
                c.command("AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(first.encode()).decode() + "\r\n*")
        self.works()

    def test_what_was_sent_with_starttls_is_dropped(self):
        with self.raw() as c:
            c.send("a STARTTLS\r\nb LOGIN x y\r\nc NOOP\r\n")
            self.assertRegex(c.line(), rb"^a OK")
            context = support.any_certificate()
            secure = context.wrap_socket(c.socket)
            secure.sendall(b"d NOOP\r\n")
            self.assertRegex(secure.recv(4096), rb"^d OK")
            secure.sendall(b"e STARTTLS\r\n")
            self.assertRegex(secure.recv(4096), rb"^e BAD")
            secure.sendall(b"f CAPABILITY\r\n")
            self.assertNotIn(b"STARTTLS", secure.recv(4096))
            secure.close()
        with self.raw(ALICE) as c:
            c.command("STARTTLS", b"BAD")

    def test_starttls_while_something_else_is_under_way(self):
        credentials = f'{ALICE} "{PASSWORD}"'
        with self.raw() as c:  # the login is not over when STARTTLS comes
            c.send(f"a LOGIN {credentials}\r\nb STARTTLS\r\nc NOOP\r\n")
            self.assertRegex(c.line(), rb"^a OK")
            self.assertRegex(c.line(), rb"^b BAD")
            self.assertRegex(c.line(), rb"^c OK")
        with self.raw() as c:  # in the place of a response to a challenge
            c.send("a AUTHENTICATE PLAIN\r\n")
            self.assertTrue(c.line().startswith(b"+"))
            c.send(f"b STARTTLS\r\nc LOGIN {credentials}\r\n")
            self.assertRegex(c.line(), rb"^a BAD")
            self.assertRegex(c.line(), rb"^c OK")
        with self.raw(ALICE) as c:  # within IDLE
            c.send("a IDLE\r\n")
            self.assertTrue(c.line().startswith(b"+"))
            c.send("b STARTTLS\r\nc NOOP\r\n")
            self.assertRegex(c.line(), rb"^a BAD")
            self.assertRegex(c.line(), rb"^c OK")
        with self.raw() as c:  # what was said in clear is not known afterwards, and two at once are one
            c.send("a ENABLE UTF8=ACCEPT\r\nb STARTTLS\r\nc STARTTLS\r\nd LOGIN x y\r\n")
            self.assertRegex(c.line(), rb"^a BAD")
            self.assertRegex(c.line(), rb"^b OK")
            secure = support.any_certificate().wrap_socket(c.socket)
            secure.sendall(b"e SELECT INBOX\r\n")
            self.assertRegex(secure.recv(4096), rb"^e BAD")
            secure.close()

    # --- searches

    def test_searches_for_what_means_something_to_a_database(self):
        with self.raw("erin@example.test") as c:
            c.command("CREATE Words", b"OK")
            text = b"Subject: O'Neill said \"no\"; DROP TABLE entry; --\r\n\r\n100% _x_ * NEAR(a b) \\ NULL\r\n"
            c.command(b"APPEND Words {%d+}\r\n%s" % (len(text), text), b"OK")
            c.command("SELECT Words", b"OK")
            for words, found in (("O'Neill", True), ('said \\"no\\"', True), ("; DROP TABLE entry; --", True), ("100% _x_ *", True),
                                 ("NEAR(a b)", True), ("\\\\ NULL", True), ("' OR '1'='1", False), ('\\" OR \\"a', False),
                                 ("%%%", False), ("no* OR yes", False), ("_x_ AND x", False), ("entry:DROP", False), ("^Subject", False)):
                answer = b"".join(c.command(f'SEARCH TEXT "{words}"', b"OK"))
                self.assertIn(b"* SEARCH 1\r\n" if found else b"* SEARCH\r\n", answer, words)
            for name in ("'", "\"; --", "%", "a'b\"c;d"):
                quoted = name.replace('"', '\\"')
                c.command(f'SETMETADATA Words (/private/comment "{quoted}")', b"OK")
                self.assertIn(f'"{quoted}"'.encode(), b"".join(c.command("GETMETADATA Words /private/comment", b"OK")))
                c.command(f'SEARCH HEADER "{quoted}" "{quoted}"')
                c.command(f'LIST "" "{quoted}"', b"OK")
                c.command("STORE 1 +FLAGS (a'b;--)", b"OK")

    # --- synchronisation

    def test_resync_with_numbers_that_are_none(self):
        with self.raw("erin@example.test") as c:
            c.command("SELECT Sent (QRESYNC (1 1))", b"BAD")
            c.command("ENABLE QRESYNC", b"OK")
            selected = c.command("SELECT Sent", b"OK")
            validity = [line for line in selected if b"UIDVALIDITY" in line][0].split(b"UIDVALIDITY ")[1].split(b"]")[0].decode()
            for arguments in (f"{validity} 1", "1 1", f"{validity} 9223372036854775807", f"{validity} 1 1:*",
                              f"{validity} 1 4294967295:1", f"{validity} 5 1:1000 (1:3 1:3)"):
                answer = c.command(f"SELECT Sent (QRESYNC ({arguments}))", b"OK")
                self.assertNotIn(b"VANISHED", b"".join(answer))  # nothing was ever here
            for arguments in (f"{validity} 0", f"{validity}", f"{validity} 18446744073709551616", "0 1", "a b", ""):
                c.command(f"SELECT Sent (QRESYNC ({arguments}))", b"BAD")
            c.command("SELECT Sent", b"OK")
            c.send(b"a APPEND Sent {3+}\r\nabc\r\n")
            c.answer(b"a ", b"OK")
            self.assertIn(b"MODIFIED 1", c.command("STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)", b"OK")[-1])
            c.command("STORE 1 (UNCHANGEDSINCE 9223372036854775807) +FLAGS (\\Seen)", b"OK")
            c.command("STORE 1 (UNCHANGEDSINCE 9223372036854775808) +FLAGS (\\Flagged)", b"BAD")
            c.command("FETCH 1 (FLAGS) (CHANGEDSINCE 9223372036854775808)", b"BAD")

    def test_two_that_expunge_and_fetch_at_once(self):
        problems = []

        def work(seed):
            try:
                with self.raw("dave@example.test") as c:
                    c.command("SELECT Busy", b"OK")
                    for number in range(40):
                        c.send(b"x APPEND Busy {3+}\r\nabc\r\n")
                        c.answer(b"x ", b"OK")
                        c.command("FETCH 1:* (UID FLAGS)")
                        if (number + seed) % 3 == 0:
                            c.command("UID STORE 1:* +FLAGS.SILENT (\\Deleted)", b"OK")
                            c.command("EXPUNGE", b"OK")
            except Exception as problem:
                problems.append(repr(problem))

        with self.raw("dave@example.test") as c:
            c.command("CREATE Busy", b"OK")
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], problems)

    # --- who never listens

    def test_a_client_that_reads_nothing_keeps_nobody_waiting(self):
        with self.raw("dave@example.test") as c:
            c.command("CREATE Large", b"OK")
            text = b"x" * 998 + b"\r\n"
            c.send(b"l APPEND Large {%d+}\r\n%s\r\n" % (len(text) * 4_000, text * 4_000))
            c.answer(b"l ", b"OK")
            c.command("SELECT Large", b"OK")
            c.socket.settimeout(1)
            try:
                while True:
                    c.send(b"f FETCH 1 BODY.PEEK[]\r\n" * 100)
            except OSError:
                pass  # it takes no more commands until its answers are taken
            with open(f"/proc/{self.server.pid('imapd')}/status") as status:
                kib = int([line for line in status if line.startswith("VmRSS")][0].split()[1])
            self.assertLess(kib, 400_000)
            began = time.monotonic()
            self.works()
            self.assertLess(time.monotonic() - began, 10)


if __name__ == "__main__":
    support.main()
