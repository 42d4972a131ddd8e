/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP client that is no socket: it stands behind a tun interface of the guest, answers for any address that is
 * routed there, and says every number of a segment itself. No kernel holds state for it, so nothing resets what it
 * does. The receiving kernel sees packets from the network; whoever sends them is the network's attacker.
 *
 * Offloads are on, so that gigabytes of a connection (which move the sequence numbers) come in 64 KiB pieces.
 */
#include "play.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS	 20000
#define WSCALE	 14
#define HEAD_MAX 128 /* of a received packet; its data is only counted */
#define CONNS	 16

struct conn {
	char name[16];
	uint32_t src, dst; /* network order */
	uint16_t sport, dport;
	uint32_t isn, server_isn;
	uint32_t next;	 /* ours, of the next byte */
	uint32_t wanted; /* the server's next byte */
	uint32_t tsval, tsecr;
	uint16_t mss;
	bool ts;
};

struct segment {
	uint32_t seq, ack;
	uint32_t len;
	uint8_t flags;
};

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t rest[1400];
};

static struct conn conns[CONNS];
static int tun = -1;
static char tun_name[IFNAMSIZ];

/* ---- segments ---- */

static uint16_t sum(uint32_t start, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		start += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return (uint16_t)start;
}

static size_t options_put(const struct conn *c, uint8_t flags, uint8_t *o)
{
	size_t n = 0;

	if (flags & TH_SYN) {
		uint8_t fixed[] = {
			2, 4, (uint8_t)(c->mss >> 8), (uint8_t)c->mss, 1, 3, 3, WSCALE
		};

		memcpy(o, fixed, sizeof(fixed));
		n = sizeof(fixed);
	}
	if (c->ts) {
		uint32_t value = htonl(c->tsval), echo = htonl(c->tsecr);

		memcpy(o + n, (uint8_t[]){ 1, 1, 8, 10 }, 4);
		memcpy(o + n + 4, &value, 4);
		memcpy(o + n + 8, &echo, 4);
		n += 12;
	}
	return n;
}

static int segment_send(const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack,
			const char *text)
{
	struct packet p = { 0 };
	size_t options = options_put(c, flags, p.rest), len = strlen(text);
	size_t tcp_len = sizeof(p.tcp) + options + len, all = sizeof(p.ip) + tcp_len;
	uint32_t pseudo;

	memcpy(p.rest + options, text, len);
	p.ip = (struct iphdr){ .version = 4,
			       .ihl = 5,
			       .tot_len = htons((uint16_t)all),
			       .ttl = 64,
			       .protocol = IPPROTO_TCP,
			       .saddr = c->src,
			       .daddr = c->dst };
	p.ip.check = htons((uint16_t)~sum(0, &p.ip, sizeof(p.ip)));
	p.tcp = (struct tcphdr){ .th_sport = htons(c->sport),
				 .th_dport = htons(c->dport),
				 .th_seq = htonl(seq),
				 .th_ack = htonl(flags & TH_ACK ? ack : 0),
				 .th_off = (uint8_t)((sizeof(p.tcp) + options) / 4) & 15,
				 .th_flags = flags,
				 .th_win = htons(65535) };
	pseudo = sum(IPPROTO_TCP + (uint32_t)tcp_len, &p.ip.saddr, 8);
	p.tcp.th_sum = htons((uint16_t)~sum(pseudo, &p.tcp, tcp_len));
	struct virtio_net_hdr plain = { 0 };
	struct iovec iov[] = { { &plain, sizeof(plain) }, { &p, all } };

	return writev(tun, iov, 2) < 0 ? -1 : 0;
}

static void timestamp_read(struct conn *c, const struct tcphdr *t, const uint8_t *end)
{
	const uint8_t *o = (const uint8_t *)(t + 1);
	const uint8_t *stop = (const uint8_t *)t + t->th_off * 4;

	if (stop > end)
		stop = end;
	while (o + 1 < stop && *o) {
		if (*o == 1) {
			o++;
			continue;
		}
		if (o[1] < 2)
			return;
		if (o[0] == 8 && o + 10 <= stop) {
			uint32_t value;

			memcpy(&value, o + 2, 4);
			c->tsecr = ntohl(value);
		}
		o += o[1];
	}
}

