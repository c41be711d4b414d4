#include "nfnl.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MESSAGE_HEADER_BYTES ((uint32_t)sizeof(struct nlmsghdr))
#define GENERIC_HEADER_BYTES ((uint32_t)sizeof(struct nfgenmsg))
#define ATTRIBUTE_HEADER_BYTES ((uint32_t)sizeof(struct nlattr))
#define USECONDS_PER_SECOND 1000000u

static uint32_t align4(uint32_t length)
{
	return (length + 3u) & ~3u;
}

static void *grow(struct nfnl_request *request, uint32_t length)
{
	uint32_t at = request->length;
	if (align4(length) > NFNL_REQUEST_BYTES - at)
		abort();
	memset(request->bytes + at, 0, align4(length));
	request->length = at + align4(length);
	/* Every part of ours ends on a 4-byte boundary, so the message's length needs no padding beyond it. */
	((struct nlmsghdr *)(void *)request->bytes)->nlmsg_len = request->length;
	return request->bytes + at;
}

void nfnl_begin(struct nfnl_request *request, uint8_t subsystem, uint8_t message, uint16_t flags,
		uint32_t sequence, uint16_t resource)
{
	request->length = 0;
	struct nlmsghdr *header = grow(request, MESSAGE_HEADER_BYTES);
	header->nlmsg_type = (uint16_t)(subsystem << 8 | message);
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	header->nlmsg_seq = sequence;
	struct nfgenmsg *generic = grow(request, GENERIC_HEADER_BYTES);
	generic->nfgen_family = AF_UNSPEC;
	generic->version = NFNETLINK_V0;
	generic->res_id = htons(resource);
}

void nfnl_put(struct nfnl_request *request, uint16_t type, const void *value, uint16_t length)
{
	uint8_t *at = grow(request, ATTRIBUTE_HEADER_BYTES + length);
	struct nlattr attribute = { .nla_len = (uint16_t)(ATTRIBUTE_HEADER_BYTES + length), .nla_type = type };
	memcpy(at, &attribute, sizeof attribute);
	memcpy(at + ATTRIBUTE_HEADER_BYTES, value, length);
}

void nfnl_put_be32(struct nfnl_request *request, uint16_t type, uint32_t value)
{
	uint32_t wire = htonl(value);
	nfnl_put(request, type, &wire, sizeof wire);
}

void nfnl_put_be16(struct nfnl_request *request, uint16_t type, uint16_t value)
{
	uint16_t wire = htons(value);
	nfnl_put(request, type, &wire, sizeof wire);
}

/* NLMSG_ERROR carries a negative errno before the request that it answers. */
static bool read_error(const uint8_t *body, uint32_t length, struct nfnl_message *message)
{
	int32_t value;
	if (length < sizeof value)
		return false;
	memcpy(&value, body, sizeof value);
	/* INT32_MIN has no positive twin; the kernel's errnos end at 4095 (MAX_ERRNO). */
	if (value > 0 || value < -4095)
		return false;
	message->error = -value;
	return true;
}

enum nfnl_step nfnl_next(struct nfnl_cursor *cursor, struct nfnl_message *message)
{
	uint32_t left = cursor->length - cursor->at;
	const uint8_t *at = cursor->bytes + cursor->at;
	struct nlmsghdr header;
	memset(message, 0, sizeof *message);
	if (left == 0)
		return NFNL_END;
	cursor->at = cursor->length;
	if (left < MESSAGE_HEADER_BYTES)
		return NFNL_BROKEN;
	memcpy(&header, at, sizeof header);
	if (header.nlmsg_len < MESSAGE_HEADER_BYTES)
		return NFNL_BROKEN;
	bool cut = header.nlmsg_len > left;
	uint32_t length = cut ? left : header.nlmsg_len;
	uint32_t next = align4(length);
	message->type = header.nlmsg_type;
	message->sequence = header.nlmsg_seq;
	if (header.nlmsg_type == NLMSG_ERROR) {
		if (!read_error(at + MESSAGE_HEADER_BYTES, length - MESSAGE_HEADER_BYTES, message))
			return NFNL_BROKEN;
	} else if (header.nlmsg_type >= NLMSG_MIN_TYPE) {
		if (length < MESSAGE_HEADER_BYTES + GENERIC_HEADER_BYTES)
			return NFNL_BROKEN;
		message->attributes = at + MESSAGE_HEADER_BYTES + GENERIC_HEADER_BYTES;
		message->attributes_length = length - MESSAGE_HEADER_BYTES - GENERIC_HEADER_BYTES;
	}
	if (!cut && next < left)
		cursor->at = (uint32_t)(at - cursor->bytes) + next;
	return cut ? NFNL_CUT : NFNL_WHOLE;
}

struct attribute {
	uint16_t type;
	const uint8_t *value;
	uint32_t length;
};

