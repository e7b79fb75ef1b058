"""Mail authentication with real peers: python3-dkim and opendkim sign and verify, a name server on the loopback says what DNS
would."""

import ctypes
import glob
import imaplib
import json
import os
import re
import smtplib
import socket
import threading
import unittest

import dkim
import dns.exception
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

import support
from support import ALICE, BOB, ok, run


class NameServer:
    """Answers from a table of zone file lines; what is not in it does not exist, unless it is in silent."""

    def __init__(self):
        self.records, self.silent = {}, set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def add(self, name, kind, *values):
        self.records.setdefault(name.lower().rstrip("."), {}).setdefault(kind, []).extend(values)

    def txt(self, name, text):
        pieces = [text[at:at + 255] for at in range(0, len(text), 255)]
        self.add(name, "TXT", " ".join('"' + piece.replace('"', '\\"') + '"' for piece in pieces))

    def serve(self):
        while True:
            data, peer = self.socket.recvfrom(65_535)
            try:
                query = dns.message.from_wire(data)
            except dns.exception.DNSException:
                continue
            answer = self.answer(query)
            if answer is not None:
                self.socket.sendto(answer.to_wire(max_size=65_535), peer)

    def answer(self, query):
        question = query.question[0]
        name = question.name.to_text().lower().rstrip(".")
        if name in self.silent:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        held = self.records.get(name)
        values = (held or {}).get(dns.rdatatype.to_text(question.rdtype))
        if values:
            response.answer.append(dns.rrset.from_text(question.name, 300, dns.rdataclass.IN, question.rdtype, *values))
        elif held is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


def crlf(text):
    return text.replace("\n", "\r\n").encode()


def opendkim_signature(message, private, selector, domain, canon):
    """The field that Debian's libopendkim signs a message with: rsa-sha256, canon 0 simple or 1 relaxed for both."""
    library = ctypes.CDLL("libopendkim.so.11")
    for function in ("dkim_init", "dkim_sign"):
        getattr(library, function).restype = ctypes.c_void_p
    state, status = ctypes.c_void_p(library.dkim_init(None, None)), ctypes.c_int()
    signer = ctypes.c_void_p(library.dkim_sign(state, b"test", None, private, selector.encode(), domain.encode(), canon, canon, 1,
                                               ctypes.c_ssize_t(-1), ctypes.byref(status)))
    head, _, body = message.partition(b"\r\n\r\n")
    steps = [library.dkim_header(signer, line, len(line)) for line in head.split(b"\r\n")]
    steps += [library.dkim_eoh(signer), library.dkim_body(signer, body, ctypes.c_size_t(len(body))), library.dkim_eom(signer, None)]
    field = ctypes.create_string_buffer(4096)
    steps.append(library.dkim_getsighdr(signer, field, ctypes.c_size_t(len(field)), ctypes.c_size_t(16)))
    if any(steps):
        raise AssertionError(f"libopendkim does not sign: {status.value} {steps}")
    return b"DKIM-Signature: " + re.sub(rb"\r*\n", b"\r\n", field.value) + b"\r\n"


