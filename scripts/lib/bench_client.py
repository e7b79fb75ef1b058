"""The client that the measurements use: raw sockets and the standard library, so that it costs little beside the server."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests/e2e"))
import support  # noqa: E402


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
