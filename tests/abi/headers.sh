#!/bin/sh
# Each public header compiles alone, as C99 and as C++11, without a warning, and defines nothing
# that does not begin with HD_.
set -u
: "${CC:=cc}" "${CXX:=c++}" "${SOURCE:?}"
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
status=0
warnings="-Wall -Wextra -Wpedantic -pedantic -Wundef -Wconversion -Wshadow -Werror"

has_cxx=yes
command -v "$CXX" >/dev/null 2>&1 || has_cxx=no

for header in "$SOURCE"/include/handlerd/*.h; do
	name=handlerd/$(basename "$header")
	# twice: the guard holds
	printf '#include <%s>\n#include <%s>\nextern int unused;\n' "$name" "$name" >"$directory/a.c"
	cp "$directory/a.c" "$directory/a.cc"
	for standard in c99 c11 gnu17; do
		# shellcheck disable=SC2086
		"$CC" -std=$standard $warnings -Wstrict-prototypes -I "$SOURCE/include" \
			-fsyntax-only "$directory/a.c" || {
			echo "$name: not clean as $standard"
			status=1
		}
	done
	[ $has_cxx = yes ] || continue
	for standard in c++11 c++14 c++17 c++20; do
		# shellcheck disable=SC2086
		"$CXX" -std=$standard $warnings \
			-I "$SOURCE/include" -fsyntax-only "$directory/a.cc" || {
			echo "$name: not clean as $standard"
			status=1
		}
	done
done

# every macro, in whatever it includes of ours
found=$(sed -n 's/^# *define  *\([A-Za-z0-9_]*\).*/\1/p' "$SOURCE"/include/handlerd/*.h |
	grep -v '^HD_')
[ -z "$found" ] || {
	echo "macros without HD_: $found"
	status=1
}

# every name with linkage: hd_... and the three entry points
found=$(cat "$SOURCE"/include/handlerd/*.h |
	"$CC" -std=c99 -I "$SOURCE/include" -E -P -include handlerd/handler.h -x c /dev/null |
	grep -E 'struct hd_(request|server|handler|option)' | grep -oE '\b[a-z_]+ *\(' |
	tr -d ' (' | grep -vE '^(hd_[a-z0-9_]+|setup|handle|finish|int|void|__[a-z]+__)$' |
	sort -u)
[ -z "$found" ] || {
	echo "names that are not ours to take: $found"
	status=1
}
[ $has_cxx = yes ] || echo "no C++ compiler: C only"
exit $status