/* One attribute further; 0 at the end, -1 where the length lies. */
static int next_attribute(const uint8_t **at, uint32_t *left, struct attribute *attribute)
{
	struct nlattr header;
	if (*left == 0)
		return 0;
	if (*left < ATTRIBUTE_HEADER_BYTES)
		return -1;
	memcpy(&header, *at, sizeof header);
	if (header.nla_len < ATTRIBUTE_HEADER_BYTES || header.nla_len > *left)
		return -1;
	attribute->type = (uint16_t)(header.nla_type & NLA_TYPE_MASK);
	attribute->value = *at + ATTRIBUTE_HEADER_BYTES;
	attribute->length = header.nla_len - ATTRIBUTE_HEADER_BYTES;
	uint32_t step = align4(header.nla_len);
	step = step < *left ? step : *left;
	*at += step;
	*left -= step;
	return 1;
}

static uint32_t read_be32(const uint8_t *at)
{
	uint32_t wire;
	memcpy(&wire, at, sizeof wire);
	return ntohl(wire);
}

/* struct nfqnl_msg_packet_timestamp and nfulnl_msg_packet_timestamp are the same: two 64-bit numbers. */
static bool read_stamp(const struct attribute *attribute, struct nfnl_packet *packet)
{
	uint64_t wire[2];
	if (attribute->length != sizeof wire || packet->stamp != 0)
		return false;
	memcpy(wire, attribute->value, sizeof wire);
	uint64_t seconds = be64toh(wire[0]);
	uint64_t useconds = be64toh(wire[1]);
	/* 2^40 seconds are 35,000 years: beyond it a number with a fraction of a millisecond is no longer exact. */
	if (useconds >= USECONDS_PER_SECOND || seconds >= (uint64_t)1 << 40)
		return false;
	packet->stamp = (double)seconds * 1000.0 + (double)useconds / 1000.0;
	return true;
}

static bool read_payload(const struct attribute *attribute, struct nfnl_packet *packet)
{
	if (packet->payload != NULL || attribute->length == 0)
		return false;
	packet->payload = attribute->value;
	packet->payload_length = attribute->length;
	return true;
}

static bool read_queued(const struct attribute *attribute, struct nfnl_packet *packet)
{
	switch (attribute->type) {
	case NFQA_PACKET_HDR:
		if (packet->has_id || attribute->length != sizeof(struct nfqnl_msg_packet_hdr))
			return false;
		packet->has_id = true;
		packet->id = read_be32(attribute->value);
		return true;
	case NFQA_TIMESTAMP:
		return read_stamp(attribute, packet);
	case NFQA_PAYLOAD:
		return read_payload(attribute, packet);
	case NFQA_CAP_LEN:
		if (packet->full_length != 0 || attribute->length != sizeof(uint32_t))
			return false;
		packet->full_length = read_be32(attribute->value);
		return true;
	default:
		return true;
	}
}

static bool read_logged(const struct attribute *attribute, struct nfnl_packet *packet)
{
	switch (attribute->type) {
	case NFULA_SEQ:
		if (packet->has_sequence || attribute->length != sizeof(uint32_t))
			return false;
		packet->has_sequence = true;
		packet->sequence = read_be32(attribute->value);
		return true;
	case NFULA_TIMESTAMP:
		return read_stamp(attribute, packet);
	case NFULA_PAYLOAD:
		return read_payload(attribute, packet);
	default:
		return true;
	}
}

static bool read_attributes(const struct nfnl_message *message, struct nfnl_packet *packet,
			    bool (*read)(const struct attribute *, struct nfnl_packet *))
{
	const uint8_t *at = message->attributes;
	uint32_t left = message->attributes_length;
	struct attribute attribute;
	int step;
	memset(packet, 0, sizeof *packet);
	while ((step = next_attribute(&at, &left, &attribute)) > 0)
		if (!read(&attribute, packet))
			return false;
	return step == 0 && packet->payload != NULL;
}

bool nfnl_parse_queued(const struct nfnl_message *message, struct nfnl_packet *packet)
{
	if (!read_attributes(message, packet, read_queued) || !packet->has_id)
		return false;
	/* NFQA_CAP_LEN is there only where something was cut off. */
	if (packet->full_length == 0)
		packet->full_length = packet->payload_length;
	return packet->full_length >= packet->payload_length && packet->full_length <= INT32_MAX;
}

/* What an IP header says of its packet's length; 0 where there is none. NFLOG does not tell it otherwise. */
static uint32_t length_in_header(const uint8_t *packet, uint32_t length)
{
	if (length >= 20 && packet[0] >> 4 == 4)
		return (uint32_t)packet[2] << 8 | packet[3];
	if (length >= 40 && packet[0] >> 4 == 6)
		return ((uint32_t)packet[4] << 8 | packet[5]) + 40;
	return 0;
}

bool nfnl_parse_logged(const struct nfnl_message *message, struct nfnl_packet *packet)
{
	if (!read_attributes(message, packet, read_logged))
		return false;
	uint32_t told = length_in_header(packet->payload, packet->payload_length);
	packet->full_length = told > packet->payload_length ? told : packet->payload_length;
	return true;
}
