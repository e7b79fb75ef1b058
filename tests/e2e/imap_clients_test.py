"""Mail programs that people use, each doing what it is for: offlineimap both ways, mutt, fetchmail, getmail,
Thunderbird where it needs more than any server can be asked for."""

import mailbox
import os
import subprocess

import support
from support import ALICE, BOB, PASSWORD, ok, run
from thunderbird import FOLDERS, ThunderbirdCase

MESSAGE = b"From: carol@elsewhere.test\r\nTo: somebody@example.test\r\nSubject: %s\r\nMessage-ID: <%s@test>\r\n\r\n%s\r\n"


def message(subject, body=b"text"):
    return MESSAGE % (subject.encode(), subject.replace(" ", "-").encode(), body)


class ClientsTest(support.ServerTest):
    users = (ALICE, BOB, "carol@example.test", "dave@example.test")

    def fill(self, user, count, folder="INBOX"):
        with self.server.imap(user) as client:
            for number in range(count):
                ok(client.append(folder, None, None, message(f"{folder} {number}", b"line\r\n" * number)))

    def subjects(self, user, folder):
        with self.server.imap(user, mailbox=folder) as client:
            count = int(ok(client.select(folder))[0])
            found = [ok(client.fetch(str(number), "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0] for number in
                     range(1, count + 1)]
            return {part[1].decode().split(":", 1)[1].strip(): part[0].decode() for part in found}

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)

    def test_offlineimap_both_ways(self):
        self.fill(ALICE, 10)
        with self.server.imap(ALICE) as client:
            ok(client.create("Lists/Postrider"))
        self.fill(ALICE, 1, "Lists/Postrider")
        with support.temporary_folder() as folder:
            config = os.path.join(folder, "offlineimaprc")
            self.write(config, f"""
[general]
accounts = it
metadata = {folder}/meta
ui = basic
[Account it]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {folder}/mail
sep = /
[Repository far]
type = IMAP
remotehost = {self.server.host}
remoteport = {self.server.ports['imap']}
remoteuser = {ALICE}
remotepass = {PASSWORD}
ssl = no
starttls = no
auth_mechanisms = LOGIN
""")

            def sync():
                result = run("offlineimap", "-o", "-c", config, timeout=180)
                self.assertEqual(0, result.returncode, result.text)

            sync()
            near = mailbox.Maildir(os.path.join(folder, "mail/INBOX"), create=False)
            self.assertEqual(10, len(near))
            self.assertEqual(1, len(mailbox.Maildir(os.path.join(folder, "mail/Lists/Postrider"), create=False)))
            # Near: one read, one deleted, one written. Far: one flagged, one more.
            keys = sorted(near.keys(), key=lambda key: near[key]["Subject"])
            seen = near[keys[0]]
            seen.set_subdir("cur")
            seen.add_flag("S")
            near[keys[0]] = seen
            gone = near[keys[1]]["Subject"]
            near.remove(keys[1])
            near.add(message("from near").replace(b"\r\n", b"\n"))
            near.close()
            with self.server.imap(ALICE, mailbox="INBOX") as client:
                ok(client.store("10", "+FLAGS", r"(\Flagged)"))
                ok(client.append("INBOX", None, None, message("arrives later")))
            sync()
            far = self.subjects(ALICE, "INBOX")
            self.assertEqual(11, len(far))
            self.assertNotIn(gone, far)
            self.assertIn("from near", far)
            self.assertIn("\\Seen", far["INBOX 0"])
            near = mailbox.Maildir(os.path.join(folder, "mail/INBOX"), create=False)
            self.assertEqual(11, len(near))
            flags = {near[key]["Subject"]: near[key].get_flags() for key in near.keys()}
            self.assertIn("F", flags["INBOX 9"])
            self.assertIn("arrives later", flags)
            sync()
            self.assertEqual(far.keys(), self.subjects(ALICE, "INBOX").keys())

    def test_mutt_reads_flags_and_moves(self):
        self.fill(BOB, 3)
        with support.temporary_folder() as folder:
            config = os.path.join(folder, "muttrc")
            base = f"imap://{self.server.host}:{self.server.ports['imap']}"
            self.write(config, f"""
set imap_user="{BOB}" imap_pass="{PASSWORD}" ssl_starttls=no ssl_force_tls=no
set folder="{base}" spoolfile="{base}/INBOX" imap_qresync=yes imap_condstore=yes imap_deflate=yes
set header_cache="{folder}/cache" message_cachedir="{folder}/cache" move=no resolve=no delete=yes confirmappend=no quit=yes
set sort=mailbox-order wait_key=no imap_keepalive=10
push "<first-entry><flag-message><next-entry><save-message>=Archive<enter><sync-mailbox><quit>"
""")
            environment = {**os.environ, "TERM": "xterm", "HOME": folder}
            # A terminal of its own, as script(1) makes one.
            result = subprocess.run(["script", "-qec", f"mutt -n -F {config}", "/dev/null"], env=environment, timeout=120,
                                    stdin=subprocess.DEVNULL, capture_output=True)
            self.assertEqual(0, result.returncode, result.stdout[-2000:])
            left = self.subjects(BOB, "INBOX")
            self.assertEqual({"INBOX 0", "INBOX 2"}, set(left))
            self.assertIn("\\Flagged", left["INBOX 0"])
            self.assertEqual({"INBOX 1"}, set(self.subjects(BOB, "Archive")))

    def test_fetchmail_empties_the_mailbox(self):
        user = "carol@example.test"
        self.fill(user, 5)
        with support.temporary_folder() as folder:
            config, spool = os.path.join(folder, "fetchmailrc"), os.path.join(folder, "spool")
            self.write(config, f'poll {self.server.host} service {self.server.ports["imap"]} protocol imap auth password '
                               f'user "{user}" password "{PASSWORD}" sslproto "" mda "cat >>{spool}"\n')
            result = run("fetchmail", "--nosyslog", "--fetchmailrc", config, "--pidfile", os.path.join(folder, "pid"),
                         "--idfile", os.path.join(folder, "ids"), timeout=120)
            self.assertEqual(0, result.returncode, result.text)
            with open(spool, "rb") as file:
                text = file.read()
            for number in range(5):
                self.assertIn(f"Subject: INBOX {number}".encode(), text)
            self.assertEqual({}, self.subjects(user, "INBOX"))

    def test_getmail_fetches_each_message_once(self):
        user = "dave@example.test"
        self.fill(user, 5)
        with support.temporary_folder() as folder:
            spool = os.path.join(folder, "spool")
            self.write(os.path.join(folder, "getmailrc"), f"""
[retriever]
type = SimpleIMAPSSLRetriever
server = {self.server.host}
port = {self.server.ports['imaps']}
username = {user}
password = {PASSWORD}
[destination]
type = MDA_external
path = /usr/bin/tee
arguments = ("-a", "{spool}")
allow_root_commands = true
[options]
read_all = false
delete = false
""")
            for _ in range(2):
                result = run("getmail", "--getmaildir", folder, "--rcfile", "getmailrc", timeout=120)
                self.assertEqual(0, result.returncode, result.text)
                with open(spool) as file:
                    text = file.read()
                for number in range(5):
                    self.assertEqual(1, text.count(f"Subject: INBOX {number}\n"), text)


class QuotaInThunderbirdTest(ThunderbirdCase):
    def test_it_is_shown(self):
        self.server.mailctl("quota", "set", ALICE, "5MiB")
        self.server.deliver(subject="counted", body="0123456789\r\n" * 20_000)
        self.wait_for_mail("counted")
        self.open("SSL", "imaps", "submissions")
        self.run_script(FOLDERS, ["INBOX"])
        self.run_script('await arrives("INBOX", args[0]);', "counted")
        shown = self.run_script("""
          await until(() => folder("INBOX").getQuota().length, "the quota is known");
          return folder("INBOX").getQuota().map((one) => [one.name, Number(one.usage), Number(one.limit)]);""")
        self.assertEqual([name for name, usage, limit in shown], ["Account / STORAGE"])
        name, usage, limit = shown[0]
        self.assertEqual(limit, 5 * 1024)
        self.assertGreater(usage, 200)
        self.assertLess(usage, limit)


if __name__ == "__main__":
    support.main()
