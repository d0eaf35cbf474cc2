#!/bin/sh
# The numbers of layout.c hold.
: "${CC:=cc}" "${SOURCE:?}"
exec "$CC" -std=c11 -Wall -Wextra -Werror -I "$SOURCE/include" -fsyntax-only \
	"$SOURCE/tests/abi/layout.c"
