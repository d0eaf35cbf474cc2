/*
 * test_conf_scan.c - what libconfig lets through or answers with two words only.
 */
#include "conf/explain.h"
#include "conf/scan.h"
#include "conf/token.h"
#include "conf_cases.h"

struct trap {
	const char *text; /* put before a valid list of listeners, unless it has one */
	unsigned line;
	const char *words;
};

static const struct trap traps[] = {
	/* numbers */
	{"max_generations = 4294967299;", 1, "4294967299 does not fit into 32 bits"},
	{"max_generations = 2147483648;", 1, "does not fit into 32 bits"},
	{"max_generations = -2147483649;", 1, "does not fit into 32 bits"},
	{"max_generations = 99999999999999999999L;", 1, "does not fit into 64 bits"},
	{"max_generations = 9223372036854775808LL;", 1, "does not fit into 64 bits"},
	{"max_generations = 99999999999999999999;", 1, "does not fit into 64 bits"},
	{"max_generations = 0xFFFFFFFF;", 1, "0xFFFFFFFF does not fit into 32 bits"},
	{"max_generations = 0x100000003;", 1, "does not fit into 32 bits"},
	{"max_generations = 0xFFFFFFFFFFFFFFFFL;", 1, "does not fit into 64 bits"},
	{"max_generations = 0x10000000000000003;", 1, "does not fit into 64 bits"},
	{"\n\nmax_generations = 03;", 3, "03 begins with 0"},
	{"max_generations = 0755;", 1, "a mode as a string (\"0660\")"},
	{"max_generations = -007;", 1, "begins with 0"},
	{"max_generations = 00;", 1, "begins with 0"},
	{"max_generations = 03L;", 1, "begins with 0"},
	{"max_generations = 1e400;", 1, "is too large a number"},
	{"max_generations = -1.5E+999;", 1, "is too large a number"},
	/* what never ends */
	{"\n/* begun\n and never ended\n", 2, "the comment that begins here never ends"},
	{"max_generations = 3; /*/", 1, "the comment that begins here never ends"},
	{"\nuser = \"nobody;\n", 2, "the string that begins here never ends"},
	{"listeners = ( );\n\nuser = \"nobody;\n", 3, "the string that begins here never ends"},
	{"listeners = ( ); user = \"nobody\\\"", 1, "the string that begins here never ends"},
	{"listeners = ( ); user = \"nobody\\", 1, "the string that begins here never ends"},
	/* other files */
	{"@include \"other.conf\"", 1, "listeners.d/"},
	{"\n  @include \"other.conf\"\n", 2, "@include is not taken here"},
	{"@include_dir \"d\"\n", 1, "@include_dir is not taken here"},
	/* bytes */
	{"\xef\xbb\xbfmax_generations = 3;", 1, "byte order mark"},
	{"\xff\xfem", 1, "UTF-16"},
	{"user = \"no\\x00body\";", 1, "\\x00 stands in a string"},
	{"user =\n \"no\nb\\X00dy\";", 3, "\\x00 stands in a string"},
	/* a bare "syntax error" */
	{"start_timeout = 30s;", 1, "stands in double quotes (\"30s\", \"64KiB\")"},
	{"start_timeout = 30s\nuser = \"x\";", 1, "'s' follows a number"},
	{"user = nobody;", 1, "'nobody' stands where a value must; text stands in double quotes"},
	{"user = 'nobody';", 1, "text stands in double quotes"},
	{"handler_path = /srv;", 1, "text stands in double quotes"},
	{"user \"nobody\";", 1, "'=' is missing after 'user'"},
	{"log { level = \"info\"; };", 1, "'=' is missing between 'log' and '{'"},
	{"user = ;", 1, "the value of 'user' is missing before ';'"},
	{"user = \"a\";;", 1, "';' is one too many"},
	{"\"user\" = \"a\";", 1, "keys have no quotes"},
	{"user = \"a\nmax_generations = 3;\ngroup = \"x\";", 3, "that begins on line 1"},
	{"user = \"a;\ngroup = \"x;\n", 2,
	 "begins on line 1 ends on line 2: is its closing quote missing?"},
	{"listeners = [ { name = \"a\"; } ];", 1, "a list of groups is written"},
	{"listeners = ( name = \"a\" );", 1, "a group begins with '{'"},
	{"listeners = ( { name = \"a\"; } { name = \"b\"; } );", 1, "',' is missing before '{'"},
	{"listeners = (\n {\n name = \"a\";\n );", 4, "the '{' of line 2 is still open"},
	{"listeners = (\n { name = \"a\"; }\n", 1, "the '(' that opens here is never closed"},
	{"listeners = (\n {\n name = \"a\";\n", 2, "the '{' that opens here is never closed"},
	{"listeners = ( { name = \"a\"; }; { } );", 1, "separated by ','"},
	{"listeners = ( ) );", 1, "')' closes nothing"},
	{"listeners = ( , );", 1, "one too many"},
	{"handler_path = [ \"/a\" \"/b\", /c ];", 1, "where a value must"},
	{"handler_path = 127.0.0.1:7007;", 1, "cannot follow a number"},
	{"user = \"a\";\n\nuser = \"b\";", 3, "the key 'user' was already given on line 1"},
	{"log = { level = \"info\";\n level = \"debug\"; };", 2, "already given on line 1"},
	{"handler_path = [ \"/a\", 1 ];", 1, "mismatched element type"},
	{"\x01", 1, "the byte 0x01"},
	{"\xe2\x80\x9cuser\xe2\x80\x9d = 1;", 1, "the byte 0xe2"},
};

