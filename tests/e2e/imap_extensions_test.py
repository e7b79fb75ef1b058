"""IMAP's extensions against the real daemons: COMPRESS, SCRAM, IMAP4rev2, reload and closed accounts, many sessions at once."""

import base64
import hashlib
import hmac
import os
import random
import signal
import socket
import threading
import unittest
import zlib

import support
from support import ALICE, BOB, PASSWORD, ok


class Wire:
    """A connection that says and reads lines; compressed once start_compression() was called."""

    def __init__(self, server, tls=False, user=None):
        self.socket = socket.create_connection((server.host, server.ports["imaps" if tls else "imap"]), support.PATIENCE)
        if tls:
            self.socket = support.any_certificate().wrap_socket(self.socket)
        self.pending, self.commands = b"", 0
        self.inflate = self.deflate = None
        self.greeting = self.line()
        if user:
            answer = self.command(f'LOGIN {user} "{PASSWORD}"')[-1]
            assert b" OK " in answer, answer

    def close(self):
        self.socket.close()

    def start_compression(self):
        answer = self.command("COMPRESS DEFLATE")[-1]
        assert b" OK " in answer, answer
        assert not self.pending, self.pending
        self.inflate = zlib.decompressobj(-15)
        self.deflate = zlib.compressobj(9, zlib.DEFLATED, -15)

    def send(self, data, flush=zlib.Z_SYNC_FLUSH):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(flush)
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(self.pending)
        self.pending += self.inflate.decompress(data) if self.inflate else data

    def line(self):
        while b"\r\n" not in self.pending:
            self.fill()
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def read(self, count):
        while len(self.pending) < count:
            self.fill()
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def command(self, text, flush=zlib.Z_SYNC_FLUSH):
        """The lines up to the tagged answer, which is the last one. Not for answers with literals."""
        self.commands += 1
        tag = b"t%d " % self.commands
        self.send(tag + (text if isinstance(text, bytes) else text.encode()) + b"\r\n", flush)
        lines = [self.line()]
        while not lines[-1].startswith(tag):
            lines.append(self.line())
        return lines


