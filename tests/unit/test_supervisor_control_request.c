/*
 * test_supervisor_control_request.c - requests of clients, good and hostile.
 */
#include "supervisor/control_request.h"

#include "unit.h"

static const struct control_command commands[] = {
	{"look", CONTROL_READ, {{.name = "listener"}}, NULL},
	{"count",
	 CONTROL_READ,
	 {{.name = "id", .kind = CONTROL_NUMBER, .is_required = true, .least = 1, .most = 10},
	  {.name = "now", .kind = CONTROL_TRUTH, .access = CONTROL_ALL}},
	 NULL},
	{"change", CONTROL_ALL, {{.name = NULL}}, NULL},
};

static char why[CONTROL_WHY_SIZE];
static const struct control_command *command;

static json_t *
read_line(const char *line, size_t length)
{
	command = NULL;
	why[0] = '\0';
	return control_request_read(line, length, commands, (size_t)UNIT_COUNT(commands), &command,
				    why);
}

static json_t *
read_text(const char *line)
{
	return read_line(line, strlen(line));
}

START_TEST(request_names_a_command_and_has_its_arguments)
{
	json_t *request = read_text("{\"command\":\"look\",\"listener\":\"echo\"}");

	ck_assert_ptr_nonnull(request);
	ck_assert_ptr_eq(command, &commands[0]);
	ck_assert_str_eq(control_request_text(request, "listener"), "echo");
	json_decref(request);

	request = read_text(" { \"id\" : 10 , \"now\" : true, \"command\" : \"count\" } \r");
	ck_assert_ptr_nonnull(request);
	ck_assert_ptr_eq(command, &commands[1]);
	ck_assert_int_eq(control_request_number(request, "id", 0), 10);
	ck_assert(control_request_truth(request, "now"));
	json_decref(request);
}
END_TEST

START_TEST(argument_that_is_not_given_is_none)
{
	json_t *request = read_text("{\"command\":\"count\",\"id\":1}");

	ck_assert_ptr_nonnull(request);
	ck_assert_ptr_null(control_request_text(request, "listener"));
	ck_assert_int_eq(control_request_number(request, "other", -1), -1);
	ck_assert(!control_request_truth(request, "now"));
	json_decref(request);
}
END_TEST

static const struct wrong {
	const char *line, *why;
} wrongs[] = {
	{"", "the request is no JSON"},
	{"look", "the request is no JSON"},
	{"{\"command\":\"look\"", "the request is no JSON"},
	{"{\"command\":\"look\"}}", "the request is no JSON"},
	{"{\"command\":\"look\"}{\"command\":\"change\"}", "the request is no JSON"},
	{"{\"command\":\"look\",\"command\":\"change\"}", "duplicate object key"},
	{"{\"command\":\"look\\u0000\"}", "the request is no JSON"},
	{"{\"command\":\"\xff\"}", "the request is no JSON"},
	{"{\"command\":\"look\",\"listener\":1e999}", "real number overflow"},
	{"{\"command\":\"count\",\"id\":99999999999999999999}", "too big integer"},
	{"[]", "must be a JSON object with a \"command\""},
	{"[\"command\"]", "must be a JSON object with a \"command\""},
	{"{}", "must be a JSON object with a \"command\""},
	{"{\"command\":{}}", "must be a JSON object with a \"command\""},
	{"{\"command\":\"Look\"}", "this handlerd has no command 'Look'"},
	{"{\"command\":\"a\\nb\\u001b[31m\"}", "has no command 'a\\nb\\x1b[31m'"},
	{"{\"command\":\"look\",\"name\":\"x\"}", "the command 'look' has no argument 'name'"},
	{"{\"command\":\"look\",\"listener\":\"\"}",
	 "'listener' must be a string that is not empty"},
	{"{\"command\":\"look\",\"listener\":null}", "'listener' must be a string"},
	{"{\"command\":\"look\",\"listener\":[\"x\"]}", "'listener' must be a string"},
	{"{\"command\":\"count\"}", "the command 'count' needs 'id'"},
	{"{\"command\":\"count\",\"id\":0}", "'id' must be a whole number from 1 to 10"},
	{"{\"command\":\"count\",\"id\":11}", "'id' must be a whole number from 1 to 10"},
	{"{\"command\":\"count\",\"id\":1.0}", "'id' must be a whole number"},
	{"{\"command\":\"count\",\"id\":\"1\"}", "'id' must be a whole number"},
	{"{\"command\":\"count\",\"id\":1,\"now\":1}", "'now' must be true or false"},
};

