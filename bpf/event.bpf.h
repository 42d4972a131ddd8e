/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts and events. Nothing here can fail in a way that changes a verdict. */
#ifndef CLEAT_EVENT_BPF_H
#define CLEAT_EVENT_BPF_H

#include "maps.bpf.h"

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&cleat_counts, &what);

	if (n)
		*n += 1; /* per CPU */
}

static __always_inline const struct cleat_config *config_now(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cleat_config, &zero);
}

/* *e is copied with its time put in. */
static __always_inline void event_send(struct cleat_event *e)
{
	e->boot_ns = bpf_ktime_get_boot_ns();
	if (bpf_ringbuf_output(&cleat_events, e, sizeof(*e), 0))
		count(CLEAT_COUNT_EVENT_LOST);
}

#endif
