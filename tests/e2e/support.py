"""What the end-to-end tests share: real daemons in a temporary folder on free ports, and the clients' handles on them.

POSTRIDER_PROGRAMS or POSTRIDER_BUILD names the folder with the built programs; POSTRIDER_E2E_TARGET, where set, names a
running server instead (a JSON object: host, ports, and users with their passwords), as docker_test uses it.
"""

import atexit
import contextlib
import fcntl
import hashlib
import imaplib
import json
import mmap
import os
import random
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = (os.environ.get("POSTRIDER_PROGRAMS") or os.environ.get("POSTRIDER_BUILD")
            or os.path.join(ROOT, "build/release"))


def is_sanitized():
    """Whether the programs were built with sanitizers."""
    try:
        with open(os.path.join(PROGRAMS, "mta/mta"), "rb") as file, \
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            return octets.find(b"__sanitizer") >= 0
    except FileNotFoundError:  # it is a server elsewhere that is tested
        return False


def listen_to_sanitizers():
    """Lets every program that is started from now on write what its sanitizer says into files of a folder, and gives that."""
    # A test that starts itself once more, in a namespace, keeps its folder.
    folder = os.environ.get("POSTRIDER_TEST_REPORTS") or tempfile.mkdtemp(prefix="postrider-test-reports-")
    os.environ["POSTRIDER_TEST_REPORTS"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o1777)  # daemons run as other users, too
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        os.environ[name] = f"{os.environ.get(name, '')}:log_path={folder}/report"
    # Who is confined starts no program, and so neither gives functions their names nor looks for leaks.
    os.environ["POSTRIDER_SERVER_CONFINE"] = "off"
    return folder


REPORTS = listen_to_sanitizers() if is_sanitized() else None
KEPT_MEMORY = 512 if REPORTS else 0  # MiB; AddressSanitizer keeps 256 of what was given back, and has its own to each
ENVIRONMENT = {**os.environ, "POSTRIDER_PROGRAMS": PROGRAMS}
PORT_NAMES = ("smtp", "submission", "submissions", "imap", "imaps")
ALICE, BOB = "alice@example.test", "bob@example.test"
PASSWORD = "correct horse"
imaplib._MAXLINE = 100_000_000

# A server under AddressSanitizer or ThreadSanitizer is several times slower.
PATIENCE = 60


# A byte of this file is locked for each port that a test has: tests that run beside this one choose others.
PORT_CLAIMS = os.open(os.path.join(tempfile.gettempdir(), f"postrider-test-ports-{os.getuid()}"), os.O_CREAT | os.O_RDWR, 0o600)


