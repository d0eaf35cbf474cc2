#!/bin/sh
# The reviewed list, the headers and the program agree: what handlers may call is declared,
# exported, and nothing else is.
set -u
: "${NM:=nm}" "${SOURCE:?}" "${WORKER:?}"
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
status=0

sed -n 's/^[[:space:]]*\(hd_[a-z0-9_]*\);$/\1/p' "$SOURCE/daemon/api/exports.map" >"$directory/map"
sort -u "$directory/map" >"$directory/map.sorted"
cat "$SOURCE"/include/handlerd/*.h | tr '\n' ' ' | grep -oE 'HD_API_ [^;(]*\(' |
	grep -oE 'hd_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$directory/headers"
# copies of the C library's own variables carry its version behind an @; a sanitizer has its own
"$NM" -D --defined-only "$WORKER" | awk '$3 !~ /@|^__(a|l|t|ub)san_/ { print $3 }' | sort -u \
	>"$directory/program"

[ -s "$directory/map" ] || {
	echo "exports.map names nothing"
	status=1
}
diff "$directory/map" "$directory/map.sorted" || {
	echo "exports.map is not sorted, or names something twice"
	status=1
}
diff "$directory/map.sorted" "$directory/headers" || {
	echo "exports.map (<) and the headers (>) differ"
	status=1
}
diff "$directory/map.sorted" "$directory/program" || {
	echo "exports.map (<) and what $WORKER exports (>) differ"
	status=1
}
exit $status
