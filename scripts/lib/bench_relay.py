"""The relay half of scripts/bench: Postrider, and beside it Debian's Postfix if wanted, between a generator and a sink."""

import contextlib
import multiprocessing
import os
import selectors
import socket
import subprocess
import time

from bench_client import deliver, mail, smtp, support
import postfix

PATIENCE = 120  # seconds, until what did not arrive counts as late


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


class Postrider:
    def __init__(self, routes):
        self.server = support.Server(settings=["smtp.max_messages=1000000", 'smtp.trusted_networks=["127.0.0.1"]'],
                                     routes=[f"{domain}=127.0.0.1:{port}" for domain, port in routes.items()])
        self.server.start()

    def memory_kib(self):
        with open(f"/proc/{self.server.pid('mta')}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Postfix:
    """Debian's, as it comes, but for what lets it relay from here to the sink."""

    def __init__(self, routes):
        self.server = postfix.Postfix("127.0.0.3", ["mynetworks = 127.0.0.0/8", "smtpd_relay_restrictions = permit_mynetworks, reject",
                                                    "virtual_mailbox_domains =", "disable_dns_lookups = yes",
                                                    "transport_maps = texthash:$queue_directory/../etc/routes"])
        self.server.write("etc/routes", "".join(f"{domain} smtp:[127.0.0.1]:{port}\n" for domain, port in routes.items()))
        self.server.start()

    def memory_kib(self):
        """Of all its processes, what they share counted once."""
        with open(os.path.join(self.server.folder, "queue/pid/master.pid")) as file:
            master = file.read().strip()
        pids = [master, *subprocess.run(["pgrep", "-P", master], capture_output=True, text=True).stdout.split()]
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total


@contextlib.contextmanager
def running(kind, routes):
    relay = kind(routes)
    try:
        yield relay
    finally:
        relay.server.close()


def wait_for(sink, messages, began):
    """Seconds until that many have arrived, and how many have: fewer when PATIENCE is over."""
    while sink.messages.value < messages and time.monotonic() - began < PATIENCE:
        time.sleep(0.005)
    return time.monotonic() - began, sink.messages.value


def relay_one(kind, count, size, sessions):
    """One destination: messages a second until the last was taken there."""
    port = support.free_ports(1)[0]
    with contextlib.closing(Sink([port])) as sink, running(kind, {"sink.test": port}) as relay:
        began, workers = relay_all(relay.server, ["a@sink.test"] * count, size, sessions)
        for worker in workers:
            worker.join()
        accepted = time.monotonic() - began
        done, arrived = wait_for(sink, count, began)
        connections = sink.connections.value
        return {"messages": count, "arrived": arrived, "accepted_per_s": round(count / accepted),
                "relayed_per_s": round(arrived / done), "connections": connections,
                "messages_per_connection": round(arrived / connections, 1)}


def relay_many(kind, destinations, dead_share, each, sessions=20):
    """Many destinations, of which some are dead: how long until the living ones have theirs."""
    ports = support.free_ports(destinations)
    dead = int(destinations * dead_share)
    routes = {f"d{number}.test": port for number, port in enumerate(ports)}
    with contextlib.closing(Sink(ports[dead:], ports[:dead])) as sink, running(kind, routes) as relay:
        recipients = [f"a@d{number}.test" for _ in range(each) for number in range(destinations)]
        living = (destinations - dead) * each
        began, workers = relay_all(relay.server, recipients, 4096, sessions)
        done, arrived = wait_for(sink, living, began)
        for worker in workers:
            worker.join()
        return {"living": destinations - dead, "dead": dead, "messages": living, "arrived": arrived, "seconds": round(done, 2),
                "relayed_per_s": round(arrived / done), "connections": sink.connections.value}


def relay_waiting(kind, count, sessions=20):
    """Memory with that many messages waiting for a destination that is down."""
    port = support.free_ports(1)[0]
    with running(kind, {"down.test": port}) as relay:
        before = relay.memory_kib()
        began, workers = relay_all(relay.server, ["a@down.test"] * count, 4096, sessions)
        for worker in workers:
            worker.join()
        return {"messages": count, "accepted_per_s": round(count / (time.monotonic() - began)), "memory_before_kib": before,
                "memory_after_kib": relay.memory_kib()}


def measure_relaying(measure, beside):
    for kind in [Postrider, Postfix] if beside == "postfix" else [Postrider]:
        name = kind.__name__
        measure(f"{name}: relay 4 KiB, 20 sessions", relay_one, kind, 5000, 4096, 20)
        measure(f"{name}: 1000 destinations", relay_many, kind, 1000, 0, 5)
        measure(f"{name}: 1000, 30% of them dead", relay_many, kind, 1000, 0.3, 5)
        # Postfix takes a few hundred a second: a tenth is enough to see what it needs.
        measure(f"{name}: destination down", relay_waiting, kind, 100_000 if kind is Postrider else 10_000)