/* The next segment of the server's end of @c within @ms; others' are passed over. */
static int segment_take(struct conn *c, struct segment *ret, int ms)
{
	union {
		struct packet p;
		uint8_t bytes[HEAD_MAX];
	} in;
	struct virtio_net_hdr vnet;
	struct iovec iov[] = { { &vnet, sizeof(vnet) }, { &in, sizeof(in.bytes) } };
	struct pollfd p = { .fd = tun, .events = POLLIN };

	for (;;) {
		ssize_t n = readv(tun, iov, 2);
		const struct tcphdr *t;

		if (n < 0) {
			if (errno != EAGAIN || poll(&p, 1, ms) != 1) {
				errno = ETIMEDOUT;
				return -1;
			}
			continue;
		}
		n -= (ssize_t)sizeof(vnet); /* may say more than fitted in */
		if (n < 40 || in.p.ip.version != 4 || in.p.ip.ihl != 5 ||
		    in.p.ip.protocol != IPPROTO_TCP || in.p.ip.daddr != c->src ||
		    in.p.ip.saddr != c->dst)
			continue;
		t = &in.p.tcp;
		if (ntohs(t->th_dport) != c->sport || ntohs(t->th_sport) != c->dport)
			continue;
		timestamp_read(c, t, in.bytes + (n < HEAD_MAX ? n : HEAD_MAX));
		ret->seq = ntohl(t->th_seq);
		ret->ack = ntohl(t->th_ack);
		ret->flags = t->th_flags;
		ret->len = ntohs(in.p.ip.tot_len) - 20u - t->th_off * 4u;
		return 0;
	}
}

/* ---- names ---- */

static struct conn *conn_of(const char *name)
{
	for (int i = 0; i < CONNS; i++)
		if (strcmp(conns[i].name, name) == 0)
			return &conns[i];
	return NULL;
}

/* NAME SRC SPORT DST DPORT ISN [ts VALUE] [mss N], replacing what had the name. */
static struct conn *conn_make(char **a)
{
	struct conn *c = conn_of(a[1]);
	const char *ts = play_after(a, "ts"), *mss = play_after(a, "mss");

	if (!c)
		c = conn_of("");
	if (!c)
		abort();
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", a[1]);
	inet_pton(AF_INET, a[2], &c->src);
	inet_pton(AF_INET, a[4], &c->dst);
	c->sport = (uint16_t)atoi(a[3]);
	c->dport = (uint16_t)atoi(a[5]);
	c->isn = (uint32_t)strtoul(a[6], NULL, 10);
	c->next = c->isn + 1;
	c->mss = (uint16_t)(mss ? atoi(mss) : 1460);
	c->ts = ts;
	c->tsval = ts ? (uint32_t)strtoul(ts, NULL, 10) : 0;
	return c;
}

static struct conn *conn_known(char **a)
{
	struct conn *c = conn_of(a[1]);

	if (!c || !a[1][0]) {
		errno = ENOTCONN;
		play_fail(a[1]);
		return NULL;
	}
	return c;
}

/* ---- commands ---- */

/* tun NAME: an interface, up */
static void cmd_tun(char **a)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	char line[256];

	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", a[1]);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &r) < 0 ||
	    ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
		return play_fail("tun");
	snprintf(line, sizeof(line),
		 "sysctl -qw net.ipv6.conf.%s.disable_ipv6=1; ip link set %s up txqueuelen 10000",
		 a[1], a[1]);
	if (system(line) != 0)
		return play_fail("ip link");
	snprintf(tun_name, sizeof(tun_name), "%s", a[1]);
	play_ok();
}

static void route(const char *verb, char **addresses)
{
	char line[256];

	for (int i = 1; addresses[i]; i++) {
		snprintf(line, sizeof(line), "ip route %s %s/32 dev %s", verb, addresses[i],
			 tun_name);
		if (system(line) != 0)
			return play_fail(line);
	}
	play_ok();
}

/* route ADDRESS...: what goes there goes to us */
static void cmd_route(char **a)
{
	route("replace", a);
}

static void cmd_unroute(char **a)
{
	route("del", a);
}

static int shake(struct conn *c)
{
	struct segment s;

	for (int tries = 0; tries < 5; tries++) {
		if (segment_send(c, TH_SYN, c->isn, 0, "") < 0)
			return -1;
		while (segment_take(c, &s, 2000) == 0) {
			if (s.flags & TH_RST) {
				errno = ECONNREFUSED;
				return -1;
			}
			if ((s.flags & (TH_SYN | TH_ACK)) == (TH_SYN | TH_ACK) &&
			    s.ack == c->isn + 1) {
				c->server_isn = s.seq;
				c->wanted = s.seq + 1;
				return 0;
			}
		}
	}
	errno = ETIMEDOUT;
	return -1;
}