class TrustTest(support.ServerTest):
    """The server asks our name server."""

    sealers = {}

    @classmethod
    def setUpClass(cls):
        cls.names = NameServer()
        cls.settings = [f'dns.server="127.0.0.1:{cls.names.port}"', 'checks.timeout="3s"', 'arc.trusted_sealers=["list.example"]']
        super().setUpClass()
        names = cls.names
        names.add("good.example", "A", "192.0.2.7")
        names.txt("good.example", "v=spf1 ip4:127.0.0.0/8 -all")
        names.txt("_dmarc.good.example", "v=DMARC1; p=reject; adkim=s")
        names.txt("strict.example", "v=spf1 -all")
        names.txt("_dmarc.strict.example", "v=DMARC1; p=reject")
        names.txt("lax.example", "v=spf1 ~all")
        names.txt("_dmarc.lax.example", "v=DMARC1; p=none")
        names.txt("broken.example", "v=spf1 ip4:nonsense -all")
        names.silent.add("quiet.example")

    def send(self, sender, message, to=ALICE, helo="client.example"):
        with self.server.smtp() as client:
            client.ehlo(helo)
            client.mail(sender)
            client.rcpt(to)
            return client.data(message)

    def stored(self, subject, user=ALICE):
        uid = self.wait_for_mail(subject, user)
        with self.server.imap(user, mailbox="INBOX") as client:
            return ok(client.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]

    def results(self, subject):
        text = self.stored(subject).decode().replace("\r\n", "\n")
        fields = re.findall(r"^Authentication-Results: (.*(?:\n[ \t].*)*)", text, re.MULTILINE)
        self.assertEqual(1, len(fields), text)
        return re.sub(r"\s+", " ", fields[0])

    def message(self, subject, author="carol@good.example", body="hello\n"):
        return crlf(f"From: {author}\nTo: {ALICE}\nSubject: {subject}\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n"
                    f"Message-ID: <{subject.replace(' ', '-')}@good.example>\n\n{body}")

    def peer_key(self, kind, selector, domain="good.example"):
        """A key of python3-dkim or openssl; its record goes into DNS."""
        if kind == "ed25519":
            import base64
            import nacl.signing
            key = nacl.signing.SigningKey.generate()
            self.names.txt(f"{selector}._domainkey.{domain}",
                           "v=DKIM1; k=ed25519; p=" + base64.b64encode(key.verify_key.encode()).decode())
            return base64.b64encode(key.encode())
        private = run("openssl", "genrsa", "-traditional", "2048").stdout
        public = run("openssl", "rsa", "-pubout", stdin=private).stdout
        self.names.txt(f"{selector}._domainkey.{domain}",
                       "v=DKIM1; k=rsa; p=" + "".join(line for line in public.splitlines() if "-" not in line))
        return private.encode()

    # --- what comes in

    def test_spf_in_all_its_results(self):
        for sender, result in (("a@good.example", "pass"), ("a@strict.example", "fail"), ("a@lax.example", "softfail"),
                               ("a@broken.example", "permerror"), ("a@nowhere.example", "none"),
                               ("a@quiet.example", "temperror")):
            subject = f"spf {result}"
            self.assertEqual(250, self.send(sender, crlf(f"Subject: {subject}\n\nx\n"))[0])
            self.assertRegex(self.results(subject), rf"spf={result}\b.* smtp.mailfrom={sender}")

    def test_python_dkim_signs_and_we_verify(self):
        for kind, algorithm, canon in (("rsa", b"rsa-sha256", (b"relaxed", b"relaxed")), ("rsa", b"rsa-sha256", (b"simple", b"simple")),
                                       ("rsa", b"rsa-sha256", (b"relaxed", b"simple")), ("rsa", b"rsa-sha256", (b"simple", b"relaxed")),
                                       ("ed25519", b"ed25519-sha256", (b"relaxed", b"relaxed"))):
            subject = f"signed {kind} {canon[0].decode()} {canon[1].decode()}"
            selector = subject.replace(" ", "-")
            message = self.message(subject, body="two  blanks \n\n\nand\tmore\n\n\n")
            signature = dkim.sign(message, selector.encode(), b"good.example", self.peer_key(kind, selector), canonicalize=canon,
                                  signature_algorithm=algorithm)
            self.assertEqual(250, self.send("bounce@elsewhere.example", signature + message)[0])
            results = self.results(subject)
            self.assertIn(f"dkim=pass header.d=good.example header.s={selector} header.a={algorithm.decode()}", results)
            self.assertIn("dmarc=pass (p=reject) header.from=good.example", results)

    def test_opendkim_signs_and_we_verify(self):
        for canon in (0, 1):
            subject = f"signed by opendkim {canon}"
            message = self.message(subject, body="two  blanks \n\nend\n\n\n")
            signature = opendkim_signature(message, self.peer_key("rsa", f"odk{canon}"), f"odk{canon}", "good.example", canon)
            self.assertEqual(250, self.send("bounce@elsewhere.example", signature + message)[0])
            self.assertIn(f"dkim=pass header.d=good.example header.s=odk{canon} header.a=rsa-sha256", self.results(subject))

    def test_a_changed_body_fails_and_is_refused_as_the_domain_asks(self):
        message = self.message("changed")
        signature = dkim.sign(message, b"changed", b"good.example", self.peer_key("rsa", "changed"))
        code, text = self.send("bounce@elsewhere.example", signature + message.replace(b"hello", b"hallo"))
        self.assertEqual(550, code)
        self.assertIn(b"5.7.1 good.example asks by DMARC", text)

    def test_forgeries(self):
        self.assertEqual(550, self.send("a@good.example", self.message("forged", "ceo@strict.example"))[0])
        self.assertEqual(550, self.send("a@good.example", self.message("forged", "ceo@sub.strict.example"))[0])
        self.assertEqual(250, self.send("a@good.example", self.message("forged and noted", "ceo@lax.example"))[0])
        self.assertIn("dmarc=fail (p=none) header.from=lax.example", self.results("forged and noted"))

    def sealed(self, message, domain, recorded):
        """The message with one set of ARC more, by python3-dkim, which records these results."""
        results = crlf(f"Authentication-Results: mx.{domain}; {recorded}\n")
        if domain not in self.sealers:
            self.sealers[domain] = self.peer_key("rsa", "arc", domain)
        fields = dkim.arc_sign(results + message, b"arc", domain.encode(), self.sealers[domain], f"mx.{domain}".encode(),
                               include_headers=[b"from", b"to", b"subject", b"date", b"message-id"])
        self.assertEqual(3, len(fields))
        return b"".join(fields) + message

    def test_python_dkim_seals_and_a_trusted_sealer_is_believed(self):
        passed = "dmarc=pass header.from=strict.example"
        for subject, hops, code, found in (
                ("through a list", [("list.example", passed)], 250, "arc=pass (sealed by list.example)"),
                ("through two servers", [("other.example", passed), ("list.example", f"arc=pass; {passed}")], 250,
                 "arc=pass (sealed by list.example, other.example)"),
                ("through a stranger", [("other.example", passed)], 550, None),
                ("through a stranger at last", [("list.example", passed), ("other.example", f"arc=pass; {passed}")], 550, None),
                ("forged before", [("list.example", "dmarc=fail header.from=strict.example")], 550, None)):
            message = self.message(subject, "ceo@strict.example", "hello\n-- \nfooter\n")
            for domain, recorded in hops:
                message = self.sealed(message, domain, recorded)
            self.assertEqual(code, self.send("list@list.example", message)[0], subject)
            if found is None:
                continue
            results = self.results(subject)
            self.assertIn(found, results)
            self.assertIn("dmarc=fail (p=reject) reason=\"taken all the same: list.example, a trusted sealer", results)
            self.assertIn("dmarc=fail:strict.example local_policy=arc", self.server.mailctl("trace", ALICE, "--limit", "1").stdout)
            self.assertEqual(550, self.send("list@list.example", message + b"more\r\n")[0])

    def test_results_that_we_did_not_write_are_gone(self):
        forged = crlf("Authentication-Results: mail.example.test; dmarc=pass header.from=bank.example\n")
        self.assertEqual(250, self.send("a@good.example", forged + self.message("forged results"))[0])
        self.assertNotIn("bank.example", self.results("forged results"))

    # --- what goes out

    def record(self, name, **_):
        """DNS for python3-dkim: our records, from the text files."""
        selector, _, domain = name.decode().rstrip(".").partition("._domainkey.")
        with open(os.path.join(self.server.folder, "state", "dkim", domain, f"{selector}.txt")) as file:
            return "".join(re.findall(r'"([^"]*)"', file.read())).encode()

    def submit(self, subject, body="hello\n"):
        with self.server.submission() as client:
            client.sendmail(ALICE, [BOB], crlf(f"From: Alice <{ALICE}>\nTo: {BOB}\nSubject: {subject}\n\n{body}"))
        message = self.stored(subject, BOB)
        self.assertEqual(2, message.count(b"DKIM-Signature:"), message)
        return message

    def test_python_dkim_verifies_what_we_sign(self):
        for subject, body in (("to python", "hello  \n\n world\n\n\n"), ("large to python", "a line of text\n" * 100_000), ("empty", "")):
            message = self.submit(subject, body)
            for index in (0, 1):
                self.assertTrue(dkim.DKIM(message).verify(idx=index, dnsfunc=self.record), (subject, index))
            self.assertFalse(dkim.verify(b"Subject: another\r\n" + message, dnsfunc=self.record))

    def test_opendkim_verifies_what_we_sign(self):
        message = self.submit("to opendkim")
        with support.temporary_folder() as folder:
            keys, path, configuration = (os.path.join(folder, name) for name in ("keys", "message", "opendkim.conf"))
            with open(keys, "w") as file:
                for selector in re.findall(rb"s=(\w+);", message):
                    name = f"{selector.decode()}._domainkey.example.test"
                    file.write(f"{name} {self.record(name.encode()).decode()}\n")
            with open(path, "wb") as file:
                file.write(message)
            with open(configuration, "w") as file:
                file.write(f"Mode v\nTestPublicKeys {keys}\n")
            result = run("opendkim", "-x", configuration, "-t", path, "-v", "-v")
        self.assertEqual(0, result.returncode, result.text)
        self.assertIn("verification (s=r", result.text)
        self.assertIn("succeeded", result.text)

    # --- what is to be published

    def test_dns_check_says_what_is_missing_and_then_that_all_is_well(self):
        result = self.server.mailctl("dns", "check", "example.test", check=False)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)
        for word in ("The MX records of example.test are missing", "has no SPF record", "has no DMARC record", "DNS has no record for the key r"):
            self.assertIn(word, result.stdout)
        self.names.add("mail.example.test", "A", "127.0.0.1")
        for line in self.server.mailctl("dns", "example.test").stdout.splitlines():
            match = re.fullmatch(r"(\S+)\. IN (\S+) (.*)", line)
            if match:
                self.names.add(match[1], match[2], match[3])
        result = self.server.mailctl("--json", "dns", "check", "example.test")
        self.assertNotIn('"warning"', result.stdout)
        self.assertNotIn('"problem"', result.stdout)


