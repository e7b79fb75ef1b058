"""Thunderbird itself, headless: makes the account, reads, flags, moves, deletes and sends, and is told of new mail.

With POSTRIDER_SCREENSHOTS=FOLDER it leaves pictures of its window there.
"""

import base64
import os
import ssl
import unittest

import support
from marionette import Thunderbird
from support import ALICE, BOB, PASSWORD, ok

# Put before every script: what Thunderbird's own windows would do for a user.
PRELUDE = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const Flags = Ci.nsMsgFolderFlags;
const server = MailServices.accounts.allServers.find((one) => one.type == "imap");
const folders = () => server.rootFolder.descendants.map((one) => one.QueryInterface(Ci.nsIMsgImapMailFolder));
const folder = (name) => folders().find((one) => one.onlineName == name || (name == "INBOX" && one.getFlag(Flags.Inbox)));
const until = async (condition, what) => {
  for (const end = Date.now() + 60000; ;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error("after 60 s: " + what);
    await new Promise((resolve) => window.setTimeout(resolve, 20));
  }
};
const messages = (name) => Array.from(folder(name).messages);
const message = (name, subject) => messages(name).find((one) => one.mime2DecodedSubject == subject);
// Done when Thunderbird says so, or at the latest after a minute.
const urlDone = (what, start) => new Promise((resolve, reject) => {
  window.setTimeout(() => reject(new Error("after 60 s: " + what)), 60000);
  start({
    QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
    OnStartRunningUrl() {},
    OnStopRunningUrl(url, code) { code ? reject(new Error(what + " failed: 0x" + code.toString(16))) : resolve(); } });
});
const arrives = async (name, subject) => {
  folder(name).updateFolder(null);
  await until(() => message(name, subject), `"${subject}" is listed in ${name}`);
};
const leaves = (name, subject) => until(() => !message(name, subject), `"${subject}" has left ${name}`);
const text = async (header) => {
  const uri = header.folder.getUriForMsg(header);
  const stream = await new Promise((resolve, reject) => {
    const pieces = [];
    MailServices.messageServiceFromURI(uri).streamMessage(uri, {
      QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
      onStartRequest() {},
      onDataAvailable(request, input, offset, count) {
        const reader = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
        reader.setInputStream(input);
        pieces.push(reader.readBytes(count));
      },
      onStopRequest(request, code) { code ? reject(new Error("stream failed: " + code)) : resolve(pieces.join("")); },
    }, null, null, false, "");
  });
  return stream;
};
"""

TRUST = """
const [host, ports, certificate] = args;
const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
const overrides = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
for (const port of ports)
  overrides.rememberValidityOverride(host, port, {}, database.constructX509FromBase64(certificate), false);
"""

MAKE_ACCOUNT = """
const [host, imap, smtp, address, password, tls] = args;
for (const scheme of ["imap", "smtp"]) {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(`${scheme}://${host}`, null, `${scheme}://${host}`, address, password, "", "");
  await Services.logins.addLoginAsync(login);
}
const security = tls == "SSL" ? Ci.nsMsgSocketType.SSL : Ci.nsMsgSocketType.alwaysSTARTTLS;
const incoming = MailServices.accounts.createIncomingServer(address, host, "imap");
incoming.port = imap;
incoming.socketType = security;
incoming.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
incoming.loginAtStartUp = true;
incoming.doBiff = true;
const outgoing = MailServices.outgoingServer.createServer("smtp").QueryInterface(Ci.nsISmtpServer);
outgoing.hostname = host;
outgoing.port = smtp;
outgoing.socketType = security;
outgoing.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
outgoing.username = address;
const identity = MailServices.accounts.createIdentity();
identity.email = address;
identity.fullName = "Alice";
identity.smtpServerKey = outgoing.key;
identity.composeHtml = false;
const account = MailServices.accounts.createAccount();
account.incomingServer = incoming;
account.addIdentity(identity);
MailServices.accounts.defaultAccount = account;
await urlDone("login and LIST", (listener) => MailServices.imap.discoverAllFolders(incoming.rootFolder, listener, null));
"""

FOLDERS = """
await until(() => args[0].every(folder), "the folders " + args[0] + " are listed; there are " +
            folders().map((one) => one.onlineName));
return Object.fromEntries(folders().map((one) => [one.onlineName || "INBOX", {
  inbox: one.getFlag(Flags.Inbox), drafts: one.getFlag(Flags.Drafts), sent: one.getFlag(Flags.SentMail),
  trash: one.getFlag(Flags.Trash), junk: one.getFlag(Flags.Junk), archive: one.getFlag(Flags.Archive) }]));
