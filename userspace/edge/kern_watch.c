/* SPDX-License-Identifier: Apache-2.0 */
/* Are the hooks still where they were put? See kern_watch.h. */
#include "edge/kern_watch.h"

#include "base/cleanup.h"
#include "base/twin.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* One hook as it was first seen. */
struct hook {
	uint32_t link_id;
	uint32_t link_type;
	uint32_t attach_type;
	uint32_t prog_id;
	uint64_t cgroup_id; /* 0: not a cgroup's hook */
	int prog_fd;	    /* held, so that it can be attached again */
};

struct kern_watch {
	struct kern *k;
	unsigned count;
	struct hook hooks[KERN_LINKS_MAX];
};

static int info_of(int fd, struct bpf_link_info *ret)
{
	uint32_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &len) < 0 ? -errno : 0;
}

static int hook_open(int fd, struct hook *ret)
{
	struct bpf_link_info info;
	int err = info_of(fd, &info);

	if (err < 0)
		return err;
	*ret = (struct hook){ .link_id = info.id, .link_type = info.type, .prog_id = info.prog_id };
	if (info.type == BPF_LINK_TYPE_CGROUP) {
		ret->cgroup_id = info.cgroup.cgroup_id;
		ret->attach_type = info.cgroup.attach_type;
	}
	ret->prog_fd = bpf_prog_get_fd_by_id(info.prog_id);
	return ret->prog_fd < 0 ? -errno : 0;
}

int kern_watch_new(struct kern *k, struct kern_watch **ret)
{
	owned(kern_watch_owned) struct kern_watch *w = calloc(1, sizeof(*w));
	unsigned count = kern_link_count(k);
	int err;

	if (!w)
		return -ENOMEM;
	w->k = k;
	for (; w->count < count; w->count++) {
		err = hook_open(kern_link_fd(k, w->count), &w->hooks[w->count]);
		if (err < 0)
			return err;
	}
	*ret = take_ptr(w);
	return 0;
}

void kern_watch_free(struct kern_watch *w)
{
	for (unsigned i = 0; i < w->count; i++)
		close(w->hooks[i].prog_fd);
	free(w);
}

unsigned kern_watch_count(const struct kern_watch *w)
{
	return w->count;
}

/* NULL, or what is wrong with it. */
static const char *wrong(const struct hook *h, const struct bpf_link_info *now)
{
	if (!kept(watch_links))
		return NULL;
	if (now->id != h->link_id || now->type != h->link_type)
		return "is another link";
	if (now->prog_id != h->prog_id)
		return "has another program";
	if (h->link_type != BPF_LINK_TYPE_CGROUP)
		return NULL; /* such a link cannot be detached while it is held */
	if (now->cgroup.cgroup_id == 0)
		return "is detached from its cgroup";
	return now->cgroup.cgroup_id != h->cgroup_id ? "is on another cgroup" : NULL;
}

/* 0, 1 with @ret_what, or -errno. */
static int look_at(const struct kern_watch *w, unsigned i, const char **ret_what)
{
	struct bpf_link_info info;
	int err = info_of(kern_link_fd(w->k, i), &info);

	if (err < 0)
		return err;
	*ret_what = wrong(&w->hooks[i], &info);
	return *ret_what ? 1 : 0;
}

int kern_watch_look(const struct kern_watch *w, char *line, size_t line_cap)
{
	const char *what = NULL;

	if (kern_link_count(w->k) != w->count) {
		snprintf(line, line_cap, "a hook is missing");
		return 1;
	}
	for (unsigned i = 0; i < w->count; i++) {
		int found = look_at(w, i, &what);

		if (found < 0)
			snprintf(line, line_cap, "%s: %s", kern_link_name(w->k, i),
				 strerror(-found));
		else if (found > 0)
			snprintf(line, line_cap, "the hook %s %s", kern_link_name(w->k, i), what);
		if (found)
			return found;
	}
	return 0;
}

static int attach_again(const struct kern_watch *w, const struct hook *h)
{
	owned_fd int cgroup = -1;
	int fd;

	if (h->link_type != BPF_LINK_TYPE_CGROUP) {
		fd = bpf_raw_tracepoint_open(NULL, h->prog_fd); /* of LSM and tracing programs */
		return fd < 0 ? -errno : fd;
	}
	cgroup = open(kern_cgroup(w->k), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return -errno;
	fd = bpf_link_create(h->prog_fd, cgroup, h->attach_type, NULL);
	return fd < 0 ? -errno : fd;
}

static int mend_one(struct kern_watch *w, unsigned i)
{
	struct bpf_link_info info;
	owned_fd int fd = attach_again(w, &w->hooks[i]);
	int err;

	if (fd < 0)
		return fd;
	err = info_of(fd, &info);
	if (err == 0)
		err = kern_link_replace(w->k, i, take_fd(&fd));
	if (err < 0)
		return err;
	w->hooks[i].link_id = info.id;
	if (info.type == BPF_LINK_TYPE_CGROUP)
		w->hooks[i].cgroup_id = info.cgroup.cgroup_id;
	return 0;
}

int kern_watch_mend(struct kern_watch *w, char *line, size_t line_cap)
{
	const char *what;

	if (kern_link_count(w->k) != w->count)
		return -ENOENT;
	for (unsigned i = 0; i < w->count; i++) {
		int err = look_at(w, i, &what);

		if (err > 0)
			err = mend_one(w, i);
		if (err < 0) {
			snprintf(line, line_cap, "%s does not attach again: %s",
				 kern_link_name(w->k, i), strerror(-err));
			return err;
		}
	}
	return 0;
}