class RotationTest(support.ServerTest):
    """DKIM keys are followed by others that wait for DNS."""

    @classmethod
    def setUpClass(cls):
        cls.names = NameServer()
        cls.settings = [f'dns.server="127.0.0.1:{cls.names.port}"', 'dkim.rotate="90d"']
        super().setUpClass()

    def test_new_keys_are_made_and_wait(self):
        self.server.stop()
        for path in glob.glob(os.path.join(self.server.folder, "state/dkim/example.test/*.pem")):
            with open(path, "r+") as file:
                text = file.read()
                file.seek(0)
                file.write(re.sub(r"Signs-From: (\d+)", lambda match: f"Signs-From: {int(match[1]) - 80 * 86_400}", text))
        self.server.start()
        support.wait_until(lambda: self.server.log("mta").count("event=dkim_key_waits") == 2, "mta looks for both in DNS")
        keys = json.loads(self.server.mailctl("--json", "dkim", "list").stdout)
        self.assertEqual(["signs", "signs", "waits", "waits"], [key["state"] for key in keys])
        records = self.server.mailctl("dns", "example.test").stdout
        self.assertEqual(2, records.count("DKIM: the key that follows"))
        self.assertEqual(4, records.count("._domainkey.example.test. IN TXT"))
        found = self.server.mailctl("dns", "check", "example.test", check=False).stdout
        self.assertEqual(2, found.count("so it waits, and the one before goes on signing."))