"""

SEND = """
const account = MailServices.accounts.defaultAccount;
const identity = account.defaultIdentity;
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.from = identity.email;
fields.to = args[0];
fields.subject = args[1];
fields.body = args[2];
fields.fcc = folder("Sent").URI;
const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
parameters.composeFields = fields;
parameters.identity = identity;
parameters.type = Ci.nsIMsgCompType.New;
parameters.format = Ci.nsIMsgCompFormat.PlainText;
MailServices.compose.OpenComposeWindowWithParams(null, parameters);
const composer = await until(() => Services.wm.getMostRecentWindow("msgcompose"), "the window to write in opens");
await until(() => composer.gLoadingComplete && composer.gMsgCompose && composer.gMsgCompose.editor && !composer.gSendLocked &&
            composer.document.querySelector("mail-address-pill"), "it is ready to send");
let stopped = null;
const listener = {
  QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener"]),
  onStartSending() {}, onSendProgress() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {},
  onTransportSecurityError(id, code) { stopped = { code: "TLS " + code }; },
  onStopSending(id, code, message) { stopped = { code, message }; },
};
composer.gMsgCompose.addMsgSendListener(listener);
composer.goDoCommand("cmd_sendNow");
await until(() => stopped, "it is sent");
if (stopped.code) throw new Error("not sent: " + stopped.code + " " + stopped.message);
await until(() => composer.closed, "the window closes");
"""

SHOW = """
const tab = window.document.getElementById("tabmail").currentAbout3Pane;
await until(() => tab.document.readyState == "complete" && tab.threadTree, "the main window is drawn");
tab.displayFolder(folder(args[0]).URI);
await until(() => tab.gDBView && tab.gFolder == folder(args[0]) && tab.gDBView.rowCount > 0, "messages are listed");
const row = tab.gDBView.findIndexOfMsgHdr(message(args[0], args[1]), false);
tab.threadTree.selectedIndex = row;
const pane = () => tab.messageBrowser && tab.messageBrowser.contentWindow;
const shown = await until(() => {
  const content = pane() && pane().getMessagePaneBrowser && pane().getMessagePaneBrowser();
  const inner = content && content.contentDocument && content.contentDocument.body;
  return inner && inner.textContent.includes(args[2]) && inner.textContent;
}, "the message is shown");
return shown;
"""


def quoted(name):
    return '"' + name + '"'


class ThunderbirdTest(support.ServerTest):
    """One user's session; the steps are in one test because each stands on the one before."""

    def setUp(self):
        context = support.temporary_folder()
        self.folder = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def open(self, tls, imap, smtp):
        host, ports = self.server.host, self.server.ports
        thunderbird = Thunderbird(self.folder, support.free_ports(1)[0], {})
        self.addCleanup(thunderbird.stop)
        self.marionette = thunderbird.marionette
        pem = ssl.get_server_certificate((host, ports["imaps"]))
        certificate = base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()
        self.run_script(TRUST, host, [ports[imap], ports[smtp]], certificate)
        self.run_script(MAKE_ACCOUNT, host, ports[imap], ports[smtp], ALICE, PASSWORD, tls)

    def run_script(self, script, *arguments):
        return self.marionette.run(PRELUDE + script, *arguments)

    def picture(self, name):
        folder = os.environ.get("POSTRIDER_SCREENSHOTS")
        path = os.path.join(folder or self.folder, f"thunderbird-{name}.png")
        self.marionette.screenshot(path)
        self.assertGreater(os.path.getsize(path), 10_000)

    def server_sees(self, mailbox, subject, user=ALICE):
        """Flags of the message with this subject as another client sees them, or None."""
        with self.server.imap(user) as client:
            ok(client.select(quoted(mailbox), readonly=True))
            found = ok(client.search(None, "SUBJECT", quoted(subject)))[0].split()
            flags = ok(client.fetch(found[0], "(FLAGS)"))[0] if found else None
            return flags.decode() if flags else None  # it may have gone between the two commands

    def test_a_day_with_it(self):
        self.server.deliver(subject="first mail", body="This is the text of the first mail.\r\n")
        self.wait_for_mail("first mail")
        self.open("SSL", "imaps", "submissions")

        folders = self.run_script(FOLDERS, ["INBOX", "Drafts", "Sent", "Trash", "Junk", "Archive"])
        for name, use in (("INBOX", "inbox"), ("Drafts", "drafts"), ("Sent", "sent"), ("Trash", "trash"), ("Junk", "junk"),
                          ("Archive", "archive")):
            self.assertTrue(folders[name][use], f"{name} is not known as {use}: {folders}")

        # Read: the list, the text in the window, the source.
        self.run_script('await arrives("INBOX", args[0]);', "first mail")
        shown = self.run_script(SHOW, "INBOX", "first mail", "This is the text")
        self.assertIn("This is the text of the first mail.", shown)
        self.picture("read")
        source = self.run_script('return await text(message("INBOX", args[0]));', "first mail")
        self.assertIn("Subject: first mail\r\n", source)
        self.assertTrue(source.endswith("This is the text of the first mail.\r\n"), repr(source[-80:]))

        # Flag: star and read mark, as another client sees them.
        self.run_script('const it = message("INBOX", args[0]); it.folder.markMessagesFlagged([it], true);'
                        'it.folder.markMessagesRead([it], true);', "first mail")
        support.wait_until(lambda: "\\Flagged" in (self.server_sees("INBOX", "first mail") or ""), "the star is on the server")
        support.wait_until(lambda: "\\Seen" in (self.server_sees("INBOX", "first mail") or ""), "the read mark is on the server")
        # A flag that another client sets shows here.
        with self.server.imap(mailbox="INBOX") as client:
            number = ok(client.search(None, "SUBJECT", '"first mail"'))[0]
            ok(client.store(number, "-FLAGS", "(\\Flagged)"))
        self.run_script('await until(() => !message("INBOX", args[0]).isFlagged, "the star of another client goes");', "first mail")

        # New mail is pushed while Thunderbird idles in INBOX.
        self.server.deliver(subject="pushed mail", body="pushed\r\n")
        self.run_script('await until(() => message("INBOX", args[0]), "the pushed mail appears by itself");', "pushed mail")
        self.picture("pushed")

        # Make a folder, move a message there.
        self.run_script('server.rootFolder.createSubfolder(args[0], null); await until(() => folder(args[0]), "the folder is made");',
                        "Projects")
        self.run_script('''MailServices.copy.copyMessages(folder("INBOX"), [message("INBOX", args[0])], folder(args[1]), true,
                                                       null, null, false);
                           await leaves("INBOX", args[0]);
                           await arrives(args[1], args[0]);''', "first mail", "Projects")
        self.assertIsNotNone(self.server_sees("Projects", "first mail"))
        self.assertIsNone(self.server_sees("INBOX", "first mail"))
        self.run_script(SHOW, "Projects", "first mail", "This is the text")
        self.picture("moved")

        # Delete it: into Trash, then for good.
        self.run_script('''folder(args[1]).deleteMessages([message(args[1], args[0])], null, false, false, null, false);
                           await leaves(args[1], args[0]);
                           await arrives("Trash", args[0]);''', "first mail", "Projects")
        self.assertIsNotNone(self.server_sees("Trash", "first mail"))
        self.assertIsNone(self.server_sees("Projects", "first mail"))
        self.run_script('folder("Trash").emptyTrash(null);')
        support.wait_until(lambda: self.server_sees("Trash", "first mail") is None, "Trash is empty on the server")

        # Send: Bob gets it, a copy lies in Sent.
        self.run_script(SEND, BOB, "sent by Thunderbird", "Greetings from a real mail program.")
        self.wait_for_mail("sent by Thunderbird", BOB)
        support.wait_until(lambda: self.server_sees("Sent", "sent by Thunderbird"), "a copy is in Sent")
        with self.server.imap(BOB, mailbox="INBOX") as client:
            number = ok(client.search(None, "SUBJECT", '"sent by Thunderbird"'))[0]
            received = ok(client.fetch(number, "(BODY.PEEK[])"))[0][1].decode()
        self.assertIn("Greetings from a real mail program.", received)
        self.assertIn("User-Agent: Mozilla Thunderbird", received)
        self.picture("sent")

    def test_starttls(self):
        self.server.deliver(subject="over STARTTLS", body="secured\r\n")
        self.wait_for_mail("over STARTTLS")
        self.open("STARTTLS", "imap", "submission")
        self.run_script(FOLDERS, ["INBOX", "Sent"])
        self.run_script('await arrives("INBOX", args[0]);', "over STARTTLS")
        self.run_script(SEND, BOB, "sent over STARTTLS", "secured, too")
        self.wait_for_mail("sent over STARTTLS", BOB)


if __name__ == "__main__":
    support.main()
