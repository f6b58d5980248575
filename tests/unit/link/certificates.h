// An authority that issues certificates at test time, as PEM files in a directory of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "cluster/link/link.h"

namespace quorate::link {

class TestAuthority {
  public:
    TestAuthority();
    ~TestAuthority();  // removes the directory
    TestAuthority(const TestAuthority&) = delete;
    TestAuthority& operator=(const TestAuthority&) = delete;

    struct Request {
        std::string uri;  // empty: no subject alternative name
        int64_t valid_from_seconds = -3600;
        int64_t valid_to_seconds = 3600;
    };
    // Writes (or replaces) NAME.pem and NAME.key, and the authority's own certificate.
    [[nodiscard]] LinkTlsFiles issue(const std::string& name, const Request& request) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::link
