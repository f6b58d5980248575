// The certificate files of the links, looked at before gRPC reads them: gRPC itself would start
// with wrong ones and only fail each handshake.
#pragma once

#include "cluster/link/link.h"
#include "proto/base/result.h"

namespace quorate::link {

// Whether the files can be read, the key belongs to the certificate, the certificate names a node
// of this cluster (this one, if `self` has a number and the URI gives one) and has not expired.
// Errors: InvalidArgument, with the file and what is wrong.
[[nodiscard]] Status check_tls_files(const LinkTlsFiles& files, const Self& self);

}  // namespace quorate::link
