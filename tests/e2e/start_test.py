"""Start, stop and reload: what scripts/run promises, what a failed start says, what signals do."""

import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import unittest

import support
from support import ALICE, PASSWORD, PROGRAMS, ROOT, ok

DAEMONS = ("mta", "imapd")


def program(name):
    return os.path.join(PROGRAMS, name, name)


class RunTest(unittest.TestCase):
    """The contract of scripts/run."""

    def run_script(self, *arguments):
        return subprocess.run([os.path.join(ROOT, "scripts/run"), *arguments], env=support.ENVIRONMENT, capture_output=True,
                              text=True, timeout=300)

    def test_without_users_it_makes_alice_and_sends_and_reads_a_mail(self):
        with support.temporary_folder() as folder:
            try:
                result = self.run_script("--dir", folder, "--address", "127.0.0.87", "--detach")
                self.assertEqual(0, result.returncode, result.stdout + result.stderr)
                self.assertIn("Subject: Postrider is running", result.stdout)
                self.assertIn("swaks --server 127.0.0.87:2525", result.stdout)
                self.assertRegex(result.stdout, r"Incoming +IMAP +127\.0\.0\.87 +2993 +SSL/TLS")
                for name in ("mta.pid", "imapd.pid", "config.toml", "log/mta.log", "log/imapd.log"):
                    self.assertTrue(os.path.exists(os.path.join(folder, name)), name)
            finally:
                self.run_script("--dir", folder, "--stop")
            self.assertFalse(os.path.exists(os.path.join(folder, "mta.pid")))

    def test_in_front_it_ends_with_its_daemons(self):
        with support.temporary_folder() as folder:
            process = subprocess.Popen([os.path.join(ROOT, "scripts/run"), "--dir", folder, "--address", "127.0.0.88"],
                                       env=support.ENVIRONMENT, stdout=subprocess.PIPE, text=True)
            self.addCleanup(process.stdout.close)
            for line in process.stdout:
                if line.startswith("Stop with"):
                    break
            else:
                self.fail("it ended")
            with open(os.path.join(folder, "mta.pid")) as file:
                pid = int(file.read())
            process.send_signal(signal.SIGINT)
            self.assertEqual(0, process.wait(60))
            self.assertTrue(support.ended(pid))

    def test_again_starts_what_is_missing_and_leaves_the_rest(self):
        server = support.Server()
        self.addCleanup(server.close)
        server.start()
        mta, imapd = server.pid("mta"), server.pid("imapd")
        server.start()
        self.assertEqual((mta, imapd), (server.pid("mta"), server.pid("imapd")))
        os.kill(imapd, signal.SIGKILL)
        server.start()
        self.assertEqual(mta, server.pid("mta"))
        self.assertNotEqual(imapd, server.pid("imapd"))
        server.imap().logout()

    def test_a_port_in_use_is_said_in_words(self):
        server = support.Server()
        self.addCleanup(server.close)
        with socket.create_server(("127.0.0.1", server.ports["imap"])):
            result = self.run_script(*server.arguments, "--detach")
        self.assertEqual(1, result.returncode)
        self.assertIn(f"port {server.ports['imap']}", result.stderr)
        self.assertIn("in use", result.stderr)
        self.assertEqual(1, result.stderr.count("\n"), result.stderr)
        self.assertFalse(os.path.exists(os.path.join(server.folder, "mta.pid")))

    def test_set_writes_configuration_keys_however_a_shell_left_them(self):
        server = support.Server(settings=['queue.retry=["1s","5s"]', "queue.lifetime=10s", "smtp.trusted_networks=[127.0.0.0/8]",
                                          "smtp.max_recipients=200", "dns.server=127.0.0.1:5353"],
                                routes=["far.test=127.0.0.99:2600"])
        self.addCleanup(server.close)
        server.start()
        shown = server.mailctl("config", "show").stdout
        for line in ('retry = ["1s", "5s"]', 'lifetime = "10s"', 'trusted_networks = ["127.0.0.0/8"]', "max_recipients = 200",
                     'server = "127.0.0.1:5353"', '"127.0.0.99:2600"'):
            self.assertIn(line, shown)


