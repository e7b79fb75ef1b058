"""Mail moves in and out: Maildir and mbox files that other programs wrote and read, and an account of a real Dovecot."""

import contextlib
import imaplib
import json
import mailbox
import os
import pty
import pwd
import socket
import subprocess
import termios
import threading
import time
import unittest

import support
from support import ALICE, BOB, PASSWORD, ok, wait_until

MESSAGE = b"From: a@elsewhere.test\nSubject: %s\nMessage-ID: <%s@test>\n\nhello\nFrom here\n"

DOVECOT = """
protocols = imap
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 0
first_valid_gid = 0
listen = 127.0.0.1
mail_location = maildir:{folder}/mail
namespace inbox {{
  inbox = yes
  separator = .
  prefix = INBOX.
  mailbox "Sent Items" {{
    special_use = \\Sent
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


@contextlib.contextmanager
def dovecot():
    """A Dovecot in the foreground, in a folder of its own, which lets anybody in who knows the password."""
    with support.temporary_folder() as folder:
        user = "mail" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            subprocess.run(["chown", "mail:mail", folder], check=True)
        os.chmod(folder, 0o755)
        port = support.free_ports(1)[0]
        path = os.path.join(folder, "dovecot.conf")
        with open(path, "w") as file:
            file.write(DOVECOT.format(folder=folder, port=port, user=user, group=user))
        process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", path])
        try:
            def answers():
                with contextlib.suppress(OSError, imaplib.IMAP4.error):
                    return imaplib.IMAP4("127.0.0.1", port)
            client = support.wait_until(answers, "Dovecot")
            yield client, port
        finally:
            process.terminate()
            process.wait(support.PATIENCE)


class Script(threading.Thread):
    """A server that says what a script has: for each command, by its first word, the next answer; TAG becomes its tag. Ends the
    connection where the script ends."""

    def __init__(self, *answers):
        super().__init__(daemon=True)
        self.answers = list(answers)
        self.commands = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        with self.listener, connection, connection.makefile("rb") as lines:
            connection.sendall(self.answers.pop(0))
            while self.answers:
                line = lines.readline()
                if not line:
                    return
                self.commands.append(line)
                connection.sendall(self.answers.pop(0).replace(b"TAG", line.split(b" ")[0]))


CAPABLE = b"* CAPABILITY IMAP4rev1\r\nTAG OK\r\n"
UP_TO_FETCH = (b"* OK hello\r\n", CAPABLE, b"TAG OK in\r\n", CAPABLE, b'* LIST () "/" INBOX\r\nTAG OK\r\n', b"TAG OK\r\n",
               b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nTAG OK\r\n",
               b"* 1 FETCH (UID 4)\r\n* 2 FETCH (UID 5)\r\nTAG OK\r\n")
ONE = b"* 1 FETCH (UID 4 FLAGS () BODY[] {16}\r\nSubject: one\r\n\r\n)\r\n"


class TransferTest(support.ServerTest):

    def import_from(self, script, user):
        result = self.server.mailctl("--json", "import", "--imap", f"127.0.0.1:{script.port}", "--no-tls", "--user", "old",
                                     "--password-stdin", user, stdin="secret\n", check=False)
        script.join(support.PATIENCE)
        return result

    def test_what_came_before_a_server_broke_is_kept(self):
        user = self.add_account("broken@example.test")
        torn = Script(*UP_TO_FETCH, ONE + b"* 2 FETCH (UID 5 FLAGS () BODY[] {100}\r\nSubject: t")
        result = self.import_from(torn, user)
        self.assertEqual(1, result.returncode)
        self.assertIn("within a message. What came until then is kept", result.stderr)
        self.assertEqual((1, False), (json.loads(result.stdout)["imported"], json.loads(result.stdout)["complete"]))
        again = Script(*UP_TO_FETCH, b"* 2 FETCH (UID 5 FLAGS (\\Seen) BODY[] {16}\r\nSubject: two\r\n\r\n)\r\nTAG OK\r\n", b"")
        result = self.import_from(again, user)
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual(1, json.loads(result.stdout)["already_there"])
        self.assertIn(b"UID FETCH 5 ", again.commands[-2])
        with self.server.imap(user, mailbox="INBOX") as client:
            self.assertEqual([b"1 2"], ok(client.search(None, "ALL")))

    def test_a_server_that_talks_nonsense_ends_the_import(self):
        user = self.add_account("nonsense@example.test")
        for answers, sentence in (
                ((b"220 smtp\r\n",), "greets with: 220 smtp"),
                ((b"* OK\r\n", b"what?\r\n"), "does not speak IMAP: what?"),
                ((b"* OK\r\n", b"* CAPABILITY LOGINDISABLED\r\nTAG OK\r\n", b""), "offers no login"),
                ((b"* OK " + b"x" * 1_200_000,), "an answer without an end"),
                ((*UP_TO_FETCH, b"* 1 FETCH (UID 4 BODY[] {99999999999}\r\n"), "a message that has no end"),
                ((*UP_TO_FETCH, b"* 1 FETCH (FLAGS {99999999}\r\n"), "an answer without an end")):
            with self.subTest(sentence):
                result = self.import_from(Script(*answers), user)
                self.assertEqual(1, result.returncode)
                self.assertIn(sentence, result.stderr)

    def transfer(self, *arguments, stdin="", account=ALICE):
        return json.loads(self.server.mailctl("--json", *arguments, account, stdin=stdin).stdout)

    def folder(self, name):
        return os.path.join(self.server.folder, name)

    def add_account(self, name):
        self.server.mailctl("account", "add", "--password-stdin", name, stdin=PASSWORD + "\n")
        return name

    def test_maildir_of_others_comes_in_and_goes_out(self):
        old = mailbox.Maildir(self.folder("old"))
        message = mailbox.MaildirMessage(MESSAGE % (b"one", b"1"))
        message.set_subdir("cur")
        message.set_flags("FS")
        message.set_date(1_000_000_000)
        old.add(message)
        sub = old.add_folder("Projects.Alpha")
        sub.add(mailbox.MaildirMessage(MESSAGE % (b"two", b"2")))
        user = self.add_account("maildir@example.test")
        self.assertEqual(2, self.transfer("import", "--maildir", self.folder("old"), account=user)["imported"])
        self.assertEqual(0, self.transfer("import", "--maildir", self.folder("old"), account=user)["imported"])
        with self.server.imap(user, mailbox="INBOX") as client:
            answer = ok(client.fetch("1", "(FLAGS INTERNALDATE)"))[0].decode()
            self.assertIn("\\Flagged", answer)
            self.assertIn("\\Seen", answer)
            self.assertIn(" 9-Sep-2001 01:46:40", answer)
            ok(client.select("Projects/Alpha"))
            ok(client.store("1", "+FLAGS", "($Work)"))
        self.assertEqual(2, self.transfer("export", "--maildir", self.folder("out"), account=user)["exported"])
        self.assertEqual(2, self.transfer("export", "--maildir", self.folder("out"), account=user)["already_there"])
        out = mailbox.Maildir(self.folder("out"), create=False)
        self.assertIn("Projects.Alpha", out.list_folders())
        (one,) = list(out)
        self.assertEqual("FS", one.get_flags())
        self.assertEqual(1_000_000_000, one.get_date())
        self.assertEqual("hello\nFrom here\n", one.get_payload())
        with open(self.folder("out/.Projects.Alpha/dovecot-keywords")) as file:
            self.assertEqual("0 $Work\n", file.read())

    def test_mbox_of_others_comes_in_and_goes_out(self):
        old = mailbox.mbox(self.folder("old.mbox"))
        message = mailbox.mboxMessage(MESSAGE % (b"one", b"1"))
        message.set_flags("ROA")
        message.set_from("a@elsewhere.test", time.gmtime(1_000_000_000))
        old.add(message)
        old.add(mailbox.mboxMessage(MESSAGE % (b"two", b"2")))
        old.close()
        user = self.add_account("mbox@example.test")
        arguments = ("import", "--mbox", self.folder("old.mbox"), "--into", "INBOX")
        self.assertEqual(2, self.transfer(*arguments, account=user)["imported"])
        self.assertEqual(2, self.transfer(*arguments, account=user)["already_there"])
        with self.server.imap(user, mailbox="INBOX") as client:
            answer = ok(client.fetch("1", "(FLAGS INTERNALDATE BODY.PEEK[])"))[0]
            self.assertIn(b"\\Answered", answer[0])
            self.assertIn(b" 9-Sep-2001 01:46:40", answer[0])
            self.assertTrue(answer[1].endswith(b"\r\n\r\nhello\r\nFrom here\r\n"), answer[1])
            self.assertNotIn(b"Status", answer[1])
        self.assertEqual(2, self.transfer("export", "--mbox", self.folder("out"), account=user)["exported"])
        out = mailbox.mbox(self.folder("out/INBOX.mbox"), create=False)
        self.assertEqual(["one", "two"], [message["Subject"] for message in out])
        self.assertEqual("ROA", out[0].get_flags())

    def test_account_of_dovecot(self):
        user = self.add_account("moved@example.test")
        with dovecot() as (there, port):
            ok(there.login("old", "secret"))
            for name in ("INBOX.Projects", "INBOX.Projects.B&APw-cher", '"INBOX.Sent Items"'):
                ok(there.create(name))
            ok(there.subscribe("INBOX.Projects"))
            text = (MESSAGE % (b"one", b"1")).replace(b"\n", b"\r\n")
            ok(there.append("INBOX", "(\\Flagged \\Seen $Work)", '" 9-Sep-2001 01:46:40 +0000"', text))
            huge = text + b"x" * 70_000 * 10 + b"\r\n"
            ok(there.append("INBOX.Projects.B&APw-cher", "(\\Draft)", None, huge))
            ok(there.append('"INBOX.Sent Items"', "(\\Seen)", None, text))
            for number in range(450):
                ok(there.append("INBOX.Projects", None, None, b"Subject: %d\r\n\r\n\r\n" % number))
            arguments = ("import", "--imap", f"127.0.0.1:{port}", "--no-tls", "--user", "old", "--password-stdin")
            first = self.transfer(*arguments, stdin="secret\n", account=user)
            self.assertEqual((453, 0, []), (first["imported"], first["already_there"], first["reasons"]))
            ok(there.append("INBOX", None, None, text))
            again = self.transfer(*arguments, stdin="secret\n", account=user)
            self.assertEqual((1, 453), (again["imported"], again["already_there"]))
            wrong = self.server.mailctl(*arguments, user, stdin="wrong\n", check=False)
            self.assertEqual(1, wrong.returncode)
            self.assertIn("does not let old in", wrong.stderr)
            # A change there that is made by nobody: the import only examined.
            ok(there.select("INBOX.Projects"))
            self.assertEqual([b""], ok(there.search(None, "SEEN")))
            there.logout()
        with self.server.imap(user, mailbox="INBOX") as client:
            answer = ok(client.fetch("1", "(FLAGS INTERNALDATE)"))[0].decode()
            for part in ("\\Flagged", "\\Seen", "$Work", " 9-Sep-2001 01:46:40"):
                self.assertIn(part, answer)
            self.assertEqual(b"1", ok(client.select("Sent"))[0])
            self.assertEqual(b"450", ok(client.select("Projects"))[0])
            self.assertEqual(b"1", ok(client.select("Projects/B&APw-cher"))[0])
            self.assertEqual(huge, ok(client.fetch("1", "(BODY.PEEK[])"))[0][1])

    def test_a_server_that_is_not_trusted_gets_no_password(self):
        user = self.add_account("careful@example.test")
        port = self.server.ports["imaps"]
        arguments = ("import", "--imap", f"127.0.0.1:{port}", "--user", ALICE, "--password-stdin", user)
        refused = self.server.mailctl(*arguments, stdin=PASSWORD + "\n", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("no TLS that can be trusted", refused.stderr)
        self.server.deliver(ALICE, "over TLS")
        self.wait_for_mail("over TLS", ALICE)
        for options in (("--insecure",), ("--insecure", "--starttls")):
            port = self.server.ports["imap" if "--starttls" in options else "imaps"]
            arguments = ("import", "--imap", f"127.0.0.1:{port}", "--user", ALICE, "--password-stdin", *options)
            result = self.transfer(*arguments, stdin=PASSWORD + "\n", account=user)
            self.assertTrue(result["complete"])
        self.wait_for_mail("over TLS", user)

    def test_the_password_there_is_asked_for_once_and_not_shown(self):
        user = self.add_account("asked@example.test")
        self.server.deliver(ALICE, "asked for")
        self.wait_for_mail("asked for", ALICE)
        source = ("import", "--imap", f"127.0.0.1:{self.server.ports['imaps']}", "--insecure")
        command = [os.path.join(support.PROGRAMS, "mailctl/mailctl"), "--config",
                   os.path.join(self.server.folder, "config.toml"), *source, "--user", ALICE, user]
        keyboard, terminal = pty.openpty()
        with subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            question = f"Password of {ALICE} at 127.0.0.1: ".encode()
            self.assertEqual(question, running.stderr.read(len(question)))
            # What is typed before the terminal is told not to show it would be shown, and forgotten.
            wait_until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, "a terminal that shows nothing")
            os.write(keyboard, PASSWORD.encode() + b"\n")
            out, error = running.communicate(timeout=support.PATIENCE)
        os.close(terminal)
        self.assertEqual(0, running.returncode, error)
        self.assertNotIn(PASSWORD.encode(), out + error)
        with contextlib.suppress(OSError):  # nobody has the other end open
            self.assertNotIn(PASSWORD.encode(), os.read(keyboard, 10_000))
        os.close(keyboard)
        self.wait_for_mail("asked for", user)
        for options, given, status, sentence in (
                ((), "", 2, "Say who logs in there: --user NAME."),
                (("--user", ALICE), "", 2, "Say where the password there comes from: --password-stdin"),
                (("--user", ALICE, "--password-stdin"), "", 1, f"No password of {ALICE} at 127.0.0.1 was given"),
                (("--user", ALICE, "--password-stdin"), "x" * 5_000, 1, "is longer than")):
            refused = self.server.mailctl(*source, *options, user, stdin=given, check=False)
            self.assertEqual(status, refused.returncode, refused.stderr)
            self.assertIn(sentence, refused.stderr)


if __name__ == "__main__":
    support.main()
