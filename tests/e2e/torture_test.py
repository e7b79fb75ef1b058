"""The short form of scripts/torture, and that its count can fail.

POSTRIDER_TORTURE_SEED repeats a run.
"""

import os
import random
import unittest

import support
import torture

SEED = os.environ.get("POSTRIDER_TORTURE_SEED") or str(random.SystemRandom().randrange(10 ** 6))


class TortureTest(unittest.TestCase):

    def test_nothing_that_was_acknowledged_is_lost(self):
        count, audit, damaged, problems = torture.torture(40, SEED)
        self.assertEqual([], count.lost)
        self.assertEqual([], count.wrong)
        self.assertEqual([], damaged)
        self.assertEqual([], problems)
        self.assertEqual([], audit["found"])

    def test_a_message_that_is_deleted_beneath_is_missed(self):
        count, audit, _, _ = torture.torture(3, SEED, lose_one=True, acts=())
        self.assertEqual(1, len(count.lost), count.lost)
        self.assertIn("mailbox_differs", [finding["kind"] for finding in audit["found"]])

    def test_a_disk_that_does_not_flush_loses_mail(self):
        """What the power cut takes back would be seen, were it acknowledged before it was flushed."""
        count, _, _, _ = torture.torture(6, SEED, always=("mta lie flush queue.db-wal 0 0",), acts=("cut_power",))
        self.assertGreater(len(count.lost), 0)


class PowerCutTest(unittest.TestCase):

    def test_the_first_mail_of_an_account_survives(self):
        """Its file and the folders above it are new: their names have to be flushed as well."""
        run = torture.Torture(0, SEED, users=1, acts=())
        self.addCleanup(run.close)
        for daemon in run.daemons.values():
            daemon.start()
        run.wait_for_smtp()
        run.server.deliver(run.users[0])
        run.wait_until_idle()
        run.cut_power(torn=False)
        run.wait_for_service()
        with run.server.imap(run.users[0], mailbox="INBOX") as client:
            self.assertEqual([b"1"], support.ok(client.search(None, "ALL")))


if __name__ == "__main__":
    support.main()