class FailedStartTest(unittest.TestCase):
    """A daemon that cannot start says why in one line and ends with 1."""

    def setUp(self):
        context = support.temporary_folder()
        self.folder = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.ports = dict(zip(support.PORT_NAMES, support.free_ports(5)))

    def config(self, extra="", **values):
        lines = {"server.state": f'"{self.folder}/state"', "server.hostname": '"mail.example.test"'}
        for name, port in self.ports.items():
            lines[f"{name}.port"], lines[f"{name}.address"] = str(port), '"127.0.0.1"'
        lines.update({key.replace("__", "."): value for key, value in values.items()})
        path = os.path.join(self.folder, "config.toml")
        with open(path, "w") as file:
            file.write("".join(f"{key} = {value}\n" for key, value in lines.items()) + extra)
        return path

    def assert_fails(self, daemon, path, *said, **popen):
        result = subprocess.run([program(daemon), "--config", path], capture_output=True, text=True, timeout=60, **popen)
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertEqual(1, result.stderr.count("\n"), f"not one line: {result.stderr}")
        for part in said:
            self.assertIn(part, result.stderr)

    def test_port_in_use(self):
        for daemon, name in (("mta", "smtp"), ("imapd", "imap")):
            with socket.create_server(("127.0.0.1", self.ports[name])):
                self.assert_fails(daemon, self.config(), "127.0.0.1", str(self.ports[name]), "in use")

    def test_port_in_use_by_another_instance(self):
        first = subprocess.Popen([program("imapd"), "--config", self.config()], stderr=subprocess.DEVNULL)
        try:
            support.wait_until(self.imap_answers, "the first instance answers")
            self.assert_fails("imapd", self.config(server__state=f'"{self.folder}/other"'), str(self.ports["imap"]), "in use")
            self.assert_fails("imapd", self.config(), str(first.pid))  # the same state folder
        finally:
            first.terminate()
            first.wait(60)

    def imap_answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.ports["imap"]), 5) as connection:
                return connection.recv(10)
        except OSError:
            return False

    def test_unknown_key(self):
        for daemon in DAEMONS:
            self.assert_fails(daemon, self.config("smtp.prot = 25\n"), "config.toml", "smtp.prot")

    def test_not_toml(self):
        for daemon in DAEMONS:
            self.assert_fails(daemon, self.config("[[[\n"), "config.toml")

    def test_missing_file(self):
        for daemon in DAEMONS:
            self.assert_fails(daemon, f"{self.folder}/nowhere.toml", "nowhere.toml")

    def test_unreadable_key(self):
        bad = os.path.join(self.folder, "key.pem")
        with open(bad, "w") as file:
            file.write("not a key\n")
        for daemon in DAEMONS:
            self.assert_fails(daemon, self.config(tls__key=f'"{bad}"', tls__certificate=f'"{bad}"'), "key.pem")

    def test_state_that_cannot_be_written(self):
        for daemon in DAEMONS:
            self.assert_fails(daemon, self.config(server__state='"/proc/postrider"'), "/proc/postrider")

    def test_state_of_somebody_else(self):
        state = os.path.join(self.folder, "state")
        os.makedirs(state)
        os.chmod(state, 0o555)
        os.chmod(self.folder, 0o755)
        path = self.config()
        os.chmod(path, 0o644)
        popen = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        programs = readable_programs(self.folder)
        for daemon in DAEMONS:
            result = subprocess.run([os.path.join(programs, daemon), "--config", path], capture_output=True, text=True,
                                    timeout=60, **popen)
            self.assertEqual(1, result.returncode, result.stderr)
            self.assertEqual(1, result.stderr.count("\n"), result.stderr)
            self.assertIn(state, result.stderr)


def readable_programs(folder):
    """Copies of the programs that every user may start."""
    target = os.path.join(folder, "programs")
    os.makedirs(target)
    for name in (*DAEMONS, "mailctl"):
        shutil.copy(program(name), target)
        os.chmod(os.path.join(target, name), 0o755)
    return target


