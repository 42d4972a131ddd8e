#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vmtest: timeout=2700 hosts=3
# The attack tests of one kernel in one boot; TESTS names some of them, TWINS=1 runs their broken twins instead,
# TWINS=2 this kernel's share of them; PROFILE=1 ends with where the time of the tests went.
exec /usr/bin/python3 ${PROFILE:+-m cProfile -s cumtime} "$CLEAT_SRC/tests/attack/suite.py"
