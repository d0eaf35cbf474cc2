#!/bin/sh
# Handlers as their authors write and build them: C99, C++11, C++20; loaded by the daemon. A wrong
# signature does not compile.
set -u
: "${CC:=cc}" "${CXX:=c++}" "${SOURCE:?}" "${DAEMON:?}"
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
# the trial load runs as another user
chmod 755 "$directory"
umask 022
status=0
strict="-Wall -Wextra -pedantic -Werror"

fail()
{
	echo "$1"
	status=1
}

# describe FILE NAME WORDS: the daemon loads it and tells these words of it
describe()
{
	"$DAEMON" --describe "$directory/$1" >"$directory/out" 2>&1 || fail "$1: not loaded"
	grep -q "^name  *$2\$" "$directory/out" || fail "$1: is not called $2"
	grep -q "$3" "$directory/out" || fail "$1: does not tell '$3'"
	[ $status -eq 0 ] || cat "$directory/out"
}

cat >"$directory/smallest.c" <<'END'
#include <handlerd/handler.h>

HD_HANDLER(.name = "smallest", .version = "1.0.0", .flags = HD_STREAM | HD_DGRAM | HD_THREADS);

int
handle(struct hd_request *req)
{
	char buf[2048];
	ssize_t n;

	hd_set_idle(req, 1);
	while ((n = hd_recv(req, buf, sizeof(buf))) > 0) {
		int r = hd_sendall(req, buf, (size_t)n);
		if (r < 0)
			return r;
	}
	return (int)n;
}
END
# with no more flags than the manual gives, and with all that a strict author has
"$CC" -shared -fPIC -I "$SOURCE/include" -o "$directory/smallest.so" "$directory/smallest.c" ||
	fail "the smallest handler does not build"
describe smallest.so smallest "datagrams"
# shellcheck disable=SC2086
"$CC" -std=c99 $strict -fvisibility=hidden -O2 -shared -fPIC -I "$SOURCE/include" \
	-o "$directory/strict.so" "$directory/smallest.c" || fail "not clean as C99"
describe strict.so smallest "threading"

for wrong in 'void handle(struct hd_request *req) { (void)req; }' \
	'int handle(void) { return 0; }' 'int finish(struct hd_request *req) { (void)req; return 0; }' \
	'int setup(struct hd_request *req, int x) { (void)req; return x; }'; do
	printf '#include <handlerd/handler.h>\n%s\n' "$wrong" >"$directory/wrong.c"
	if "$CC" -I "$SOURCE/include" -fsyntax-only "$directory/wrong.c" 2>/dev/null; then
		fail "compiles though its signature is wrong: $wrong"
	fi
done

if command -v "$CXX" >/dev/null 2>&1; then
	# shellcheck disable=SC2086
	"$CXX" -std=c++11 $strict -fvisibility=hidden -shared -fPIC -I "$SOURCE/include" \
		-o "$directory/cxx.so" "$SOURCE/tests/abi/handler.cc" || fail "not clean as C++11"
	describe cxx.so cxx "default hello"
	describe cxx.so cxx "required"
	sed 's/HD_HANDLER_CXX(.*/HD_HANDLER(.name = "cxx20", .version = nullptr, .summary = nullptr, .flags = HD_STREAM);/' \
		"$SOURCE/tests/abi/handler.cc" >"$directory/cxx20.cc"
	"$CXX" -std=c++20 -Wall -Werror -Wno-missing-field-initializers -Wno-unused-variable \
		-Wno-unused-const-variable -shared -fPIC -I "$SOURCE/include" \
		-o "$directory/cxx20.so" "$directory/cxx20.cc" || fail "not clean as C++20"
	describe cxx20.so cxx20 "connections"
else
	echo "no C++ compiler: C only"
fi
exit $status
