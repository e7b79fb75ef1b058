"""scripts/torture: real daemons under load, killed, starved and cheated; then everything is counted.

    scripts/torture [--minutes N | --seconds N] [--seed S] [--lose-one]

Senders, relaying users, mail programs, and users who move mail between their accounts work without a break. Meanwhile either
daemon or both are killed with -9, at any moment or just before or after a given flush, write or rename; the power is cut, so that
what was not flushed is gone; the disk is full, read-only or fails; descriptors and memory run out; databases are kept locked; the
clock is wrong; connections break in the middle. A supervisor starts again what has ended. At the end, every message that was
acknowledged must be there, every change that was acknowledged must hold, every file must be sound, and `mailctl audit` must find
nothing.

--seed   the same moments and faults again, as far as clocks and schedulers allow
--lose-one   deletes one message beneath the daemons before the count, which then has to find it (exit status 1)

It prints what it did and found, and ends with 0 where nothing was lost.
"""

import argparse
import collections
import contextlib
import imaplib
import itertools
import os
import random
import resource
import shutil
import signal
import smtplib
import subprocess
import sys
import threading
import time

import faults
import support
import torture_count
from torture_load import (FIRST_APPENDED, FIRST_EXCHANGED, REMOTE, Exchanger, FarServer, Mover, Owner, Sender, is_refused,
                          remote_recipient)

DAEMONS = ("mta", "imapd")
FIRST_RELAYED = 5 * 10 ** 8
# Between a write and its flush, and around what names a file: where a process may end.
POINTS = [f"{daemon} {action} {operation} {path}" for action in ("kill", "killed") for daemon, operation, path in (
    ("mta", "flush", "queue.db-wal"), ("mta", "write", "queue.db-wal"), ("mta", "write", "queue.db"), ("mta", "flush", "queue.db"),
    ("mta", "write", "accounts/*-wal"), ("mta", "flush", "accounts/*-wal"), ("mta", "write", "spool/*"), ("mta", "flush", "spool/*"),
    ("mta", "flush", "spool"), ("mta", "rename", "spool/*"), ("mta", "unlink", "spool/*"), ("mta", "write", "accounts/*.db"),
    ("imapd", "write", "accounts/*-wal"), ("imapd", "flush", "accounts/*-wal"), ("imapd", "write", "accounts/*.db"),
    ("imapd", "flush", "accounts/*.db"))]
# What happens to the daemons, each as often as the others.
ACTS = ("kill", "kill", "kill_at_point", "kill_at_point", "kill_at_point", "cut_power", "cut_power_at_point", "fill_disk", "read_only",
        "fail_once", "take_descriptors", "take_memory", "hold_lock", "turn_clock", "audit")
HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
database.execute("PRAGMA wal_autocheckpoint=0")
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


class Daemon(threading.Thread):
    """One of the daemons, started again whenever it ends, as Docker does."""

    def __init__(self, server, name, environment):
        super().__init__(daemon=True)
        self.server, self.name, self.environment = server, name, environment
        self.stopping, self.may_run = threading.Event(), True
        self.process, self.ends = None, collections.Counter()
        self.changed = threading.Condition()

    def run(self):
        program = os.path.join(support.PROGRAMS, self.name, self.name)
        config = os.path.join(self.server.folder, "config.toml")
        while not self.stopping.is_set():
            with self.changed, open(os.path.join(self.server.folder, "log", f"{self.name}.log"), "ab") as log:
                self.changed.wait_for(lambda: self.may_run)
                if self.stopping.is_set():
                    return
                process = self.process = subprocess.Popen([program, "--config", config], stderr=log,
                                                          env={**os.environ, **self.environment})
                self.changed.notify_all()
            status = process.wait()
            with self.changed:
                self.process = None
                self.ends[status] += 1
                self.changed.notify_all()
            self.stopping.wait(0.1)

    def hold(self):
        """It is not started again."""
        with self.changed:
            self.may_run = False

    def release(self):
        with self.changed:
            self.may_run = True
            self.changed.notify_all()

    def kill(self, number=signal.SIGKILL):
        with self.changed:
            if self.process is not None:
                self.process.send_signal(number)

    def pid(self):
        with self.changed:
            return self.process.pid if self.process is not None else None

    def wait_until_ended(self):
        with self.changed:
            self.changed.wait_for(lambda: self.process is None)

    def stop(self):
        self.stopping.set()
        self.kill(signal.SIGTERM)
        self.release()
        self.join(30)
        return not self.is_alive()


