#include "imapd/search_result.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <span>

#include "imapd/proto/writer.h"

namespace postrider::imap {
namespace {

using Found = SearchRun::Found;

/// With a blank before it; quick, because there may be very many.
void append_number(std::string& out, uint32_t number) {
  std::array<char, 12> text{' '};
  auto end = std::to_chars(text.data() + 1, text.data() + text.size(), number).ptr;
  out.append(text.data(), end);
}

/// In the order that it is in: a run is written as a range only where it ascends.
std::string ordered_set(std::span<const Found> found, const SearchAnswer& answer, const View& view) {
  NumberRanges ranges;
  for (const Found& one : found) {
    uint32_t number = answer.uids ? one.uid : view.number_of(one.uid);
    if (!ranges.empty() && ranges.back().last + 1 == number) {
      ranges.back().last = number;
    } else {
      ranges.push_back({number, number});
    }
  }
  return format_set(ranges);
}

store::ModSeq greatest_modseq(const ReturnOptions& options, const std::vector<Found>& found) {
  bool ends_only = !options.all && !options.count && !options.partial && (options.min || options.max);
  store::ModSeq greatest = 0;
  for (const Found& one : found) {
    bool told = !ends_only || (options.min && &one == &found.front()) || (options.max && &one == &found.back());
    if (told) greatest = std::max(greatest, one.modseq);
  }
  return greatest;
}

/// score-list = "(" [score *(SP score)] ")" (RFC 6203 7)
void append_relevancy(std::string& out, std::span<const Found> found) {
  out += " RELEVANCY (";
  const size_t begin = out.size();
  for (const Found& one : found) append_number(out, one.relevancy);
  if (out.size() > begin) out.erase(begin, 1);
  out += ')';
}

void append_esearch(std::string& out, const SearchAnswer& answer, const ReturnOptions& options,
                    const std::vector<Found>& found, const View& view) {
  auto number = [&](const Found& one) { return answer.uids ? one.uid : view.number_of(one.uid); };
  out += "* ESEARCH (TAG ";
  append_string(out, answer.tag);
  if (!answer.mailbox.empty()) out += " " + answer.mailbox;
  out += ')';
  if (answer.uids) out += " UID";
  if (options.min && !found.empty()) append_format(out, " MIN {}", number(found.front()));
  if (options.max && !found.empty()) append_format(out, " MAX {}", number(found.back()));
  if (options.count) append_format(out, " COUNT {}", found.size());
  if (options.partial) {
    Stretch stretch = stretch_of(*options.partial, found.size());
    auto part = std::span(found).subspan(stretch.first, stretch.last - stretch.first);
    auto [near, far] = std::minmax(options.partial->first, options.partial->last,
                                   [](int64_t a, int64_t b) { return std::abs(a) < std::abs(b); });
    append_format(out, " PARTIAL ({}:{} {})", near, far, part.empty() ? "NIL" : ordered_set(part, answer, view));
    if (options.relevancy) append_relevancy(out, part);
  }
  bool all = options.all || !options.given;
  if (all && !found.empty()) append_format(out, " ALL {}", ordered_set(found, answer, view));
  if (options.relevancy && !options.partial) append_relevancy(out, found);
  if (answer.modseq && !found.empty()) append_format(out, " MODSEQ {}", greatest_modseq(options, found));
  out += "\r\n";
}

}  // namespace

void append_search_result(std::string& out, const SearchAnswer& answer, const ReturnOptions& options,
                          const std::vector<Found>& found, const View& view) {
  // SAVE alone is told nothing (RFC 5182 2.1).
  bool silent = options.save && !options.update && !options.min && !options.max && !options.all && !options.count &&
                !options.partial;
  if (silent) return;
  if (answer.extended) return append_esearch(out, answer, options, found, view);
  append_format(out, "* {}", answer.word);
  for (const Found& one : found) append_number(out, answer.uids ? one.uid : view.number_of(one.uid));
  if (answer.modseq && !found.empty()) append_format(out, " (MODSEQ {})", greatest_modseq(options, found));
  out += "\r\n";
}

store::UidRanges uids_to_save(const ReturnOptions& options, const std::vector<Found>& found) {
  store::UidRanges uids;
  bool ends_only = (options.min || options.max) && !options.all && !options.count && !options.partial;
  for (const Found& one : found) {
    bool kept = !ends_only || (options.min && &one == &found.front()) || (options.max && &one == &found.back());
    if (kept) uids.push_back({one.uid, one.uid});
  }
  return store::normalize(std::move(uids));
}

Stretch stretch_of(const Positions& positions, size_t count) {
  auto [low, high] = std::minmax(positions.first, positions.last);
  auto size = static_cast<int64_t>(count);
  // From the end, -1 is the last one.
  int64_t first = low > 0 ? low - 1 : size + low;
  int64_t last = low > 0 ? high : size + high + 1;
  first = std::clamp<int64_t>(first, 0, size);
  last = std::clamp<int64_t>(last, first, size);
  return {static_cast<size_t>(first), static_cast<size_t>(last)};
}

}  // namespace postrider::imap
