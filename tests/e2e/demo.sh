#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vmtest: timeout=170 hosts=2
exec /usr/bin/python3 "$CLEAT_SRC/tests/e2e/demo.py"
