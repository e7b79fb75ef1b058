"""Many mails of mixed sizes over twenty connections: all arrive, byte for byte.

POSTRIDER_LOAD=full sends 1,000 mails of 1 KiB to 20 MiB (about 2 GiB); without it, 300 mails with two of 20 MiB among them.
"""

import os
import unittest

import load
import support

FULL = os.environ.get("POSTRIDER_LOAD") == "full"


class LoadTest(support.ServerTest):
    users = tuple(f"load{number}@example.test" for number in range(5))

    def test_mixed_sizes_arrive_byte_for_byte(self):
        planned = load.sizes(1000, 20 << 20, 0) if FULL else load.sizes(300, 256 << 10, 2)
        senders = load.Senders(self.server, self.users, 20)
        seconds = senders.send(planned)
        print(f"\n{len(senders.accepted)} mails, {sum(planned) / 2 ** 20:.0f} MiB, accepted in {seconds:.1f} s", flush=True)
        self.assertEqual([], senders.refused)
        self.assertEqual(len(planned), len(senders.accepted))
        load.wait_until_delivered(self.server, self.users, len(planned))
        found = load.received(self.server, self.users)
        self.assertEqual(len(planned), sum(map(len, found.values())))
        for number, expected in senders.accepted.items():
            self.assertEqual([expected], found[number], f"message {number} of {planned[number]} octets")


if __name__ == "__main__":
    support.main()
