// Figures of a running process in Prometheus's text format (exposition format 0.0.4).
//
// What is counted is an object of static life time, which enters itself in a list when the program starts: counting is
// a relaxed addition, without a lock, an allocation or a text. What can be looked up is not counted: whoever writes the
// page looks it up. docs/metrics.md has every name.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace postrider::metrics {

constexpr size_t kMaxBuckets = 20;      // of one histogram
constexpr size_t kMaxPageText = 1'000;  // octets of one label's value

enum class Type { counter, gauge, histogram };

/// What is read at once, family after family.
class Page {
 public:
  /// The values that follow are of this name. help: one line, a sentence.
  void family(std::string_view name, Type type, std::string_view help);
  /// label: a name, empty for a value without one; text: its value, any octets.
  void value(double number, std::string_view label = {}, std::string_view text = {});
  void value(uint64_t number, std::string_view label = {}, std::string_view text = {});
  void value(int64_t number, std::string_view label = {}, std::string_view text = {});
  /// counts: of each bucket by itself, one more than bounds; bounds: in the unit of the values.
  void histogram(std::span<const double> bounds, std::span<const uint64_t> counts, double sum,
                 std::string_view label = {}, std::string_view text = {});
  const std::string& text() const { return text_; }

 private:
  void line(std::string_view suffix, std::string_view label, std::string_view text, std::string_view bound,
            std::string_view number);
  std::string name_, text_;
};

/// The names of one label's values; a counter that has none is a single one.
struct Label {
  std::string_view name;
  std::initializer_list<std::string_view> values;
};

/// One name with all its values. Text must be constant.
class Family {
 public:
  virtual ~Family() = default;
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  std::string_view name() const { return name_; }
  virtual void write(Page& page) const = 0;

 protected:
  Family(std::string_view name, std::string_view help, Label label);
  void begin(Page& page, Type type) const { page.family(name_, type, help_); }

  const std::string_view name_, help_, label_;
  std::array<std::string_view, 24> values_{};  // names of the label's values; a single empty one without a label
  size_t size_ = 1;

 private:
  friend void write_counted(Page& page);
  Family* next_ = nullptr;
};

/// Everything that is counted in this process, in the order of the names.
void write_counted(Page& page);

/// Grows, and begins at 0 with the process.
class Counter final : public Family {
 public:
  /// A number of its own cache line: two loops that count do not slow each other down.
  class alignas(64) Cell {
   public:
    void add(uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
    uint64_t value() const { return value_.load(std::memory_order_relaxed); }

   private:
    std::atomic<uint64_t> value_ = 0;
  };

  Counter(std::string_view name, std::string_view help, Label label = {});
  void write(Page& page) const override;
  /// index: of the label's value.
  Cell& operator[](size_t index) { return cells_[index]; }
  void add(uint64_t amount = 1) { cells_[0].add(amount); }
  uint64_t value() const { return cells_[0].value(); }

 private:
  const std::unique_ptr<Cell[]> cells_;
};

/// Goes up and down.
class Gauge final : public Family {
 public:
  Gauge(std::string_view name, std::string_view help) : Family(name, help, {}) {}
  void write(Page& page) const override;
  void set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(int64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_ = 0;
};

/// Whole numbers (durations: microseconds, shown as seconds) by size.
class Histogram final : public Family {
 public:
  struct Scale {
    std::span<const uint64_t> bounds;  // ascending, at most kMaxBuckets
    uint64_t unit = 1;                 // what is shown as 1
  };
  class alignas(64) Cell {
   public:
    void observe(uint64_t amount) {
      size_t bucket = 0;
      while (bucket < scale_.bounds.size() && amount > scale_.bounds[bucket]) ++bucket;
      counts_[bucket].fetch_add(1, std::memory_order_relaxed);
      sum_.fetch_add(amount, std::memory_order_relaxed);
    }
    /// Of a histogram of durations. Less than nothing is nothing.
    void observe(std::chrono::steady_clock::duration taken) {
      const auto count = std::chrono::duration_cast<std::chrono::microseconds>(taken).count();
      observe(count > 0 ? static_cast<uint64_t>(count) : uint64_t{0});
    }
    uint64_t count() const;

   private:
    friend class Histogram;
    Scale scale_;
    std::array<std::atomic<uint64_t>, kMaxBuckets + 1> counts_{};
    std::atomic<uint64_t> sum_ = 0;
  };

  Histogram(std::string_view name, std::string_view help, Scale scale, Label label = {});
  void write(Page& page) const override;
  Cell& operator[](size_t index) { return cells_[index]; }
  template <class Amount>
  void observe(Amount amount) {
    cells_[0].observe(amount);
  }
  uint64_t count() const { return cells_[0].count(); }

 private:
  const Scale scale_;
  const std::unique_ptr<Cell[]> cells_;
};

/// Observes the time of its life.
class Timing {
 public:
  explicit Timing(Histogram::Cell& cell) : cell_(cell) {}
  ~Timing() { cell_.observe(std::chrono::steady_clock::now() - began_); }
  Timing(const Timing&) = delete;
  Timing& operator=(const Timing&) = delete;

 private:
  Histogram::Cell& cell_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// 100 us to a minute.
inline constexpr std::array<uint64_t, 18> kDurationBounds = {
    100,     250,     500,     1'000,     2'500,     5'000,     10'000,     25'000,     50'000,
    100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000, 60'000'000};
inline constexpr Histogram::Scale kDurations{kDurationBounds, 1'000'000};
inline constexpr std::array<uint64_t, 11> kGroupBounds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1'024};
inline constexpr Histogram::Scale kGroups{kGroupBounds, 1};

}  // namespace postrider::metrics