class ExtensionsTest(support.ServerTest):
    users = (ALICE, BOB, "carol@example.test", "dave@example.test", "erin@example.test")
    settings = ("imap.max_connections_per_user=1000",)

    def wire(self, *arguments, **named):
        wire = Wire(self.server, *arguments, **named)
        self.addCleanup(wire.close)
        return wire

    def test_compress_carries_a_whole_session(self):
        for tls in (False, True):
            wire = self.wire(tls=tls, user=ALICE)
            self.assertIn(b"COMPRESS=DEFLATE", wire.command("CAPABILITY")[0])
            wire.start_compression()
            self.assertNotIn(b"COMPRESS=DEFLATE", wire.command("CAPABILITY")[0])
            self.assertIn(b"[COMPRESSIONACTIVE]", wire.command("COMPRESS DEFLATE")[-1])
            body = b"Subject: large\r\n\r\n" + random.Random(1).randbytes(400_000).hex().encode()
            self.assertIn(b"[APPENDUID", wire.command(b"APPEND INBOX {%d+}\r\n%s" % (len(body), body))[-1])
            wire.command("SELECT INBOX")
            wire.send(b"f FETCH * BODY.PEEK[]\r\n")
            self.assertIn(b"{%d}" % len(body), wire.line())
            self.assertEqual(body, wire.read(len(body)))
            self.assertEqual(b")", wire.line())
            self.assertTrue(wire.line().startswith(b"f OK"))
            wire.send(b"i IDLE\r\n")
            self.assertTrue(wire.line().startswith(b"+"))
            self.server.deliver(ALICE, "wakes a compressed session")
            self.assertIn(b"EXISTS", wire.line())
            wire.send(b"DONE\r\n")
            while not wire.line().startswith(b"i OK"):
                pass
            self.assertTrue(wire.command("LOGOUT")[0].startswith(b"* BYE"))

    def test_compress_reads_what_is_flushed_in_any_way(self):
        wire = self.wire(user=ALICE)
        wire.start_compression()
        for flush in (zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK):
            data = wire.deflate.compress(b"x NOOP\r\n" * 3) + wire.deflate.flush(flush)
            if flush == zlib.Z_BLOCK:  # what the last block lacks comes with the next
                data += wire.deflate.flush(zlib.Z_SYNC_FLUSH)
            for octet in data:
                wire.socket.sendall(bytes([octet]))
            for _ in range(3):
                self.assertTrue(wire.line().startswith(b"x OK"))

    def test_compress_is_no_bomb(self):
        wire = self.wire(user=ALICE)
        wire.start_compression()
        before = self.resident()
        zeros = bytes(1 << 20)
        for _ in range(1024):
            wire.socket.sendall(wire.deflate.compress(zeros))
        wire.send(b"\r\n")
        self.assertIn(b" BAD ", wire.line())
        self.assertTrue(wire.command("NOOP")[-1].endswith(b"Done."))
        self.assertLess(self.resident() - before, (64 + support.KEPT_MEMORY) << 10, "KiB")

    def test_compressed_octets_that_become_nothing_hold_nobody_up(self):
        wire = self.wire(user=ALICE)
        wire.start_compression()
        wire.send(b"a NOOP\r\n")  # ends at the end of an octet
        self.assertTrue(wire.line().startswith(b"a OK"))
        sender = threading.Thread(target=lambda: wire.socket.sendall(b"\x00\x00\x00\xff\xff" * 2_000_000))
        sender.start()
        others = [self.wire(user=BOB) for _ in range(4)]  # on every loop, most likely
        for other in others:
            self.assertIn(b" OK ", other.command("NOOP")[-1])
        sender.join()
        wire.send(b"b NOOP\r\n")
        self.assertTrue(wire.line().startswith(b"b OK"))

    def resident(self):
        """The most memory that imapd ever had, in KiB."""
        with open(f"/proc/{self.server.pid('imapd')}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def test_what_is_no_deflate_ends_the_connection(self):
        wire = self.wire(user=ALICE)
        wire.start_compression()
        wire.socket.sendall(b"\x07 a NOOP\r\n")
        with self.assertRaises((EOFError, ConnectionError)):
            wire.line()

    def test_commands_sent_before_the_ok_of_compress_are_not_obeyed(self):
        wire = self.wire(user=ALICE)
        wire.socket.sendall(b"c COMPRESS DEFLATE\r\n\x07d CREATE Injected\r\n")
        self.assertTrue(wire.line().startswith(b"c OK"))
        with self.assertRaises((EOFError, ConnectionError)):
            wire.line()
        self.assertEqual([None], ok(self.server.imap(ALICE).list('""', "Injected")))

    def test_unauthenticate_ends_compression(self):
        wire = self.wire(user=ALICE)
        wire.start_compression()
        self.assertIn(b" OK ", wire.command("NOOP")[-1])
        self.assertIn(b" OK ", wire.command("UNAUTHENTICATE")[-1])
        wire.inflate = wire.deflate = None
        self.assertIn(b" OK ", wire.command(f'LOGIN {BOB} "{PASSWORD}"')[-1])

    def scram(self, wire, user, password):
        """SCRAM-SHA-256 (RFC 7677); the tagged answer."""
        def encoded(text):
            return base64.b64encode(text)

        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n={user},r={nonce}"
        wire.send(b"s AUTHENTICATE SCRAM-SHA-256 " + encoded(("n,," + bare).encode()) + b"\r\n")
        first = base64.b64decode(wire.line()[2:]).decode()
        fields = dict(part.split("=", 1) for part in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = "c=biws,r=" + fields["r"]
        said = f"{bare},{first},{without_proof}".encode()

        def mac(key, text):
            return hmac.new(key, text, hashlib.sha256).digest()

        client_key = mac(salted, b"Client Key")
        signature = mac(hashlib.sha256(client_key).digest(), said)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        wire.send(encoded(f"{without_proof},p=".encode() + encoded(proof)) + b"\r\n")
        answer = wire.line()
        if not answer.startswith(b"+ "):
            return answer
        self.assertEqual(b"v=" + encoded(mac(mac(salted, b"Server Key"), said)), base64.b64decode(answer[2:]))
        wire.send(b"\r\n")
        return wire.line()

    def test_scram_proves_the_password_both_ways(self):
        wire = self.wire()
        self.assertTrue(self.scram(wire, ALICE, PASSWORD).startswith(b"s OK"))
        self.assertIn(b" OK ", wire.command("SELECT INBOX")[-1])
        self.assertIn(b"[AUTHENTICATIONFAILED]", self.scram(self.wire(), ALICE, "wrong"))
        self.assertIn(b"[AUTHENTICATIONFAILED]", self.scram(self.wire(), "nobody@example.test", PASSWORD))

    def test_hup_takes_the_new_configuration_and_drops_nobody(self):
        wire = self.wire(user=BOB)
        path = os.path.join(self.server.folder, "config.toml")
        with open(path) as file:
            text = file.read()
        self.addCleanup(self.rewrite, path, text)
        self.rewrite(path, text.replace("[imap]\n", "[imap]\nmax_append_size = 123456\n"))
        os.kill(self.server.pid("imapd"), signal.SIGHUP)
        support.wait_until(lambda: b" APPENDLIMIT=123456" in wire.command("CAPABILITY")[0], "the session sees the new size")
        self.assertIn(b"[TOOBIG]", wire.command("APPEND INBOX {123457}")[-1])

    def rewrite(self, path, text):
        with open(path, "w") as file:
            file.write(text)
        os.kill(self.server.pid("imapd"), signal.SIGHUP)

    def test_a_session_ends_when_its_account_is_closed(self):
        for closing, user in (("disable", "carol@example.test"), ("remove", "dave@example.test")):
            idling, waiting = self.wire(user=user), self.wire(user=user)
            idling.send(b"i IDLE\r\n")
            self.assertTrue(idling.line().startswith(b"+"))
            self.server.mailctl("account", closing, user)
            waiting.send(b"n NOOP\r\n")
            self.assertTrue(waiting.line().startswith(b"* BYE"))
            self.assertTrue(idling.line().startswith(b"* BYE"))

    def test_notify_hears_of_what_mta_and_mailctl_do_to_mailboxes_of_others(self):
        inbox = b'"Other users/alice@example.test/INBOX"'
        watching = self.wire(user=BOB)
        answer = watching.command('NOTIFY SET (subtree "Other users" (MessageNew MessageExpunge MailboxName))')
        self.assertIn(b" OK ", answer[-1])
        self.server.mailctl("rights", "set", ALICE, "INBOX", "anyone", "lr")
        self.assertEqual(b'* LIST (\\HasNoChildren) "/" ' + inbox, watching.line())
        with self.server.imap() as client:
            before = int(ok(client.select(readonly=True))[0])
        if before:
            self.assertTrue(watching.line().startswith(b"* STATUS " + inbox + b" (MESSAGES %d " % before))
        self.server.deliver()
        self.assertTrue(watching.line().startswith(b"* STATUS " + inbox + b" (MESSAGES %d " % (before + 1)))
        self.server.mailctl("rights", "remove", ALICE, "INBOX", "anyone")
        self.assertEqual(b'* LIST (\\NonExistent \\NoAccess) "/" ' + inbox, watching.line())
        self.server.deliver(subject="not for everybody")
        self.wait_for_mail("not for everybody")
        self.assertEqual(1, len(watching.command("NOOP")))

    def test_many_sessions_on_mailboxes_that_come_and_go(self):
        """Nobody is sent away, everybody is answered."""
        troubles = []

        def trouble(lines):
            return [line for line in lines if b"* BYE" in line or b" BAD " in line or b"UNAVAILABLE" in line]

        def watch(wire, source):
            yield "SELECT INBOX" if source.random() < 0.3 else f"SELECT Shared{source.randrange(4)}"
            yield "NOOP"

        def change(wire, source):
            box = f"Shared{source.randrange(4)}"
            kind = source.randrange(5)
            if kind == 0:
                yield "DELETE " + box
            elif kind == 1:
                yield f"RENAME {box} Other"
                yield "DELETE Other"
            elif kind == 2:
                yield f"RENAME {box} Shared{source.randrange(4)}"
            else:
                yield "CREATE " + box
                yield f"APPEND {box} (\\Deleted) {{3+}}\r\nabc"

        def run(number, act):
            source = random.Random(number)
            try:
                for connection in range(4):
                    wire = Wire(self.server, user="erin@example.test")
                    for _ in range(40):
                        for command in act(wire, source):
                            troubles.extend(trouble(wire.command(command)))
                        if act is watch:
                            wire.send(b"i IDLE\r\nDONE\r\n")
                            while not wire.line().startswith(b"i OK"):
                                pass
                    wire.close()
            except (OSError, EOFError) as error:
                troubles.append(repr(error))

        threads = [threading.Thread(target=run, args=(number, watch if number < 10 else change)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [line for line in self.server.log("imapd").splitlines() if "command_failed" in line]
        self.assertEqual([], troubles, "\n".join(errors))


if __name__ == "__main__":
    support.main()
