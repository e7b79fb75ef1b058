"""How the cost of a message grows: with the mailbox it goes to, the number of accounts, and what waits in the queue.

Each point is a run of inbound mail by SMTP over 20 sessions: messages a second into mailboxes, and what mta's processor time came
to for one. In the growing mailbox a mail program works, too. `plot` draws the curves.
"""

import contextlib
import multiprocessing
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import time

from bench_client import imap, mail, smtp, support

DOMAIN = "example.test"
AWAY = "away.test"
SESSIONS = 20
TEXT = mail(4096)
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
ACCOUNTS = (1, 3, 10, 30, 100, 300, 1_000, 10_000)
WAITING = (0, 1_000, 10_000, 100_000, 1_000_000)
OF_ONE = 100  # recipients of one message, where it has many


def user(number):
    return f"u{number}@{DOMAIN}"


def sender(server, sessions, accounts, seconds, seed, start, result):
    """One process: each of its sessions has one message on its way, for an account at random."""
    choice, clients, count = random.Random(seed), [smtp(server) for _ in range(sessions)], 0
    start.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for client in clients:
            client.send(f"MAIL FROM:<bench@elsewhere.test>\r\nRCPT TO:<{user(choice.randrange(accounts))}>\r\nDATA\r\n".encode())
        for client in clients:
            for code in (b"250", b"250", b"354"):
                client.reply(code)
            client.send(TEXT)
        for client in clients:
            client.reply(b"250")
        count += len(clients)
    result.put(count)


