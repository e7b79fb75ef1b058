#include "mailctl/help.h"

#include <fmt/format.h>

#include <algorithm>

namespace postrider::mailctl {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kNameColumn = 30;

std::string whole_name(const CLI::App* app) {
  const CLI::App* parent = app->get_parent();
  return parent == nullptr ? app->get_name() : whole_name(parent) + ' ' + app->get_name();
}

/// One paragraph.
void append_wrapped(std::string& out, std::string_view text, size_t width) {
  size_t column = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (column > 0 && column + 1 + word.size() > width) {
      out += '\n';
      column = 0;
    }
    if (column > 0) out += ' ';
    column += (column > 0 ? 1 : 0) + word.size();
    out += word;
  }
}

}  // namespace

std::string wrap(std::string_view text, size_t width) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find("\n\n"), text.size());
    if (!out.empty()) out += "\n\n";
    append_wrapped(out, text.substr(0, end), width);
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return out;
}

HelpFormatter::HelpFormatter() {
  column_width(kNameColumn);
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string) const {
  return '\n' + CLI::Formatter::make_usage(app, whole_name(app));
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return wrap(app->get_description(), kWidth) + '\n';
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  const std::string description = command->get_description();
  size_t end = description.find_first_of(".:");
  return fmt::format("  {:<{}}{}\n", command->get_name(), kNameColumn - 2,
                     description.substr(0, std::min(end, description.size())));
}

}  // namespace postrider::mailctl
