#include "nfqueue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>

#include "proc.h"

/* Columns of /proc/net/netfilter/nfnetlink_queue. */
enum { COLUMN_NUMBER, COLUMN_PORT, COLUMN_TOTAL, COLUMN_MODE, COLUMN_RANGE, COLUMN_DROPPED, COLUMN_USER_DROPPED };

/*
 * Further than any queue is long and less than half the circle of ids: a verdict up to here settles all that the
 * kernel holds. It takes nothing from JavaScript: the messages of packets so settled still wait in the socket.
 */
#define ID_BEYOND_QUEUE 0x40000000u
/* A verdict that the kernel had no memory for is tried again after so many ms, or with the next batch. */
#define VERDICT_RETRY_MS 5

static struct nfqueue *of(struct capture *capture)
{
	return (struct nfqueue *)(void *)((char *)capture - offsetof(struct nfqueue, capture));
}

static const struct nfqueue *of_const(const struct capture *capture)
{
	return (const struct nfqueue *)(const void *)((const char *)capture - offsetof(struct nfqueue, capture));
}

static uint32_t slot_bytes(uint32_t copy_range)
{
	uint32_t bytes = (copy_range + NFQUEUE_OVERHEAD_BYTES + 63u) & ~63u;
	return bytes < NFQUEUE_SLOT_BYTES_MIN ? NFQUEUE_SLOT_BYTES_MIN : bytes;
}

struct batch_size nfqueue_batch_size(const struct nfqueue_options *options)
{
	return (struct batch_size){
		.bytes = slot_bytes(options->copy_range) * NFQUEUE_DATAGRAMS,
		.capacity = NFQUEUE_DATAGRAMS,
	};
}

/* Is `a` later than `b` on the circle of ids? */
static bool later(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* Sends the verdict that is due. 0, also where it stays due; or the errno of a dead socket. */
int nfqueue_settle(struct nfqueue *self)
{
	struct nfnl_request request;
	if (!self->verdict_due)
		return 0;
	struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(NF_DROP), .id = htonl(self->verdict_id) };
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_VERDICT_BATCH, 0, 0, self->capture.number);
	nfnl_put(&request, NFQA_VERDICT_HDR, &verdict, sizeof verdict);
	int error = socket_tell(&self->capture.socket, &request);
	self->verdict_due = error != 0;
	if (error == EAGAIN || error == ENOBUFS || error == ENOMEM)
		return 0;
	return error;
}

/* What one message told about its packet's id. */
enum told { TOLD_NOTHING, TOLD_ID, TOLD_UNREADABLE };

static enum told take_packet(struct nfqueue *self, const struct nfnl_message *message, bool whole)
{
	struct nfnl_packet packet;
	bool sound = nfnl_parse_queued(message, &packet) && whole;
	if (packet.has_id && later(packet.id, self->last_id)) {
		self->missing += packet.id - self->last_id - 1;
		self->last_id = packet.id;
	}
	if (sound && self->capture.count < self->capture.batch.capacity)
		capture_add(&self->capture, &packet);
	else
		self->capture.counts.errors++;
	return packet.has_id ? TOLD_ID : TOLD_UNREADABLE;
}

/* The kernel's answer to something that we sent. ENOENT: a verdict for packets that were gone already. */
static int take_answer(const struct nfnl_message *message)
{
	bool dead = message->error == ENODEV || message->error == EPERM;
	return dead ? -message->error : 0;
}