class SignalTest(support.ServerTest):

    def setUp(self):
        self.server.start()  # a test before may have stopped it

    def test_term_drains(self):
        idle = self.server.smtp()
        idle.ehlo()
        busy = self.server.smtp()
        busy.ehlo()
        busy.mail("carol@elsewhere.test")
        busy.rcpt(ALICE)
        self.assertEqual(354, busy.docmd("DATA")[0])
        mailbox = self.server.imap(mailbox="INBOX")
        mailbox.send(b"x IDLE\r\n")
        mailbox.readline()
        pids = [self.server.pid(daemon) for daemon in DAEMONS]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(421, idle.getreply()[0])
        self.assertTrue(mailbox.readline().startswith(b"* BYE"))
        with self.assertRaises(OSError):
            self.server.smtp(timeout=2)
        busy.send(b"Subject: sent while it drained\r\n\r\nx\r\n.\r\n")
        self.assertEqual(250, busy.getreply()[0])
        busy.close()
        for pid in pids:
            support.wait_until(lambda: support.ended(pid), "the daemon has ended")
        self.server.start()
        self.wait_for_mail("sent while it drained")

    def test_hup_takes_the_new_configuration_and_drops_nobody(self):
        before = self.server.smtp()
        before.ehlo()
        path = os.path.join(self.server.folder, "config.toml")
        with open(path) as file:
            text = file.read()
        self.addCleanup(self.rewrite, path, text)
        self.rewrite(path, text.replace("[smtp]\n", "[smtp]\nmax_message_size = 1234567\n"))
        os.kill(self.server.pid("mta"), signal.SIGHUP)

        def announced():
            with self.server.smtp() as client:
                client.ehlo()
                return client.esmtp_features["size"] == "1234567"
        support.wait_until(announced, "a new session sees the new size")
        self.assertEqual(250, before.noop()[0])
        before.quit()

    def test_hup_with_a_broken_file_changes_nothing(self):
        path = os.path.join(self.server.folder, "config.toml")
        with open(path) as file:
            text = file.read()
        self.addCleanup(self.rewrite, path, text)
        self.rewrite(path, text + "\n[nonsense]\nx = 1\n")
        for daemon in DAEMONS:
            os.kill(self.server.pid(daemon), signal.SIGHUP)
            support.wait_until(lambda: "nonsense" in self.server.log(daemon), f"{daemon} says what is wrong")
        self.server.deliver(subject="after a broken reload")
        self.wait_for_mail("after a broken reload")

    def rewrite(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def test_a_new_certificate_is_taken_up(self):
        folder = os.path.join(self.server.folder, "state/tls")
        before = self.certificates()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=new.example.test", "-keyout", os.path.join(folder, "key.pem"),
                        "-out", os.path.join(folder, "certificate.pem")], check=True, capture_output=True)
        for daemon in DAEMONS:
            os.kill(self.server.pid(daemon), signal.SIGHUP)
        support.wait_until(lambda: all(new != old for new, old in zip(self.certificates(), before)), "it is served")

    def certificates(self):
        return [ssl.get_server_certificate((self.server.host, self.server.ports[name])) for name in ("submissions", "imaps")]


class FullDiskTest(unittest.TestCase):

    def test_a_file_that_cannot_grow_is_a_4xx_and_the_daemon_lives(self):
        server = support.Server()
        self.addCleanup(server.close)
        server.start()
        os.kill(server.pid("mta"), signal.SIGTERM)
        support.wait_until(lambda: not os.path.exists(os.path.join(server.folder, "mta.pid")), "it has ended")
        limit = 8 << 20

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        with open(os.path.join(server.folder, "log/mta.log"), "ab") as log:
            process = subprocess.Popen([program("mta"), "--config", os.path.join(server.folder, "config.toml")],
                                       stderr=log, preexec_fn=small_files, restore_signals=False)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        support.wait_until(lambda: os.path.exists(os.path.join(server.folder, "mta.pid")), "it runs")

        def session():
            try:
                return server.smtp()
            except OSError:
                return None
        with support.wait_until(session, "it answers") as client:
            client.ehlo()
            text = b"Subject: too large for the disk\r\n\r\n" + b"0123456789abcdef" * 4 + b"\r\n"
            text += os.urandom(6 << 20).hex("\n", 32).replace("\n", "\r\n").encode() + b"\r\n"
            client.mail("carol@elsewhere.test")
            client.rcpt(ALICE)
            code, answer = client.data(text)
            self.assertIn(code, (451, 452), answer)
            self.assertEqual(250, client.noop()[0])
        server.deliver(subject="a small one")
        with server.imap(mailbox="INBOX") as client:
            def found():
                client.noop()
                return ok(client.search(None, "SUBJECT", '"a small one"'))[0]
            support.wait_until(found, "the small mail is there\n" + server.logs())
            self.assertEqual(b"", ok(client.search(None, "SUBJECT", '"too large"'))[0])


