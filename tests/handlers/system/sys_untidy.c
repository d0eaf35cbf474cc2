/*
 * sys_untidy - changes what belongs to the whole process and leaves it so: each must go with its
 * worker.
 */
#include <fcntl.h>
#include <handlerd/handler.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

HD_HANDLER(.name = "sys_untidy", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

static void
on_exit_hang(void)
{
	for (;;)
		(void)pause();
}

static void
on_signal(int number)
{
	(void)number;
}

static void *
run_for_ever(void *argument)
{
	for (;;)
		(void)pause();
	return argument;
}

int
handle(struct hd_request *req)
{
	struct sigaction action = {.sa_handler = on_signal};
	pthread_t thread;
	char line[16];

	if (hd_readline(req, line, sizeof(line)) <= 0)
		return 0;
	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &action, NULL);
	(void)pthread_create(&thread, NULL, run_for_ever, NULL);
	(void)atexit(on_exit_hang);
	(void)!chdir("/tmp");
	(void)umask(0);
	(void)setlocale(LC_ALL, "C.UTF-8");
	(void)setpriority(PRIO_PROCESS, 0, 5);
	(void)open("/dev/null", O_RDONLY); /* not closed on exec, and never */
	return hd_printf(req, "untidy\n");
}
