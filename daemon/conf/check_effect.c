/*
 * check_effect.c - keys that would be taken and do nothing: those that say more of another key that
 * is nowhere, and a reset where no client can be sent one. Who writes such a key believes that it
 * works. What is written in `defaults` is meant for other listeners; and what is switched off in so
 * many words may keep its details.
 */
#include "conf/check.h"
#include "conf/settings.h"

/* `detail` is set to something by the listener itself, and says more of `key`. */
static void
check_effect_needs(const struct conf_listener *listener, const char *group, const char *detail,
		   const char *key, struct report *report)
{
	const struct setting *row = setting_find(SETTING_LISTENER, group, detail);
	const struct setting *other = setting_find(SETTING_LISTENER, group, key);

	if (listener->origins == NULL || !conf_listener_takes(listener, row) ||
	    listener->origins[row - settings].file == NULL ||
	    listener->origins[row - settings].is_shared ||
	    listener->origins[other - settings].file != NULL)
		return;
	check_error(report, listener->origins[row - settings],
		    "%s.%s of listener '%s' has no effect without %s.%s; set that, too, or remove "
		    "%s.%s",
		    group, detail, check_listener_name(listener), group, key, group, detail);
}

static void
check_effect_resets(const struct conf_listener *listener, const char *key, int64_t *way,
		    struct report *report)
{
	struct conf_origin origin = check_origin(listener, "limits", key);

	if (*way != CONF_LIMIT_RESET || listener->protocol == CONF_TCP)
		return;
	if (origin.is_shared) {
		*way = CONF_LIMIT_CLOSE;
		return;
	}
	check_error(report, origin,
		    "limits.%s = \"reset\" is for protocol tcp, and listener '%s' has protocol %s; "
		    "its clients cannot be sent a reset, write \"close\"",
		    key, check_listener_name(listener), conf_protocol_name(listener->protocol));
}

void
check_effect(struct conf_listener *listener, struct report *report)
{
	struct conf_limits *limits = &listener->limits;

	check_effect_resets(listener, "on_limit", &limits->on_limit, report);
	check_effect_resets(listener, "on_source_limit", &limits->on_source_limit, report);
	if (limits->rate_burst > 0)
		check_effect_needs(listener, "limits", "rate_burst", "rate", report);
	if (limits->rate_per_source_burst > 0)
		check_effect_needs(listener, "limits", "rate_per_source_burst", "rate_per_source",
				   report);
	if (listener->access.sensor_except.count > 0)
		check_effect_needs(listener, "access", "sensor_except", "sensor", report);
}
