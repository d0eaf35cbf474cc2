/*
 * serve.c - the main process while it serves: signals, changes of workers, stopping.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "supervisor/inetd.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

#define SERVE_EXTEND_MS 5000
/* Enough to replace workers and to answer while there is no other memory. */
#define SERVE_KEPT_MEMORY ((size_t)1 << 20)

int
supervisor_init(struct supervisor *supervisor, const struct cmdline *cmdline)
{
	CLEANUP_FREE char *reason = NULL;
	int r;

	*supervisor = (struct supervisor){.cmdline = cmdline};
	supervisor->world.journal_fd = supervisor->world.ports_fd = -1;
	supervisor->world.ports_reading_fd = -1;
	supervisor->signals.fd = supervisor->upgrade.program_fd = -1;
	supervisor->started_ns = clock_now_ns();
	supervisor->started_s = time(NULL);
	control_init(&supervisor->control);
	stall_init(&supervisor->stalls);
	access_watch_init(&supervisor->access_watch);
	r = loop_init(&supervisor->loop);
	if (r < 0) {
		(void)fprintf(stderr, "handlerd: cannot start: %s\n", strerror(-r));
		return r;
	}
	r = places_find(&supervisor->places, &reason);
	if (r < 0) {
		(void)fprintf(stderr, "handlerd: %s\n", reason);
		return r;
	}
	supervisor->world.loop = &supervisor->loop;
	supervisor->world.places = &supervisor->places;
	ban_list_init(&supervisor->world.bans, &supervisor->loop);
	supervisor->world.is_once = cmdline->is_once || cmdline->is_inetd;
	supervisor->world.is_connection = cmdline->is_inetd;
	if (getrandom(supervisor->world.source_key, sizeof(supervisor->world.source_key), 0) < 0) {
		r = -errno;
		(void)fprintf(stderr, "handlerd: cannot start: getrandom: %s\n", strerror(-r));
		return r;
	}
	return 0;
}

void
supervisor_destroy(struct supervisor *supervisor)
{
	trial_abandon(&supervisor->upgrade.trial);
	if (supervisor->upgrade.program_fd >= 0)
		(void)close(supervisor->upgrade.program_fd);
	for (size_t i = 0; i < supervisor->listener_count; i++)
		listener_free(supervisor->listeners[i]);
	for (size_t i = 0; i < supervisor->leaving_count; i++)
		listener_free(supervisor->leaving[i]);
	free(supervisor->listeners);
	free(supervisor->leaving);
	sockets_close_all(&supervisor->sockets);
	adopted_free(&supervisor->sockets.adopted);
	store_free(&supervisor->sockets.store);
	reload_record_free(&supervisor->last_reload);
	config_free(supervisor->config);
	places_free(&supervisor->places);
	if (supervisor->world.journal_fd >= 0)
		(void)close(supervisor->world.journal_fd);
	if (supervisor->signals.fd >= 0)
		(void)close(supervisor->signals.fd);
	if (supervisor->world.ports_fd >= 0)
		(void)close(supervisor->world.ports_fd);
	if (supervisor->world.ports_reading_fd >= 0)
		(void)close(supervisor->world.ports_reading_fd);
	ports_close(supervisor->world.ports);
	filters_free(&supervisor->world.filters);
	ban_list_close(&supervisor->world.bans);
	stall_close(supervisor);
	access_watch_close(supervisor);
	overload_stop(supervisor);
	notify_close();
	/* last: whoever waits for the end takes it that all else is done */
	control_close(supervisor);
	loop_close(&supervisor->loop);
}

