"""Thunderbird with an account on the server under test, and the scripts that do in it what a user's hands would do.

With POSTRIDER_SCREENSHOTS=FOLDER the tests leave pictures of its window there.
"""

import base64
import os
import ssl

import support
from marionette import Thunderbird
from support import ALICE, PASSWORD

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
const [host, imap, smtp, address, password, tls, settings] = args;
for (const [name, value] of Object.entries(settings)) Services.prefs.setBoolPref("mail.server.default." + name, value);
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


class ThunderbirdCase(support.ServerTest):
    """Each test opens a Thunderbird of its own, as Alice's."""

    def setUp(self):
        context = support.temporary_folder()
        self.folder = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def open(self, tls, imap, smtp, settings=None):
        host, ports = self.server.host, self.server.ports
        thunderbird = Thunderbird(self.folder, support.free_ports(1)[0], {})
        self.addCleanup(thunderbird.stop)
        self.marionette = thunderbird.marionette
        pem = ssl.get_server_certificate((host, ports["imaps"]))
        certificate = base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()
        self.run_script(TRUST, host, [ports[imap], ports[smtp]], certificate)
        self.run_script(MAKE_ACCOUNT, host, ports[imap], ports[smtp], ALICE, PASSWORD, tls, settings or {})

    def run_script(self, script, *arguments):
        return self.marionette.run(PRELUDE + script, *arguments)

    def picture(self, name):
        folder = os.environ.get("POSTRIDER_SCREENSHOTS")
        path = os.path.join(folder or self.folder, f"thunderbird-{name}.png")
        self.marionette.screenshot(path)
        self.assertGreater(os.path.getsize(path), 10_000)
