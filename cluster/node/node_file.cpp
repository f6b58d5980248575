#include "cluster/node/node_file.h"

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"

namespace quorate::cluster {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::size_t kBytesMax = std::size_t{1} << 20U;
constexpr const char* kName = "node";

Error system_error(const std::string& path) {
    return Error{ErrorCode::Io, path + ": " + std::strerror(errno)};
}

Error damaged(const std::string& path, const char* what) {
    return Error{ErrorCode::Corrupt,
                 path + " " + what +
                     "; without it nobody knows which node of which cluster this is: restore it "
                     "from a backup of this directory, or start with an empty directory, so that "
                     "the node joins anew"};
}

// A descriptor that closes itself.
class Descriptor {
  public:
    Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags, 0600)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

Result<std::string> read_all(int fd, const std::string& path) {
    std::string content;
    char part[4096];
    for (;;) {
        const ssize_t size = ::read(fd, part, sizeof(part));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return system_error(path);
        if (size == 0) return content;
        content.append(part, static_cast<std::size_t>(size));
        if (content.size() > kBytesMax) return damaged(path, "is larger than it can be");
    }
}

}  // namespace

Result<std::optional<NodeRecord>> NodeFile::read() const {
    const std::string path = directory_ + "/" + kName;
    const Descriptor file(path, O_RDONLY | O_CLOEXEC);
    if (file.get() < 0) {
        if (errno == ENOENT) return std::optional<NodeRecord>();
        return system_error(path);
    }
    const Result<std::string> content = read_all(file.get(), path);
    if (!content.ok()) return content.error();
    RecordReader in(*content);
    const uint8_t version = in.u8();
    const uint32_t checksum = in.u32();
    const std::string_view body = in.rest();
    if (in.failed() || version > kVersion || version == 0) {
        return damaged(path, version > kVersion ? "is of a later version" : "is damaged");
    }
    if (checksum != crc32c(body)) return damaged(path, "is damaged");
    NodeRecord record;
    record.founded = in.u8() == 1;
    Result<BootstrapRecord> bootstrap = decode_bootstrap_record(in.rest());
    if (!bootstrap.ok()) return damaged(path, "is damaged");
    record.bootstrap = std::move(*bootstrap);
    return std::optional(std::move(record));
}

Status NodeFile::write(const NodeRecord& record) const {
    std::string body;
    RecordWriter(body).u8(record.founded ? 1 : 0);
    body += encode(record.bootstrap);
    std::string content;
    RecordWriter out(content);
    out.u8(kVersion);
    out.u32(crc32c(body));
    out.raw(body);

    const std::string path = directory_ + "/" + kName;
    const std::string temporary = path + ".new";
    {
        const Descriptor file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
        if (file.get() < 0 || !write_all(file.get(), content) || ::fsync(file.get()) != 0) {
            return system_error(temporary);
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error(path);
    const Descriptor folder(directory_, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder.get() < 0 || ::fsync(folder.get()) != 0) return system_error(directory_);
    return {};
}

Status check_runs_alone(const std::string& data_dir) {
    const auto record = NodeFile(data_dir).read();
    if (!record.ok()) return record.error();
    if (!*record || (*record)->bootstrap.cluster_id == 0) return {};
    return Error{ErrorCode::InvalidArgument,
                 "the data directory belongs to node " +
                     std::to_string((*record)->bootstrap.node.value()) +
                     " of a cluster; set cluster.listen and cluster.seeds as before, or start "
                     "with an empty directory"};
}

}  // namespace quorate::cluster
