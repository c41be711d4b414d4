/* Builds messages as the kernel sends them, and broken ones as it never should. */
#ifndef TEST_MESSAGE_H
#define TEST_MESSAGE_H

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

#define QUEUED (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)
#define LOGGED (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)

struct message {
	uint8_t bytes[4096];
	uint32_t length;
	/* Where the message being built begins: a datagram may hold several. */
	uint32_t begin;
};

static inline void set_length(struct message *m, uint32_t length)
{
	memcpy(m->bytes + m->begin, &length, sizeof length);
}

static inline void begin(struct message *m, uint16_t type)
{
	struct nlmsghdr header = { .nlmsg_type = type };
	m->length = (m->length + 3u) & ~3u;
	m->begin = m->length;
	memset(m->bytes + m->length, 0, sizeof header + sizeof(struct nfgenmsg));
	memcpy(m->bytes + m->length, &header, sizeof header);
	m->length += (uint32_t)(sizeof header + sizeof(struct nfgenmsg));
	set_length(m, m->length - m->begin);
}

/* `told` is the attribute's claimed length, header included; 0: the true one. */
static inline void add(struct message *m, uint16_t type, const void *value, uint32_t length, uint16_t told)
{
	struct nlattr header = { .nla_len = told != 0 ? told : (uint16_t)(sizeof header + length), .nla_type = type };
	m->length = (m->length + 3u) & ~3u;
	memcpy(m->bytes + m->length, &header, sizeof header);
	memcpy(m->bytes + m->length + sizeof header, value, length);
	m->length += (uint32_t)sizeof header + length;
	set_length(m, m->length - m->begin);
}

static inline void add_be32(struct message *m, uint16_t type, uint32_t value)
{
	uint32_t wire = htonl(value);
	add(m, type, &wire, sizeof wire, 0);
}

static inline void add_id(struct message *m, uint32_t id)
{
	struct nfqnl_msg_packet_hdr header = { .packet_id = htonl(id) };
	add(m, NFQA_PACKET_HDR, &header, sizeof header, 0);
}

static inline void add_stamp(struct message *m, uint16_t type, uint64_t seconds, uint64_t useconds)
{
	uint64_t stamp[2] = { htobe64(seconds), htobe64(useconds) };
	add(m, type, stamp, sizeof stamp, 0);
}

/* A queued packet of `length` bytes 0x45, as the kernel sends it. */
static inline void queued(struct message *m, uint32_t id, uint32_t length)
{
	uint8_t payload[2048];
	memset(payload, 0x45, sizeof payload);
	begin(m, QUEUED);
	add_id(m, id);
	add_stamp(m, NFQA_TIMESTAMP, 1763706000, 123456);
	add(m, NFQA_PAYLOAD, payload, length, 0);
}

/* A logged packet: an IPv4 header that tells `told` bytes, of which `length` are there. */
static inline void logged(struct message *m, uint32_t sequence, uint32_t length, uint16_t told)
{
	uint8_t payload[2048] = { 0x45, 0, (uint8_t)(told >> 8), (uint8_t)told };
	begin(m, LOGGED);
	add(m, NFULA_PAYLOAD, payload, length, 0);
	add_be32(m, NFULA_SEQ, sequence);
}

#endif
