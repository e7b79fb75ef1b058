"""Thunderbird itself, headless: makes the account, reads, flags, moves, deletes and sends, and is told of new mail."""

import support
from support import ALICE, BOB, ok
from thunderbird import FOLDERS, SEND, SHOW, ThunderbirdCase


# Every message is listed, then each one's text is fetched and kept.
OFFLINE = """
const [name, count] = args;
const large = folder(name);
const patiently = async (condition, what) => {
  let before = -1;
  for (let end = Date.now() + 60000; condition() < count; ) {
    if (condition() > before) { before = condition(); end = Date.now() + 60000; }
    if (Date.now() > end) throw new Error(`${what}: ${before} of ${count}, and no more for 60 s`);
    await new Promise((resolve) => window.setTimeout(resolve, 100));
  }
};
large.setFlag(Flags.Offline);
large.updateFolder(null);
await patiently(() => messages(name).length, "messages are listed");
await until(() => {
  try {
    large.downloadAllForOffline(null, null);
    return true;
  } catch (error) {
    if (error.result == 0x8055000a) return false;  // busy: it begins to download by itself, too
    throw error;
  }
}, "the folder is free");
await patiently(() => messages(name).filter((one) => one.flags & Ci.nsMsgMessageFlags.Offline).length, "texts are kept");
const last = messages(name).find((one) => one.mime2DecodedSubject == "number 4949");
if (!(await text(last)).includes("text ".repeat(49))) throw new Error("the text is not what it was");
"""


def quoted(name):
    return '"' + name + '"'


class ThunderbirdTest(ThunderbirdCase):
    """One user's session; the steps are in one test because each stands on the one before."""

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

    def test_offline_copy_of_a_large_folder(self):
        count = 5_000
        with self.server.imap() as client:
            ok(client.create("Large"))
            ok(client.subscribe("Large"))
            for first in range(0, count, 500):
                texts = [b"From: a@example.test\r\nSubject: number %d\r\nMessage-ID: <%d@large>\r\n\r\n%s\r\n" %
                         (number, number, b"text " * (number % 50)) for number in range(first, first + 500)]
                client.send(b"big APPEND Large" + b"".join(b" {%d+}\r\n%s" % (len(text), text) for text in texts) + b"\r\n")
                self.assertRegex(client.readline(), rb"^big OK")
        self.open("SSL", "imaps", "submissions", {"use_compress_deflate": True, "use_condstore": True})
        self.run_script(FOLDERS, ["INBOX", "Large"])
        self.run_script(OFFLINE, "Large", count)
        # What another client does meanwhile is all that is asked for the next time.
        with self.server.imap(mailbox="Large") as client:
            ok(client.store("17", "+FLAGS", "(\\Flagged)"))
            ok(client.store("4000:4001", "+FLAGS", "(\\Deleted)"))
            ok(client.expunge())
        self.run_script('''folder("Large").updateFolder(null);
                           await until(() => message("Large", "number 16").isFlagged, "the star shows");
                           await until(() => messages("Large").length == args[0] - 2, "the expunged ones go");
                           if (message("Large", "number 3999")) throw new Error("the wrong messages went");''', count)

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
