/*
 * complaint.h - why a worker or a trial load says that it cannot serve, or what it remarks.
 */
#ifndef SUPERVISOR_COMPLAINT_H
#define SUPERVISOR_COMPLAINT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/report.h"
#include "conf/config.h"

/* Adds what PROTOCOL_WARNING, or else PROTOCOL_FAILED, says. A place in a file is believed if the
 * process was told of it, by its listener; without one the sentence begins with `who`. Returns
 * whether it is about the handler file, its options or its sandbox: what does not get better by
 * itself. */
bool complaint_take(struct report *report, const struct conf_listener *conf, const char *who,
		    bool is_warning, struct buf_reader *payload);

#endif