class WithoutDnsTest(support.ServerTest):
    """Nothing answers on the name server's port: mail flows all the same, and soon without waiting."""

    @classmethod
    def setUpClass(cls):
        cls.deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        cls.deaf.bind(("127.0.0.1", 0))
        cls.settings = [f'dns.server="127.0.0.1:{cls.deaf.getsockname()[1]}"']
        super().setUpClass()

    def test_mail_is_taken_at_speed(self):
        import time
        support.wait_until(lambda: "event=dns_silent" in self.server.log("mta"), "mta notices that nobody answers")
        begin = time.monotonic()
        with self.server.smtp() as client:
            for number in range(200):
                client.sendmail(f"a{number}@domain{number}.example", [ALICE], f"From: a@domain{number}.example\r\nSubject: n{number:03}\r\n\r\nx\r\n")
        self.assertLess(time.monotonic() - begin, 30)  # a wait for each of them would be minutes
        uid = self.wait_for_mail("n199")
        with self.server.imap(mailbox="INBOX") as client:
            self.assertIn(b"spf=temperror", ok(client.uid("FETCH", uid, "(BODY.PEEK[HEADER])"))[0][1])


class GuessingTest(support.ServerTest):
    """Both daemons count together who guesses passwords."""

    settings = ("login.max_failures=4",)

    def guess_by_smtp(self, password="wrong"):
        with self.server.smtp("submission") as client:
            client.starttls(context=support.any_certificate())
            client.ehlo()
            client.user, client.password = ALICE, password  # login() would try the same password by several mechanisms
            try:
                return client.auth("PLAIN", client.auth_plain)
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code, error.smtp_error

    def guess_by_imap(self, password="wrong"):
        try:
            self.server.imap(password=password).logout()
            return "OK"
        except imaplib.IMAP4.error as error:
            return str(error)

    def test_guessing_is_banned_in_both_daemons_and_lifted_by_the_administrator(self):
        self.assertEqual(235, self.guess_by_smtp(support.PASSWORD)[0])
        self.assertEqual(535, self.guess_by_smtp()[0])
        self.assertEqual(535, self.guess_by_smtp()[0])
        self.assertIn("wrong", self.guess_by_imap())
        self.assertIn("wrong", self.guess_by_imap())
        code, text = self.guess_by_smtp(support.PASSWORD)
        self.assertEqual(454, code)
        self.assertIn(b"too many failed logins; try again in 10 minutes", text)
        self.assertIn("too many failed logins", self.guess_by_imap(support.PASSWORD))
        bans = json.loads(self.server.mailctl("--json", "ban", "list").stdout)
        self.assertEqual([("address", "127.0.0.1")], [(ban["kind"], ban["who"]) for ban in bans])
        self.server.mailctl("ban", "lift", "127.0.0.1")
        support.wait_until(lambda: self.guess_by_smtp(support.PASSWORD)[0] == 235, "mta lets in again")
        support.wait_until(lambda: self.guess_by_imap(support.PASSWORD) == "OK", "imapd lets in again")
        self.assertEqual(1, self.server.mailctl("ban", "lift", "127.0.0.1", check=False).returncode)


if __name__ == "__main__":
    support.main()