def free_ports(count):
    """Ports that nobody listens on, and no other test was given while this process lives; from below the range of outgoing
    connections, so that none of those takes them."""
    ports = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(10_000, 32_000)
        try:
            fcntl.lockf(PORT_CLAIMS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


class Server:
    """Both daemons, started by scripts/run in a folder of their own."""

    def __init__(self, users=(ALICE, BOB), settings=(), routes=(), host="127.0.0.1"):
        self.folder = tempfile.mkdtemp(prefix="postrider-test-")
        self.host = host
        self.ports = dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES))))
        self.arguments = ["--dir", self.folder, "--address", host]
        for name, port in self.ports.items():
            self.arguments += [f"--{name}", str(port)]
        for user in users:
            self.arguments += ["--user", f"{user}:{PASSWORD}"]
        for setting in settings:
            self.arguments += ["--set", setting]
        for route in routes:
            self.arguments += ["--route", route]

    def start(self):
        result = subprocess.run([os.path.join(ROOT, "scripts/run"), *self.arguments, "--detach"], env=ENVIRONMENT,
                                capture_output=True, text=True)
        if result.returncode:
            raise AssertionError(f"scripts/run failed: {result.stderr}\n{self.logs()}")
        return self

    def stop(self):
        return subprocess.run([os.path.join(ROOT, "scripts/run"), "--dir", self.folder, "--stop"], env=ENVIRONMENT,
                              capture_output=True, text=True)

    def close(self):
        result = self.stop()
        logs = self.logs()
        shutil.rmtree(self.folder, ignore_errors=True)
        check_reports()
        if "was killed" in result.stderr:
            raise AssertionError(f"a daemon did not end on SIGTERM: {result.stderr}\n{logs[-3000:]}")

    def pid(self, daemon):
        with open(os.path.join(self.folder, f"{daemon}.pid")) as file:
            return int(file.read())

    def log(self, daemon):
        try:
            with open(os.path.join(self.folder, "log", f"{daemon}.log"), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def logs(self):
        return "".join(f"--- {daemon}.log\n{self.log(daemon)[-8000:]}\n" for daemon in ("mta", "imapd"))

    def mailctl(self, *arguments, stdin="", check=True):
        result = subprocess.run([os.path.join(PROGRAMS, "mailctl/mailctl"), "--config",
                                 os.path.join(self.folder, "config.toml"), *arguments],
                                input=stdin, capture_output=True, text=True)
        if check and result.returncode:
            raise AssertionError(f"mailctl {' '.join(arguments)}: {result.stdout}{result.stderr}")
        return result

    def smtp(self, name="smtp", timeout=PATIENCE):
        kind = smtplib.SMTP_SSL if name == "submissions" else smtplib.SMTP
        extra = {"context": any_certificate()} if name == "submissions" else {}
        return kind(self.host, self.ports[name], local_hostname="client.example", timeout=timeout, **extra)

    def submission(self, user=ALICE, password=PASSWORD):
        client = self.smtp("submission")
        client.starttls(context=any_certificate())
        client.login(user, password)
        return client

    def imap(self, user=ALICE, password=PASSWORD, mailbox=None, tls=False, timeout=PATIENCE):
        if tls:
            client = imaplib.IMAP4_SSL(self.host, self.ports["imaps"], ssl_context=any_certificate(), timeout=timeout)
        else:
            client = imaplib.IMAP4(self.host, self.ports["imap"], timeout=timeout)
        client.login(user, password)
        if mailbox:
            ok(client.select(mailbox))
        return client

    def deliver(self, to=ALICE, subject="a mail", body="hello\r\n", sender="carol@elsewhere.test"):
        with self.smtp() as client:
            client.sendmail(sender, [to], f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n{body}".encode())


def check_reports():
    """Fails where a sanitizer has spoken up since the last time."""
    text = ""
    for name in sorted(os.listdir(REPORTS)) if REPORTS else ():
        path = os.path.join(REPORTS, name)
        with open(path, errors="replace") as file:
            text += file.read()
        os.unlink(path)
    if text:
        raise AssertionError(f"a sanitizer spoke up:\n{text[:40_000]}")


class Running(Server):
    """A server that somebody else started."""

    def __init__(self, target):
        self.host, self.ports, self.folder = target["host"], target["ports"], None

    def start(self):
        return self

    def close(self):
        pass

    def logs(self):
        return ""


class ServerTest(unittest.TestCase):
    """Tests that share one server."""

    settings = ()
    routes = ()
    users = (ALICE, BOB)

    @classmethod
    def setUpClass(cls):
        target = os.environ.get("POSTRIDER_E2E_TARGET")
        cls.server = Running(json.loads(target)) if target else Server(cls.users, cls.settings, cls.routes)
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def wait_for_mail(self, subject, user=ALICE, mailbox="INBOX", seconds=PATIENCE):
        """The UID of the one message with this subject, when it is there."""
        with self.server.imap(user, mailbox=mailbox) as client:
            end = time.monotonic() + seconds
            while True:
                uids = ok(client.uid("SEARCH", None, "SUBJECT", f'"{subject}"'))[0].split()
                if uids:
                    self.assertEqual(1, len(uids), f'more than one message "{subject}"')
                    return uids[0].decode()
                if time.monotonic() > end:
                    self.fail(f'no message "{subject}" in {mailbox} of {user} after {seconds} s\n{self.server.logs()}')
                time.sleep(0.02)
                client.noop()


def ok(answer):
    """The data of an imaplib answer that must be OK."""
    status, data = answer
    if status != "OK":
        raise AssertionError(f"{status} {data}")
    return data


def any_certificate():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def run(*command, stdin="", timeout=PATIENCE, environment=None):
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, errors="replace",
                            env={**os.environ, **(environment or {})})
    result.text = result.stdout + result.stderr
    return result


def digest(data):
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def temporary_folder():
    folder = tempfile.mkdtemp(prefix="postrider-test-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ended(pid):
    """Whether a daemon has ended; not every machine has an init that buries it at once."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s: {what}")
        time.sleep(0.02)


def main():
    unittest.addModuleCleanup(check_reports)
    unittest.main(verbosity=2)