class Torture:

    def __init__(self, seconds, seed, users=8, senders=6, always=(), acts=ACTS):
        self.seconds, self.seed = seconds, seed
        # A sanitizer does not take it well when memory runs out.
        self.acts = [getattr(self, act) for act in acts if act != "take_memory" or not support.REPORTS]
        self.choice = random.Random(seed)
        self.users = [f"user{number}@example.test" for number in range(users)]
        self.counts = collections.Counter()
        self.problems = []
        self.acted = []  # what was done, and when
        self.taken_back, self.points, self.points_reached = 0, [], set()
        self.stopping = threading.Event()
        port = support.free_ports(1)[0]
        self.far = FarServer(port, seed)
        self.server = support.Server(self.users, [
            'queue.retry=["1s", "2s"]', "queue.lifetime=30d", "relay.idle_timeout=1s", "audit.interval=5s",
            "smtp.max_connections_per_address=500"], [f"{REMOTE}=127.0.0.1:{port}"])
        self.server.start()
        self.server.stop()
        self.state = os.path.join(self.server.folder, "state")
        self.layer = faults.Layer(self.state, always)
        self.daemons = {name: Daemon(self.server, name, self.layer.environment) for name in DAEMONS}
        local, remote = itertools.count(), itertools.count(FIRST_RELAYED)
        self.senders = [Sender(self.server, self.stopping, f"{seed} sender {n}", local, self.recipient_of) for n in range(senders)]
        self.relaying = [Sender(self.server, self.stopping, f"{seed} relay {n}", remote, remote_recipient,
                                self.users[-n]) for n in range(2)]
        self.owners = [Owner(self.server, self.stopping, f"{seed} owner {n}", self.users[n % users], FIRST_APPENDED + n * 10 ** 7)
                       for n in range(4)]
        self.exchangers = [Exchanger(self.server, self.stopping, f"{seed} exchanger {n}", *self.users[:2][::1 if n % 2 else -1])
                           for n in range(4 if users > 1 else 0)]
        self.exchanged = []
        self.mover = Mover(self.server, self.stopping, f"{seed} mover", self.users)

    def recipient_of(self, number):
        return self.users[number % len(self.users)]

    def close(self):
        self.stopping.set()
        self.layer.set()
        for daemon in self.daemons.values():
            if daemon.is_alive() and not daemon.stop():
                daemon.kill()
        self.far.shutdown()
        self.far.server_close()
        self.server.close()

    # --- the run

    def run(self):
        self.layer.set()
        for daemon in self.daemons.values():
            daemon.start()
        self.wait_for_service()
        for n, exchanger in enumerate(self.exchangers[:2]):
            self.exchanged += exchanger.make_pool(FIRST_EXCHANGED + n * 1000)
        clients = [*self.senders, *self.relaying, *self.owners, *self.exchangers, self.mover]
        for client in clients:
            client.start()
        end = time.monotonic() + self.seconds
        due = []
        while time.monotonic() < end:
            due = due or self.choice.sample(self.acts, len(self.acts))
            self.sleep(0.2, 1.2)
            if due:
                act = due.pop()
                self.acted.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {act.__name__}")
                act()
            self.layer.set()
        self.stopping.set()
        for client in clients:
            client.join(60)
        self.far.difficult = False
        problems = self.problems + [problem for client in clients for problem in client.problems]
        problems += [f"{client} does not end" for client in clients if client.is_alive()]
        return problems

    def sleep(self, least, most):
        time.sleep(self.choice.uniform(least, most))

    def settle(self):
        """Both daemons are up, and nothing waits in the queue."""
        self.wait_for_service()

        def empty():
            # What two killed processes had in hand is set aside, as it should be.
            for what in ("release", "retry"):
                self.mailctl("queue", what, "--all")
            return self.mailctl("--json", "queue", "list", "--limit", "1").stdout.strip() == "[]"
        support.wait_until(empty, "the queue is empty\n" + self.server.logs(), 300)

    def wait_for_smtp(self):
        self.wait_for(lambda: self.server.smtp(timeout=5).quit())

    def wait_for_service(self):
        self.wait_for_smtp()
        self.wait_for(lambda: self.server.imap(self.users[0], timeout=5).logout())

    def wait_for(self, call):
        def works():
            try:
                return call()
            except (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error):
                return None
        support.wait_until(works, "the daemons have come back\n" + self.server.logs())

    def wait_until_idle(self):
        """Whatever was accepted is delivered, and the queue knows it."""
        support.wait_until(lambda: self.mailctl("--json", "queue", "list").stdout.strip() == "[]", "the queue is empty")

    def mailctl(self, *arguments):
        return support.run(os.path.join(support.PROGRAMS, "mailctl/mailctl"), "--config",
                           os.path.join(self.server.folder, "config.toml"), *arguments, environment=self.layer.environment)

    # --- what is done to them

    def kill(self):
        for name in self.choice.choice((("mta",), ("imapd",), DAEMONS)):
            self.daemons[name].kill()
            self.counts["kills"] += 1

    def kill_at_point(self):
        """Ends a process where it comes to a named point, all of which have their turn."""
        self.points = self.points or self.choice.sample(POINTS, len(POINTS))
        point = self.points.pop()
        before = len(self.layer.events())
        often = point.endswith("-wal")
        self.layer.set(f"{point} {self.choice.randrange(50 if often else 3)} 1")
        with contextlib.suppress(AssertionError):
            support.wait_until(lambda: len(self.layer.events()) > before, point, 3)
        came = len(self.layer.events()) - before
        self.layer.set()
        self.counts["kills"] += came
        self.counts["kills at a named point"] += came
        if came:
            self.points_reached.add(point)

    def cut_power(self, torn=None):
        torn = self.choice.random() < 0.5 if torn is None else torn
        with self.layer.stopped():
            for daemon in self.daemons.values():
                daemon.hold()
                daemon.kill()
            for daemon in self.daemons.values():
                daemon.wait_until_ended()
            self.taken_back += self.layer.cut(self.choice, torn)
        for daemon in self.daemons.values():
            daemon.release()
        self.counts["power cuts"] += 1
        self.counts["kills"] += len(self.daemons)

    def cut_power_at_point(self):
        for daemon in self.daemons.values():
            daemon.hold()
        self.kill_at_point()
        self.cut_power()

    def fault(self, name, *rules, seconds=2.0):
        self.layer.set(*rules)
        self.sleep(seconds / 4, seconds)
        self.layer.set()
        self.counts[name] += 1

    def fill_disk(self):
        self.fault("full disk", "* ENOSPC write * 0 0", "* ENOSPC mkdir * 0 0", "* ENOSPC open spool/* 0 0")

    def read_only(self):
        self.fault("read-only disk", "* EROFS * * 0 0")

    def fail_once(self):
        daemon, operation = self.choice.choice(DAEMONS), self.choice.choice(("write", "flush", "open", "truncate", "rename"))
        error = self.choice.choice(("EIO", "ENOSPC"))
        self.fault("failed calls", f"{daemon} {error} {operation} * {self.choice.randrange(50)} {self.choice.randint(1, 5)}")

    def take_descriptors(self):
        self.starve("few descriptors", resource.RLIMIT_NOFILE, lambda pid: len(os.listdir(f"/proc/{pid}/fd")) + 2)

    def take_memory(self):
        def used(pid):
            with open(f"/proc/{pid}/statm") as file:
                return int(file.read().split()[0]) * resource.getpagesize() + (4 << 20)
        self.starve("little memory", resource.RLIMIT_AS, used)

    def starve(self, name, what, value_of):
        pid = self.daemons[self.choice.choice(DAEMONS)].pid()
        try:
            if pid is not None:
                before = resource.prlimit(pid, what)
                resource.prlimit(pid, what, (value_of(pid), before[1]))
                self.counts[name] += 1
                self.sleep(0.5, 2)
                resource.prlimit(pid, what, before)
        except (ProcessLookupError, FileNotFoundError):
            pass  # it has just ended

    def hold_lock(self):
        databases = [os.path.join(self.state, "queue.db"), os.path.join(self.state, "directory.db")]
        databases += [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.state, "accounts"))
                      for name in sorted(names) if name.endswith(".db")]
        seconds = self.choice.choice((1, 2, 12)) if self.seconds < 300 else self.choice.choice((1, 12, 60))
        holder = subprocess.Popen([sys.executable, "-c", HOLD, self.choice.choice(databases), str(seconds)], stdout=subprocess.PIPE,
                                  env={**os.environ, **self.layer.environment}, stderr=subprocess.DEVNULL)
        if holder.stdout.readline():
            self.counts["held locks"] += 1
        holder.stdout.close()
        holder.wait()

    def turn_clock(self):
        self.layer.set_clock(self.choice.randint(-7200, 7200))
        self.sleep(0.5, 2)
        self.layer.set_clock(0)
        self.counts["clock turned"] += 1

    def audit(self):
        answer = torture_count.audit(self.server, self.layer.environment)
        self.counts["audits meanwhile"] += 1
        if answer["findings"]:
            self.problems.append(f"an audit beside running daemons found {answer['findings']}: {answer['found'][0]}")

    def lose_one(self):
        """Deletes a message that was acknowledged."""
        found = torture_count.Found(self.server, self.users)
        number = self.choice.choice(sorted(self.senders[0].accepted))
        user, folder, uid = found.messages[number][0][:3]
        torture_count.lose(self.state, user, folder, uid)
        print(f"deleted beneath: message {number}, UID {uid} in {folder} of {user}", flush=True)

    # --- the count

    def count(self):
        found = torture_count.Found(self.server, self.users)
        count = torture_count.Count()
        count.delivered(found, self.senders, self.recipient_of)
        count.relayed(found, self.far, self.relaying)
        count.exchanged(found, self.exchanged)
        for owner in self.owners:
            count.changes(found, owner)
        return count

    def crashes(self):
        """Ends that nobody caused. Without memory a daemon may end, as long as it comes back."""
        problems = []
        for name, daemon in self.daemons.items():
            last_words = collections.Counter(line for line in self.server.log(name).splitlines() if not line.startswith("time="))
            for line, times in last_words.items():
                print(f"{name} said {times} times: {line}", flush=True)
            allowed = {-signal.SIGKILL, -signal.SIGTERM}
            if self.counts["little memory"]:
                allowed.add(-signal.SIGABRT)
            if any("pthread_create" in line for line in last_words):
                allowed.add(-signal.SIGSEGV)  # libunbound, where it gets no thread
            problems += [f"{name} died of signal {-status}" for status in daemon.ends if status < 0 and status not in allowed]
        return problems

    def explain(self):
        """What was done to whom, and, with POSTRIDER_TORTURE_KEEP, where everything lies."""
        print("\n".join(self.acted), *self.layer.events()[-50:], self.server.logs(), sep="\n", flush=True)
        if os.environ.get("POSTRIDER_TORTURE_KEEP"):
            kept = self.server.folder + "-kept"
            shutil.copytree(self.server.folder, kept, ignore=shutil.ignore_patterns("*.sock"))
            print(f"kept: {kept}", flush=True)

    def report(self, count, audit, damaged, problems, seconds):
        local = sum(len(sender.accepted) for sender in self.senders)
        relayed = sum(len(sender.accepted) for sender in self.relaying)
        returned = sum(map(is_refused, itertools.chain(*(sender.accepted for sender in self.relaying))))
        changes = sum((owner.changes for owner in self.owners), collections.Counter())
        clients = [*self.senders, *self.relaying, *self.owners]
        made = {name: times for name, times in self.counts.items() if "kill" not in name and "audit" not in name}
        made["connections cut"] = sum(client.cut for client in clients)
        lines = [
            ("seed", self.seed), ("seconds", round(seconds)),
            ("kills", f"{self.counts['kills']} ({self.counts['kills at a named point']} at {len(self.points_reached)} of "
                      f"{len(POINTS)} named points)"),
            ("faults", f"{sum(made.values())} (" + ", ".join(f"{name} {made[name]}" for name in sorted(made)) + ")"),
            ("writes and names taken back", self.taken_back),
            ("messages", f"{local + relayed} ({local} for mailboxes, {relayed} for another server, which refused {returned})"),
            ("IMAP changes", ", ".join(f"{changes[name]} {name}" for name in sorted(changes))),
            ("refused for the time being", sum(sender.refused for sender in [*self.senders, *self.relaying])),
            ("not answered", sum(len(client.unsure) for client in clients)),
            ("audits meanwhile", self.counts["audits meanwhile"]),
            ("lost", len(count.lost)), ("wrong", len(count.wrong)),
            ("twice", sum(count.twice.values())), *[(f"  {cause}", times) for cause, times in count.twice.items()],
            ("audit", f"{audit['findings']} findings, of {audit['recipients']} recipients, {audit['entries']} messages in mailboxes and "
                      f"{audit['files']} files in {audit['seconds']:.1f} s"), ("damaged files", len(damaged)),
            ("problems", len(problems)),
        ]
        for name, value in lines:
            print(f"{name + ' ':.<32} {value}", flush=True)
        for what in (count.lost, count.wrong, audit["found"], damaged, problems):
            for one in what[:20]:
                print(f"  {one}", flush=True)


