"""Who may hand over how much: rates, lists of addresses, reverse DNS, HELO, greylisting, the tarpit, load balancers, app
passwords. The client's address comes from the PROXY protocol, as it would from a load balancer."""

import contextlib
import imaplib
import json
import re
import smtplib
import socket
import ssl
import struct
import time
import unittest

import support
from support import ALICE, BOB, ok, wait_until
from trust_test import NameServer

BALANCER = ("127.0.0.2", 0)  # scripts/run asks from 127.0.0.1 whether the ports answer
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_v1(address):
    kind, own = ("TCP6", "2001:db8::1") if ":" in address else ("TCP4", "45.33.32.1")
    return f"PROXY {kind} {address} {own} 51000 25\r\n".encode()


def proxy_v2(address):
    family, packed = (0x21, socket.inet_pton(socket.AF_INET6, address)) if ":" in address else (0x11, socket.inet_aton(address))
    data = packed + packed + struct.pack(">HH", 51000, 25) + b"\x04\0\1x"
    return SIGNATURE + bytes([0x21, family]) + struct.pack(">H", len(data)) + data


class Proxied(smtplib.SMTP):
    """An SMTP client behind a load balancer."""

    def __init__(self, server, header):
        self.header = header
        super().__init__("127.0.0.1", server.ports["smtp"], local_hostname="client.example", timeout=support.PATIENCE,
                         source_address=BALANCER)

    def _get_socket(self, host, port, timeout):
        connection = super()._get_socket(host, port, timeout)
        connection.sendall(self.header)
        return connection


# Addresses for documentation have reverse zones in every resolver, which are empty: others are used here.


