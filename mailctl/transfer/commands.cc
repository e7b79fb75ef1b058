// mailctl export and mailctl import: mail in and out.
#include "mailctl/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include "mailctl/transfer/transfer.h"

namespace postrider::mailctl {
namespace {

void run_export(Context& context, const TransferOptions& options) {
  const store::AccountInfo info = context.account(options.address);
  if (::access(context.accounts().path_of(info.id).c_str(), F_OK) != 0)
    throw CommandFailed(fmt::format("The account {} never had mail.", info.address));
  if (options.maildir.empty() == options.mbox.empty())
    throw CommandFailed("Say where to: --maildir DIR or --mbox DIR.", kUsage);
  options.mbox.empty() ? export_maildir(context, options) : export_mbox(context, options);
}

void run_import(Context& context, const TransferOptions& options) {
  const int sources =
      (options.maildir.empty() ? 0 : 1) + (options.mbox.empty() ? 0 : 1) + (options.imap.empty() ? 0 : 1);
  if (sources != 1) throw CommandFailed("Say where from: --maildir DIR, --mbox PATH or --imap HOST.", kUsage);
  Importer importer(context, context.account(options.address), options.folder, options.into);
  std::string why;
  try {
    if (!options.maildir.empty()) import_maildir(context, options, importer);
    if (!options.mbox.empty()) import_mbox(context, options, importer);
    if (!options.imap.empty()) import_imap(context, options, importer);
  } catch (const CommandFailed& failed) {
    if (failed.status() == kUsage) throw;
    why = failed.what();
  }
  importer.finish(why);
}

}  // namespace

void add_transfer_commands(CLI::App& app, Context& context) {
  auto out = std::make_shared<TransferOptions>();
  CLI::App* command = app.add_subcommand("export", "Writes an account's mail into a Maildir or mbox files.");
  describe(
      *command,
      "Writes an account's mail into a Maildir (Maildir++: DIR is INBOX, a folder is DIR/.Name.Name) or mbox files "
      "(one a folder, DIR/Name/Name.mbox), with flags, keywords and dates. The daemons may run.\n\n"
      "The same command again goes on where it ended, and adds what came since. In a Maildir the flags of what is "
      "there follow; nothing is ever removed from an export. DIR must be writable by the user that mailctl works "
      "as.",
      "  mailctl export --maildir /srv/export/alice alice@example.org\n"
      "  mailctl export --mbox /srv/export/alice --folder Projects alice@example.org\n");
  command->add_option("ADDRESS", out->address, "The account's address.")->required();
  CLI::Option* maildir = command->add_option("--maildir", out->maildir, "Into this Maildir.")->type_name("DIR");
  command->add_option("--mbox", out->mbox, "Into mbox files in this folder.")->type_name("DIR")->excludes(maildir);
  command->add_option("--folder", out->folder, "This folder only.")->type_name("NAME");
  command->callback([&context, out] { run_export(context, *out); });

  auto in = std::make_shared<TransferOptions>();
  command = app.add_subcommand("import", "Takes mail over from a Maildir, mbox files or another server.");
  describe(
      *command,
      "Takes mail over into an account: from a Maildir with its folders, from an mbox file or a folder of such, or "
      "from "
      "an account of another server by IMAP; with flags, keywords and dates. The source is only read. Folders that are "
      "missing are made. The account's quota does not stop an import. The daemons may run.\n\n"
      "The same command again goes on where it ended, and takes over what came since: the account remembers for 90 "
      "days what was imported, even where it was moved or removed since. Flags that changed since are not taken over. "
      "What is no message is passed over and told, and the exit status is 1.\n\n"
      "At a terminal the password is asked for and not shown. It goes over TLS only, and the server's certificate must "
      "be good, unless the server is on this machine.",
      "  mailctl import --maildir /home/alice/Maildir alice@example.org\n"
      "  mailctl import --mbox /srv/old/archive.mbox --into Archive alice@example.org\n"
      "  mailctl import --imap imap.example.net --user alice alice@example.org\n"
      "  printf '%s\\n' \"$PASSWORD\" | mailctl import --imap imap.example.net --user alice --password-stdin "
      "alice@example.org\n");
  command->add_option("ADDRESS", in->address, "The account's address.")->required();
  maildir = command->add_option("--maildir", in->maildir, "From this Maildir.")->type_name("DIR");
  CLI::Option* mbox = command->add_option("--mbox", in->mbox, "From this mbox file, or those in this folder.")
                          ->type_name("PATH")
                          ->excludes(maildir);
  CLI::Option* imap = command->add_option("--imap", in->imap, "From this server; port 993, with --starttls 143.")
                          ->type_name("HOST[:PORT]")
                          ->excludes(maildir)
                          ->excludes(mbox);
  command->add_option("--user", in->user, "The name to log in with there.")->type_name("NAME")->needs(imap);
  command
      ->add_flag("--password-stdin", in->password_stdin,
                 "The first line of standard input is the password there. At a terminal it is asked for without this.")
      ->needs(imap);
  CLI::Option* starttls = command->add_flag("--starttls", in->starttls, "TLS by STARTTLS.")->needs(imap);
  command->add_flag("--no-tls", in->no_tls, "No TLS: only to this machine.")->needs(imap)->excludes(starttls);
  command->add_flag("--insecure", in->insecure, "Any certificate will do: only to this machine.")->needs(imap);
  command->add_option("--folder", in->folder, "This folder of the source only.")->type_name("NAME");
  command->add_option("--into", in->into, "Everything goes into this folder, and below it.")->type_name("FOLDER");
  command->callback([&context, in] { run_import(context, *in); });
}

}  // namespace postrider::mailctl