def processor_seconds(server):
    with open(f"/proc/{server.pid('mta')}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queued(server):
    path = os.path.join(server.folder, "state/queue.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM message").fetchone()[0]


def inbound(server, accounts, seconds):
    start, result = multiprocessing.Event(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=sender, args=(server, SESSIONS // 2, accounts, seconds, seed, start, result))
               for seed in range(2)]
    for worker in workers:
        worker.start()
    time.sleep(0.3)  # the connections stand before the clock starts
    waiting, used, began = queued(server), processor_seconds(server), time.monotonic()
    start.set()
    count = sum(result.get() for _ in workers)
    while queued(server) > waiting:
        time.sleep(0.02)
    elapsed, used = time.monotonic() - began, processor_seconds(server) - used
    for worker in workers:
        worker.join()
    return {"per_s": round(count / elapsed), "cpu_ms": round(used / count * 1000, 3)}


def with_server(users, work):
    server = support.Server([user(0)], settings=["smtp.max_messages=1000000", 'queue.retry=["1h"]'], routes=[f"{AWAY}=127.0.0.1:1"])
    try:
        server.start()
        make_accounts(server, 1, users)
        return list(work(server))
    finally:
        server.close()


def make_accounts(server, begin, end):
    """They have no password of their own: making one up takes longer than the account."""
    command = [os.path.join(support.PROGRAMS, "mailctl/mailctl"), "--config", os.path.join(server.folder, "config.toml"),
               "account", "add", "--system"]
    names = "\n".join(user(number) for number in range(begin, end))
    if names:
        subprocess.run(["xargs", "-P", "2", "-n", "1", *command], input=names, text=True, check=True, stdout=subprocess.DEVNULL)


def first_mail(server, begin, end):
    """An account's file is made when its first message comes: that is not what is measured."""
    client, waiting = smtp(server), queued(server)
    for at in range(begin, end, OF_ONE):
        some = range(at, min(at + OF_ONE, end))
        client.send(b"MAIL FROM:<bench@elsewhere.test>\r\n")
        for number in some:
            client.send(f"RCPT TO:<{user(number)}>\r\n".encode())
        client.send(b"DATA\r\n")
        for code in (b"250", *[b"250"] * len(some), b"354"):
            client.reply(code)
        client.send(TEXT)
        client.reply(b"250")
    while queued(server) > waiting:
        time.sleep(0.02)


# --- the curves

def mailbox(seconds, most):
    """One mailbox that grows; what one STORE, APPEND and a look at the last messages take in it, in milliseconds."""
    def work(server):
        client = imap(server, user(0))
        have, small = 0, mail(1024)[:-3]

        def command(text):
            client.send(text)
            client.until(b"c")

        def median(count, text_of):
            times = []
            for _ in range(count):
                began = time.monotonic()
                command(text_of())
                times.append((time.monotonic() - began) * 1000)
            return round(statistics.median(times), 3)
        for size in (size for size in SIZES if size <= most):
            while have < size:
                many = min(1_000, size - have)
                command(b"c APPEND INBOX" + (b" {%d+}\r\n" % len(small) + small) * many + b"\r\n")
                have += many
            point = inbound(server, 1, seconds)
            client.send(b"c SELECT INBOX\r\n")
            for line in iter(client.line, None):
                have = int(line.split()[1]) if line.endswith(b" EXISTS\r\n") else have
                if line.startswith(b"c "):
                    break
            choice = random.Random(size)
            point["store_ms"] = median(100, lambda: b"c STORE %d +FLAGS (\\Seen)\r\n" % choice.randint(1, have))
            point["append_ms"] = median(100, lambda: b"c APPEND INBOX {%d+}\r\n" % len(small) + small + b"\r\n")
            point["last_50_ms"] = median(50, lambda: b"c FETCH %d:%d (UID FLAGS ENVELOPE)\r\n" % (have - 49, have))
            have += 100
            yield {"messages": size, **point}
    return with_server(1, work)


def accounts(seconds, most):
    def work(server):
        made = 1
        for count in (count for count in ACCOUNTS if count <= most):
            make_accounts(server, made, count)
            first_mail(server, 0 if made == 1 else made, count)
            made = count
            yield {"accounts": count, **inbound(server, count, seconds)}
    return with_server(1, work)


def queue(seconds, most):
    """Recipients of a domain that is away wait for their time, while mail for one that is here comes in."""
    def work(server):
        have = 0
        for count in (count for count in WAITING if count <= most):
            server.stop()
            fill_queue(server, have, count)
            have = count
            server.start()
            yield {"waiting": count, **inbound(server, 1, seconds)}
    return with_server(1, work)


def fill_queue(server, begin, end):
    now = int(time.time())
    with contextlib.closing(sqlite3.connect(os.path.join(server.folder, "state/queue.db"))) as database, database:
        for number in range(begin // OF_ONE, end // OF_ONE):
            message = ((now - 10_000) * 1000 + number) << 19
            database.execute("INSERT INTO message VALUES(?, ?, 'bench@elsewhere.test', '', 'bench', '', '', 0, ?, 10, '')",
                             (message, OF_ONE, now))
            database.execute("INSERT INTO body VALUES(?, ?)", (message, b"A: b\r\n\r\nx\r\n"))
            database.executemany(
                "INSERT INTO recipient(message, number, account, destination, address, original, orcpt, notify, next_attempt)"
                " VALUES(?1, ?2, 0, ?3, ?4, ?4, '', 0, ?5)",
                ((message, one + 1, AWAY, f"user{one}@{AWAY}", now + 7_200) for one in range(OF_ONE)))


def measure_growth(measure, seconds, most):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    curves = {"mailbox": mailbox, "accounts": accounts, "queue": queue}
    results = {}
    for name, curve in curves.items():
        results[name] = curve(seconds, most)
        for point in results[name]:
            what, *figures = point.items()
            measure(f"{name}: {what[1]:,} {what[0]}", lambda figures=figures: dict(figures))
    return results


def plot(results, path):
    """The curves as an SVG."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "postrider"
    from matplotlib import pyplot
    titles = {"mailbox": "messages in the mailbox", "accounts": "accounts, one at random", "queue": "recipients that wait"}
    figure, rows = pyplot.subplots(2, 3, figsize=(12, 6), sharey="row", layout="constrained")
    for column, (name, points) in enumerate(results.items()):
        x = [max(1, next(iter(point.values()))) for point in points]
        rows[0][column].plot(x, [point["cpu_ms"] for point in points], marker="o", label="SMTP into the mailbox, mta's CPU")
        for key, label in (("store_ms", "STORE of one"), ("append_ms", "APPEND"), ("last_50_ms", "FETCH of the last 50")):
            if key in points[0]:
                rows[0][column].plot(x, [point[key] for point in points], marker=".", label=label)
        rows[1][column].plot(x, [point["per_s"] for point in points], marker="o")
        for row in rows:
            row[column].set_xscale("log")
            row[column].grid(alpha=0.3)
        rows[1][column].set_xlabel(titles[name])
    for row in rows:
        row[0].set_ylim(bottom=0)  # after all of them: they share it
    rows[0][0].set_ylabel("milliseconds")
    rows[1][0].set_ylabel("messages a second")
    rows[0][0].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})

