"""scripts/bench: starts both daemons and measures them over the loopback with a client of its own (raw sockets, standard
library). Client and server share the machine, so the figures are lower bounds; they are for comparing one build with another.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time

from bench_client import deliver, imap, mail, smtp, support
from bench_growth import measure_growth, plot
from bench_peer import PostfixAndDovecot
from bench_relay import measure_relaying
from bench_search import search

DOMAIN = "example.test"
USERS = [f"user{number}@{DOMAIN}" for number in range(20)]


def inbound_sender(server, connections, seconds, size, start, result):
    """One process: keeps `connections` busy by turns, each with one message on its way."""
    clients = [smtp(server) for _ in range(connections)]
    text, count, begun = mail(size), 0, []
    start.wait()
    end = time.monotonic() + seconds
    waits = []
    for index, client in enumerate(clients):
        client.send(f"MAIL FROM:<bench@elsewhere.test>\r\nRCPT TO:<{USERS[index % len(USERS)]}>\r\nDATA\r\n".encode())
        begun.append(time.monotonic())
    turn = 0
    while time.monotonic() < end or turn % connections:
        client = clients[turn % connections]
        for code in (b"250", b"250", b"354"):
            client.reply(code)
        client.send(text)
        turn += 1
        if turn % connections:
            continue
        for index, client in enumerate(clients):
            client.reply(b"250")
            count += 1
            waits.append(time.monotonic() - begun[index])
        if time.monotonic() >= end:
            break
        for index, client in enumerate(clients):
            client.send(f"MAIL FROM:<bench@elsewhere.test>\r\nRCPT TO:<{USERS[(count + index) % len(USERS)]}>\r\nDATA\r\n".encode())
            begun[index] = time.monotonic()
    result.put((count, waits))


def inbound(server, connections, seconds, size):
    """Messages a second to the 250, and until the last lies in its mailbox."""
    processes = min(connections, os.cpu_count() or 1)
    start, result = multiprocessing.Event(), multiprocessing.Queue()
    before = messages(server)
    workers = [multiprocessing.Process(target=inbound_sender,
                                       args=(server, connections // processes, seconds, size, start, result))
               for _ in range(processes)]
    for worker in workers:
        worker.start()
    time.sleep(0.3)  # the connections stand before the clock starts
    began = time.monotonic()
    start.set()
    counts = [result.get() for _ in workers]
    accepted = time.monotonic() - began
    total = sum(count for count, _ in counts)
    while messages(server) < before + total:
        time.sleep(0.005)
    delivered = time.monotonic() - began
    for worker in workers:
        worker.join()
    waits = sorted(wait for _, waits in counts for wait in waits)
    return {"messages": total, "accepted_per_s": round(total / accepted), "delivered_per_s": round(total / delivered),
            "median_ms": round(waits[len(waits) // 2] * 1000, 2), "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2)}


def messages(server, cache={}):
    """How many messages lie in all INBOXes."""
    total = 0
    for user in USERS:
        key = server.ports["imap"], user
        client = cache.get(key) or cache.setdefault(key, imap(server, user))
        client.send(b"s STATUS INBOX (MESSAGES)\r\n")
        answer = client.line()
        total += int(answer.rsplit(b"MESSAGES ", 1)[1].rstrip(b")\r\n"))
        client.until(b"s")
    return total


def push(server, count):
    """From SMTP's 250 to EXISTS in an idling client, milliseconds; 0 where EXISTS came first."""
    idler = imap(server, USERS[0])
    idler.send(b"s SELECT INBOX\r\n")
    idler.until(b"s")
    idler.send(b"i IDLE\r\n")
    idler.line()
    sender, text, waits = smtp(server), mail(4096), []
    for _ in range(count):
        deliver(sender, USERS[0], text)
        began = time.monotonic()
        while b"EXISTS" not in idler.line():
            pass
        waits.append((time.monotonic() - began) * 1000)
        time.sleep(0.01)  # between one measurement and the next
    waits.sort()
    return {"count": count, "median_ms": round(statistics.median(waits), 2), "p99_ms": round(waits[count * 99 // 100], 2),
            "max_ms": round(waits[-1], 2)}


def logins(server, count):
    def timed(password):
        waits = []
        for _ in range(count):
            began = time.monotonic()
            imap(server, USERS[1], password)
            waits.append((time.monotonic() - began) * 1000)
        return {"count": count, "median_ms": round(statistics.median(waits), 2), "max_ms": round(max(waits), 2)}
    return timed(support.PASSWORD)


def fetch(server, count):
    """Envelopes of a mailbox with `count` messages; the messages come by APPEND, which is measured too."""
    client = imap(server, USERS[2])
    client.send(b"c CREATE Bench\r\n")
    client.until(b"c")
    text = mail(4096)[:-3]
    began = time.monotonic()
    for _ in range(count):
        client.send(b"a APPEND Bench {%d+}\r\n" % len(text) + text + b"\r\n")
        client.until(b"a")
    appended = time.monotonic() - began
    client.send(b"s SELECT Bench\r\n")
    client.until(b"s")
    result = {"messages": count, "append_per_s": round(count / appended)}
    for name, items in (("flags", b"(UID FLAGS)"), ("envelope", b"(UID FLAGS ENVELOPE RFC822.SIZE)"), ("body", b"(BODY.PEEK[])")):
        began = time.monotonic()
        client.send(b"f FETCH 1:* " + items + b"\r\n")
        client.until(b"f")
        result[f"fetch_{name}_per_s"] = round(count / (time.monotonic() - began))
    return result


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures this build of Postrider on this machine.")
    parser.add_argument("--seconds", type=float, default=5, help="of each inbound run (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=("mailboxes", "relay", "growth"), help="a part of the measurements; growth is in no other")
    parser.add_argument("--beside", choices=("postfix",), help="measure Debian's packages in the same run; for mailboxes with Dovecot")
    parser.add_argument("--most", type=int, default=1_000_000, help="messages, accounts and recipients that growth goes to")
    parser.add_argument("--plot", metavar="FILE", help="draw what growth has found, as an SVG")
    arguments = parser.parse_args()
    results = {}

    def measure(name, function, *parameters):
        results[name] = function(*parameters)
        if not arguments.json:
            print(f"{name:38}", "  ".join(f"{key} {value}" for key, value in results[name].items()), flush=True)

    if arguments.only == "growth":
        curves = measure_growth(measure, arguments.seconds, arguments.most)
        if arguments.plot:
            plot(curves, arguments.plot)
    if arguments.only in (None, "mailboxes"):
        measure_mailboxes(measure, arguments.seconds, arguments.beside)
    if arguments.only in (None, "relay"):
        measure_relaying(measure, arguments.beside)
    if arguments.json:
        print(json.dumps(results, indent=1))
    return 0


def measure_server(measure, server, seconds, pushes=200, name=""):
    measure(name + "push: 250 to EXISTS", push, server, pushes)
    measure(name + "inbound 4 KiB, 1 connection", inbound, server, 1, seconds, 4096)
    measure(name + "inbound 4 KiB, 20 connections", inbound, server, 20, seconds, 4096)
    measure(name + "inbound 4 KiB, 100 connections", inbound, server, 100, seconds, 4096)
    measure(name + "inbound 1 MiB, 20 connections", inbound, server, 20, seconds, 1 << 20)
    measure(name + "login", logins, server, 20)
    measure(name + "APPEND and FETCH", fetch, server, 2000)


def measure_mailboxes(measure, seconds, beside):
    server = support.Server(USERS, settings=["smtp.max_messages=1000000"])
    try:
        server.start()
        measure_server(measure, server, seconds)
        measure("SEARCH", search, server, USERS[3], 50_000)
    finally:
        server.close()
    if beside:
        peer = PostfixAndDovecot(USERS)
        try:
            # It tells of new mail half a second later.
            measure_server(measure, peer.start(), seconds, 20, "Postfix and Dovecot: ")
        finally:
            peer.close()


if __name__ == "__main__":
    sys.exit(main())
