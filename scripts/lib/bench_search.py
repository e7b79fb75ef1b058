"""SEARCH in a large mailbox: by reading every message, as it is before the index is filled, and with the index."""

import contextlib
import glob
import os
import random
import sqlite3
import time

from bench_client import imap


def prose(count):
    """Messages of about 5 KiB of text, as words are spread in a language; one in a thousand has a word of its own."""
    generator = random.Random(20270115)
    syllables = "ba be bi bo da de di do fa fe ga go ka ke ki la le li lo ma me mi mo na ne no pa ra re ri ro sa se ta te to va ve vi".split()
    words = ["".join(generator.choice(syllables) for _ in range(generator.randint(1, 5))) for _ in range(4000)]
    paragraphs = [" ".join(generator.choices(words, [1 / (rank + 3) for rank in range(4000)], k=60)) for _ in range(2000)]
    for number in range(count):
        rare = number % 1000 == 7
        head = (f"From: {generator.choice(words)} <{generator.choice(words)}@{generator.choice(words)}.example>\r\nTo: user@example.test\r\n"
                f"Subject: {' '.join(generator.choices(words, k=4))}{' zebrafish' if rare else ''}\r\n"
                f"Message-ID: <{generator.getrandbits(64):016x}@{generator.choice(words)}.example>\r\n\r\n")
        text = "\r\n\r\n".join(generator.choices(paragraphs, k=14)) + (" quokka\r\n" if rare else "\r\n")
        yield (head + text).encode()


def search(server, user, count):
    """SEARCH in a mailbox, by reading every message and with the index; and what the index costs."""
    client = imap(server, user)
    batch, octets = [], 0

    def append():
        client.send(b"a APPEND Archive" + b"".join(b" {%d+}\r\n" % len(one) + one for one in batch) + b"\r\n")
        client.until(b"a")
        batch.clear()
    for message in prose(count):
        batch.append(message)
        octets += len(message)
        if len(batch) == 500:
            append()
    if batch:
        append()
    client.send(b"s SELECT Archive\r\n")
    client.until(b"s")
    queries = (("body", b"BODY quokka"), ("text", b"TEXT quokka"), ("header", b"SUBJECT zebrafish"), ("unseen", b"UNSEEN"))

    def times(prefix):
        for name, query in queries:
            began = time.monotonic()
            client.send(b"q UID SEARCH RETURN (COUNT) " + query + b"\r\n")
            client.until(b"q")
            result[f"{prefix}_{name}_ms"] = round((time.monotonic() - began) * 1000, 1)
    result = {"messages": count, "kib": octets // 1024}
    times("reading")
    path = account_file(server)
    before, began = indexed(path), time.monotonic()
    while indexed(path) < count:
        time.sleep(0.05)
    result["indexed_per_s"] = round((count - before) / (time.monotonic() - began))
    times("indexed")
    return result


def account_file(server):
    """The largest of the accounts is the one that was filled."""
    return max(glob.glob(os.path.join(server.folder, "state", "accounts", "*", "*.db")), key=os.path.getsize)


def indexed(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT indexed_to FROM search_state").fetchone()[0]
