/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors by name. See kern_set.h. */
#include "edge/kern_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void kern_set_init(struct kern_set *s)
{
	*s = (struct kern_set){ .walk = -1, .manifest = -1 };
}

static void close_all(struct kern_named *at, unsigned *count)
{
	while (*count > 0)
		close(at[--*count].fd);
}

void kern_set_close(struct kern_set *s)
{
	close_all(s->links, &s->link_count);
	close_all(s->maps, &s->map_count);
	kern_set_hold(&s->walk, -1);
	kern_set_hold(&s->manifest, -1);
}

void kern_set_hold(int *at, int fd)
{
	if (*at >= 0)
		close(*at);
	*at = fd;
}

static struct kern_named *find(const struct kern_named *at, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(at[i].name, name) == 0)
			return (struct kern_named *)(uintptr_t)&at[i];
	return NULL;
}

static int add(struct kern_named *at, unsigned *count, const char *name, int fd)
{
	struct kern_named *there = find(at, *count, name);

	if (there) {
		close(there->fd);
		there->fd = fd;
		return 0;
	}
	if (*count == KERN_SET_MAX || strlen(name) >= KERN_NAME_MAX) {
		close(fd);
		return -E2BIG;
	}
	at[*count].fd = fd;
	strcpy(at[(*count)++].name, name);
	return 0;
}

int kern_set_add_map(struct kern_set *s, const char *name, int fd)
{
	return add(s->maps, &s->map_count, name, fd);
}

int kern_set_add_link(struct kern_set *s, const char *name, int fd)
{
	return add(s->links, &s->link_count, name, fd);
}

void kern_set_drop_link(struct kern_set *s, const char *name)
{
	struct kern_named *there = find(s->links, s->link_count, name);

	if (!there)
		return;
	close(there->fd);
	*there = s->links[--s->link_count];
}

int kern_set_map(const struct kern_set *s, const char *name)
{
	const struct kern_named *there = find(s->maps, s->map_count, name);

	return there ? there->fd : -1;
}

int kern_set_link(const struct kern_set *s, const char *name)
{
	const struct kern_named *there = find(s->links, s->link_count, name);

	return there ? there->fd : -1;
}
