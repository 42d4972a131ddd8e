/* SPDX-License-Identifier: Apache-2.0 */
/* What only level full sees. */
#include "world.h"

void full_tests(void);

void full_tests(void)
{
}