def torture(seconds, seed, lose_one=False, **options):
    """Runs it all. Gives the Count, the audit's answer, damaged files and problems."""
    run = Torture(seconds, seed, **options)
    try:
        began = time.monotonic()
        print(f"\ntorture: seed {seed}, {seconds} seconds, in {run.server.folder}", flush=True)
        problems = run.run()
        run.settle()
        if lose_one:
            run.lose_one()
        count = run.count()
        before = time.monotonic()
        audit = torture_count.audit(run.server, run.layer.environment, "--files")
        audit["seconds"] = time.monotonic() - before
        accepted = sum(len(sender.accepted) for sender in [*run.senders, *run.relaying])
        if audit["recipients"] < accepted:
            problems.append(f"the audit has judged {audit['recipients']} of {accepted} messages")
        problems += run.crashes()
        problems += [f"{name} does not end" for name, daemon in run.daemons.items() if not daemon.stop()]
        damaged = torture_count.damaged_files(run.state)
        run.report(count, audit, damaged, problems, time.monotonic() - began)
        if problems or count.lost or count.wrong or audit["findings"] and not lose_one:
            run.explain()
        return count, audit, damaged, problems
    finally:
        run.close()


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10 ** 6)))
    parser.add_argument("--lose-one", action="store_true")
    arguments = parser.parse_args()
    count, audit, damaged, problems = torture(arguments.seconds or arguments.minutes * 60, arguments.seed, arguments.lose_one)
    sys.exit(1 if count.lost or count.wrong or audit["findings"] or damaged or problems else 0)


if __name__ == "__main__":
    main()
