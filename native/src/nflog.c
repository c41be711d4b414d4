#include "nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "proc.h"

/* Columns of /proc/net/netlink. */
enum { COLUMN_SOCKET, COLUMN_FAMILY, COLUMN_PORT, COLUMN_GROUPS, COLUMN_RMEM, COLUMN_WMEM, COLUMN_DUMP, COLUMN_LOCKS,
       COLUMN_DROPS };

/* The kernel sends a gathered datagram after so many hundredths of a second at the latest. */
#define FLUSH_HUNDREDTHS 1
/* The rate is looked at over at least so long. */
#define WINDOW_NS 10000000u
#define WINDOW_MS 20

/*
 * The kernel adds about 320 bytes of its own to a datagram's room and rounds up to a power of two, all of which
 * it then fills: without this a datagram could have twice the bytes.
 */
#define SKB_OVERHEAD 512

/*
 * Packets gathered, the datagram's room for them, and the packets a second from which a level is worth it. Going
 * up at one rate and down at a quarter of it keeps a steady load from switching to and fro. A datagram's room is
 * allocated before anything is in it: large ones only where they will be filled.
 */
static const struct level {
	uint32_t threshold;
	uint32_t buffer;
	double up_at;
} levels[] = {
	{ .threshold = 1, .buffer = 8 * 1024 - SKB_OVERHEAD, .up_at = 0 },
	{ .threshold = 64, .buffer = 64 * 1024 - SKB_OVERHEAD, .up_at = 20000 },
	{ .threshold = 256, .buffer = DATAGRAM_BYTES_MAX - SKB_OVERHEAD, .up_at = 150000 },
};
#define LEVELS (sizeof levels / sizeof levels[0])

static struct nflog *of(struct capture *capture)
{
	return (struct nflog *)(void *)((char *)capture - offsetof(struct nflog, capture));
}

struct batch_size nflog_batch_size(void)
{
	return (struct batch_size){ .bytes = NFLOG_BUFFER_BYTES, .capacity = NFLOG_PACKETS };
}

uint32_t nflog_level(uint32_t level, double packets_per_second)
{
	while (level + 1 < LEVELS && packets_per_second >= levels[level + 1].up_at)
		level++;
	while (level > 0 && packets_per_second < levels[level].up_at / 4)
		level--;
	return level;
}

static void put_level(struct nfnl_request *request, uint32_t level)
{
	nfnl_put_be32(request, NFULA_CFG_NLBUFSIZ, levels[level].buffer);
	nfnl_put_be32(request, NFULA_CFG_QTHRESH, levels[level].threshold);
}

/* Follows the load. A request that failed is sent again at the next look. */
static void adapt(struct nflog *self, uint64_t now)
{
	struct nfnl_request request;
	uint64_t passed = now - self->window_start;
	if (passed < WINDOW_NS)
		return;
	uint32_t level = nflog_level(self->level, (double)self->window_packets * 1e9 / (double)passed);
	self->window_start = now;
	self->window_packets = 0;
	if (level == self->level && !self->level_due)
		return;
	self->level = level;
	nfnl_begin(&request, NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, 0, 0, self->capture.number);
	put_level(&request, level);
	self->level_due = socket_tell(&self->capture.socket, &request) != 0;
}

static uint32_t tick(struct capture *capture, uint64_t now)
{
	struct nflog *self = of(capture);
	adapt(self, now);
	return self->level > 0 || self->level_due ? WINDOW_MS : 0;
}

static void take_packet(struct nflog *self, const struct nfnl_message *message, bool whole)
{
	struct nfnl_packet packet;
	bool sound = nfnl_parse_logged(message, &packet) && whole;
	if (packet.has_sequence) {
		uint32_t gap = packet.sequence - self->next_sequence;
		/* Packets of a group come in order: a number from the past is no gap. */
		if (gap < UINT32_MAX / 2)
			self->capture.counts.kernel_dropped += gap;
		self->next_sequence = packet.sequence + 1;
	}
	if (sound)
		capture_add(&self->capture, &packet);
	else
		self->capture.counts.errors++;
}

