// Long, because it is a whole small file system: each call takes a few lines, and all of them share
// the one overlay of names and nodes.
#include "tests/sim/faulty_file_system.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

namespace quorate::sim {
namespace {

constexpr std::size_t kSectorBytes = 512;

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus gone() {
    return IOStatus::IOError("the power is gone");
}

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
}
std::string name_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}
// RocksDB writes some paths with a slash at the end or two in a row.
std::string clean(const std::string& path) {
    std::string out;
    for (const char c : path) {
        if (c == '/' && !out.empty() && out.back() == '/') continue;
        out.push_back(c);
    }
    while (out.size() > 1 && out.back() == '/')
        out.pop_back();
    return out;
}

std::string read_whole(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Readers of what is not wholly on the real disk: a copy.
class MemorySequentialFile final : public rocksdb::FSSequentialFile {
  public:
    explicit MemorySequentialFile(std::string data) : data_(std::move(data)) {}
    IOStatus Read(size_t count, const IOOptions& /*options*/, Slice* result, char* scratch,
                  IODebugContext* /*debug*/) override {
        count = std::min(count, data_.size() - at_);
        std::copy_n(data_.data() + at_, count, scratch);
        *result = Slice(scratch, count);
        at_ += count;
        return IOStatus::OK();
    }
    IOStatus Skip(uint64_t count) override {
        at_ = std::min(data_.size(), at_ + count);
        return IOStatus::OK();
    }

  private:
    const std::string data_;
    std::size_t at_ = 0;
};

class MemoryRandomFile final : public rocksdb::FSRandomAccessFile {
  public:
    explicit MemoryRandomFile(std::string data) : data_(std::move(data)) {}
    IOStatus Read(uint64_t offset, size_t count, const IOOptions& /*options*/, Slice* result,
                  char* scratch, IODebugContext* /*debug*/) const override {
        const std::size_t begin = std::min<std::size_t>(offset, data_.size());
        count = std::min(count, data_.size() - begin);
        std::copy_n(data_.data() + begin, count, scratch);
        *result = Slice(scratch, count);
        return IOStatus::OK();
    }

  private:
    const std::string data_;
};

}  // namespace

class FaultyFileSystem::WritableFile final : public rocksdb::FSWritableFile {
  public:
    WritableFile(FaultyFileSystem& files, NodePtr node) : files_(files), node_(std::move(node)) {}

    using FSWritableFile::Append;
    IOStatus Append(const Slice& data, const IOOptions& /*options*/,
                    IODebugContext* /*debug*/) override {
        const std::lock_guard lock(files_.mutex_);
        return files_.append(*node_, data);
    }
    IOStatus Truncate(uint64_t size, const IOOptions& /*options*/,
                      IODebugContext* /*debug*/) override {
        const std::lock_guard lock(files_.mutex_);
        return files_.truncate(*node_, size);
    }
    IOStatus Close(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
        return IOStatus::OK();
    }
    IOStatus Flush(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
        return IOStatus::OK();
    }
    IOStatus Sync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
        files_.wait_for_disk();
        const std::lock_guard lock(files_.mutex_);
        return files_.sync(*node_);
    }
    [[nodiscard]] bool IsSyncThreadSafe() const override { return true; }
    uint64_t GetFileSize(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
        const std::lock_guard lock(files_.mutex_);
        return node_->data.size();
    }

  private:
    FaultyFileSystem& files_;
    const NodePtr node_;
};

class FaultyFileSystem::Directory final : public rocksdb::FSDirectory {
  public:
    Directory(FaultyFileSystem& files, std::string path, uint64_t epoch)
        : files_(files), path_(std::move(path)), epoch_(epoch) {}
    IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
        files_.wait_for_disk();
        const std::lock_guard lock(files_.mutex_);
        return epoch_ == files_.epoch_ ? files_.sync_directory(path_) : gone();
    }

  private:
    FaultyFileSystem& files_;
    const std::string path_;
    const uint64_t epoch_;
};

std::shared_ptr<rocksdb::FileSystem> make_volatile_file_system() {
    return std::make_shared<FaultyFileSystem>();
}

FaultyFileSystem::FaultyFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
FaultyFileSystem::~FaultyFileSystem() = default;

void FaultyFileSystem::crash_at_step(uint64_t step) {
    const std::lock_guard lock(mutex_);
    crash_step_ = step;
}
uint64_t FaultyFileSystem::steps() const {
    const std::lock_guard lock(mutex_);
    return steps_;
}
bool FaultyFileSystem::crashed() const {
    const std::lock_guard lock(mutex_);
    return crash_step_ != 0 && steps_ >= crash_step_;
}
void FaultyFileSystem::fail_sync_in(uint64_t count) {
    const std::lock_guard lock(mutex_);
    fail_sync_in_ = count;
}
void FaultyFileSystem::set_space_left(std::optional<uint64_t> bytes) {
    const std::lock_guard lock(mutex_);
    space_left_ = bytes;
}
void FaultyFileSystem::set_sync_delay(std::chrono::milliseconds delay) {
    const std::lock_guard lock(mutex_);
    sync_delay_ = delay;
}

