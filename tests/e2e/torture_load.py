"""The clients of scripts/torture: each remembers what the server said it had done, and what it could not be sure of."""

import base64
import collections
import imaplib
import random
import socket
import socketserver
import threading

import load
import support

SENDER = "load@elsewhere.test"
REMOTE = "far.test"
BATCH = 20          # messages that one SMTP client sends before it reads the answers
FIRST_APPENDED = 10 ** 9
FIRST_EXCHANGED = 2 * 10 ** 9
WAIT = 0.05         # before the next try of a client whose server is away: nothing tells when it is back
ALL_FLAGS = (r"\Seen", r"\Flagged", r"\Answered", "Torture")


def size_of(number):
    """Small ones, and now and then one that goes through a file."""
    return 600 << 10 if number % 400 == 77 else 40 << 10 if number % 100 == 7 else 1000


def is_refused(number):
    """Whether the other server does not know the recipient of a relayed message: its sender must hear of that."""
    return number % 10 == 3


def remote_recipient(number):
    return f"{'gone' if is_refused(number) else 'to'}{number % 5}@{REMOTE}"


def text_of(number):
    return load.message(number, size_of(number))


class Client(threading.Thread):
    """Does one thing again and again until it is told to stop; a connection that breaks is made anew."""

    def __init__(self, server, stopping, seed):
        super().__init__(daemon=True)
        self.server, self.stopping, self.choice = server, stopping, random.Random(seed)
        self.problems, self.cut = [], 0

    def run(self):
        while not self.stopping.is_set():
            try:
                self.session()
            except (OSError, EOFError, imaplib.IMAP4.abort):
                self.stopping.wait(WAIT)
            except Exception as problem:
                if "[UNAVAILABLE]" not in str(problem):  # a server that is starved says so, and never talks nonsense
                    self.problems.append(f"{type(self).__name__}: {problem!r}")
                    return
                self.stopping.wait(WAIT)

    def wants_to_cut(self):
        """Now and then a client hangs up in the middle."""
        if self.choice.random() >= 0.005:
            return False
        self.cut += 1
        return True