int nflog_take(struct nflog *self)
{
	struct nfnl_message message;
	while (self->capture.count < self->capture.batch.capacity) {
		enum nfnl_step step = nfnl_next(&self->cursor, &message);
		if (step == NFNL_END)
			return 0;
		if (step == NFNL_BROKEN)
			self->capture.counts.errors++;
		else if (message.type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
			take_packet(self, &message, step == NFNL_WHOLE);
		else if (message.type == NLMSG_ERROR && (message.error == ENODEV || message.error == EPERM))
			return -message.error;
	}
	return 0;
}

void nflog_begin(struct nflog *self, uint32_t at, uint32_t length)
{
	self->cursor = (struct nfnl_cursor){ .bytes = self->capture.batch.bytes + at, .length = length };
}

/*
 * Reads datagrams until none waits or the index or the buffer is full. A datagram that the index had no room for
 * stays where it is and is gone on with at the next call, before anything is read over it.
 */
static int fill(struct capture *capture)
{
	struct nflog *self = of(capture);
	bool left_over = self->cursor.at < self->cursor.length;
	struct datagram datagram;
	int error;
	capture->count = 0;
	if (!left_over)
		capture->used = 0;
	int result = 1;
	for (;;) {
		error = nflog_take(self);
		if (error != 0)
			return error;
		if (!capture_has_room(capture) || (result = capture_receive(capture, &datagram)) <= 0)
			break;
		/* A datagram that was cut off ends in a message that claims more than is there: counted as that. */
		nflog_begin(self, datagram.at, datagram.length);
	}
	if (result < 0)
		return result;
	capture->more = result > 0;
	capture->counts.packets += capture->count;
	self->window_packets += capture->count;
	return (int)capture->count;
}

static void count(const struct capture *capture, struct counts *counts)
{
	struct proc_line line;
	enum proc_result found = proc_find_two(PROC_SOCKETS, COLUMN_FAMILY, NETLINK_NETFILTER, COLUMN_PORT,
					       capture->socket.port, &line);
	*counts = capture->counts;
	counts->partial = found != PROC_FOUND || line.count <= COLUMN_DROPS;
	if (!counts->partial)
		counts->user_dropped = line.fields[COLUMN_DROPS];
}

static const struct capture_kind kind = { .fill = fill, .tick = tick, .count = count };

void nflog_prepare(struct nflog *self, const struct nflog_options *options, const struct batch *batch)
{
	memset(self, 0, sizeof *self);
	self->capture.kind = &kind;
	self->capture.socket.fd = -1;
	self->capture.batch = *batch;
	self->capture.number = options->group;
}

/* One message binds and sets everything, so that no packet comes with other settings. */
static int bind_group(struct nflog *self, const struct nflog_options *options)
{
	struct nfnl_request request;
	struct nfulnl_msg_config_cmd command = { .command = NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(options->copy_range),
		.copy_mode = NFULNL_COPY_PACKET,
	};
	nfnl_begin(&request, NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, 0, 0, options->group);
	nfnl_put(&request, NFULA_CFG_CMD, &command, sizeof command);
	nfnl_put(&request, NFULA_CFG_MODE, &mode, sizeof mode);
	nfnl_put_be32(&request, NFULA_CFG_TIMEOUT, FLUSH_HUNDREDTHS);
	nfnl_put_be16(&request, NFULA_CFG_FLAGS, NFULNL_CFG_F_SEQ);
	put_level(&request, 0);
	return socket_ask(&self->capture.socket, &request);
}

bool nflog_open(struct nflog *self, const struct nflog_options *options, const struct batch *batch,
		struct failure *failure)
{
	nflog_prepare(self, options, batch);
	if (!socket_open(&self->capture.socket, options->receive_buffer, failure))
		return false;
	socket_stamp(&self->capture.socket);
	int error = bind_group(self, options);
	if (error == 0)
		return true;
	socket_refused(&self->capture.socket, PROC_LOGS, NFNL_SUBSYS_ULOG, options->group, error, failure);
	socket_close(&self->capture.socket);
	return false;
}