START_TEST(wrong_request_is_refused_with_its_reason)
{
	json_t *request = read_text(wrongs[_i].line);

	ck_assert_ptr_null(request);
	ck_assert_msg(strstr(why, wrongs[_i].why) != NULL, "%s: %s", wrongs[_i].line, why);
}
END_TEST

START_TEST(nul_and_deep_nesting_are_refused)
{
	char line[CONTROL_REQUEST_SIZE];

	ck_assert_ptr_null(read_line("{\"command\":\"look\"}\0", 19));
	memset(line, '[', sizeof(line));
	ck_assert_ptr_null(read_line(line, sizeof(line)));
	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"command\":\"look\",\"listener\":", 29);
	memset(line + 29, '[', 2000);
	memset(line + 2029, ']', 2000);
	line[4029] = '}';
	ck_assert_ptr_null(read_line(line, 4030));
	ck_assert_ptr_nonnull(strstr(why, "'listener' must be a string"));
}
END_TEST

START_TEST(reason_is_cut_and_stays_a_text)
{
	char line[CONTROL_REQUEST_SIZE];
	int length = snprintf(line, sizeof(line), "{\"command\":\"%03900d\"}", 1);

	ck_assert_ptr_null(read_line(line, (size_t)length));
	ck_assert_uint_lt(strlen(why), CONTROL_WHY_SIZE);
	ck_assert_ptr_nonnull(strstr(why, "has no command '000"));
}
END_TEST

START_TEST(who_may_look_changes_nothing_and_gives_no_argument_that_does)
{
	json_t *look = read_text("{\"command\":\"look\"}");
	const struct control_command *row = command;

	ck_assert(control_request_may(look, row, CONTROL_READ, why));
	ck_assert(control_request_may(look, row, CONTROL_ALL, why));
	ck_assert(!control_request_may(look, row, CONTROL_NOTHING, why));
	json_decref(look);

	look = read_text("{\"command\":\"change\"}");
	ck_assert(control_request_may(look, command, CONTROL_ALL, why));
	ck_assert(!control_request_may(look, command, CONTROL_READ, why));
	ck_assert_ptr_nonnull(strstr(why, "'change' is for root"));
	json_decref(look);

	look = read_text("{\"command\":\"count\",\"id\":1}");
	ck_assert(control_request_may(look, command, CONTROL_READ, why));
	json_decref(look);
	look = read_text("{\"command\":\"count\",\"id\":1,\"now\":false}");
	ck_assert(!control_request_may(look, command, CONTROL_READ, why));
	ck_assert(control_request_may(look, command, CONTROL_ALL, why));
	json_decref(look);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("control_request");

	tcase_add_test(cases, request_names_a_command_and_has_its_arguments);
	tcase_add_test(cases, argument_that_is_not_given_is_none);
	tcase_add_loop_test(cases, wrong_request_is_refused_with_its_reason, 0, UNIT_COUNT(wrongs));
	tcase_add_test(cases, nul_and_deep_nesting_are_refused);
	tcase_add_test(cases, reason_is_cut_and_stays_a_text);
	tcase_add_test(cases, who_may_look_changes_nothing_and_gives_no_argument_that_does);
	return unit_run("control_request", cases);
}