class AbuseTest(unittest.TestCase):
    def serve(self, *settings, names=None, users=(ALICE, BOB)):
        extra = [f'dns.server="127.0.0.1:{names.port}"', 'checks.timeout="3s"'] if names else []
        self.server = support.Server(users, [*settings, *extra], routes=["elsewhere.test=127.0.0.1:9"])
        self.addCleanup(self.server.close)
        self.server.start()

    def stored(self, subject, user=ALICE, mailbox="INBOX"):
        uid = support.ServerTest.wait_for_mail(self, subject, user, mailbox)
        with self.server.imap(user, mailbox=mailbox) as client:
            return ok(client.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1].decode()

    def send(self, address, subject="x", sender="carol@good.example", to=ALICE, helo="client.example", header=proxy_v2):
        """The first reply that is no success, or the one to the message."""
        with Proxied(self.server, header(address)) as client:
            client.ehlo(helo)
            for reply in (client.mail, lambda to=to: client.rcpt(to)):
                code, text = reply(sender) if reply == client.mail else reply()
                if code != 250:
                    return code, text.decode()
            code, text = client.data(f"From: {sender}\r\nSubject: {subject}\r\n\r\nhello\r\n".encode())
            return code, text.decode()

    # --- rates

    def test_an_account_sends_so_much_and_no_more(self):
        self.serve('rates.account=["3/1h"]', "smtp.max_errors=1000")
        with self.server.submission() as client:
            client.mail(ALICE)
            codes = [client.rcpt(f"user{n}@elsewhere.test") for n in range(4)]
            self.assertEqual([250, 250, 250, 450], [code for code, _ in codes])
            self.assertRegex(codes[3][1].decode(), r"4\.7\.1 .*alice@example\.test: more than 3 in 1 h; try again in 2[01] minutes")
            self.assertEqual(250, client.rcpt(BOB)[0])
        with self.server.submission(BOB) as client:
            client.mail(BOB)
            self.assertEqual(250, client.rcpt("user@elsewhere.test")[0])
        with self.server.submission() as client:
            client.mail(ALICE)
            wait_until(lambda: client.rcpt("x@elsewhere.test")[0] == 450 and
                       {"account": ALICE, "used": 3, "limit": 3, "per": "1h"}.items() <= self.used(ALICE).items(), "not shown")
            self.server.mailctl("limit", "lift", ALICE)
            wait_until(lambda: client.rcpt("y@elsewhere.test")[0] == 250, "not lifted")

    def used(self, account):
        rows = json.loads(self.server.mailctl("--json", "limit", "list").stdout)
        return next((row for row in rows if row["account"] == account), {})

    def test_what_an_account_used_outlives_a_restart(self):
        self.serve('rates.account=["3/1h"]')
        with self.server.submission() as client:
            client.mail(ALICE)
            self.assertEqual([250] * 3, [client.rcpt(f"user{n}@elsewhere.test")[0] for n in range(3)])
        self.server.stop()
        self.server.start()
        with self.server.submission() as client:
            client.mail(ALICE)
            self.assertEqual(450, client.rcpt("user@elsewhere.test")[0])

    def test_rates_of_addresses_networks_and_recipients(self):
        self.serve('proxy.networks=["127.0.0.2"]', 'rates.address=["2/1h"]', 'rates.network=["3/1h"]', 'rates.recipient=["5/1h"]')
        replies = [self.send(address)[0] for address in ("45.33.32.7", "45.33.32.7", "45.33.32.7", "45.33.32.8", "45.33.32.9", "192.0.3.1")]
        self.assertEqual([250, 250, 450, 250, 450, 250], replies)
        self.assertEqual(250, self.send("2001:db8::7")[0])
        self.assertIn("for this mailbox: more than 5 in 1 h", self.send("198.51.100.1")[1])
        self.assertEqual(250, self.send("198.51.100.1", to=BOB)[0])

    # --- what DNS says

    def names(self):
        names = NameServer()
        names.add("7.32.33.45.in-addr.arpa", "PTR", "mx.good.example.")
        names.add("mx.good.example", "A", "45.33.32.7")
        names.add("8.32.33.45.in-addr.arpa", "PTR", "mx.good.example.")
        names.add("7.32.33.45.bl.example", "A", "127.0.0.2")
        names.txt("7.32.33.45.bl.example", "see https://bl.example/45.33.32.7")
        names.add("9.32.33.45.bl.example", "A", "127.0.0.9")
        names.add("9.32.33.45.other.example", "A", "127.0.0.2")
        names.add("10.32.33.45.bl.example", "A", "127.255.255.254")
        return names

    def test_what_is_found_out_about_a_client_is_noted(self):
        self.serve('proxy.networks=["127.0.0.2"]', 'dnsbl.zones=["bl.example"]', 'dnsbl.action="note"', names=self.names())
        self.assertEqual(250, self.send("45.33.32.7", "named")[0])
        text = self.stored("named")
        self.assertIn("Received: from client.example (mx.good.example [45.33.32.7])", text)
        self.assertIn("iprev=pass policy.iprev=45.33.32.7 (mx.good.example)", text)
        self.assertIn('x-dnsbl=fail policy.zone=bl.example reason="see https://bl.example/45.33.32.7"', text)
        self.assertEqual(250, self.send("45.33.32.8", "misnamed", helo="mail.example.test")[0])
        text = self.stored("misnamed")
        self.assertIn("iprev=fail policy.iprev=45.33.32.8", text)
        self.assertIn('x-helo=fail reason="the name in HELO is that of this server"', text)
        self.assertNotIn("x-dnsbl", text)
        story = json.loads(self.server.mailctl("--json", "trace", ALICE).stdout)[0]
        self.assertIn("iprev=fail helo=fail", story["checks"])

    def test_listed_addresses_are_refused_but_for_the_postmaster(self):
        self.serve('proxy.networks=["127.0.0.2"]', 'dnsbl.zones=["bl.example", "other.example=127.0.0.2"]', names=self.names())
        code, text = self.send("45.33.32.7")
        self.assertEqual(550, code)
        self.assertIn("5.7.1 45.33.32.7 is on the list of bl.example, which says: see https://bl.example/45.33.32.7", text)
        self.assertEqual(250, self.send("45.33.32.7", to="postmaster@example.test")[0])
        self.assertEqual(250, self.send("45.33.32.10")[0])  # a list that does not answer us
        self.assertEqual(250, self.send("2001:db8::7")[0])

    def test_thresholds_codes_exceptions_and_junk(self):
        self.serve('proxy.networks=["127.0.0.2"]', 'dnsbl.zones=["bl.example=127.0.0.2/31 127.0.0.9", "other.example"]',
                   "dnsbl.threshold=2", 'dnsbl.action="junk"', names=self.names())
        self.assertEqual(250, self.send("45.33.32.7", "on one list")[0])
        self.assertEqual(250, self.send("45.33.32.9", "on two lists")[0])
        self.stored("on one list")
        self.stored("on two lists", mailbox="Junk")

    def test_friends_are_let_in_whatever_lists_say(self):
        self.serve('proxy.networks=["127.0.0.2"]', 'dnsbl.zones=["bl.example"]', 'dnsbl.allow=["good.example"]', names=self.names())
        self.assertEqual(250, self.send("45.33.32.7")[0])
        self.assertEqual(550, self.send("45.33.32.9")[0])

    def test_names_may_be_asked_for(self):
        names = self.names()
        names.silent.add("11.32.33.45.in-addr.arpa")
        self.serve('proxy.networks=["127.0.0.2"]', 'checks.reverse_dns="reject"', 'checks.helo="reject"', names=names)
        self.assertEqual(250, self.send("45.33.32.7")[0])
        for address in ("45.33.32.8", "45.33.32.99", "2001:db8::7"):
            code, text = self.send(address)
            self.assertEqual((550, "5.7.25"), (code, text.split()[0]))
        self.assertEqual("4.7.25", self.send("45.33.32.11")[1].split()[0])
        for helo in ("mail.example.test", "45.33.32.7", "localhost"):
            self.assertEqual(550, self.send("45.33.32.7", helo=helo)[0], helo)

    def test_dns_that_does_not_answer_holds_nothing_up(self):
        names = NameServer()
        names.silent.update(("7.32.33.45.bl.example", "7.32.33.45.in-addr.arpa"))
        self.serve('proxy.networks=["127.0.0.2"]', 'dnsbl.zones=["bl.example"]', names=names)
        begin = time.monotonic()
        self.assertEqual(250, self.send("45.33.32.7")[0])
        self.assertLess(time.monotonic() - begin, 20)

    def test_mail_for_junk_by_dmarc(self):
        names = self.names()
        names.txt("_dmarc.strange.example", "v=DMARC1; p=quarantine")
        self.serve('proxy.networks=["127.0.0.2"]', names=names)
        self.assertEqual(250, self.send("45.33.32.7", "strange", sender="a@strange.example")[0])
        self.assertIn("dmarc=fail (p=quarantine)", self.stored("strange", mailbox="Junk"))
        story = wait_until(lambda: [one for one in json.loads(self.server.mailctl("--json", "trace", ALICE).stdout)
                                    if one["recipients"][0]["state"] == "delivered"], "not delivered")[0]
        self.assertIn("junk=dmarc", story["checks"])
        self.assertEqual("Junk", story["recipients"][0]["mailbox"])

    def test_a_junk_mailbox_that_is_missing_is_made(self):
        names = self.names()
        names.txt("_dmarc.strange.example", "v=DMARC1; p=quarantine")
        self.serve('proxy.networks=["127.0.0.2"]', names=names)
        with self.server.imap() as client:
            ok(client.rename("Junk", "Rubbish"))
        self.send("45.33.32.7", "renamed", sender="a@strange.example")
        self.stored("renamed", mailbox="Rubbish")  # it is still the one for junk
        with self.server.imap() as client:
            ok(client.delete("Rubbish"))
        self.send("45.33.32.7", "made", sender="a@strange.example")
        self.stored("made", mailbox="Junk")

    # --- greylisting, tarpit

    def test_greylisting(self):
        self.serve('proxy.networks=["127.0.0.2"]', 'greylist.enabled="on"', 'greylist.delay="1s"')
        code, text = self.send("45.33.32.7")
        self.assertEqual(450, code)
        self.assertRegex(text, r"4\.7\.1 .*try again in 1 seconds")
        wait_until(lambda: self.send("45.33.32.7")[0] == 250, "it never passes")
        self.assertEqual(250, self.send("45.33.32.99")[0])  # the same network
        self.assertEqual(450, self.send("198.51.100.7")[0])
        self.assertEqual(450, self.send("45.33.32.7", sender="new@good.example")[0])
        self.assertEqual(250, self.send("45.33.32.7", sender="new2@good.example", to="postmaster@example.test")[0])
        with self.server.submission() as client:
            client.sendmail(ALICE, [BOB], b"Subject: users wait for nothing\r\n\r\nx\r\n")
        self.stored("users wait for nothing", BOB)

    def test_the_tarpit(self):
        self.serve('smtp.error_delay="300ms"')
        with self.server.smtp() as client:
            client.ehlo()
            begin = time.monotonic()
            for _ in range(5):
                client.docmd("NONSENSE")
            quick = time.monotonic() - begin
            for _ in range(3):
                client.docmd("NONSENSE")
            self.assertGreater(time.monotonic() - begin - quick, 0.85)

    # --- load balancers

    def first_line_by_tls(self, header):
        """The header and TLS's first words come in one segment: each has to get its own."""
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = support.any_certificate().wrap_bio(received, to_send)
        with socket.create_connection(("127.0.0.1", self.server.ports["submissions"]), support.PATIENCE, BALANCER) as plain:
            for step in (tls.do_handshake, lambda: tls.read(4096)):
                while True:
                    try:
                        line = step()
                        break
                    except ssl.SSLWantReadError:
                        plain.sendall(header + to_send.read())
                        header = b""
                        received.write(plain.recv(65536))
            return line

    def test_both_versions_over_every_port(self):
        self.serve('proxy.networks=["127.0.0.2"]', "smtp.max_connections_per_address=2")
        for header in (proxy_v1, proxy_v2):
            for address in ("45.33.32.7", "2001:db8::7"):
                subject = f"{header.__name__} {address}"
                self.assertEqual(250, self.send(address, subject, header=header)[0])
        # imaplib has no place for the header.
        for header in (proxy_v1("45.33.32.7"), proxy_v2("2001:db8::7")):
            with socket.create_connection(("127.0.0.1", self.server.ports["imap"]), support.PATIENCE, BALANCER) as client:
                client.sendall(header + b"a LOGIN alice@example.test nonsense\r\n")
                text = b""
                while b"a NO" not in text:
                    piece = client.recv(4096)
                    self.assertTrue(piece, text)
                    text += piece
                self.assertIn(b"PRIVACYREQUIRED", text)  # as to any client that is not on this machine
        for header in (proxy_v1("45.33.32.7"), proxy_v2("45.33.32.7")):
            self.assertTrue(self.first_line_by_tls(header).startswith(b"220 "))
        # Limits are those of the clients, not of the balancer.
        clients = [Proxied(self.server, proxy_v2(f"45.33.32.{n}")) for n in range(10, 20)]
        for client in clients:
            client.quit()

    def test_a_balancer_has_to_say_whom_it_speaks_for_and_others_must_not(self):
        self.serve('proxy.networks=["127.0.0.2"]')
        for opening in (b"EHLO client.example\r\n", b"PROXY TCP4 nonsense\r\n", SIGNATURE + b"\x31\x11\0\0", b"\x16\x03\x01\x02\0"):
            with socket.create_connection(("127.0.0.1", self.server.ports["smtp"]), support.PATIENCE, BALANCER) as client:
                client.sendall(opening)
                with contextlib.suppress(ConnectionResetError):  # what is no header is not read to its end
                    self.assertEqual(b"", client.recv(4096), opening)
        with socket.create_connection(("127.0.0.1", self.server.ports["smtp"]), support.PATIENCE) as client:
            client.sendall(proxy_v1("45.33.32.7") + b"EHLO x.example\r\n")
            text = b""
            while b"554 " not in text and b"500 " not in text:  # before the greeting, or as a command
                piece = client.recv(4096)
                self.assertTrue(piece, text)
                text += piece

    # --- app passwords

    def app_password(self, name, scope):
        return json.loads(self.server.mailctl("--json", "account", "app-password", "add", "--scope", scope, ALICE, name).stdout)["password"]

    def test_app_passwords(self):
        self.serve()
        both, smtp, imap = (self.app_password(scope, scope) for scope in ("all", "smtp", "imap"))
        self.assertRegex(both, r"^[a-z2-7]{6}(-[a-z2-7]{1,6}){4}$")
        self.assertEqual(3, len({both, smtp, imap}))
        for password, sends, reads in ((both, True, True), (smtp, True, False), (imap, False, True), (both.upper(), True, True),
                                       (both.replace("-", ""), True, True), (both[:-1], False, False)):
            with self.subTest(password=password):
                if sends:
                    self.server.submission(ALICE, password).quit()
                else:
                    with self.assertRaises(smtplib.SMTPAuthenticationError):
                        self.server.submission(ALICE, password)
                if reads:
                    self.server.imap(ALICE, password).logout()
                else:
                    with self.assertRaises(imaplib.IMAP4.error):
                        self.server.imap(ALICE, password)
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.server.submission(BOB, both)
        rows = {row["name"]: row for row in json.loads(self.server.mailctl("--json", "account", "app-password", "list", ALICE).stdout)}
        self.assertEqual({"all", "smtp", "imap"}, set(rows))
        self.assertEqual("imap", rows["imap"]["scope"])
        self.assertIsNotNone(rows["all"]["last_used"])
        self.assertIn("already", self.server.mailctl("account", "app-password", "add", ALICE, "all", check=False).stderr)
        self.server.mailctl("account", "app-password", "remove", ALICE, "all")
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.server.submission(ALICE, both)
        self.server.submission(ALICE, smtp).quit()
        with open(f"{self.server.folder}/state/directory.db", "rb") as file:
            self.assertNotIn(smtp.replace("-", "").encode(), file.read())


if __name__ == "__main__":
    support.main()
