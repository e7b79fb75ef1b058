#include "common/base/metrics.h"

#include <algorithm>
#include <vector>

#include "common/base/format.h"
#include "common/base/utf8.h"

namespace postrider::metrics {
namespace {

// Figures enter themselves before main(), one after the other.
constinit Family* first_family = nullptr;

std::string_view to_string(Type type) {
  switch (type) {
    case Type::counter:
      return "counter";
    case Type::gauge:
      return "gauge";
    case Type::histogram:
      return "histogram";
  }
  return "untyped";
}

/// A label's value between its quotes: UTF-8, with backslash, quote and line end escaped.
void append_label_text(std::string& out, std::string_view text) {
  text = text.substr(0, kMaxPageText);
  for (size_t i = 0; i < text.size();) {
    const size_t size = utf8_sequence(text, i);
    if (size == 0) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (text[i] == '\\' || text[i] == '"') out += '\\';
    if (text[i] == '\n') {
      out += "\\n";
    } else {
      out += text.substr(i, size);
    }
    i += size;
  }
}

std::string text_of(double number) {
  std::string text;
  append_format(text, "{}", number);
  return text;
}

}  // namespace

// --- the page

void Page::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  append_format(text_, "# HELP {} {}\n# TYPE {} {}\n", name, help, name, to_string(type));
}

void Page::line(std::string_view suffix, std::string_view label, std::string_view text, std::string_view bound,
                std::string_view number) {
  text_ += name_;
  text_ += suffix;
  if (!label.empty() || !bound.empty()) {
    text_ += '{';
    if (!label.empty()) {
      append_format(text_, "{}=\"", label);
      append_label_text(text_, text);
      text_ += bound.empty() ? "\"" : "\",";
    }
    if (!bound.empty()) append_format(text_, "le=\"{}\"", bound);
    text_ += '}';
  }
  append_format(text_, " {}\n", number);
}

void Page::value(double number, std::string_view label, std::string_view text) {
  line({}, label, text, {}, text_of(number));
}

void Page::value(uint64_t number, std::string_view label, std::string_view text) {
  line({}, label, text, {}, std::to_string(number));
}

void Page::value(int64_t number, std::string_view label, std::string_view text) {
  line({}, label, text, {}, std::to_string(number));
}

void Page::histogram(std::span<const double> bounds, std::span<const uint64_t> counts, double sum,
                     std::string_view label, std::string_view text) {
  uint64_t all = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    all += counts[i];
    line("_bucket", label, text, i < bounds.size() ? text_of(bounds[i]) : "+Inf", std::to_string(all));
  }
  line("_sum", label, text, {}, text_of(sum));
  line("_count", label, text, {}, std::to_string(all));
}

// --- what is counted

Family::Family(std::string_view name, std::string_view help, Label label)
    : name_(name), help_(help), label_(label.name), next_(first_family) {
  if (!label.name.empty()) size_ = std::min(label.values.size(), values_.size());
  std::copy_n(label.values.begin(), label.name.empty() ? 0 : size_, values_.begin());
  first_family = this;
}

void write_counted(Page& page) {
  std::vector<const Family*> families;
  for (const Family* one = first_family; one != nullptr; one = one->next_) families.push_back(one);
  std::sort(families.begin(), families.end(), [](const Family* a, const Family* b) { return a->name_ < b->name_; });
  for (const Family* one : families) one->write(page);
}

Counter::Counter(std::string_view name, std::string_view help, Label label)
    : Family(name, help, label), cells_(std::make_unique<Cell[]>(size_)) {}

void Counter::write(Page& page) const {
  begin(page, Type::counter);
  for (size_t i = 0; i < size_; ++i) page.value(cells_[i].value(), label_, values_[i]);
}

void Gauge::write(Page& page) const {
  begin(page, Type::gauge);
  page.value(value());
}

Histogram::Histogram(std::string_view name, std::string_view help, Scale scale, Label label)
    : Family(name, help, label), scale_(scale), cells_(std::make_unique<Cell[]>(size_)) {
  for (size_t i = 0; i < size_; ++i) cells_[i].scale_ = scale;
}

uint64_t Histogram::Cell::count() const {
  uint64_t all = 0;
  for (const auto& count : counts_) all += count.load(std::memory_order_relaxed);
  return all;
}

void Histogram::write(Page& page) const {
  begin(page, Type::histogram);
  const auto shown = [this](uint64_t amount) { return static_cast<double>(amount) / static_cast<double>(scale_.unit); };
  std::array<double, kMaxBuckets> bounds{};
  std::transform(scale_.bounds.begin(), scale_.bounds.end(), bounds.begin(), shown);
  for (size_t i = 0; i < size_; ++i) {
    std::array<uint64_t, kMaxBuckets + 1> counts{};
    for (size_t k = 0; k <= scale_.bounds.size(); ++k) counts[k] = cells_[i].counts_[k].load(std::memory_order_relaxed);
    page.histogram(std::span(bounds).first(scale_.bounds.size()), std::span(counts).first(scale_.bounds.size() + 1),
                   shown(cells_[i].sum_.load(std::memory_order_relaxed)), label_, values_[i]);
  }
}

}  // namespace postrider::metrics
