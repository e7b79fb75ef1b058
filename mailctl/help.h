// How --help looks: the command's whole name, a first sentence in lists, and paragraphs that fit a terminal.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace postrider::mailctl {

/// Breaks paragraphs (divided by empty lines) into lines of at most width characters.
std::string wrap(std::string_view text, size_t width);

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_subcommand(const CLI::App* command) const override;
};

}  // namespace postrider::mailctl
