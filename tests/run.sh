#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test: a line per suite and at the end
# `N passed, N failed, N skipped`. Exit code 0 only if none failed.
#
#   tests/run.sh                    every suite: style unit sim asan tsan system interop chaos fuzz
#   tests/run.sh unit system ...    only these
#   tests/run.sh clean-root         both commands in a bare Debian 12 root; needs root and a mirror
#
# Each suite's output is in build/test-logs/. FUZZ_SECONDS (default 10) is the time of one fuzz
# target; QUORATE_BUILD_DIR (default build) is where the server and the unit tests are built.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
    -h | --help)
        sed -n '2,10s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
esac
deploy/install-deps.sh --tests
exec /usr/bin/python3 tests/suites.py "$@"