void FaultyFileSystem::wait_for_disk() {
    std::unique_lock lock(mutex_);
    // A power loss ends the wait.
    const auto gone_meanwhile = [this, epoch = epoch_] { return epoch != epoch_; };
    if (sync_delay_.count() > 0) power_lost_.wait_for(lock, sync_delay_, gone_meanwhile);
}

IOStatus FaultyFileSystem::step() {
    if (crash_step_ != 0 && steps_ >= crash_step_) return gone();
    ++steps_;
    return crash_step_ != 0 && steps_ >= crash_step_ ? gone() : IOStatus::OK();
}

FaultyFileSystem::NodePtr FaultyFileSystem::find_node(const std::string& path) const {
    const auto found = names_.find(path);
    return found == names_.end() ? nullptr : found->second;
}

bool FaultyFileSystem::is_removed(const std::string& path) const {
    const auto found = names_.find(path);
    return found != names_.end() && found->second == nullptr;
}

// The node of a file, made from the real one if this process did not write it.
FaultyFileSystem::NodePtr FaultyFileSystem::load_node(const std::string& path) {
    if (NodePtr node = find_node(path)) return node;
    if (is_removed(path) || !std::filesystem::exists(path)) return nullptr;
    auto node = std::make_shared<Node>();
    node->data = read_whole(path);
    node->synced = node->data.size();
    node->on_disk = node->data.size();
    node->real_path = path;
    node->epoch = epoch_;
    nodes_.push_back(node);
    names_[path] = node;
    return node;
}

