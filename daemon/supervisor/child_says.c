/*
 * child_says.c - what a worker says of itself. It comes from a process that handlers run in: what
 * is kept is bounded, and escaped by the log.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "policy/sensor.h"
#include "supervisor/child.h"
#include "supervisor/complaint.h"
#include "supervisor/listener.h"

/* So much of a version is kept. */
#define CHILD_VERSION_SIZE 64

static void
child_note_failure(struct child *child, struct buf_reader *payload)
{
	const struct listener *listener = child->owner_data;
	CLEANUP_FREE char *who =
		memory_format("worker of '%s' (handler '%s')", child->name, child->handler);

	/* as long as it starts, its listener has a configuration; later it has nothing to say */
	if (child_table[child->state][CHILD_SAID_FAILED].action == CHILD_NOTE_FAILURE &&
	    complaint_take(&child->failures, listener != NULL ? listener->conf : NULL, who, false,
			   payload))
		child->is_refusal = true;
}

static void
child_note_version(struct child *child, struct buf_reader *payload)
{
	CLEANUP_FREE char *version = buf_read_text(payload);
	char escaped[CHILD_VERSION_SIZE];

	free(child->version);
	child->version = NULL;
	if (version == NULL)
		return;
	(void)text_escape(version, strlen(version), escaped, sizeof(escaped));
	child->version = memory_text(escaped);
}

/* However much it says: a flood of reports would drive out those that are there. */
static void
child_note_sensed(struct child *child, struct buf_reader *payload)
{
	uint64_t hi = buf_read_u64(payload), lo = buf_read_u64(payload);
	int64_t now_ns = clock_now_ns();

	if (now_ns - child->sensed_ns >= CLOCK_NS_PER_S) {
		child->sensed_ns = now_ns;
		child->sensed = 0;
	}
	if (!payload->is_bad && child->sensed++ < SENSOR_MOST_REPORTS &&
	    child->owner->on_sensed != NULL)
		child->owner->on_sensed(child, hi, lo);
}

static void
child_note_confined(struct child *child, struct buf_reader *payload)
{
	uint32_t state = buf_read_u32(payload);
	uint32_t error = buf_read_u32(payload);

	if (state == PROTOCOL_UNREPORTED && child->owner->on_unreported != NULL)
		child->owner->on_unreported(child, (int)error);
}

void
child_hear(struct process *process, struct channel_message *message)
{
	struct child *child = CONTAINER_OF(process, struct child, process);

	switch (message->type) {
	case PROTOCOL_READY:
		child_note_version(child, &message->payload);
		child_handle(child, CHILD_SAID_READY);
		break;
	case PROTOCOL_FAILED:
		child_note_failure(child, &message->payload);
		child_handle(child, CHILD_SAID_FAILED);
		break;
	case PROTOCOL_CRASHED:
		child->owner->on_crash(child, (int)buf_read_u32(&message->payload));
		break;
	case PROTOCOL_KILLED:
		child->owner->on_killed(child, buf_read_u64(&message->payload));
		break;
	case PROTOCOL_SENSED:
		child_note_sensed(child, &message->payload);
		break;
	case PROTOCOL_QUIET:
		child_handle(child, CHILD_SAID_QUIET);
		break;
	case PROTOCOL_IDLE:
		child_handle(child, CHILD_SAID_IDLE);
		break;
	case PROTOCOL_CONFINED:
		child_note_confined(child, &message->payload);
		break;
	case PROTOCOL_STUCK:
		child->stuck_ns = clock_now_ns();
		break;
	default:
		break;
	}
}
