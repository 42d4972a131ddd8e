#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vmtest: timeout=1500 hosts=2 init=systemd
exec /usr/bin/python3 "$CLEAT_SRC/tests/e2e/package.py"
