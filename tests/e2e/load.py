"""Messages whose bytes are known again, and senders of them; shared by the load and torture tests."""

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
        self.refused = []
        self.lock = threading.Lock()

    def send(self, planned):
        """Sends one message for each of the sizes. Gives the seconds it took."""
        began = time.monotonic()
        self.planned = iter(enumerate(planned))
        threads = [threading.Thread(target=self._connection) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def _next(self):
        with self.lock:
            return next(self.planned, None)

    def _connection(self):
        with self.server.smtp() as client:
            client.ehlo()
            while (job := self._next()) is not None:
                try:
                    self._one(client, *job)
                except (OSError, smtplib.SMTPException) as error:
                    self.refused.append((job, repr(error)))
                    return

    def _one(self, client, number, size):
        recipient = self.recipients[number % len(self.recipients)]
        text = message(number, size)
        for code, answer in (client.mail("load@elsewhere.test", ["BODY=8BITMIME"]), client.rcpt(recipient), client.data(text)):
            if code != 250:
                self.refused.append((number, code, answer))
                client.rset()
                return
        self.accepted[number] = (recipient, support.digest(text))


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
