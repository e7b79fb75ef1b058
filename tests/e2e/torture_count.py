"""The count of scripts/torture: what every client was told against what is there."""

import collections
import contextlib
import json
import os
import sqlite3

import load
import support
from support import ok
from torture_load import is_refused, text_of

STEP = 200  # messages of one FETCH


class Found:
    """All that lies in the mailboxes: number -> [(user, folder, UID, flags, digest)]."""

    def __init__(self, server, users):
        self.messages = collections.defaultdict(list)
        for user in users:
            with server.imap(user, timeout=600) as client:
                for line in ok(client.list()):
                    folder = line.decode().rpartition(' "/" ')[2].strip('"')
                    if not folder.startswith("Other users"):
                        self.read(client, user, folder)

    def read(self, client, user, folder):
        count = int(ok(client.select(f'"{folder}"', readonly=True))[0])
        for first in range(1, count + 1, STEP):
            parts = ok(client.fetch(f"{first}:{min(first + STEP - 1, count)}", "(UID FLAGS BODY.PEEK[])"))
            for part in parts:
                if isinstance(part, tuple):
                    self.add(user, folder, *part)

    def add(self, user, folder, facts, text):
        match = load.NUMBER.search(text)
        words = facts.decode().replace("(", " ").replace(")", " ").split()
        flags = words[words.index("FLAGS") + 1:words.index("BODY[]")]
        flags = {flag for flag in flags if flag not in ("UID", r"\Recent") and not flag.isdigit()}
        if match:
            self.messages[int(match.group(1))].append(
                (user, folder, int(words[words.index("UID") + 1]), flags, support.digest(text[match.start():])))


class Count:
    """What is lost, wrong, or there twice."""

    def __init__(self):
        self.lost, self.twice, self.wrong = [], collections.Counter(), []

    def delivered(self, found, senders, users_of):
        for sender in senders:
            for number in sender.accepted:
                copies = found.messages.get(number, ())
                expected = support.digest(text_of(number))
                if not copies:
                    self.lost.append(f"message {number} for {users_of(number)}")
                elif any(copy[0] != users_of(number) or copy[4] != expected for copy in copies):
                    self.wrong.append(f"message {number}: {copies}")
                if len(copies) > 1:
                    self.twice["in a mailbox"] += len(copies) - 1

    def relayed(self, found, far, senders):
        for sender in senders:
            for number in sender.accepted:
                if is_refused(number):
                    self.returned(found.messages.get(number, ()), number, sender.login)
                elif not far.received[number]:
                    self.lost.append(f"message {number} for another server")
                elif far.received[number] > 1:
                    cause = "its 250 to us was cut off" if number in far.cut_after else "mta ended before it wrote down the 250"
                    self.twice[f"handed over: {cause}"] += far.received[number] - 1

    def returned(self, reports, number, sender):
        """The report that brings a message back holds its header."""
        if not any(report[0] == sender for report in reports):
            self.lost.append(f"the report that message {number} of {sender} was refused")
        elif len(reports) > 1:
            self.twice["returned"] += len(reports) - 1

    def exchanged(self, found, numbers):
        for number in numbers:
            copies = found.messages.get(number, ())
            if not copies:
                self.lost.append(f"message {number}, which was moved between two accounts")
            elif any(copy[4] != support.digest(text_of(number)) for copy in copies):
                self.wrong.append(f"message {number}: {copies}")
            elif len(copies) > 1:
                self.twice["moved between accounts: imapd ended between the two"] += len(copies) - 1

    def changes(self, found, owner):
        """Everything that the server said OK to."""
        for number, (folder, uid, flags) in owner.known.items():
            copies = found.messages.get(number, ())
            if number in owner.unsure:
                if not copies and r"\Deleted" not in flags:
                    self.lost.append(f"message {number} of {owner.user}, whose last change was not answered")
                continue
            if not copies:
                self.lost.append(f"message {number}, appended to {folder} of {owner.user}")
            elif copies != [(owner.user, folder, uid, flags, support.digest(text_of(number)))]:
                self.wrong.append(f"message {number} should be {folder} {uid} {flags}, is {copies}")
        for number in owner.gone:
            if number in found.messages:
                self.wrong.append(f"message {number} of {owner.user} was expunged, and is there")


def audit(server, environment, *arguments):
    """The answer of `mailctl audit` as it stands."""
    result = support.run(os.path.join(support.PROGRAMS, "mailctl/mailctl"), "--config",
                         os.path.join(server.folder, "config.toml"), "--json", "audit", *arguments,
                         timeout=3600, environment=environment)
    try:
        return json.loads(result.stdout)
    except json.JSONDecodeError as error:
        raise AssertionError(f"mailctl audit: {result.text}") from error


def damaged_files(state):
    """Databases that do not pass integrity_check; nothing runs any more."""
    damaged = []
    for folder, _, files in os.walk(state):
        for name in files:
            if name.endswith(".db"):
                path = os.path.join(folder, name)
                with contextlib.closing(sqlite3.connect(path)) as database:
                    answer = [row[0] for row in database.execute("PRAGMA integrity_check(5)")]
                if answer != ["ok"]:
                    damaged.append(f"{path}: {answer}")
    return damaged


def lose(state, user, folder, uid):
    """Deletes a message beneath the daemons: the count that follows has to miss it."""
    with contextlib.closing(sqlite3.connect(os.path.join(state, "directory.db"))) as database:
        account, = database.execute("SELECT id FROM account WHERE local = ?", (user.partition("@")[0],)).fetchone()
    path = os.path.join(state, "accounts", f"{account:02x}", f"{account}.db")
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint=0")
        cursor = database.execute("DELETE FROM entry WHERE uid = ? AND mailbox = (SELECT id FROM mailbox WHERE name = ? AND gone = 0)",
                                  (uid, folder))
        if cursor.rowcount != 1:
            raise AssertionError(f"there is no UID {uid} in {folder} of {user}")