IOStatus FaultyFileSystem::append(Node& node, const Slice& data) {
    if (node.epoch != epoch_) return gone();
    if (IOStatus alive = step(); !alive.ok()) {
        // The write that the power loss interrupts may still reach the disk in part.
        node.data.append(data.data(), data.size());
        return alive;
    }
    if (space_left_) {
        if (*space_left_ < data.size()) return IOStatus::NoSpace("the disk is full");
        *space_left_ -= data.size();
    }
    node.data.append(data.data(), data.size());
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::write_through(Node& node) {
    if (node.real_path.empty() || node.on_disk >= node.synced) return IOStatus::OK();
    std::ofstream out(node.real_path, std::ios::binary | std::ios::app);
    out.write(node.data.data() + node.on_disk,
              static_cast<std::streamsize>(node.synced - node.on_disk));
    out.flush();
    if (!out) return IOStatus::IOError("the real disk failed");
    node.on_disk = node.synced;
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::sync(Node& node) {
    if (node.epoch != epoch_) return gone();
    if (IOStatus alive = step(); !alive.ok()) return alive;
    if (fail_sync_in_ > 0 && --fail_sync_in_ == 0) {
        node.data.resize(node.synced);
        return IOStatus::IOError("the sync failed");
    }
    node.synced = node.data.size();
    return write_through(node);
}

IOStatus FaultyFileSystem::truncate(Node& node, std::size_t size) {
    if (node.epoch != epoch_) return gone();
    if (size >= node.data.size()) return IOStatus::OK();
    if (IOStatus alive = step(); !alive.ok()) return alive;
    node.data.resize(size);
    node.synced = std::min(node.synced, size);
    if (node.on_disk > size) {
        std::filesystem::resize_file(node.real_path, size);
        node.on_disk = size;
    }
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::sync_directory(const std::string& path) {
    if (IOStatus alive = step(); !alive.ok()) return alive;
    apply_names(path, changes_[path].size());
    settle(path);
    return IOStatus::OK();
}

// Makes the first `count` changes of names in a directory real.
void FaultyFileSystem::apply_names(const std::string& directory, std::size_t count) {
    std::vector<NameChange>& changes = changes_[directory];
    std::error_code ignored;
    for (std::size_t i = 0; i < count; ++i) {
        const NameChange& change = changes[i];
        if (change.node == nullptr) {
            std::filesystem::remove(change.path, ignored);
            continue;
        }
        Node& node = *change.node;
        if (!change.from.empty() && node.real_path == change.from) {
            std::filesystem::rename(change.from, change.path, ignored);
            node.real_path = change.path;
            continue;
        }
        std::ofstream(change.path, std::ios::binary | std::ios::trunc).flush();
        node.real_path = change.path;
        node.on_disk = 0;
        write_through(node).PermitUncheckedError();
    }
    changes.erase(changes.begin(), changes.begin() + static_cast<std::ptrdiff_t>(count));
}

// Forgets what the real disk says by itself, but not what can still be written to.
void FaultyFileSystem::settle(const std::string& directory) {
    std::erase_if(names_, [&](const auto& entry) {
        const auto& [path, node] = entry;
        if (directory_of(path) != directory) return false;
        return node == nullptr || (node.use_count() == 1 && node->real_path == path &&
                                   node->on_disk == node->data.size());
    });
    std::erase_if(nodes_, [](const std::weak_ptr<Node>& node) { return node.expired(); });
}

// What happens to unsynced data: all lost, all kept, a part kept, or holes.
void FaultyFileSystem::tear(Node& node, Random& random) {
    const std::size_t unsynced = node.data.size() - node.synced;
    if (unsynced == 0) return;
    std::size_t end = node.data.size();
    switch (random.below(4)) {
        case 0:
            end = node.synced;
            break;
        case 1:
            break;
        case 2:
            end = node.synced + random.below(unsynced + 1);
            if (random.chance(1, 2)) end = std::max(node.synced, end / kSectorBytes * kSectorBytes);
            break;
        default:
            for (std::size_t at = node.synced; at < node.data.size();) {
                const std::size_t next =
                    std::min((at / kSectorBytes + 1) * kSectorBytes, node.data.size());
                if (random.chance(1, 2)) {
                    std::fill(node.data.begin() + static_cast<std::ptrdiff_t>(at),
                              node.data.begin() + static_cast<std::ptrdiff_t>(next), '\0');
                }
                at = next;
            }
            break;
    }
    node.data.resize(end);
    node.synced = end;
}

void FaultyFileSystem::power_loss(Random& random) {
    const std::lock_guard lock(mutex_);
    for (const std::weak_ptr<Node>& weak : nodes_) {
        if (const NodePtr node = weak.lock(); node && node->epoch == epoch_) tear(*node, random);
    }
    for (const std::weak_ptr<Node>& weak : nodes_) {
        if (const NodePtr node = weak.lock()) write_through(*node).PermitUncheckedError();
    }
    for (auto& [directory, changes] : changes_) {
        apply_names(directory, random.below(changes.size() + 1));
    }
    names_.clear();
    changes_.clear();
    nodes_.clear();
    crash_step_ = 0;
    steps_ = 0;
    fail_sync_in_ = 0;
    ++epoch_;
    power_lost_.notify_all();
}

IOStatus FaultyFileSystem::NewSequentialFile(const std::string& raw, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                             IODebugContext* debug) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    if (is_removed(path)) return IOStatus::PathNotFound(path);
    if (const NodePtr node = find_node(path)) {
        *file = std::make_unique<MemorySequentialFile>(node->data);
        return IOStatus::OK();
    }
    return target()->NewSequentialFile(path, options, file, debug);
}

IOStatus FaultyFileSystem::NewRandomAccessFile(const std::string& raw, const FileOptions& options,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                               IODebugContext* debug) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    if (is_removed(path)) return IOStatus::PathNotFound(path);
    if (const NodePtr node = find_node(path)) {
        *file = std::make_unique<MemoryRandomFile>(node->data);
        return IOStatus::OK();
    }
    return target()->NewRandomAccessFile(path, options, file, debug);
}

IOStatus FaultyFileSystem::NewWritableFile(const std::string& raw, const FileOptions& /*options*/,
                                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                                           IODebugContext* /*debug*/) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    if (IOStatus alive = step(); !alive.ok()) return alive;
    auto node = std::make_shared<Node>();
    node->epoch = epoch_;
    nodes_.push_back(node);
    names_[path] = node;
    changes_[directory_of(path)].push_back(NameChange{path, "", node});
    *file = std::make_unique<WritableFile>(*this, node);
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::ReopenWritableFile(const std::string& raw, const FileOptions& options,
                                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                                              IODebugContext* debug) {
    const std::string path = clean(raw);
    {
        const std::lock_guard lock(mutex_);
        if (const NodePtr node = load_node(path)) {
            *file = std::make_unique<WritableFile>(*this, node);
            return IOStatus::OK();
        }
    }
    return NewWritableFile(path, options, file, debug);
}

// What RocksDB has no use for with our options must not reach the real disk unseen.
IOStatus FaultyFileSystem::ReuseWritableFile(const std::string& /*path*/,
                                             const std::string& /*old_path*/,
                                             const FileOptions& /*options*/,
                                             std::unique_ptr<rocksdb::FSWritableFile>* /*file*/,
                                             IODebugContext* /*debug*/) {
    return IOStatus::NotSupported("reuse of a file");
}
IOStatus FaultyFileSystem::NewRandomRWFile(const std::string& /*path*/,
                                           const FileOptions& /*options*/,
                                           std::unique_ptr<rocksdb::FSRandomRWFile>* /*file*/,
                                           IODebugContext* /*debug*/) {
    return IOStatus::NotSupported("a file that is written in place");
}
IOStatus FaultyFileSystem::LinkFile(const std::string& /*from*/, const std::string& /*to*/,
                                    const IOOptions& /*options*/, IODebugContext* /*debug*/) {
    return IOStatus::NotSupported("links");
}

IOStatus FaultyFileSystem::NewDirectory(const std::string& path, const IOOptions& /*options*/,
                                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                                        IODebugContext* /*debug*/) {
    const std::lock_guard lock(mutex_);
    *directory = std::make_unique<Directory>(*this, clean(path), epoch_);
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::FileExists(const std::string& raw, const IOOptions& options,
                                      IODebugContext* debug) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    if (find_node(path)) return IOStatus::OK();
    if (is_removed(path)) return IOStatus::NotFound(path);
    return target()->FileExists(path, options, debug);
}

IOStatus FaultyFileSystem::GetChildren(const std::string& raw, const IOOptions& options,
                                       std::vector<std::string>* names, IODebugContext* debug) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    std::vector<std::string> real;
    if (IOStatus status = target()->GetChildren(path, options, &real, debug); !status.ok()) {
        return status;
    }
    std::set<std::string> all(real.begin(), real.end());
    for (const auto& [name, node] : names_) {
        if (directory_of(name) != path) continue;
        if (node == nullptr) {
            all.erase(name_of(name));
        } else {
            all.insert(name_of(name));
        }
    }
    names->assign(all.begin(), all.end());
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::GetChildrenFileAttributes(const std::string& path,
                                                     const IOOptions& options,
                                                     std::vector<rocksdb::FileAttributes>* files,
                                                     IODebugContext* debug) {
    std::vector<std::string> names;
    if (IOStatus status = GetChildren(path, options, &names, debug); !status.ok()) return status;
    files->clear();
    for (const std::string& name : names) {
        uint64_t size = 0;
        if (GetFileSize(path + "/" + name, options, &size, debug).ok()) {
            files->push_back(rocksdb::FileAttributes{name, size});
        }
    }
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::DeleteFile(const std::string& raw, const IOOptions& options,
                                      IODebugContext* debug) {
    const std::string path = clean(raw);
    if (IOStatus there = FileExists(path, options, debug); !there.ok()) return there;
    const std::lock_guard lock(mutex_);
    if (IOStatus alive = step(); !alive.ok()) return alive;
    names_[path] = nullptr;
    changes_[directory_of(path)].push_back(NameChange{path, "", nullptr});
    return IOStatus::OK();
}

IOStatus FaultyFileSystem::Truncate(const std::string& raw, size_t size,
                                    const IOOptions& /*options*/, IODebugContext* /*debug*/) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    const NodePtr node = load_node(path);
    return node ? truncate(*node, size) : IOStatus::PathNotFound(path);
}

IOStatus FaultyFileSystem::GetFileSize(const std::string& raw, const IOOptions& options,
                                       uint64_t* size, IODebugContext* debug) {
    const std::string path = clean(raw);
    const std::lock_guard lock(mutex_);
    if (is_removed(path)) return IOStatus::PathNotFound(path);
    if (const NodePtr node = find_node(path)) {
        *size = node->data.size();
        return IOStatus::OK();
    }
    return target()->GetFileSize(path, options, size, debug);
}

IOStatus FaultyFileSystem::GetFileModificationTime(const std::string& raw, const IOOptions& options,
                                                   uint64_t* time, IODebugContext* debug) {
    const std::string path = clean(raw);
    {
        const std::lock_guard lock(mutex_);
        if (find_node(path)) {
            *time = 0;
            return IOStatus::OK();
        }
    }
    return target()->GetFileModificationTime(path, options, time, debug);
}

IOStatus FaultyFileSystem::RenameFile(const std::string& raw_from, const std::string& raw_to,
                                      const IOOptions& /*options*/, IODebugContext* /*debug*/) {
    const std::string from = clean(raw_from);
    const std::string to = clean(raw_to);
    const std::lock_guard lock(mutex_);
    if (IOStatus alive = step(); !alive.ok()) return alive;
    const NodePtr node = load_node(from);
    if (!node) return IOStatus::PathNotFound(from);
    names_[to] = node;
    names_[from] = nullptr;
    // One change, also for a file that was never linked: the new name appears with its content.
    changes_[directory_of(to)].push_back(NameChange{to, from, node});
    return IOStatus::OK();
}

}  // namespace quorate::sim