/* Frees listeners that are gone; ends the program when everything is. */
static void
serve_look(struct supervisor *supervisor)
{
	size_t left = 0, living = 0;

	reload_look(supervisor);
	for (size_t i = 0; i < supervisor->leaving_count; i++) {
		struct listener *listener = supervisor->leaving[i];

		if (listener_is_gone(listener)) {
			log_event(LOG_EVENT_GONE, listener->name,
				  "'%s' is gone: its last connection has ended", listener->name);
			listener_free(listener);
		} else {
			supervisor->leaving[left++] = listener;
		}
	}
	supervisor->leaving_count = left;
	if (left == 0) {
		free(supervisor->leaving);
		supervisor->leaving = NULL;
	}
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		listener_tidy(supervisor->listeners[i], supervisor->config->max_generations, NULL);
		demand_look(supervisor->listeners[i]);
		listener_look_at_sockets(supervisor->listeners[i]);
		living += !listener_is_gone(supervisor->listeners[i]);
	}
	/* one that was opened anew */
	if (supervisor->reload.phase == RELOAD_IDLE)
		sockets_store(&supervisor->sockets);
	recycle_look(supervisor);
	control_look(supervisor);
	stall_look(supervisor);
	overload_look(supervisor);
	upgrade_look(supervisor);
	if (living + left > 0 || supervisor->config == NULL)
		return;
	if (supervisor->world.is_once && !supervisor->is_stopping &&
	    supervisor->listeners[0]->current->last_status != 0)
		supervisor->exit_status = EXIT_FAILURE;
	if (supervisor->is_stopping || (supervisor->world.is_once && supervisor->generation > 0))
		loop_stop(&supervisor->loop);
}

static void
serve_on_look(struct loop_timer *timer)
{
	serve_look(CONTAINER_OF(timer, struct supervisor, look));
}

static void
serve_on_change(struct listener_world *world)
{
	struct supervisor *supervisor = CONTAINER_OF(world, struct supervisor, world);

	/* not from within the event: the child that changed may be freed */
	if (!supervisor->look.is_armed)
		loop_arm(&supervisor->loop, &supervisor->look, 0);
}

static void
serve_on_extend(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, extend);

	notify_extend(2 * SERVE_EXTEND_MS);
	loop_arm(&supervisor->loop, timer, clock_deadline_ns(SERVE_EXTEND_MS));
}

static void
serve_stop_at_once(struct supervisor *supervisor)
{
	log_event(LOG_EVENT_STOPPING, NULL, "stopping at once");
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		struct listener *listener = supervisor->listeners[i];

		if (listener->current != NULL)
			child_handle(listener->current, CHILD_STOP);
	}
	loop_stop(&supervisor->loop);
}

void
supervisor_stop(struct supervisor *supervisor, bool is_at_once)
{
	int64_t deadline_ns;
	char text[32];

	if (is_at_once || supervisor->is_stopping || supervisor->config == NULL) {
		reload_abandon(supervisor);
		supervisor->is_stopping = true;
		upgrade_abandon(supervisor, "the daemon was stopped meanwhile");
		notify_stopping();
		serve_stop_at_once(supervisor);
		return;
	}
	log_event(LOG_EVENT_STOPPING, NULL, "stopping: connections have %s to end",
		  parse_format_duration(supervisor->config->drain_timeout_ms, text, sizeof(text)));
	supervisor->is_stopping = true;
	notify_stopping();
	reload_abandon(supervisor);
	upgrade_abandon(supervisor, "the daemon was stopped meanwhile");
	deadline_ns = clock_deadline_ns(supervisor->config->drain_timeout_ms);
	for (size_t i = 0; i < supervisor->listener_count; i++)
		listener_drain(supervisor->listeners[i], deadline_ns);
	for (size_t i = 0; i < supervisor->leaving_count; i++)
		listener_drain(supervisor->leaving[i], deadline_ns);
	sockets_close_all(&supervisor->sockets);
	supervisor->extend.on_timer = serve_on_extend;
	loop_arm(&supervisor->loop, &supervisor->extend, clock_now_ns());
	serve_on_change(&supervisor->world);
}

static void
serve_reload(struct supervisor *supervisor)
{
	const char *reason;

	if (reload_ask(supervisor, RELOAD_FILE, &reason) == 0)
		log_notice("nothing to reload: %s", reason);
}

