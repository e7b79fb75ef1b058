"""What the file layer of tests/faults is told, and the power cut: everything that was not yet flushed is taken back."""

import contextlib
import fcntl
import mmap
import os
import shutil
import struct
import support
import uuid

LIBRARY = os.path.join(os.environ.get("POSTRIDER_BUILD") or os.path.join(support.ROOT, "build/debug"), "tests/libfaults.so")
SECTOR = 512


class Layer:
    """The layer below one state folder, which must be there; the programs that use it are started with `environment`."""

    def __init__(self, state, always=()):
        self.always = always
        self.state, self.folder = state, os.path.join(state, ".faults")
        for name in ("undo", "names", "saved"):
            os.makedirs(os.path.join(self.folder, name))
        with open(os.path.join(self.folder, "control"), "wb+") as file:
            file.write(bytes(4096))
            file.flush()
            self.control = mmap.mmap(file.fileno(), 4096)
        self.lock = open(os.path.join(self.folder, "lock"), "wb")
        self.new_boot()
        self.environment = {"LD_PRELOAD": LIBRARY, "POSTRIDER_FAULTS": state,
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def new_boot(self):
        with open(os.path.join(self.folder, "boot_id"), "w") as file:
            file.write(f"{uuid.uuid4()}\n")

    def set(self, *rules):
        """From now on these rules hold, as tests/faults/faults.h has them, and those that hold always."""
        text = "".join(rule + "\n" for rule in (*rules, *self.always)).encode()
        with self.stopped():
            self.control[16:] = text.ljust(4096 - 16, b"\0")
            self.control[:8] = struct.pack("<Q", struct.unpack("<Q", self.control[:8])[0] + 1)

    def set_clock(self, seconds):
        self.control[8:16] = struct.pack("<q", seconds)

    @contextlib.contextmanager
    def stopped(self):
        """No program changes a file meanwhile."""
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.lock, fcntl.LOCK_UN)

    def events(self):
        try:
            with open(os.path.join(self.folder, "events")) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def forget(self):
        """What was changed until now is on the disk; no program runs."""
        for folder in ("undo", "names", "saved"):
            for name in os.listdir(os.path.join(self.folder, folder)):
                os.unlink(os.path.join(self.folder, folder, name))

    def cut(self, choice, torn):
        """Takes back what was not flushed, when no program runs any more; torn: some of it, as the disk had got to, chosen
        by `choice`. Gives how many writes and names were taken back."""
        places = {}
        for folder, folders, files in os.walk(self.state):
            if os.path.basename(folder) != "undo":
                for name in [*folders, *files]:
                    path = os.path.join(folder, name)
                    places[os.stat(path, follow_symlinks=False).st_ino] = path
            if folder == self.state:
                places[os.stat(folder).st_ino] = folder
        count = 0
        for name in os.listdir(os.path.join(self.folder, "undo")):
            journal = os.path.join(self.folder, "undo", name)
            if os.path.getsize(journal) and int(name) in places:
                count += take_back_writes(journal, places[int(name)], choice, torn)
        for name in os.listdir(os.path.join(self.folder, "names")):
            journal = os.path.join(self.folder, "names", name)
            if os.path.isdir(places.get(int(name), "")) and not (torn and choice.random() < 0.5):
                count += self.take_back_names(journal, places[int(name)])
        self.forget()
        for folder, _, files in os.walk(self.state):
            for name in files:
                if name.endswith("-shm"):
                    os.unlink(os.path.join(folder, name))
        self.new_boot()
        return count

    def take_back_names(self, journal, folder):
        with open(journal) as file:
            lines = [line.rstrip("\n").split("\t") for line in file]
        for what, name, saved in reversed(lines):
            path = os.path.join(folder, name)
            if what == "M":
                shutil.rmtree(path, ignore_errors=True)
                continue
            if os.path.lexists(path):
                os.unlink(path)
            if what == "R":
                os.link(os.path.join(self.folder, "saved", saved), path)
        return len(lines)


def take_back_writes(journal, path, choice, torn):
    with open(journal, "rb") as file:
        data = file.read()
    records, at = [], 0
    while at < len(data):
        offset, length, size = struct.unpack_from("<QQQ", data, at)
        records.append((offset, data[at + 24:at + 24 + length], size))
        at += 24 + length
    count = 0
    with open(path, "r+b") as file:
        for offset, old, size in reversed(records):
            fate = choice.random() if torn else 0.0
            if fate > 0.6:
                continue  # it had reached the disk
            count += 1
            for begin in range(0, len(old), SECTOR):
                if fate < 0.3 or choice.random() < 0.5:
                    file.seek(offset + begin)
                    file.write(old[begin:begin + SECTOR])
            file.truncate(size)
    return count
