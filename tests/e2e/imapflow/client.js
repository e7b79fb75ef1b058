// ImapFlow and nodemailer, as a program that reads mail would use them. Run by imapflow_test.py:
//
//   node client.js STEP OPTIONS         options: {host, ports, user, password}, as JSON
//
// A step that sees what it should not ends with an error; what it is for is its name in steps.
"use strict";
const assert = require("assert");
const { once } = require("events");
const { ImapFlow } = require("imapflow");
const nodemailer = require("nodemailer");

const options = JSON.parse(process.argv[3]);
const PATIENCE = 60000;

/** A session that is logged in. how: options of ImapFlow that are not the usual ones. */
async function login(how = {}) {
  const secure = how.secure ?? true;
  const client = new ImapFlow({
    host: options.host, port: secure ? options.ports.imaps : options.ports.imap, secure, logger: process.env.POSTRIDER_TRACE ? undefined : false,
    auth: { user: options.user, pass: options.password }, tls: { rejectUnauthorized: false }, ...how });
  client.on("error", (error) => { throw error; });
  try {
    await client.connect();
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}

/** The next event of this name that fits; what comes before is passed over. */
function next(emitter, name, fits = () => true) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no "${name}" after ${PATIENCE} ms`)), PATIENCE);
    const listener = (event) => {
      if (!fits(event)) return;
      clearTimeout(late);
      emitter.off(name, listener);
      resolve(event);
    };
    emitter.on(name, listener);
  });
}

async function send(subject) {
  const { host, ports, user, password } = options;
  const transport = nodemailer.createTransport({
    host, port: ports.submissions, secure: true, auth: { user, pass: password }, tls: { rejectUnauthorized: false } });
  await transport.sendMail({ from: user, to: user, subject, text: `This is the text of ${subject}.` });
  transport.close();
}

const mail = (subject, text) =>
  `From: Carol <carol@elsewhere.test>\r\nTo: ${options.user}\r\nSubject: ${subject}\r\nMessage-ID: <${subject}@test>\r\n` +
  `Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\n${text}\r\n`;

const MULTIPART =
  "From: Carol <carol@elsewhere.test>\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nMIME-Version: 1.0\r\n" +
  'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n' +
  "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--b\r\nContent-Type: application/octet-stream\r\n" +
  'Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="a.bin"\r\n\r\nAAECAwQF\r\n--b--\r\n';

const subjects = async (client, query = "1:*") =>
  (await client.fetchAll(query, { envelope: true })).map((message) => message.envelope.subject);

async function octets(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const steps = {
  async logins() {
    for (const how of [{ secure: false, doSTARTTLS: false }, { secure: false, doSTARTTLS: true }, {}, { auth: { user: options.user,
      pass: options.password, loginMethod: "LOGIN" } }, { disableCompression: true }]) {
      const client = await login(how);
      assert.strictEqual(client.secureConnection, how.secure !== false || how.doSTARTTLS, JSON.stringify(how));
      assert.strictEqual(Boolean(client._deflate), !how.disableCompression, "COMPRESS where nothing was said against it");
      assert(client.capabilities.has("IDLE"));
      await client.logout();
    }
    await assert.rejects(login({ auth: { user: options.user, pass: "wrong" } }), (error) => error.authenticationFailed);
  },

  async mailboxes() {
    const client = await login();
    const made = await client.mailboxCreate(["Work", "Gr\u00fc\u00dfe & Pl\u00e4ne"]);
    assert(made.created);
    assert.strictEqual(made.path, "Work/Gr\u00fc\u00dfe & Pl\u00e4ne");
    assert.strictEqual((await client.mailboxCreate("Work")).created, false, "it is made above the other");
    await client.mailboxSubscribe(made.path);
    await client.append(made.path, mail("one", "text"), ["\\Seen"]);
    const all = await client.list({ statusQuery: { messages: true, unseen: true, uidNext: true } });
    const by_name = Object.fromEntries(all.map((one) => [one.path, one]));
    for (const [name, use] of [["Sent", "\\Sent"], ["Trash", "\\Trash"], ["Junk", "\\Junk"], ["Drafts", "\\Drafts"],
      ["Archive", "\\Archive"], ["INBOX", "\\Inbox"]]) assert.strictEqual(by_name[name].specialUse, use, name);
    assert(by_name[made.path].subscribed);
    assert.deepStrictEqual(by_name[made.path].status, { path: made.path, messages: 1, unseen: 0, uidNext: 2 });
    assert.strictEqual((await client.listTree()).folders.find((one) => one.name === "Work").folders.length, 1);
    await client.mailboxRename(made.path, "Work/Plans");
    const status = await client.status("Work/Plans", { messages: true, recent: true, uidValidity: true, highestModseq: true });
    assert.strictEqual(status.messages, 1);
    assert.strictEqual(typeof status.highestModseq, "bigint");
    await client.mailboxUnsubscribe(made.path);
    await client.mailboxDelete("Work/Plans");
    assert(!(await client.list()).some((one) => one.path === "Work/Plans"));
    await assert.rejects(client.status("Nowhere", { messages: true }), (error) => error.code === "NotFound");
    await client.logout();
  },

  async messages() {
    const client = await login();
    await client.mailboxCreate("Read");
    await client.mailboxCreate("Kept");
    for (const subject of ["apples", "pears", "plums"]) await client.append("Read", mail(subject, `about ${subject}`));
    const added = await client.append("Read", MULTIPART, ["\\Flagged", "$Label1"], new Date("2020-02-29T12:00:00Z"));
    const lock = await client.getMailboxLock("Read");
    assert.strictEqual(client.mailbox.exists, 4);
    assert.strictEqual(added.uid, 4);
    assert.strictEqual(added.uidValidity, client.mailbox.uidValidity);
    assert.deepStrictEqual(await subjects(client), ["apples", "pears", "plums", "Gr\u00fc\u00dfe"]);

    // Everything of one message.
    const one = await client.fetchOne(String(added.uid), { uid: true, flags: true, envelope: true, bodyStructure: true,
      internalDate: true, size: true, source: true, headers: ["subject"], bodyParts: ["1", "2"], threadId: true },
      { uid: true });
    assert(one.source.equals(Buffer.from(MULTIPART)));
    assert.strictEqual(one.size, MULTIPART.length);
    assert(one.flags.has("\\Flagged") && one.flags.has("$Label1") && !one.flags.has("\\Seen"));
    assert.strictEqual(one.internalDate.toISOString(), "2020-02-29T12:00:00.000Z");
    assert.strictEqual(one.envelope.from[0].address, "carol@elsewhere.test");
    assert.deepStrictEqual(one.bodyStructure.childNodes.map((part) => [part.part, part.type, part.encoding]),
      [["1", "text/plain", "quoted-printable"], ["2", "application/octet-stream", "base64"]]);
    assert.strictEqual(one.bodyStructure.childNodes[1].dispositionParameters.filename, "a.bin");
    assert.match(one.headers.toString(), /^Subject: =\?utf-8/);
    assert.strictEqual(one.bodyParts.get("1").toString(), "Gr=C3=BC=C3=9Fe");
    assert(one.emailId && one.threadId && one.id, "OBJECTID");
    assert((await octets((await client.download("4", "2")).content)).equals(Buffer.from([0, 1, 2, 3, 4, 5])));
    assert.strictEqual((await octets((await client.download("4")).content)).length, MULTIPART.length);

    const found = (query) => client.search(query, { uid: true });
    assert.deepStrictEqual(await found({ body: "about p" }), [2, 3]);
    assert.deepStrictEqual(await found({ or: [{ subject: "apples" }, { flagged: true }] }), [1, 4]);
    assert.deepStrictEqual(await found({ header: { "message-id": "<plums@test>" } }), [3]);
    assert.deepStrictEqual(await found({ subject: "Gr\u00fc\u00dfe" }), [4]);
    assert.deepStrictEqual(await found({ keyword: "$Label1", sentBefore: "1990-01-01" }), []);
    assert.deepStrictEqual(await found({ before: "2021-01-01", not: { subject: "pears" } }), [4]);

    assert(await client.messageFlagsAdd({ subject: "apples" }, ["\\Seen", "$Read"]));
    assert(await client.messageFlagsRemove("4", ["\\Flagged"], { uid: true }));
    assert(await client.messageFlagsSet("2", ["\\Answered"]));
    assert(await client.setFlagColor("3", "orange"));
    const flags = (await client.fetchAll("1:*", { flags: true, flagColor: true })).map((message) => [...message.flags].sort());
    assert.deepStrictEqual(flags.map((set) => set.filter((flag) => flag !== "\\Recent")),
      [["$Read", "\\Seen"], ["\\Answered"], ["$MailFlagBit0", "\\Flagged"], ["$Label1"]]);

    const copied = await client.messageCopy("1:2", "Kept");
    assert.deepStrictEqual([...copied.uidMap], [[1, 1], [2, 2]]);
    const moved = await client.messageMove({ subject: "plums" }, "Kept");
    assert.deepStrictEqual([...moved.uidMap], [[3, 3]]);
    assert(await client.messageDelete("1", { uid: true }));
    assert.deepStrictEqual(await subjects(client), ["pears", "Gr\u00fc\u00dfe"]);
    assert.strictEqual(client.mailbox.exists, 2);
    lock.release();
    await client.mailboxOpen("Kept");
    assert.deepStrictEqual(await subjects(client), ["apples", "pears", "plums"]);
    await client.logout();
  },

  // New mail, other sessions' flags and expunges come while the client idles.
  async idle() {
    const watching = await login(), working = await login({ disableAutoIdle: true });
    await watching.mailboxOpen("INBOX");
    await working.mailboxOpen("INBOX");
    const before = watching.mailbox.exists;
    const idling = watching.idle();
    const came = next(watching, "exists", (event) => event.count > before);
    await send("mail for who idles");
    assert.strictEqual((await came).prevCount, before);
    const flagged = next(watching, "flags", (event) => event.flags.has("\\Flagged"));
    await working.noop();
    await working.messageFlagsAdd({ subject: "mail for who idles" }, ["\\Flagged"]);
    assert.strictEqual((await flagged).seq, before + 1);
    const gone = next(watching, "expunge");
    await working.messageDelete({ subject: "mail for who idles" });
    assert.strictEqual((await gone).seq, before + 1);
    assert.deepStrictEqual(await watching.search({ subject: "mail for who idles" }), []);  // ends IDLE
    await idling;
    await Promise.all([watching.logout(), working.logout()]);
  },

  // What happened while the client was away, by QRESYNC and by CHANGEDSINCE.
  async resync() {
    const other = await login({ disableAutoIdle: true });
    await other.mailboxCreate("Sync");
    for (let number = 1; number <= 5; ++number) await other.append("Sync", mail(`number-${number}`, "text"));
    const first = await login({ qresync: true });
    const { uidValidity, highestModseq } = await first.mailboxOpen("Sync");
    assert(first.enabled.has("QRESYNC") && first.enabled.has("CONDSTORE"));
    await first.logout();

    await other.mailboxOpen("Sync");
    await other.messageFlagsAdd("2", ["\\Flagged"], { uid: true });
    await other.messageDelete("4:5", { uid: true });
    const again = await login({ qresync: true, disableAutoIdle: true });
    const vanished = [], changed = [];
    again.on("expunge", (event) => vanished.push(event));
    again.on("flags", (event) => changed.push(event));
    const mailbox = await again.mailboxOpen("Sync", { uidValidity, changedSince: highestModseq });
    assert(mailbox.qresync);
    assert.deepStrictEqual(vanished.map((event) => [event.uid, event.earlier]), [[4, true], [5, true]]);
    assert.deepStrictEqual(changed.map((event) => [event.uid, event.flags.has("\\Flagged")]), [[2, true]]);
    const since = await again.fetchAll("1:*", { uid: true, flags: true }, { uid: true, changedSince: highestModseq });
    assert.deepStrictEqual(since.map((message) => message.uid), [2]);
    assert(since[0].modseq > highestModseq);
    const gone = next(again, "expunge");
    await other.messageDelete("3", { uid: true });
    await again.noop();
    assert.deepStrictEqual([(await gone).uid, vanished.at(-1).vanished], [3, true]);
    await Promise.all([again.logout(), other.logout()]);
  },

  async quota() {
    const client = await login();
    const before = await client.getQuota("INBOX");
    assert.strictEqual(before.quotaRoot, "Account");
    assert.strictEqual(before.storage.limit, 1 << 20);
    await client.append("Archive", mail("large", "0123456789\r\n".repeat(10_000)));
    assert((await client.getQuota("INBOX")).storage.usage > before.storage.usage + 100_000);
    await assert.rejects(client.append("Archive", mail("too-large", "0123456789\r\n".repeat(90_000))),
      (error) => error.serverResponseCode === "OVERQUOTA");
    await client.logout();
  },
};

process.on("unhandledRejection", (error) => { throw error; });
const late = setTimeout(() => { throw new Error(`${process.argv[2]} did not end`); }, 2 * PATIENCE);
steps[process.argv[2]]().then(() => clearTimeout(late));