static void
serve_on_signal(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = CONTAINER_OF(source, struct supervisor, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			supervisor_stop(supervisor, false);
			break;
		case SIGQUIT:
			supervisor_stop(supervisor, true);
			break;
		case SIGHUP:
			serve_reload(supervisor);
			break;
		case SIGUSR1:
			status_log(supervisor);
			break;
		case SIGUSR2:
			upgrade_begin(supervisor);
			break;
		case SIGCHLD:
			orphans_look(&supervisor->orphans);
			break;
		default:
			break;
		}
	}
}

static int
serve_open_signals(struct supervisor *supervisor)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		(void)sigaddset(&set, numbers[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* somebody wants to write to an access file in the moment that it is looked at */
	(void)signal(SIGIO, SIG_IGN);
	/* a terminal that stops whoever writes to it in the background, as a handler may have set
	 */
	(void)signal(SIGTTOU, SIG_IGN);
	supervisor->signals = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.on_event = serve_on_signal,
	};
	if (supervisor->signals.fd < 0)
		return -errno;
	return loop_add(&supervisor->loop, &supervisor->signals, EPOLLIN);
}

/* A listening socket and a few descriptors for each worker; the limit is the workers' too. */
static void
serve_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* What a process has that starts, and one that goes on after an upgrade has already. */
static int
serve_open_new(struct supervisor *supervisor)
{
	int r;

	/* before any descriptor is opened or closed by number */
	if (supervisor->cmdline->is_inetd) {
		supervisor->inetd_protocol = inetd_take(&supervisor->sockets.adopted);
		if (supervisor->inetd_protocol < 0)
			return -ENOTSOCK;
	} else {
		adopted_take(&supervisor->sockets.adopted);
		if (!supervisor->world.is_once)
			store_open(&supervisor->sockets.store, &supervisor->sockets.adopted);
	}
	supervisor_log_by_stream(LOG_LEVEL_INFO);
	r = supervisor->world.ports_fd = ports_open(&supervisor->world.ports);
	if (r >= 0)
		r = supervisor->world.ports_reading_fd =
			fd_open_for_reading(supervisor->world.ports_fd);
	if (r >= 0)
		r = ban_list_open(&supervisor->world.bans);
	if (r < 0)
		(void)fprintf(stderr, "handlerd: cannot start: %s\n", strerror(-r));
	return r;
}

/* What was left out of the log is told before its last line. */
static void
serve_end_refusals(struct listener **listeners, size_t count)
{
	for (size_t i = 0; i < count; i++)
		refusal_log_end(&listeners[i]->refusals);
}

int
supervisor_serve(struct supervisor *supervisor)
{
	int state_fd = resume_find_state();
	int r;

	if (state_fd < 0 && serve_open_new(supervisor) < 0)
		return EXIT_FAILURE;
	r = serve_open_signals(supervisor);
	if (r >= 0)
		r = stall_open(supervisor);
	if (r < 0) {
		(void)fprintf(stderr, "handlerd: cannot start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	serve_raise_files();
	(void)memory_keep(SERVE_KEPT_MEMORY);
	supervisor->look.on_timer = serve_on_look;
	supervisor->world.on_change = serve_on_change;
	supervisor->on_plan = control_on_plan;
	supervisor->on_reload = control_on_reload;
	supervisor->on_upgrade = control_on_upgrade;
	supervisor->world.on_killed = control_on_killed;
	notify_open(&supervisor->loop);
	orphans_begin(&supervisor->orphans, &supervisor->loop);
	if (state_fd < 0)
		reload_start(supervisor);
	else if (resume(supervisor, state_fd) < 0)
		return EXIT_FAILURE;
	r = loop_run(&supervisor->loop);
	if (r < 0) {
		log_error("the event loop failed: %s", strerror(-r));
		supervisor->exit_status = EXIT_FAILURE;
	}
	reload_abandon(supervisor);
	serve_end_refusals(supervisor->listeners, supervisor->listener_count);
	serve_end_refusals(supervisor->leaving, supervisor->leaving_count);
	if (supervisor->exit_status == 0 && supervisor->config != NULL)
		log_event(LOG_EVENT_STOPPED, NULL, "stopped");
	return supervisor->exit_status;
}
