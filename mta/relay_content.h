// The content of a message as one host takes it: as it is, or converted (RFC 6152 3, RFC 3030).
#pragma once

#include <memory>
#include <string>

#include "common/smtp/extensions.h"
#include "mta/outcome.h"
#include "store/message_source.h"

namespace postrider {

struct Content {
  std::shared_ptr<const store::Spool> body;
  bool eight_bit = false;  // BODY=8BITMIME
  bool binary = false;     // BODY=BINARYMIME
};

/// Whether the host has to be looked at twice before it gets the message: then fit_content() reads it. Otherwise
/// content is what to send.
bool content_fits(const store::QueuedMessage& message, const smtp::Extensions& offered);

struct FittedContent {
  Content content;
  bool utf8_header = false;  // the host must offer SMTPUTF8
  std::string trouble;       // why the content cannot be converted; empty: it is converted, or need not be
};
/// Reads the message, and writes another one where it has to be converted: for a worker thread, unless all is in
/// memory. directory: where a large one is written. Throws where a file cannot be read or written.
FittedContent fit_content(const store::QueuedMessage& message, const smtp::Extensions& offered,
                          const std::string& directory);

/// The address for a host without SMTPUTF8: its domain as A-labels. Empty where the local part is not ASCII.
std::string ascii_address(const std::string& address);
/// ORCPT for a host without SMTPUTF8 (RFC 6533 3, utf-8-addr-xtext).
std::string ascii_orcpt(const std::string& orcpt);

}  // namespace postrider
