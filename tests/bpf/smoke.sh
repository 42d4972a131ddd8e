#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vmtest: timeout=300 hosts=2
# The kernel side without a daemon, at level full and at level reduced.
set -eu
smoke=${CLEAT_BUILD:-build}/tests-bpf/smoke
"$smoke" full
"$smoke" reduced
