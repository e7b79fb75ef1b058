"""Users of the system log in with their system's passwords, through PAM, to both daemons.

The test runs itself again in a mount namespace where /etc has users and a PAM service of the test's own; the machine keeps its own.
"""

import base64
import concurrent.futures
import imaplib
import os
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import unittest

import support
from support import ALICE, BOB, PASSWORD, ok

INSIDE = "POSTRIDER_TEST_SYSTEM_USERS"
DOMAIN = "example.test"
SYSTEM_PASSWORD = "of the system: ä"
# As docs/trust.md says it.
SERVICE = "auth     include  common-auth\naccount  include  common-account\n"
COMMON = {"common-auth": "auth required pam_unix.so\n", "common-account": "account required pam_unix.so\n"}
PEOPLE = {  # the hash in /etc/shadow, and the day on which the account ends
    "anna": ("{}", ""), "locked": ("!{}", ""), "expired": ("{}", "1"), "nologin": ("*", ""), "nopassword": ("", "")}
STRANGER = "stranger"  # has a mailbox here and is no user of the system
MOST_ROUNDS = 4


def hashed(password):
    return subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True).stdout.strip()


def write(path, text, mode=0o644):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


class Etc:
    """What stands in /etc of this namespace."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="postrider-etc-")
        self.write_users(SYSTEM_PASSWORD)
        pam = os.path.join(self.folder, "pam.d")
        os.mkdir(pam)
        for name, text in {"postrider": SERVICE, **COMMON}.items():
            write(os.path.join(pam, name), text)
        for name in ("passwd", "shadow", "pam.d"):
            subprocess.run(["mount", "--bind", os.path.join(self.folder, name), f"/etc/{name}"], check=True)

    def write_users(self, password):
        with open("/etc/passwd") as file:
            before = [line for line in file if line.split(":")[0] in ("root", "nobody", "daemon")]
        users = "".join(before) + "posty:x:64005:64005::/nonexistent:/usr/sbin/nologin\n"
        shadow = "root:*:19000:0:99999:7:::\nposty:*:19000:0:99999:7:::\n"
        for number, (name, (field, ends)) in enumerate(PEOPLE.items(), 64_010):
            users += f"{name}:x:{number}:64005::/nonexistent:/usr/sbin/nologin\n"
            shadow += f"{name}:{field.format(hashed(password))}:19000:0:99999:7::{ends}:\n"
        write(os.path.join(self.folder, "passwd"), users)
        write(os.path.join(self.folder, "shadow"), shadow, 0o640)  # in place: it may be mounted already


class SystemUsersTest(support.ServerTest):

    settings = ('login.pam_service="postrider"', "login.max_failures=0", "login.max_failures_per_account=0")
    users = (ALICE, BOB)

    @classmethod
    def setUpClass(cls):
        cls.etc = Etc()
        cls.server = support.Server(cls.users, cls.settings)
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        for name in (*PEOPLE, STRANGER):
            cls.server.mailctl("account", "add", "--system", f"{name}@{DOMAIN}")
        if os.environ[INSIDE] == "root":  # as it is installed: by a user of its own, who may not read the passwords
            cls.server.stop()
            os.chmod(cls.server.folder, 0o755)
            cls.server.arguments += ["--set", 'server.user="posty"', "--set", 'server.group="nogroup"']
            subprocess.run(["chown", "-R", "64005:65534", os.path.join(cls.server.folder, "state")], check=True)
            cls.server.start()

    def smtp(self, user, password, mechanism="PLAIN", port="submissions"):
        """The reply, and after how long it came."""
        with self.server.smtp(port) as client:
            if port == "submission":
                client.starttls(context=support.any_certificate())
            client.ehlo()
            began = time.monotonic()
            return self.auth(client, user, password, mechanism), time.monotonic() - began

    def auth(self, client, user, password, mechanism="PLAIN"):
        """smtplib takes passwords in ASCII only."""
        encode = lambda text: base64.b64encode(text.encode()).decode()
        if mechanism == "PLAIN":
            return client.docmd("AUTH", "PLAIN " + encode(f"\0{user}\0{password}"))
        self.assertEqual(334, client.docmd("AUTH", "LOGIN")[0])
        self.assertEqual(334, client.docmd(encode(user))[0])
        return client.docmd(encode(password))

    def imap(self, user, password, mechanism="PLAIN"):
        client = imaplib.IMAP4_SSL(self.server.host, self.server.ports["imaps"], ssl_context=support.any_certificate(),
                                   timeout=support.PATIENCE)
        self.addCleanup(client.shutdown)
        began = time.monotonic()
        try:
            if mechanism == "LOGIN":
                client._encoding = "utf-8"
                answer = client.login(user, password)
            else:
                answer = client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        except imaplib.IMAP4.error as error:
            answer = str(error)
        return answer, time.monotonic() - began

    def lets_in(self, user, password):
        by_smtp, by_imap = self.smtp(user, password)[0], self.imap(user, password)[0]
        self.assertEqual(by_smtp[0] == 235, by_imap[0] == "OK", (by_smtp, by_imap))
        return by_smtp[0] == 235

    def test_the_right_password_on_every_port(self):
        user = f"anna@{DOMAIN}"
        self.assertEqual(235, self.smtp(user, SYSTEM_PASSWORD)[0][0])
        self.assertEqual(235, self.smtp(user, SYSTEM_PASSWORD, "LOGIN", "submission")[0][0])
        self.assertEqual("OK", self.imap(user, SYSTEM_PASSWORD)[0][0])
        self.assertTrue(self.lets_in(f"ANNA@{DOMAIN}", SYSTEM_PASSWORD))
        self.assertTrue(self.lets_in(ALICE, PASSWORD), "others keep theirs")

    def test_mail_goes_both_ways(self):
        user = f"anna@{DOMAIN}"
        self.server.deliver(user, "to a user of the system")
        with self.server.smtp("submissions") as client:
            client.ehlo()
            self.assertEqual(235, self.auth(client, user, SYSTEM_PASSWORD)[0])
            client.sendmail(user, [BOB], "Subject: from a user of the system\r\n\r\nx\r\n")
            with self.assertRaises(smtplib.SMTPSenderRefused):
                client.sendmail(ALICE, [BOB], "Subject: in another's name\r\n\r\nx\r\n")
        self.wait_for_mail("from a user of the system", BOB)
        client = imaplib.IMAP4_SSL(self.server.host, self.server.ports["imaps"], ssl_context=support.any_certificate(),
                                   timeout=support.PATIENCE)
        self.addCleanup(client.shutdown)
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{SYSTEM_PASSWORD}".encode())
        ok(client.select("INBOX"))
        support.wait_until(lambda: client.noop() and ok(client.search(None, "SUBJECT", "system"))[0], "it arrives")

    def test_everybody_else_gets_one_answer_after_one_time(self):
        cases = {"a wrong password": (f"anna@{DOMAIN}", "wrong"), "no password": (f"anna@{DOMAIN}", ""),
                 "nobody": (f"nobody-at-all@{DOMAIN}", SYSTEM_PASSWORD), "no user of the system": (f"{STRANGER}@{DOMAIN}", SYSTEM_PASSWORD),
                 "a locked account": (f"locked@{DOMAIN}", SYSTEM_PASSWORD), "an expired account": (f"expired@{DOMAIN}", SYSTEM_PASSWORD),
                 "an account without login": (f"nologin@{DOMAIN}", SYSTEM_PASSWORD), "an empty password": (f"nopassword@{DOMAIN}", ""),
                 "any password for none": (f"nopassword@{DOMAIN}", "x"), "a wrong one of ours": (ALICE, SYSTEM_PASSWORD)}
        answers, times = {"smtp": set(), "imap": set()}, {"smtp": {}, "imap": {}}
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            # A busy machine makes an answer late, never early: the least of several times is what the server takes.
            for _ in range(MOST_ROUNDS):
                for what, (user, password) in cases.items():
                    attempts = {name: both.submit(getattr(self, name), user, password) for name in answers}
                    for name, attempt in attempts.items():
                        answer, took = attempt.result()
                        answers[name].add(str(answer))
                        if password:  # no password is no question for anybody
                            times[name][what] = min(took, times[name].get(what, took))
                if all(max(by_case.values()) - min(by_case.values()) < 0.1 for by_case in times.values()):
                    break
        self.assertEqual({"smtp": 1, "imap": 1}, {name: len(found) for name, found in answers.items()}, answers)
        for by_case in times.values():
            self.assertGreater(min(by_case.values()), 1.9)
            self.assertLess(max(by_case.values()) - min(by_case.values()), 0.1, by_case)

    def test_scram_says_nothing_of_who_has_a_system_password(self):
        offered = set()
        for user in (f"anna@{DOMAIN}", f"nobody-at-all@{DOMAIN}"):
            result = support.run("curl", "-sS", "--insecure", "--login-options", "AUTH=SCRAM-SHA-256", "--user", f"{user}:{SYSTEM_PASSWORD}",
                                 "--url", f"imaps://{self.server.host}:{self.server.ports['imaps']}/", "-X", "NOOP")
            self.assertNotEqual(0, result.returncode)
            offered.add(result.returncode)
        self.assertEqual(1, len(offered))

    def test_a_new_password_counts_at_once(self):
        user = f"anna@{DOMAIN}"
        self.assertTrue(self.lets_in(user, SYSTEM_PASSWORD))
        self.etc.write_users("a new one")
        try:
            self.assertFalse(self.lets_in(user, SYSTEM_PASSWORD))
            self.assertTrue(self.lets_in(user, "a new one"))
        finally:
            self.etc.write_users(SYSTEM_PASSWORD)

    def helper(self, daemon):
        """The process that asks PAM for a daemon."""
        with open(f"/proc/{self.server.pid(daemon)}/task/{self.server.pid(daemon)}/children") as file:
            for pid in file.read().split():
                with open(f"/proc/{pid}/comm") as name:
                    if name.read().strip() == "postrider-pam":
                        return int(pid)
        self.fail(f"{daemon} has no helper")

    def test_the_helper_alone_keeps_the_rights_of_root(self):
        self.assertTrue(self.lets_in(f"anna@{DOMAIN}", SYSTEM_PASSWORD))
        daemons_user = 64_005 if os.environ[INSIDE] == "root" else 0
        for daemon in ("mta", "imapd"):
            self.assertEqual((0, daemons_user), (self.user_of(self.helper(daemon)), self.user_of(self.server.pid(daemon))))

    def user_of(self, pid):
        with open(f"/proc/{pid}/status") as file:
            return int(next(line for line in file if line.startswith("Uid")).split()[2])

    def test_zz_without_its_helper_a_daemon_lets_nobody_of_the_system_in_and_goes_on(self):
        helpers = [self.helper(daemon) for daemon in ("mta", "imapd")]
        for pid in helpers:
            os.kill(pid, signal.SIGKILL)
        self.assertFalse(self.lets_in(f"anna@{DOMAIN}", SYSTEM_PASSWORD))
        self.assertTrue(self.lets_in(ALICE, PASSWORD))
        for daemon in ("mta", "imapd"):
            self.assertIn("pam_helper", self.server.log(daemon))


if __name__ == "__main__":
    if os.environ.get(INSIDE):
        support.main()
    else:
        root = os.getuid() == 0
        command = ["unshare", *([] if root else ["--user", "--map-root-user"]), "--mount", "--propagation", "private",
                   sys.executable, "-W", "ignore", *sys.argv]
        os.execvpe("unshare", command, {**os.environ, INSIDE: "root" if root else "user"})
