"""kill -9 of both daemons under load: nothing that got its 250 is lost, changed, or there twice.

POSTRIDER_LOAD=full kills twenty times, without it four times.
"""

import imaplib
import os
import random
import signal
import threading
import time
import unittest

import load
import support

KILLS = 20 if os.environ.get("POSTRIDER_LOAD") == "full" else 4


class CrashTest(unittest.TestCase):

    def test_nothing_accepted_is_lost(self):
        users = tuple(f"crash{number}@example.test" for number in range(5))
        server = support.Server(users)
        self.addCleanup(server.close)
        server.start()
        senders = load.Senders(server, users, 20)
        senders.send()
        try:
            for _ in range(KILLS):
                enough = len(senders.accepted) + 100
                support.wait_until(lambda: len(senders.accepted) >= enough, "mail flows\n" + server.logs())
                time.sleep(random.random() / 2)  # anywhere in the middle of things
                for daemon in random.sample(("mta", "imapd"), 2):
                    os.kill(server.pid(daemon), signal.SIGKILL)
                server.start()
        finally:
            senders.stop()
        print(f"\n{len(senders.accepted)} mails accepted around {KILLS} kills, {len(senders.unsure)} unanswered", flush=True)
        self.assertEqual([], senders.refused)
        load.wait_until_delivered(server, users, len(senders.accepted), 120)
        support.wait_until(lambda: not self.missing(senders, load.received(server, users)),
                           "accepted messages are missing", 120)
        found = load.received(server, users)
        for number, expected in senders.accepted.items():
            self.assertEqual([expected], found[number], f"message {number}")
        for number in set(found) - set(senders.accepted):
            self.assertIn(number, senders.unsure)

    def test_no_message_is_lost_between_accounts(self):
        """Two users move the same messages to and fro; each is still there after every kill."""
        count, users = 40, (support.ALICE, support.BOB)
        server = support.Server(users)
        self.addCleanup(server.close)
        server.start()
        stop, problems = threading.Event(), []

        def shared(owner):
            return f'"Other users/{owner}/Pool"'

        def move(me, other, seed):
            choice = random.Random(seed)
            while not stop.is_set():
                try:
                    with server.imap(me) as client:
                        while not stop.is_set():
                            here, there = choice.sample(("Pool", shared(other)), 2)
                            support.ok(client.select(here))
                            support.ok(client.uid("MOVE", "1:*", there))
                except (OSError, imaplib.IMAP4.abort):
                    time.sleep(0.05)  # it was killed
                except Exception as problem:
                    problems.append(repr(problem))
                    return

        for me, other in (users, users[::-1]):
            with server.imap(me) as client:
                support.ok(client.create("Pool"))
                support.ok(client.setacl("Pool", other, "lrswite"))
                for number in range(count):
                    support.ok(client.append("Pool", None, None, f"Subject: {me} {number}\r\n\r\ntext\r\n".encode()))
        threads = [threading.Thread(target=move, args=(*users[:: 1 if seed % 2 else -1], seed)) for seed in range(6)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(0.2 + random.random())  # anywhere in the middle of things
                os.kill(server.pid("imapd"), signal.SIGKILL)
                server.start()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        found = []
        for me in users:
            with server.imap(me, mailbox="Pool") as client:
                answer = support.ok(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
                found += [part[1] for part in answer if isinstance(part, tuple)]
        self.assertEqual([], problems)
        self.assertEqual(2 * count, len(set(found)))

    def missing(self, senders, found):
        return [number for number in senders.accepted if number not in found]


if __name__ == "__main__":
    support.main()