/* Reads one datagram; below 0: the queue is no longer ours. */
static int take_datagram(struct nfqueue *self, const struct mmsghdr *header, enum told *told)
{
	uint32_t length = header->msg_len < self->slot_bytes ? header->msg_len : self->slot_bytes;
	struct nfnl_cursor cursor = { .bytes = header->msg_hdr.msg_iov->iov_base, .length = length };
	struct nfnl_message message;
	bool truncated = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
	if (capture_is_foreign(header->msg_hdr.msg_name, header->msg_hdr.msg_namelen)) {
		self->capture.counts.errors++;
		return 0;
	}
	for (;;) {
		enum nfnl_step step = nfnl_next(&cursor, &message);
		if (step == NFNL_END)
			return 0;
		if (step == NFNL_BROKEN) {
			self->capture.counts.errors++;
			*told = TOLD_UNREADABLE;
			return 0;
		}
		if (message.type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
			*told = take_packet(self, &message, step == NFNL_WHOLE && !truncated);
		else if (message.type == NLMSG_ERROR && take_answer(&message) != 0)
			return take_answer(&message);
	}
}

int nfqueue_take(struct nfqueue *self, uint32_t received)
{
	enum told last = TOLD_NOTHING;
	int error = 0;
	self->capture.count = 0;
	for (uint32_t i = 0; i < received && error == 0; i++)
		error = take_datagram(self, &self->headers[i], &last);
	if (last == TOLD_NOTHING)
		return error;
	/* Ids come in order, so one that was told later also covers an unreadable one before it. */
	self->verdict_id = self->last_id;
	if (last == TOLD_UNREADABLE)
		self->verdict_id += ID_BEYOND_QUEUE;
	self->verdict_due = true;
	return error;
}

static void make_room(struct nfqueue *self)
{
	for (uint32_t i = 0; i < NFQUEUE_DATAGRAMS; i++) {
		struct msghdr *header = &self->headers[i].msg_hdr;
		header->msg_namelen = sizeof self->names[i];
		header->msg_controllen = 0;
		header->msg_flags = 0;
	}
}

static int fill(struct capture *capture)
{
	struct nfqueue *self = of(capture);
	int error;
	capture->more = false;
	capture->count = 0;
	for (;;) {
		make_room(self);
		int received = recvmmsg(capture->socket.fd, self->headers, NFQUEUE_DATAGRAMS, MSG_DONTWAIT, NULL);
		if (received < 0) {
			if (capture_receive_failed(capture, &error))
				continue;
			int unsettled = nfqueue_settle(self);
			return error != 0 ? -error : -unsettled;
		}
		capture->more = received == NFQUEUE_DATAGRAMS;
		error = nfqueue_take(self, (uint32_t)received);
		int unsettled = nfqueue_settle(self);
		if (error != 0 || unsettled != 0)
			return error != 0 ? error : -unsettled;
		capture->counts.packets += capture->count;
		/* Answers alone, or nothing but broken messages: look further. */
		if (capture->count > 0 || !capture->more)
			return (int)capture->count;
	}
}

static uint32_t tick(struct capture *capture, uint64_t now)
{
	struct nfqueue *self = of(capture);
	(void)now;
	/* A dead socket shows itself at the next read. */
	(void)nfqueue_settle(self);
	return self->verdict_due ? VERDICT_RETRY_MS : 0;
}

static void count(const struct capture *capture, struct counts *counts)
{
	struct proc_line line;
	enum proc_result found = proc_find_two(PROC_QUEUES, COLUMN_NUMBER, capture->number, COLUMN_PORT,
					       capture->socket.port, &line);
	*counts = capture->counts;
	counts->user_dropped = of_const(capture)->missing;
	counts->partial = found != PROC_FOUND;
	if (found != PROC_FOUND)
		return;
	counts->depth = line.fields[COLUMN_TOTAL];
	counts->kernel_dropped = line.fields[COLUMN_DROPPED];
	counts->user_dropped = line.fields[COLUMN_USER_DROPPED];
}

static const struct capture_kind kind = { .fill = fill, .tick = tick, .count = count };

void nfqueue_prepare(struct nfqueue *self, const struct nfqueue_options *options, const struct batch *batch)
{
	memset(self, 0, sizeof *self);
	self->capture.kind = &kind;
	self->capture.socket.fd = -1;
	self->capture.batch = *batch;
	self->capture.number = options->queue;
	self->slot_bytes = slot_bytes(options->copy_range);
	for (uint32_t i = 0; i < NFQUEUE_DATAGRAMS; i++) {
		self->slots[i].iov_base = batch->bytes + (size_t)i * self->slot_bytes;
		self->slots[i].iov_len = self->slot_bytes;
		self->headers[i].msg_hdr.msg_iov = &self->slots[i];
		self->headers[i].msg_hdr.msg_iovlen = 1;
		self->headers[i].msg_hdr.msg_name = &self->names[i];
	}
}

/* Binds with room for no packet, so that none comes between the request and its acknowledgement. */
static int bind_queue(struct nfqueue *self, const struct nfqueue_options *options)
{
	struct nfnl_request request;
	struct nfqnl_msg_config_cmd command = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params params = {
		.copy_range = htonl(options->copy_range),
		.copy_mode = NFQNL_COPY_PACKET,
	};
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, 0, 0, options->queue);
	nfnl_put(&request, NFQA_CFG_CMD, &command, sizeof command);
	nfnl_put(&request, NFQA_CFG_PARAMS, &params, sizeof params);
	nfnl_put_be32(&request, NFQA_CFG_QUEUE_MAXLEN, 0);
	return socket_ask(&self->capture.socket, &request);
}

/* An unsupported flag fails its whole message: one a message. Never NFQA_CFG_F_FAIL_OPEN: it accepts what is lost. */
static int set_flag(struct nfqueue *self, uint32_t flag)
{
	struct nfnl_request request;
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, 0, 0, self->capture.number);
	nfnl_put_be32(&request, NFQA_CFG_MASK, flag);
	nfnl_put_be32(&request, NFQA_CFG_FLAGS, flag);
	return socket_ask(&self->capture.socket, &request);
}

/* Lets packets in. Its acknowledgement comes among them and is read there. */
int nfqueue_set_length(struct capture *capture, uint32_t max_length)
{
	struct nfnl_request request;
	nfnl_begin(&request, NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG, NLM_F_ACK, 0, capture->number);
	nfnl_put_be32(&request, NFQA_CFG_QUEUE_MAXLEN, max_length);
	return socket_tell(&capture->socket, &request);
}

bool nfqueue_open(struct nfqueue *self, const struct nfqueue_options *options, const struct batch *batch,
		  struct failure *failure)
{
	nfqueue_prepare(self, options, batch);
	if (!socket_open(&self->capture.socket, options->receive_buffer, failure))
		return false;
	socket_stamp(&self->capture.socket);
	int error = bind_queue(self, options);
	if (error != 0) {
		socket_refused(&self->capture.socket, PROC_QUEUES, NFNL_SUBSYS_QUEUE, options->queue, error,
			       failure);
		socket_close(&self->capture.socket);
		return false;
	}
	/* Large packets come whole, not cut up for us at the kernel's cost. Not needed: an old kernel may refuse. */
	(void)set_flag(self, NFQA_CFG_F_GSO);
	error = nfqueue_set_length(&self->capture, options->max_length);
	if (error == 0)
		return true;
	*failure = (struct failure){ .code = "SOCKET_FAILED", .operation = "start", .error = error };
	socket_close(&self->capture.socket);
	return false;
}
