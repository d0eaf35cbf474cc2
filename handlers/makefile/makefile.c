/*
 * makefile - reads ten characters through a stdio stream and answers through another.
 */
#include <errno.h>
#include <handlerd/handler.h>

HD_HANDLER(.name = "makefile", .version = "1.0.0",
	   .summary = "Ten characters through stdio streams",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

#define CHARACTERS 10
#define LONGEST 4 /* bytes of a character in UTF-8 */

/* How many bytes follow the first one of a character. */
static int
count_following(int first)
{
	if (first >= 0xf0)
		return 3;
	if (first >= 0xe0)
		return 2;
	return first >= 0xc0 ? 1 : 0;
}

/* Reads up to ten characters of UTF-8 and no byte more. Returns the number of bytes. */
static size_t
read_characters(FILE *in, char *text)
{
	size_t length = 0;
	int c = 0;

	for (int i = 0; i < CHARACTERS && c != EOF; i++) {
		int following = 0;

		for (int j = 0; j <= following && (c = getc(in)) != EOF; j++) {
			if (j == 0)
				following = count_following(c);
			text[length++] = (char)c;
		}
	}
	return length;
}

int
handle(struct hd_request *req)
{
	FILE *in = hd_makefile(req, "r"), *out = hd_makefile(req, "w");
	char text[CHARACTERS * LONGEST];
	size_t length;

	if (in == NULL || out == NULL)
		return -errno;
	length = read_characters(in, text);
	if (ferror(in))
		return -errno;
	if (fputs("Return your msg:{", out) == EOF || fwrite(text, 1, length, out) != length ||
	    fputs("}", out) == EOF || fflush(out) == EOF)
		return -errno;
	return 0;
}
