/*
 * notify.c - what systemd is told. READY=1 follows every RELOADING=1, whether the reload succeeded
 * or not.
 */
#include "supervisor/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/text.h"
#include "supervisor/manager.h"

static struct {
	struct loop *loop;
	struct loop_timer timer;
	int64_t interval_ns;
} notify_watchdog;

static void
notify_on_watchdog(struct loop_timer *timer)
{
	manager_remind("WATCHDOG=1");
	loop_arm(notify_watchdog.loop, timer, clock_now_ns() + notify_watchdog.interval_ns);
}

void
notify_alive(void)
{
	if (notify_watchdog.loop != NULL)
		manager_remind("WATCHDOG=1");
}

void
notify_open(struct loop *loop)
{
	uint64_t usec = 0;

	manager_open(loop);
	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	notify_watchdog.loop = loop;
	notify_watchdog.interval_ns = (int64_t)(usec / 2) * 1000;
	notify_watchdog.timer.on_timer = notify_on_watchdog;
	loop_arm(loop, &notify_watchdog.timer, clock_now_ns());
}

void
notify_reloading(void)
{
	manager_tell_format("RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reloading",
			    clock_now_ns() / 1000);
}

static void __attribute__((format(printf, 2, 0)))
notify_send_status(const char *before, const char *format, va_list args)
{
	char status[512], line[1024];
	int n = vsnprintf(status, sizeof(status), format, args);

	if (n < 0)
		return;
	(void)text_escape(status, (size_t)n < sizeof(status) ? (size_t)n : sizeof(status) - 1, line,
			  sizeof(line));
	manager_tell_format("%sSTATUS=%s", before, line);
}

void
notify_ready(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	notify_send_status("READY=1\n", format, args);
	va_end(args);
}

void
notify_status(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	notify_send_status("", format, args);
	va_end(args);
}

void
notify_stopping(void)
{
	manager_tell("STOPPING=1\nSTATUS=Draining connections", -1);
}

void
notify_extend(int64_t ms)
{
	char state[64];

	(void)snprintf(state, sizeof(state), "EXTEND_TIMEOUT_USEC=%" PRId64, ms * 1000);
	manager_remind(state);
}

void
notify_close(void)
{
	manager_close();
}
