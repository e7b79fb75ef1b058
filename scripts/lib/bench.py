"""scripts/bench: starts both daemons and measures them over the loopback with a client of its own (raw sockets, standard
library). Client and server share the machine, so the figures are lower bounds; they are for comparing one build with another.
"""

import argparse
import json
import multiprocessing
import os
import selectors
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests/e2e"))
import support  # noqa: E402

DOMAIN = "example.test"
USERS = [f"user{number}@{DOMAIN}" for number in range(20)]


class Line:
    """A line-based client that does no more than it must."""

    def __init__(self, server, name):
        self.socket = socket.create_connection((server.host, server.ports[name]), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def line(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        return line

    def send(self, data):
        self.socket.sendall(data)

    def reply(self, expected):
        while True:
            line = self.line()
            if line[3:4] != b"-":
                break
        if not line.startswith(expected):
            raise RuntimeError(f"expected {expected}: {line}")

    def until(self, tag):
        while True:
            line = self.line()
            if line.startswith(tag):
                if not line.startswith(tag + b" OK"):
                    raise RuntimeError(line)
                return


def smtp(server):
    client = Line(server, "smtp")
    client.reply(b"220")
    client.send(b"EHLO bench.example\r\n")
    client.reply(b"250")
    return client


def imap(server, user, password=support.PASSWORD):
    client = Line(server, "imap")
    client.line()
    client.send(f'l LOGIN {user} "{password}"\r\n'.encode())
    client.until(b"l")
    return client


def mail(size):
    line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/.\r\n"
    head = b"From: bench@elsewhere.test\r\nTo: user@example.test\r\nSubject: bench\r\nMessage-ID: <bench@elsewhere.test>\r\n\r\n"
    return head + line * max(1, (size - len(head)) // len(line)) + b".\r\n"


def deliver(client, recipient, text):
    client.send(f"MAIL FROM:<bench@elsewhere.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
    for code in (b"250", b"250", b"354"):
        client.reply(code)
    client.send(text)
    client.reply(b"250")


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
        client = cache.get(user) or cache.setdefault(user, imap(server, user))
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
    text = mail(4096)[:-3]
    began = time.monotonic()
    for _ in range(count):
        client.send(b"a APPEND Archive {%d+}\r\n" % len(text) + text + b"\r\n")
        client.until(b"a")
    appended = time.monotonic() - began
    client.send(b"s SELECT Archive\r\n")
    client.until(b"s")
    result = {"messages": count, "append_per_s": round(count / appended)}
    for name, items in (("flags", b"(UID FLAGS)"), ("envelope", b"(UID FLAGS ENVELOPE RFC822.SIZE)"), ("body", b"(BODY.PEEK[])")):
        began = time.monotonic()
        client.send(b"f FETCH 1:* " + items + b"\r\n")
        client.until(b"f")
        result[f"fetch_{name}_per_s"] = round(count / (time.monotonic() - began))
    return result


# --- relaying

class Sink:
    """An SMTP server that takes everything at many ports, in a process of its own, and counts."""

    def __init__(self, ports, dead=()):
        self.messages, self.connections = multiprocessing.Value("q", 0), multiprocessing.Value("q", 0)
        self.process = multiprocessing.Process(target=self.serve, args=(ports,), daemon=True)
        # Those that are dead take no connection and refuse none: their queue is full.
        self.dead = []
        for port in dead:
            listener = socket.create_server(("127.0.0.1", port), backlog=0)
            filler = socket.create_connection(("127.0.0.1", port))
            self.dead += [listener, filler]
        self.process.start()
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
        time.sleep(0.2)
        self.connections.value = 0

    def serve(self, ports):
        selector = selectors.DefaultSelector()
        for port in ports:
            listener = socket.create_server(("127.0.0.1", port), backlog=1024)
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    peer, _ = key.fileobj.accept()
                    peer.setblocking(False)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.connections.value += 1
                    selector.register(peer, selectors.EVENT_READ, {"buffer": b"", "data": False})
                    peer.send(b"220 sink ESMTP\r\n")
                else:
                    self.talk(selector, key.fileobj, key.data)

    def talk(self, selector, peer, state):
        try:
            got = peer.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            got = b""
        if not got:
            selector.unregister(peer)
            peer.close()
            return
        state["buffer"] += got
        answer = b""
        while True:
            if state["data"]:
                end = state["buffer"].find(b"\r\n.\r\n")
                if end < 0:
                    break
                state["buffer"], state["data"] = state["buffer"][end + 5:], False
                self.messages.value += 1
                answer += b"250 2.0.0 ok\r\n"
                continue
            line, found, rest = state["buffer"].partition(b"\r\n")
            if not found:
                break
            state["buffer"] = rest
            verb = line[:4].upper()
            if verb == b"EHLO":
                answer += b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n"
            elif verb == b"DATA":
                state["data"] = True
                answer += b"354 go on\r\n"
            else:
                answer += b"221 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 ok\r\n"
        peer.setblocking(True)
        try:
            peer.sendall(answer)
            peer.setblocking(False)
        except OSError:
            pass

    def close(self):
        self.process.terminate()
        self.process.join()
        for one in self.dead:
            one.close()


def relay_sender(server, recipients, text, start):
    client = smtp(server)
    start.wait()
    for recipient in recipients:
        deliver(client, recipient, text)


def relay_all(server, recipients, size, sessions):
    """Hands in one message for each recipient over some sessions; gives when that began."""
    start = multiprocessing.Event()
    workers = [multiprocessing.Process(target=relay_sender, args=(server, recipients[number::sessions], mail(size), start))
               for number in range(sessions)]
    for worker in workers:
        worker.start()
    time.sleep(0.3)
    began = time.monotonic()
    start.set()
    return began, workers


def relaying(settings=(), routes=()):
    return support.Server(settings=["smtp.max_messages=1000000", 'smtp.trusted_networks=["127.0.0.1"]', *settings], routes=routes)


def relay_one(count, size, sessions):
    """One destination: messages a second until the last was taken there."""
    port = support.free_ports(1)[0]
    sink, server = Sink([port]), relaying(routes=[f"sink.test=127.0.0.1:{port}"])
    try:
        server.start()
        began, workers = relay_all(server, ["a@sink.test"] * count, size, sessions)
        for worker in workers:
            worker.join()
        accepted = time.monotonic() - began
        while sink.messages.value < count:
            time.sleep(0.005)
        done = time.monotonic() - began
        connections = sink.connections.value
        return {"messages": count, "accepted_per_s": round(count / accepted), "relayed_per_s": round(count / done),
                "connections": connections, "messages_per_connection": round(count / connections, 1)}
    finally:
        server.close()
        sink.close()


def relay_many(destinations, dead_share, each, sessions=20):
    """Many destinations, of which some are dead: how long until the living ones have theirs."""
    ports = support.free_ports(destinations)
    dead = int(destinations * dead_share)
    sink = Sink(ports[dead:], ports[:dead])
    server = relaying(routes=[f"d{number}.test=127.0.0.1:{port}" for number, port in enumerate(ports)],
                      settings=["relay.connect_timeout=\"30s\""])
    try:
        server.start()
        recipients = [f"a@d{number}.test" for _ in range(each) for number in range(destinations)]
        began, workers = relay_all(server, recipients, 4096, sessions)
        living = (destinations - dead) * each
        while sink.messages.value < living:
            time.sleep(0.005)
            if time.monotonic() - began > 300:
                raise RuntimeError(f"only {sink.messages.value} of {living} arrived")
        done = time.monotonic() - began
        for worker in workers:
            worker.join()
        return {"living": destinations - dead, "dead": dead, "messages": living, "seconds": round(done, 2),
                "relayed_per_s": round(living / done), "connections": sink.connections.value}
    finally:
        server.close()
        sink.close()


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def relay_waiting(count, sessions=20):
    """Memory of mta with that many messages waiting for a destination that is down."""
    port = support.free_ports(1)[0]
    server = relaying(routes=[f"down.test=127.0.0.1:{port}"])
    try:
        server.start()
        before = resident(server.pid("mta"))
        began, workers = relay_all(server, ["a@down.test"] * count, 4096, sessions)
        for worker in workers:
            worker.join()
        return {"messages": count, "accepted_per_s": round(count / (time.monotonic() - began)), "rss_before_kib": before,
                "rss_after_kib": resident(server.pid("mta"))}
    finally:
        server.close()


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures this build of Postrider on this machine.")
    parser.add_argument("--seconds", type=float, default=5, help="of each inbound run (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=("mailboxes", "relay"), help="one half of the measurements")
    arguments = parser.parse_args()
    results = {}

    def measure(name, function, *parameters):
        results[name] = function(*parameters)
        if not arguments.json:
            print(f"{name:32}", "  ".join(f"{key} {value}" for key, value in results[name].items()), flush=True)

    if arguments.only != "relay":
        measure_mailboxes(measure, arguments.seconds)
    if arguments.only != "mailboxes":
        measure("relay 4 KiB, 20 sessions", relay_one, 5000, 4096, 20)
        measure("relay, 1000 destinations", relay_many, 1000, 0, 5)
        measure("relay, 1000, 30% of them dead", relay_many, 1000, 0.3, 5)
        measure("relay, destination down", relay_waiting, 100_000)
    if arguments.json:
        print(json.dumps(results, indent=1))
    return 0


def measure_mailboxes(measure, seconds):
    server = support.Server(USERS, settings=["smtp.max_messages=1000000"])
    try:
        server.start()
        measure("push: 250 to EXISTS", push, server, 200)
        measure("inbound 4 KiB, 1 connection", inbound, server, 1, seconds, 4096)
        measure("inbound 4 KiB, 20 connections", inbound, server, 20, seconds, 4096)
        measure("inbound 4 KiB, 100 connections", inbound, server, 100, seconds, 4096)
        measure("inbound 1 MiB, 20 connections", inbound, server, 20, seconds, 1 << 20)
        measure("login", logins, server, 20)
        measure("APPEND and FETCH", fetch, server, 2000)
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
