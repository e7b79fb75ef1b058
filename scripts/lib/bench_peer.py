"""Debian's Postfix with Dovecot behind it, for the inbound half of scripts/bench: the same accounts, in mdbox, by LMTP."""

import os
import pwd

from bench_client import support
import postfix

CONFIG = """\
protocols = imap lmtp
listen = {host}
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = mdbox:{folder}/mail/%u
mail_max_userip_connections = 0
lda_mailbox_autocreate = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service imap-login {{
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class PostfixAndDovecot:
    """Has what a support.Server has for clients: host and ports."""

    def __init__(self, users):
        domain = users[0].partition("@")[2]
        self.postfix = postfix.Postfix("127.0.0.3", [f"virtual_mailbox_domains = {domain}", "mynetworks = 127.0.0.0/8",
                                                     "virtual_mailbox_maps = texthash:$queue_directory/../addresses",
                                                     "virtual_transport = lmtp:unix:$queue_directory/../dovecot/lmtp"])
        self.folder, self.host = self.postfix.folder, self.postfix.host
        self.ports = {"smtp": self.postfix.port, "imap": support.free_ports(1)[0]}
        owner = pwd.getpwnam("postfix")
        self.config = os.path.join(self.folder, "etc/dovecot.conf")
        self.postfix.write("etc/dovecot.conf", CONFIG.format(host=self.host, folder=self.folder, imap=self.ports["imap"],
                                                            uid=owner.pw_uid, gid=owner.pw_gid))
        self.postfix.write("addresses", "".join(f"{user} {user}\n" for user in users))
        self.postfix.write("users", "".join(f"{user}:{support.PASSWORD}::::::\n" for user in users))

    def start(self):
        # It keeps the standard error that it is given: nobody must wait for the end of that.
        self.postfix.root("/bin/sh", "-c", f"exec /usr/sbin/dovecot -c {self.config} >/dev/null 2>&1")
        self.postfix.start()
        return self

    def close(self):
        self.postfix.stop()
        self.postfix.root("/usr/bin/doveadm", "-c", self.config, "stop")
        self.postfix.close()