class Sender(Client):
    """Sends messages in batches by PIPELINING and CHUNKING. `recipient_of` names who gets a number; `login`: by submission."""

    def __init__(self, server, stopping, seed, numbers, recipient_of, login=None):
        super().__init__(server, stopping, seed)
        self.numbers, self.recipient_of, self.login = numbers, recipient_of, login
        self.accepted, self.unsure, self.refused = set(), set(), 0

    def session(self):
        port = self.server.ports["submission" if self.login else "smtp"]
        with socket.create_connection((self.server.host, port), 30) as connection:
            answers = connection.makefile("rb")
            self.answer(answers)
            self.command(connection, answers, "EHLO client.example")
            if self.login:
                secret = base64.b64encode(f"\0{self.login}\0{support.PASSWORD}".encode()).decode()
                if self.command(connection, answers, f"AUTH PLAIN {secret}") != 235:
                    return self.stopping.wait(WAIT)
            while not self.stopping.is_set():
                if not self.batch(connection, answers):
                    return None
            self.command(connection, answers, "QUIT")
            return None

    def batch(self, connection, answers):
        batch = [next(self.numbers) for _ in range(self.choice.randint(1, BATCH))]
        sender = self.login or SENDER
        octets = bytearray()
        for number in batch:
            text = text_of(number)
            octets += (f"MAIL FROM:<{sender}> BODY=8BITMIME\r\nRCPT TO:<{self.recipient_of(number)}>\r\n"
                       f"BDAT {len(text)} LAST\r\n").encode() + text
        self.unsure.update(batch)
        if self.wants_to_cut():
            connection.sendall(octets[:self.choice.randrange(len(octets))])
            return False
        connection.sendall(octets)
        for number in batch:
            codes = [self.answer(answers) for _ in range(3)]
            self.unsure.discard(number)
            if codes[2] == 250:
                self.accepted.add(number)
            else:
                self.refused += 1
                if any(code // 100 == 5 for code in codes) and max(codes[:2]) < 400:
                    raise AssertionError(f"message {number} was refused for good: {codes}")
        if codes[2] != 250:
            self.stopping.wait(WAIT)  # full, or being closed
        return True

    def command(self, connection, answers, line):
        connection.sendall(line.encode() + b"\r\n")
        return self.answer(answers)

    def answer(self, answers):
        while True:
            line = answers.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError
            if line[3:4] == b" ":
                if line.startswith(b"421"):
                    raise EOFError
                return int(line[:3])


class Owner(Client):
    """Works in two folders of a user, alone: what it was told is done must hold; what it was not told may."""

    def __init__(self, server, stopping, seed, user, first):
        super().__init__(server, stopping, seed)
        self.user, self.numbers = user, iter(range(first, first + 10 ** 6))
        self.folders = (f"Work {first}", f"Done {first}")
        self.known = {}                                # number -> [folder, UID, flags], as the server said
        self.gone = set()                              # expunged
        self.unsure = set()                            # whatever may have become of these
        self.changes = collections.Counter()

    def session(self):
        with self.server.imap(self.user, timeout=30) as client:
            for folder in self.folders:
                client.create(f'"{folder}"')
            while not self.stopping.is_set():
                for _ in range(20):
                    if self.stopping.is_set():
                        break
                    self.choice.choice((self.append, self.append, self.flag, self.move, self.expunge))(client)
                if self.wants_to_cut():
                    client.send(b'x APPEND "Work" {1000}\r\nSubj')
                    return

    def change(self, numbers, call):
        """An answer that never comes leaves these unsure."""
        self.unsure.update(numbers)
        status, data = call()
        if status == "OK":
            self.unsure.difference_update(numbers)
            return data
        if status == "NO":
            if b"nothing was changed" in data[0]:  # otherwise it was done, and could not be flushed
                self.unsure.difference_update(numbers)
            self.stopping.wait(WAIT)
        return None

    def some(self, client):
        sure = [number for number in self.known if number not in self.unsure]
        if not sure:
            return None
        number = self.choice.choice(sure)
        status, _ = client.select(f'"{self.known[number][0]}"')
        return number if status == "OK" else None

    def append(self, client):
        number = next(self.numbers)
        folder = self.choice.choice(self.folders)
        if self.change([number], lambda: client.append(f'"{folder}"', None, None, text_of(number))) is not None:
            self.known[number] = [folder, int(client.response("APPENDUID")[1][-1].split()[1]), set()]
            self.changes["append"] += 1

    def flag(self, client):
        number = self.some(client)
        if number is None:
            return
        flag = self.choice.choice(ALL_FLAGS)
        _, uid, flags = self.known[number]
        sign = "-" if flag in flags else "+"
        if self.change([number], lambda: client.uid("STORE", str(uid), f"{sign}FLAGS.SILENT", f"({flag})")) is not None:
            flags.symmetric_difference_update({flag})
            self.changes["flag"] += 1

    def move(self, client):
        number = self.some(client)
        if number is None:
            return
        folder, uid, flags = self.known[number]
        target = self.folders[folder == self.folders[0]]
        if self.change([number], lambda: client.uid("MOVE", str(uid), f'"{target}"')) is not None:
            copied = client.response("COPYUID")[1][-1]
            self.known[number] = [target, int(copied.split()[2]), flags]
            self.changes["move"] += 1

    def expunge(self, client):
        number = self.some(client)
        if number is None:
            return
        uid = str(self.known[number][1])
        if self.change([number], lambda: client.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")) is None:
            return
        self.known[number][2].add(r"\Deleted")
        if self.change([number], lambda: client.uid("EXPUNGE", uid)) is not None:
            del self.known[number]
            self.gone.add(number)
            self.changes["expunge"] += 1


class Mover(Client):
    """Empties INBOXes into a folder, as filters of mail programs do."""

    def __init__(self, server, stopping, seed, users):
        super().__init__(server, stopping, seed)
        self.users = users

    def session(self):
        with self.server.imap(self.choice.choice(self.users), timeout=30) as client:
            client.create("Sorted")
            for _ in range(3):
                if client.select("INBOX")[0] == "OK" and int(client.untagged_responses.get("EXISTS", [b"0"])[-1]):
                    client.uid("MOVE", f"1:{self.choice.randint(1, 10 ** 6)}", "Sorted")
                self.stopping.wait(self.choice.random())


class Exchanger(Client):
    """Moves the same messages to and fro between two accounts, beside others that do."""

    COUNT = 40  # messages of each

    def __init__(self, server, stopping, seed, user, other):
        super().__init__(server, stopping, seed)
        self.user, self.other = user, other

    def make_pool(self, first):
        """Gives the numbers of the messages in it."""
        with self.server.imap(self.user) as client:
            support.ok(client.create("Pool"))
            support.ok(client.setacl("Pool", self.other, "lrswite"))
            for number in range(first, first + self.COUNT):
                support.ok(client.append("Pool", None, None, text_of(number)))
        return range(first, first + self.COUNT)

    def session(self):
        with self.server.imap(self.user, timeout=30) as client:
            while not self.stopping.is_set():
                here, there = self.choice.sample(("Pool", f'"Other users/{self.other}/Pool"'), 2)
                if client.select(here)[0] != "OK" or client.uid("MOVE", "1:*", there)[0] != "OK":
                    self.stopping.wait(WAIT)
                # Each time is a copy of each message, and what was moved is kept for a while: the disk is not endless.
                self.stopping.wait(self.choice.random() * 0.2)


class FarServer(socketserver.ThreadingTCPServer):
    """Another server, which takes mail, and sometimes does not, or hangs up in the middle."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port, seed):
        self.received = collections.Counter()  # by number
        self.cut_after = set()                 # numbers whose 250 was never read
        self.choice, self.lock, self.difficult = random.Random(seed), threading.Lock(), True
        super().__init__(("127.0.0.1", port), FarSession)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, address):
        pass  # a connection broke


class FarSession(socketserver.StreamRequestHandler):
    wbufsize = 0

    def say(self, line):
        self.wfile.write(line + b"\r\n")

    def handle(self):
        self.say(b"220 far.test ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            fate = self.server.choice.random() if self.server.difficult else 1
            if verb == b"EHLO":
                self.say(b"250-far.test\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == b"RCPT" and b"<gone" in line:
                self.say(b"550 5.1.1 there is nobody of this name")
            elif verb == b"RCPT" and fate < 0.02:
                self.say(b"451 4.7.1 not now")
            elif verb == b"DATA":
                if not self.data(fate):
                    return
            elif verb == b"QUIT":
                return self.say(b"221 bye")
            else:
                self.say(b"250 ok")

    def data(self, fate):
        self.say(b"354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line or fate < 0.01:
                return False
            lines.append(line[1:] if line.startswith(b".") else line)
        number = int(load.NUMBER.search(b"".join(lines)).group(1))
        if fate < 0.02:
            self.say(b"451 4.3.0 not now")
            return True
        with self.server.lock:
            self.server.received[number] += 1
            if fate < 0.03:
                self.server.cut_after.add(number)
                return False
        self.say(b"250 2.0.0 taken")
        return True
