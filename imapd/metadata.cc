#include "imapd/metadata.h"

#include <algorithm>

#include "imapd/proto/writer.h"

namespace postrider::imap {
namespace {

/// Whether a name lies at most depth levels below an entry.
bool is_below(std::string_view name, std::string_view entry, uint32_t depth) {
  if (name.size() <= entry.size() || !name.starts_with(entry) || name[entry.size()] != '/') return false;
  std::string_view rest = name.substr(entry.size() + 1);
  return depth == GetMetadataCommand::kInfinity || std::count(rest.begin(), rest.end(), '/') < depth;
}

}  // namespace

std::vector<store::Annotation> chosen(const GetMetadataCommand& command, const std::vector<store::Annotation>& all,
                                      size_t& longer) {
  std::vector<store::Annotation> some;
  auto take = [&](const store::Annotation& annotation) {
    size_t size = annotation.value ? annotation.value->size() : 0;
    if (size > command.max_size.value_or(UINT32_MAX)) {
      longer = std::max(longer, size);
    } else if (std::none_of(some.begin(), some.end(), [&](const auto& a) { return a.name == annotation.name; })) {
      some.push_back(annotation);
    }
  };
  for (const std::string& entry : command.entries) {
    auto itself = std::find_if(all.begin(), all.end(), [&](const auto& a) { return a.name == entry; });
    if (itself != all.end()) {
      take(*itself);
    } else if (command.depth == 0) {
      take({store::kServerAnnotations, entry, std::nullopt});
    }
    if (command.depth == 0) continue;
    for (const store::Annotation& annotation : all) {
      if (is_below(annotation.name, entry, command.depth)) take(annotation);
    }
  }
  return some;
}

void append_metadata(std::string& out, std::string_view mailbox, const std::vector<std::string>& entries,
                     const std::vector<store::Annotation>& annotations, bool utf8) {
  GetMetadataCommand command;
  command.entries = entries;
  size_t longer = 0;
  append_metadata(out, mailbox, chosen(command, annotations, longer), utf8);
}

void append_metadata(std::string& out, std::string_view mailbox, const std::vector<store::Annotation>& annotations,
                     bool utf8) {
  if (annotations.empty()) return;
  out += "* METADATA ";
  append_mailbox(out, mailbox, utf8);
  char before = '(';
  out += ' ';
  for (const store::Annotation& annotation : annotations) {
    out += std::exchange(before, ' ');
    append_astring(out, annotation.name);
    out += ' ';
    if (annotation.value) {
      append_string8(out, *annotation.value);
    } else {
      out += "NIL";
    }
  }
  out += ")\r\n";
}

}  // namespace postrider::imap
