"""kill -9 of both daemons under load: nothing that got its 250 is lost, changed, or there twice.

POSTRIDER_LOAD=full kills twenty times, without it four times.
"""

import os
import random
import signal
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

    def missing(self, senders, found):
        return [number for number in senders.accepted if number not in found]


if __name__ == "__main__":
    support.main()
