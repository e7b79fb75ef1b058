"""Messages whose bytes are known again, and senders of them; shared by the load and crash tests."""

import collections
import random
import re
import smtplib
import threading
import time

import support
from support import ok

NUMBER = re.compile(rb"X-Test-Number: (\d+)\r\n")


def message(number, size):
    """A message of about `size` octets with every kind of line that transport could spoil; the same for the same number."""
    source = random.Random(number)
    head = (f"X-Test-Number: {number}\r\nFrom: load@elsewhere.test\r\nTo: somebody@example.test\r\n"
            f"Subject: load {number}\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{number}@load.test>\r\n"
            f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: 8bit\r\n\r\n.\r\n..\r\n.dot first\r\n\r\n").encode()
    line_count = max(1, (size - len(head)) // 78)
    noise = source.randbytes(57 * min(line_count, 4096)).hex().encode()
    lines = [noise[at:at + 76] for at in range(0, len(noise), 76)] or [b"x"]
    body = b"\r\n".join(lines[index % len(lines)] for index in range(line_count))
    return head + body + "\r\nü at the end\r\n.\r\n".encode()


def sizes(count, largest, large):
    """From 1 KiB to `largest`, evenly over the orders of magnitude, and `large` of 20 MiB among them."""
    source = random.Random(count)
    result = [int(1024 * (largest / 1024) ** source.random()) for _ in range(count - large)] + [20 << 20] * large
    source.shuffle(result)
    return result


class Senders:
    """Connections that send messages side by side; remembers the digest of each that got its 250."""

    def __init__(self, server, recipients, connections):
        self.server, self.recipients, self.connections = server, recipients, connections
        self.accepted = {}
        self.unsure = set()  # sent, but the connection died before the answer
        self.refused = []
        self.lock = threading.Lock()
        self.numbers = iter(range(10 ** 9))
        self.stopping = False

    def send(self, planned=None):
        """Sends one message for each of the sizes, or small ones until stop(). Gives the seconds it took."""
        began = time.monotonic()
        self.planned = iter(planned) if planned is not None else None
        self.threads = [threading.Thread(target=self._connection) for _ in range(self.connections)]
        for thread in self.threads:
            thread.start()
        if planned is not None:
            self.join()
        return time.monotonic() - began

    def stop(self):
        self.stopping = True
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join()

    def _next(self):
        with self.lock:
            number = next(self.numbers)
            size = next(self.planned, None) if self.planned is not None else (4096 if number % 50 else 2 << 20)
        return number, None if self.stopping else size

    def _connection(self):
        client = None
        while True:
            number, size = self._next()
            if size is None:
                break
            text = message(number, size)
            try:
                if client is None:
                    client = self.server.smtp()
                    client.ehlo()
                self._one(client, number, text)
            except (OSError, smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError) as error:
                if self.planned is not None:
                    self.refused.append((number, repr(error)))
                client = None
                time.sleep(0.05)  # the server is away; nothing tells when it is back
        if client is not None:
            try:
                client.quit()
            except (OSError, smtplib.SMTPException):
                pass

    def _one(self, client, number, text):
        recipient = self.recipients[number % len(self.recipients)]
        for code, answer in (client.mail("load@elsewhere.test", ["BODY=8BITMIME"]), client.rcpt(recipient)):
            if code != 250:
                self.refused.append((number, code, answer))
                client.rset()
                return
        self.unsure.add(number)
        code, answer = client.data(text)
        self.unsure.discard(number)
        if code == 250:
            self.accepted[number] = (recipient, support.digest(text))
        else:
            self.refused.append((number, code, answer))


def received(server, recipients):
    """{number: [(recipient, digest), ...]} of all that lies in the mailboxes, from the marked header to the end."""
    found = collections.defaultdict(list)
    for recipient in recipients:
        with server.imap(recipient, mailbox="INBOX", timeout=600) as client:
            count = len(ok(client.search(None, "ALL"))[0].split())
            for sequence in range(1, count + 1):
                data = ok(client.fetch(str(sequence), "(BODY.PEEK[])"))[0][1]
                match = NUMBER.search(data)
                found[int(match.group(1))].append((recipient, support.digest(data[match.start():])))
    return found


def wait_until_delivered(server, recipients, count, seconds=600):
    """Waits until `count` messages or more lie in the mailboxes."""
    clients = [server.imap(recipient, timeout=600) for recipient in recipients]
    try:
        def total():
            answers = [ok(client.status("INBOX", "(MESSAGES)"))[0] for client in clients]
            return sum(int(re.search(rb"MESSAGES (\d+)", answer).group(1)) for answer in answers)
        support.wait_until(lambda: total() >= count, f"{count} messages are delivered; there are {total()}", seconds)
    finally:
        for client in clients:
            client.logout()
