"""A Postfix of Debian's as another site's mail server: its own configuration, queue and mailboxes in a temporary folder, on an
address of the loopback network that is its alone. Postfix wants root; an ordinary user needs sudo without a password.
"""

import glob
import grp
import os
import pwd
import subprocess
import tempfile

import support

MASTER = """\
{address}:{port} inet n - n - - smtpd
postlog   unix-dgram n - n - 1 postlogd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
smtp      unix - - n - - smtp
lmtp      unix - - n - - lmtp
scache    unix - - n - 1 scache
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
proxymap  unix - - n - - proxymap
tlsmgr    unix - - n 1000? 1 tlsmgr
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.remote.test
mydestination =
mynetworks =
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = remote.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = {folder}/certificate.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_tls_received_header = yes
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
"""


class Postfix:
    def __init__(self, address="127.0.0.2", extra=()):
        self.folder = tempfile.mkdtemp(prefix="postrider-test-postfix-")
        os.chmod(self.folder, 0o755)
        self.address, self.port = address, support.free_ports(1)[0]
        self.host, self.ports = self.address, {"smtp": self.port}
        self.running = False
        user = pwd.getpwnam("postfix")
        for name in ("queue", "data", "mail", "etc"):
            os.mkdir(os.path.join(self.folder, name))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=mx.remote.test", "-keyout", os.path.join(self.folder, "key.pem"),
                        "-out", os.path.join(self.folder, "certificate.pem")], check=True, capture_output=True)
        values = {"folder": self.folder, "address": address, "port": self.port, "uid": user.pw_uid, "gid": user.pw_gid}
        self.write("etc/main.cf", MAIN.format(**values) + "".join(f"{line}\n" for line in extra))
        self.write("etc/master.cf", MASTER.format(**values))
        self.root("chown", "postfix", os.path.join(self.folder, "data"), os.path.join(self.folder, "mail"))
        self.root("chgrp", grp.getgrgid(user.pw_gid).gr_name, os.path.join(self.folder, "mail"))

    @property
    def route(self):
        return f"{self.address}:{self.port}"

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def root(self, *command):
        prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
        result = subprocess.run([*prefix, *command], capture_output=True, text=True)
        if result.returncode:
            raise AssertionError(f"{' '.join(command)} failed: {result.stdout}{result.stderr}\n{self.log()}")

    def start(self):
        self.root("/usr/sbin/postfix", "-c", os.path.join(self.folder, "etc"), "start")
        self.running = True
        return self

    def stop(self):
        if self.running:
            self.root("/usr/sbin/postfix", "-c", os.path.join(self.folder, "etc"), "stop")
        self.running = False

    def close(self):
        self.stop()
        self.root("rm", "-rf", self.folder)

    def log(self):
        try:
            with open(os.path.join(self.folder, "maillog")) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def messages(self):
        """What lies in the mailbox, each as octets."""
        found = []
        for name in glob.glob(os.path.join(self.folder, "mail/all/new/*")):
            with open(name, "rb") as file:
                found.append(file.read())
        return found

    def connections(self):
        return self.log().count(" connect from ")