START_TEST(trap_is_refused_with_line_and_advice)
{
	const struct trap *trap = &traps[_i];
	bool is_whole = strstr(trap->text, "listeners") != NULL;
	char *text = memory_format("%s%s", trap->text, is_whole ? "" : "\nlisteners = ( );\n");

	cases_expect(text, trap->line, trap->words);
	free(text);
}
END_TEST

START_TEST(nul_byte_is_refused_with_its_line)
{
	static const char text[] = "listeners = ( );\nuser = \"a\0b\";\n";
	struct report report = {0};

	cases_write_bytes("handlerd.conf", text, sizeof(text) - 1);
	ck_assert_ptr_null(cases_load(&report));
	ck_assert_uint_eq(report.count, 1);
	ck_assert_uint_eq(report.entries[0].line, 2);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "NUL byte"));
	report_free(&report);
}
END_TEST

/* Texts that libconfig reads as they are meant. */
static const char *const valid_texts[] = {
	"listeners = ( );",
	"listeners : ( )",
	"listeners = [ ];",
	"// comment without an end of line\nlisteners = ( ); // another",
	"listeners = ( ); # another",
	"# \"a quote\n// /* no comment\n/* // \" ' # @include */ listeners = ( );",
	"/**/ listeners /***/ = /* * / */ ( /*/ x */ );",
	"user = \"a\" \"b\"\n /* c */ \"c\" # d\n \"d\"; listeners = ( );",
	"user = \"x // y /* z # @include \\\" \\\\\"; listeners = ( );",
	"user = \"a\\x41\\x7e\"; listeners = ( );",
	"user = \"a\\q\\\\x00\"; listeners = ( );",
	"max_generations = 3L; listeners = ( );",
	"max_generations = 3LL, listeners = ( )",
	"max_generations = 0x3 listeners = ( )",
	"max_generations = 0X0000000000000000003L; listeners = ( );",
	"max_generations = +3; listeners = ( );",
	"start_timeout = \"007s\"; listeners = ( );",
	"log = { level = \"info\" }; listeners = ( );",
	"log = { level = \"info\", format = \"text\" } listeners = ( );",
	"log = { }; defaults = { options = { }; environment = { }; }; listeners = ( );",
	"handler_path = [ ]; listeners = ( );",
	"handler_path = ( \"/a\", \"/b\" \"c\" ); listeners = ( );",
	"user = \"\xc3\xa9\"; listeners = ( );",
	"\r\nuser = \"a\";\r\nlisteners = ( );\r\n",
	"\tuser\n=\n\"a\"\n;\nlisteners = ( );\f",
	"defaults = { enabled = TRUE; options = { a = -1, b = 0, c = -2147483648, d = 2147483647, "
	"e = 0x7FFFFFFF, f = 9223372036854775807L, g = -9223372036854775808L, "
	"h = 0x7FFFFFFFFFFFFFFFL, i = tRue, j = [ ], k = ( \"x\" ), l = 5000000000L }; } "
	"listeners = ( )",
};

