"""ImapFlow, the IMAP client of Node.js programs, from npm (scripts/setup test puts it in build/imapflow): it looks at
CAPABILITY and uses what it finds there, COMPRESS, CONDSTORE, QRESYNC, OBJECTID and LIST-STATUS among it. What a program
does with it is in imapflow/client.js."""

import json
import os

import support
from support import ALICE, BOB, PASSWORD, run

MODULES = os.path.join(support.ROOT, "build/imapflow/node_modules")
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imapflow/client.js")


class ImapFlowTest(support.ServerTest):
    def client(self, step, user=ALICE):
        options = {"host": self.server.host, "ports": self.server.ports, "user": user, "password": PASSWORD}
        self.assertTrue(os.path.isdir(MODULES), "ImapFlow is not installed: scripts/setup test")
        result = run("env", f"NODE_PATH={MODULES}", "node", CLIENT, step, json.dumps(options), timeout=3 * support.PATIENCE)
        self.assertEqual(0, result.returncode, f"{result.text}\n{self.server.logs()}")

    def test_logins(self):
        self.client("logins")

    def test_mailboxes(self):
        self.client("mailboxes")

    def test_messages(self):
        self.client("messages")

    def test_idle(self):
        self.client("idle")

    def test_resync(self):
        self.client("resync")

    def test_quota(self):
        self.server.mailctl("quota", "set", BOB, "1MiB")
        self.client("quota", BOB)


if __name__ == "__main__":
    support.main()
