// libFuzzer target: a filter tree driven by lines. `i filter` inserts, `e filter` erases, every
// other line is a topic to match. Oracles: a map with the naive matcher; parse_filter() agrees with
// valid_topic_filter(); a step limit only ever shortens the answer.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proto/mqtt/filter_tree.h"
#include "proto/mqtt/topic.h"

namespace quorate::mqtt {
namespace {

constexpr std::size_t kFiltersMax = 200;

class Run {
  public:
    explicit Run(uint64_t seed) : tree_(seed) {}

    void line(std::string_view text) {
        if (text.starts_with("i ") || text.starts_with("e ")) {
            change(text.front() == 'i', text.substr(2));
        } else if (valid_topic_name(text)) {
            match(text);
        }
    }

  private:
    static void require(bool condition) {
        if (!condition) std::abort();
    }

    void change(bool insert, std::string_view text) {
        const std::optional<ParsedFilter> parsed = parse_filter(text);
        if (!text.starts_with("$share/")) {
            require(parsed.has_value() == valid_topic_filter(text));
        }
        if (!parsed.has_value()) return;
        require(valid_topic_filter(parsed->filter));
        require(text.ends_with(parsed->filter));
        const std::string filter(parsed->filter);
        if (insert && model_.size() < kFiltersMax) {
            tree_.get_or_insert(filter) = ++last_;
            model_[filter] = last_;
        } else if (!insert) {
            require(tree_.erase(filter) == (model_.erase(filter) == 1));
        }
        require(tree_.size() == model_.size());
    }

    void match(std::string_view topic) {
        std::vector<int> wanted;
        for (const auto& [filter, value] : model_) {
            if (filter_matches(filter, topic)) wanted.push_back(value);
        }
        std::vector<int> found;
        const auto collect = [&found](const int& value) { found.push_back(value); };
        require(tree_.match(topic, collect));
        const std::vector<int> in_order = found;
        std::sort(found.begin(), found.end());
        std::sort(wanted.begin(), wanted.end());
        require(found == wanted);
        found.clear();
        const bool whole = tree_.match(topic, collect, 3);
        require(found.size() <= in_order.size() && (!whole || found == in_order));
        require(std::equal(found.begin(), found.end(), in_order.begin()));
    }

    FilterTree<int> tree_;
    std::map<std::string, int> model_;
    int last_ = 0;
};

}  // namespace
}  // namespace quorate::mqtt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    quorate::mqtt::Run run(size);
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        run.line(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return 0;
}