START_TEST(valid_text_is_accepted)
{
	config_free(cases_accept(valid_texts[_i]));
}
END_TEST

START_TEST(comma_before_a_bracket_is_accepted_or_explained)
{
	static const char text[] = "listeners = ( " CASES_LISTENER ",\n);";
	struct report report = {0};
	struct config *config = cases_load_text(text, &report);

	/* libconfig takes it since 1.7 */
	if (config == NULL) {
		ck_assert_uint_eq(report.errors, 1);
		ck_assert_uint_eq(report.entries[0].line, 2);
		ck_assert_ptr_nonnull(
			strstr(report.entries[0].text, "remove the comma before ')'"));
	}
	config_free(config);
	report_free(&report);
}
END_TEST

START_TEST(comma_that_the_parser_accepted_is_not_blamed)
{
	static const char text[] = "a = [ 1, ];\nb = ;\n";
	unsigned line = 0;
	char *sentence = explain_syntax(text, strlen(text), 2, &line);

	ck_assert_uint_eq(line, 2);
	ck_assert_ptr_nonnull(strstr(sentence, "the value of 'b' is missing"));
	free(sentence);
}
END_TEST

START_TEST(text_without_fault_is_not_explained)
{
	static const char text[] = "a = [ 1, 2 ]; b = { c = ( { }, ( ) ) }\n";
	unsigned line = 0;

	ck_assert_ptr_null(explain_syntax(text, strlen(text), 1, &line));
}
END_TEST

START_TEST(every_number_that_does_not_fit_is_told_along_with_other_errors)
{
	struct report report = {0};

	ck_assert_ptr_null(cases_load_text("max_generations = 4294967299;\n"
					   "usr = \"x\";\n"
					   "defaults = { backlog = 0777; };\n"
					   "listeners = ( );\n",
					   &report));
	ck_assert_uint_eq(report.errors, 3);
	ck_assert_uint_eq(report.entries[0].line, 1);
	ck_assert_uint_eq(report.entries[1].line, 2);
	ck_assert_uint_eq(report.entries[2].line, 3);
	report_free(&report);
}
END_TEST

START_TEST(deep_nesting_is_refused_not_crashed)
{
	size_t depth = 60000;
	char *text = memory_zero(1, depth + 16);
	struct report report = {0};

	(void)snprintf(text, 16, "a = ");
	memset(text + 4, '(', depth);
	ck_assert_ptr_null(cases_load_text(text, &report));
	ck_assert_uint_eq(report.errors, 1);
	free(text);
	report_free(&report);
}
END_TEST

START_TEST(tokens_are_cut_where_libconfig_cuts_them)
{
	static const char text[] = "a-b*_9=-1.5e3 0x1fL 12LL7 .5 true trueish\"s\\\"\"{@";
	static const enum token_kind kinds[] = {
		TOKEN_NAME,    TOKEN_MARK,  TOKEN_FLOAT, TOKEN_HEX,  TOKEN_INTEGER,
		TOKEN_INTEGER, TOKEN_FLOAT, TOKEN_BOOL,	 TOKEN_NAME, TOKEN_STRING,
		TOKEN_MARK,    TOKEN_OTHER, TOKEN_END,
	};
	struct tokenizer tokenizer;

	tokenizer_start(&tokenizer, text, strlen(text));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ck_assert_int_eq((int)tokenizer_next(&tokenizer).kind, (int)kinds[i]);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("scan");

	tcase_add_loop_test(cases, trap_is_refused_with_line_and_advice, 0,
			    (int)(sizeof(traps) / sizeof(traps[0])));
	tcase_add_test(cases, nul_byte_is_refused_with_its_line);
	tcase_add_loop_test(cases, valid_text_is_accepted, 0,
			    (int)(sizeof(valid_texts) / sizeof(valid_texts[0])));
	tcase_add_test(cases, comma_before_a_bracket_is_accepted_or_explained);
	tcase_add_test(cases, comma_that_the_parser_accepted_is_not_blamed);
	tcase_add_test(cases, text_without_fault_is_not_explained);
	tcase_add_test(cases, every_number_that_does_not_fit_is_told_along_with_other_errors);
	tcase_add_test(cases, deep_nesting_is_refused_not_crashed);
	tcase_add_test(cases, tokens_are_cut_where_libconfig_cuts_them);
	return cases_run(cases, "conf_scan");
}