/* syn NAME SRC SPORT DST DPORT ISN [ts VALUE] [mss N]: SYN, and the server's answer */
static void cmd_syn(char **a)
{
	struct conn *c = conn_make(a);

	if (shake(c) < 0)
		return play_fail("syn");
	play_say("{\"ok\":true,\"client_isn\":%u,\"server_isn\":%u}", c->isn, c->server_isn);
}

/* pretend NAME SRC SPORT DST DPORT ISN SERVERISN [ts VALUE]: as if the handshake had come that far */
static void cmd_pretend(char **a)
{
	struct conn *c = conn_make(a);

	c->server_isn = (uint32_t)strtoul(a[7], NULL, 10);
	c->wanted = c->server_isn + 1;
	play_ok();
}

/* ack NAME [delta N] [text TEXT]: an ACK (the handshake's third) with seq N further than it should, and data */
static void cmd_ack(char **a)
{
	struct conn *c = conn_known(a);
	const char *delta = play_after(a, "delta"), *text = play_after(a, "text");
	uint32_t seq;

	if (!c)
		return;
	seq = c->next + (delta ? (uint32_t)strtoul(delta, NULL, 10) : 0);
	if (segment_send(c, text ? TH_ACK | TH_PUSH : TH_ACK, seq, c->wanted, text ? text : "") < 0)
		return play_fail("ack");
	if (text && !delta)
		c->next += (uint32_t)strlen(text);
	play_ok();
}

/* look NAME FLAGS: waits for a segment that has all of these (S, A, F, R, D for data) */
static void cmd_look(char **a)
{
	struct conn *c = conn_known(a);
	struct segment s;
	uint8_t want = 0;

	if (!c)
		return;
	for (const char *f = a[2]; *f; f++)
		want |= *f == 'S'   ? TH_SYN
			: *f == 'A' ? TH_ACK
			: *f == 'F' ? TH_FIN
			: *f == 'R' ? TH_RST
				    : 0;
	do {
		if (segment_take(c, &s, WAIT_MS) < 0)
			return play_fail("look");
	} while ((s.flags & want) != want || (strchr(a[2], 'D') && !s.len));
	play_say("{\"ok\":true,\"flags\":%u,\"seq\":%u,\"ack\":%u,\"len\":%u}", s.flags, s.seq,
		 s.ack, s.len);
}

/* forget NAME: what has come so far is thrown away */
static void cmd_forget(char **a)
{
	struct conn *c = conn_known(a);
	struct segment s;

	if (!c)
		return;
	while (segment_take(c, &s, 0) == 0)
		;
	play_ok();
}

static int last_ack(struct conn *c)
{
	struct segment s;

	for (int tries = 0; tries < 5; tries++) {
		segment_send(c, TH_FIN | TH_ACK, c->next, c->wanted, "");
		while (segment_take(c, &s, 1000) == 0)
			if (s.flags & TH_ACK && s.ack == c->next + 1)
				return 0;
	}
	errno = ETIMEDOUT;
	return -1;
}

/* drain NAME: takes and acknowledges until the server has closed, closes too: the server is left in TIME_WAIT */
static void cmd_drain(char **a)
{
	struct conn *c = conn_known(a);
	unsigned long long bytes = 0;
	struct segment s;

	if (!c)
		return;
	for (;;) {
		if (segment_take(c, &s, WAIT_MS) < 0)
			return play_fail("drain");
		if (s.flags & TH_RST) {
			errno = ECONNRESET;
			return play_fail("drain");
		}
		if (s.seq == c->wanted) {
			c->wanted += s.len;
			bytes += s.len;
			if (s.flags & TH_FIN)
				break;
		}
		if (s.len)
			segment_send(c, TH_ACK, c->next, c->wanted, "");
	}
	c->wanted++;
	if (last_ack(c) < 0)
		return play_fail("last ack");
	play_say("{\"ok\":true,\"bytes\":%llu}", bytes);
}

/* rst NAME */
static void cmd_rst(char **a)
{
	struct conn *c = conn_known(a);

	if (!c)
		return;
	segment_send(c, TH_RST, c->next, 0, "");
	play_ok();
}

/* ---- the clock ---- */

static int clock_step(int64_t ns)
{
	struct timex t = { .modes = ADJ_SETOFFSET | ADJ_NANO };

	t.time.tv_sec = ns / 1000000000;
	t.time.tv_usec = ns % 1000000000; /* nanoseconds, by ADJ_NANO; never negative */
	if (t.time.tv_usec < 0) {
		t.time.tv_sec--;
		t.time.tv_usec += 1000000000;
	}
	return adjtimex(&t) < 0 ? -1 : 0;
}