class TwoUsersTest(unittest.TestCase):
    """mta and imapd as two users of one group, so that neither makes a file that the other cannot use.

    Becoming another user needs root; everybody else sees only that the two get on with each other's files.
    """

    def test_mail_goes_in_by_one_and_out_by_the_other(self):
        server = support.Server()
        folder = server.folder
        self.addCleanup(shutil.rmtree, folder)
        programs = readable_programs(folder)
        root = os.geteuid() == 0
        group, users = (64_000, {"mta": 64_001, "imapd": 64_002}) if root else (os.getegid(), {"mta": None, "imapd": None})
        as_group = {"group": group, "extra_groups": []} if root else {}
        os.chmod(folder, 0o755)
        state = os.path.join(folder, "state")
        os.makedirs(state)
        os.chown(state, os.geteuid(), group)
        os.chmod(state, 0o2770)
        path = os.path.join(folder, "config.toml")
        with open(path, "w") as file:
            file.write(f'server.state = "{state}"\nserver.pid_directory = "{state}"\nserver.hostname = "mail.example.test"\n')
            for name, port in server.ports.items():
                file.write(f'{name}.port = {port}\n{name}.address = "127.0.0.1"\n')

        def mailctl(*arguments):
            result = subprocess.run([os.path.join(programs, "mailctl"), "--config", path, *arguments], text=True,
                                    input=PASSWORD + "\n", capture_output=True, user=users["mta"], umask=0o007, **as_group)
            self.assertEqual(0, result.returncode, result.stderr)

        mailctl("domain", "add", "example.test")
        mailctl("account", "add", "--password-stdin", ALICE)
        processes = []

        def start(daemon):
            log = open(os.path.join(folder, f"{daemon}.log"), "ab")
            with log:
                processes.append(subprocess.Popen([os.path.join(programs, daemon), "--config", path], stderr=log,
                                                  user=users[daemon], umask=0o007, **as_group))
        try:
            # Whoever comes first makes the files: once the SMTP side, once the IMAP side.
            for order, account in ((("mta", "imapd"), ALICE), (("imapd", "mta"), "second@example.test")):
                if account != ALICE:
                    mailctl("account", "add", "--password-stdin", account)
                for daemon in order:
                    start(daemon)
                self.exchange(server, account, first=order[0])
                for process in processes:
                    process.terminate()
                for process in processes:
                    self.assertEqual(0, process.wait(60))
                processes.clear()
        except AssertionError:
            for daemon in users:
                with open(os.path.join(folder, f"{daemon}.log")) as file:
                    print(file.read()[-4000:])
            raise
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def exchange(self, server, account, first):
        def connected(connect):
            def attempt():
                try:
                    return connect()
                except OSError:
                    return None
            return support.wait_until(attempt, "the daemon answers", 30)
        if first == "imapd":
            client = connected(lambda: server.imap(account))
            ok(client.append("Drafts", None, None, b"Subject: made by imapd\r\n\r\nx\r\n"))
            client.logout()
        connected(server.smtp).quit()
        server.deliver(account, "made by mta")
        client = connected(lambda: server.imap(account, mailbox="INBOX"))

        def found():
            ok(client.noop())
            return ok(client.search(None, "SUBJECT", '"made by mta"'))[0]
        number = support.wait_until(found, "the mail is there", 30)
        ok(client.store(number, "+FLAGS", r"(\Seen)"))
        ok(client.copy(number, "Archive"))
        client.logout()


if __name__ == "__main__":
    support.main()
