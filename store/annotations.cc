#include "store/annotations.h"

#include <fmt/format.h>

#include "store/edit_internal.h"

namespace postrider::store {
namespace {

Annotation read_annotation(const Rows& row) {
  Annotation annotation{row->integer(0), std::string(row->text(1)), std::nullopt};
  if (!row->is_null(2)) annotation.value = std::string(row->blob(2));
  return annotation;
}

}  // namespace

std::vector<Annotation> Account::annotations(MailboxId mailbox, AccountId user) {
  std::vector<Annotation> all;
  Rows rows(database_
                .prepare("SELECT mailbox, name, value FROM annotation WHERE mailbox = ?1 AND reader IN (0, ?2) "
                         "AND value IS NOT NULL ORDER BY name")
                .bind(mailbox, user));
  while (rows.next()) all.push_back(read_annotation(rows));
  return all;
}

std::vector<Annotation> Account::annotations_since(ModSeq since, AccountId user) {
  std::vector<Annotation> all;
  Rows rows(database_
                .prepare("SELECT mailbox, name, value FROM annotation WHERE modseq > ?1 AND reader IN (0, ?2) "
                         "ORDER BY mailbox, name")
                .bind(since, user));
  while (rows.next()) all.push_back(read_annotation(rows));
  return all;
}

StoreResult<void> Edit::annotate(const Annotation& annotation, AccountId user) {
  Database& db = account_.database_;
  AccountId reader = is_private(annotation.name) ? user : 0;
  if (!annotation.value) {
    // The row stays, so that sessions are told that the value is gone.
    db.prepare(
          "UPDATE annotation SET value = NULL, modseq = ?4 WHERE mailbox = ?1 AND reader = ?2 AND name = ?3 "
          "AND value IS NOT NULL")
        .bind(annotation.mailbox, reader, annotation.name, modseq_)
        .run();
    if (db.changes() > 0) bump();
    return {};
  }
  auto count = [&](std::string_view sql) {
    Rows rows(db.prepare(sql).bind(annotation.mailbox, reader, annotation.name));
    rows.next();
    return static_cast<size_t>(rows->integer(0));
  };
  if (count("SELECT count(value) FROM annotation WHERE mailbox = ?1 AND reader = ?2 AND name <> ?3") >=
      kMaxAnnotations) {
    return tl::unexpected(
        StoreFailure{StoreFault::limit, fmt::format("A mailbox has at most {} annotations.", kMaxAnnotations)});
  }
  if (count("SELECT count(*) FROM annotation WHERE mailbox = ?1 AND reader = ?2 AND name <> ?3") >=
      2 * kMaxAnnotations) {
    db.prepare("DELETE FROM annotation WHERE mailbox = ?1 AND reader = ?2 AND value IS NULL")
        .bind(annotation.mailbox, reader)
        .run();
  }
  db.prepare(
        "INSERT INTO annotation VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET value = excluded.value, "
        "modseq = excluded.modseq")
      .bind(annotation.mailbox, reader, annotation.name, Blob{*annotation.value}, modseq_)
      .run();
  bump();
  return {};
}

void Edit::bump() {
  account_.database_.prepare("UPDATE state SET modseq = ?1").bind(modseq_).run();
  changed_ = true;
}

}  // namespace postrider::store