/* step NS: the real clock, forward or back */
static void cmd_step(char **a)
{
	if (clock_step(strtoll(a[1], NULL, 10)) < 0)
		return play_fail("adjtimex");
	play_ok();
}

/* clock synchronised|unsynchronised: what the kernel says of its clock */
static void cmd_clock(char **a)
{
	struct timex t = { .modes = ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR };

	if (strcmp(a[1], "synchronised") != 0)
		t.status = STA_UNSYNC, t.maxerror = t.esterror = 16000000;
	if (adjtimex(&t) < 0)
		return play_fail("adjtimex");
	play_ok();
}

static void cmd_now(char **a)
{
	(void)a;
	play_say("{\"ok\":true,\"real\":%llu,\"boot\":%llu}",
		 (unsigned long long)play_ns(CLOCK_REALTIME),
		 (unsigned long long)play_ns(CLOCK_BOOTTIME));
}

#define OFFSETS 15

static int order(const void *a, const void *b)
{
	int32_t d = (int32_t)(*(const uint32_t *)a - *(const uint32_t *)b);

	return d < 0 ? -1 : d > 0;
}

/* A SYN at real time @at, reached by stepping the clock to a little before; how far ahead of the clock (in units
 * of 64 ns) the server's number is. */
static int try_at(struct conn *c, int64_t at, uint32_t *ret_offset)
{
	int64_t now;

	if (clock_step(at - 60000 - (int64_t)play_ns(CLOCK_REALTIME)) < 0)
		return -1;
	do {
		now = (int64_t)play_ns(CLOCK_REALTIME);
	} while (now < at);
	if (shake(c) < 0)
		return -1;
	*ret_offset = c->server_isn - (uint32_t)(now >> 6);
	return 0;
}

/* The real time nearest to @around at which a number @offset ahead of the clock is @want. */
static int64_t time_of(uint32_t want, uint32_t offset, int64_t around)
{
	int64_t period = (int64_t)1 << 38, t = (int64_t)(want - offset) << 6;

	t += around - around % period;
	if (t > around + period / 2)
		t -= period;
	else if (t < around - period / 2)
		t += period;
	return t;
}

/* rewind NAME SRC SPORT DST DPORT ISN SERVERISN AROUND SECONDS: repeats the SYN at the moment (of real time, near
 * AROUND) when the server's clock gives SERVERISN, again and again, until it does. */
static void cmd_rewind(char **a)
{
	struct conn *c = conn_make(a);
	uint32_t want = (uint32_t)strtoul(a[7], NULL, 10), offsets[OFFSETS], sorted[OFFSETS];
	int64_t around = strtoll(a[8], NULL, 10), at = around;
	uint64_t end = play_ns(CLOCK_MONOTONIC) + strtoull(a[9], NULL, 10) * 1000000000u;
	unsigned n = 0;

	while (play_ns(CLOCK_MONOTONIC) < end) {
		if (try_at(c, at, &offsets[n % OFFSETS]) < 0)
			return play_fail("try");
		n++;
		if (c->server_isn == want)
			return play_say("{\"ok\":true,\"tries\":%u,\"at\":%lld}", n, (long long)at);
		segment_send(c, TH_RST, c->next, 0, "");
		unsigned count = n < OFFSETS ? n : OFFSETS;

		memcpy(sorted, offsets, count * sizeof(*sorted));
		qsort(sorted, count, sizeof(*sorted), order);
		at = time_of(want, sorted[count / 2], around) + (int64_t)(n % 16) * 4;
	}
	errno = ETIMEDOUT;
	play_fail("no full match");
}

static const struct play_command commands[] = {
	{ "tun", 2, cmd_tun },	 { "route", 2, cmd_route },	{ "unroute", 2, cmd_unroute },
	{ "syn", 7, cmd_syn },	 { "pretend", 8, cmd_pretend }, { "ack", 2, cmd_ack },
	{ "look", 3, cmd_look }, { "forget", 2, cmd_forget },	{ "drain", 2, cmd_drain },
	{ "rst", 2, cmd_rst },	 { "step", 2, cmd_step },	{ "clock", 2, cmd_clock },
	{ "now", 1, cmd_now },	 { "rewind", 10, cmd_rewind },
};

int main(int argc, char **argv)
{
	(void)argc;
	return play(argv, commands, sizeof(commands) / sizeof(commands[0]));
}
