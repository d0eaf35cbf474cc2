/*
 * test_supervisor_kill.c - a listener's workers are asked to end a connection, and the one that had
 * it is heard.
 */
#include <signal.h>

#include "base/log.h"
#include "supervisor/listener.h"
#include "unit.h"

static struct loop loop;
static struct places places;
static struct listener_world world;
static struct listener listener;
static uint64_t killed;

static void
on_change(struct listener_world *which)
{
	ck_assert_ptr_eq(which, &world);
}

static void
on_killed(struct listener_world *which, const struct listener *of, uint64_t id)
{
	ck_assert_ptr_eq(which, &world);
	ck_assert_ptr_eq(of, &listener);
	killed = id;
}

/* A listener whose worker is a program that says nothing. */
static void
prepare(void)
{
	static char name[] = "front", user[] = "nobody", home[] = "/";
	static struct conf_listener conf = {.name = name, .handler = name};
	static struct config config = {.start_timeout_ms = 10000};

	log_set_level(0);
	ck_assert_int_eq(loop_init(&loop), 0);
	places.worker_fd = open("/bin/cat", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(places.worker_fd, 0);
	world = (struct listener_world){
		.loop = &loop,
		.places = &places,
		.journal_fd = -1,
		.ports_fd = -1,
		.on_change = on_change,
	};
	listener = (struct listener){
		.world = &world,
		.config = &config,
		.conf = &conf,
		.name = name,
		.handler = name,
		.pin = PIN_NONE,
		.identity = {.user = user, .home = home},
		.vacancy_fd = open("/dev/null", O_RDWR | O_CLOEXEC),
	};
	listener_start(&listener, 1);
	ck_assert_int_eq(listener.current->state, CHILD_STARTING);
}

/* Ends the worker and forgets it. */
static void
end_worker(void)
{
	child_handle(listener.current, CHILD_STOP);
	death_free(&listener.current->death);
	report_free(&listener.current->failures);
	free(listener.current);
	listener.current = NULL;
}

static void
clean(void)
{
	end_worker();
	loop_close(&loop);
}

/* Puts our own end of a channel in the place of the worker's. */
static int
listen_in(struct process *process)
{
	int ends[2];

	ck_assert_int_eq(channel_open(ends), 0);
	ck_assert_int_ge(dup2(ends[0], process->channel.fd), 0);
	return ends[1];
}

static uint64_t
hear_kill(int fd)
{
	static struct channel_message message;

	ck_assert_int_eq(channel_receive(fd, &message), 1);
	ck_assert_int_eq(message.type, PROTOCOL_KILL);
	return buf_read_u64(&message.payload);
}

START_TEST(every_worker_is_asked_and_none_that_is_dead)
{
	struct child old = {.process = {.pid = 1, .generation = 1, .protocol = PROTOCOL_VERSION}};
	struct child dead = {.next = NULL};
	int ends[2], fd = listen_in(&listener.current->process);

	ck_assert_int_eq(channel_open(ends), 0);
	old.process.channel.fd = ends[0];
	old.next = &dead;
	listener.old = &old;
	listener_kill_connection(&listener, 17);
	ck_assert_uint_eq(hear_kill(fd), 17);
	ck_assert_uint_eq(hear_kill(ends[1]), 17);
	listener.old = NULL;
}
END_TEST

START_TEST(the_answer_of_a_worker_reaches_who_asked)
{
	struct process *process = &listener.current->process;
	struct channel_message message = {.type = PROTOCOL_KILLED, .generation = 1};
	uint64_t id = 18;

	/* nobody asks */
	memcpy(message.bytes, &id, sizeof(id));
	message.payload = (struct buf_reader){.data = message.bytes, .length = sizeof(id)};
	process->on_message(process, &message);
	ck_assert_uint_eq(killed, 0);
	world.on_killed = on_killed;
	message.payload.position = 0;
	process->on_message(process, &message);
	ck_assert_uint_eq(killed, 18);
}
END_TEST

START_TEST(each_worker_gets_a_serial_number_of_its_own)
{
	ck_assert_uint_eq(world.next_serial, 1);
	end_worker();
	listener_start(&listener, 2);
	ck_assert_uint_eq(world.next_serial, 2);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("supervisor_kill");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, every_worker_is_asked_and_none_that_is_dead);
	tcase_add_test(cases, the_answer_of_a_worker_reaches_who_asked);
	tcase_add_test(cases, each_worker_gets_a_serial_number_of_its_own);
	return unit_run("supervisor_kill", cases);
}
