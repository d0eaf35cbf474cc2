# Language, warnings and hardening, the same for every program and handler here.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wconversion -fno-strict-aliasing
	$<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)
option(HANDLERD_WERROR "Treat warnings as errors" OFF)
if(HANDLERD_WERROR)
	add_compile_options(-Werror)
endif()

# none, address (with undefined behaviour) or thread
set(HANDLERD_SANITIZE "none" CACHE STRING "Sanitizer: none, address, thread")
if(HANDLERD_SANITIZE STREQUAL "address")
	add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
		-fno-omit-frame-pointer)
	add_link_options(-fsanitize=address,undefined)
elseif(HANDLERD_SANITIZE STREQUAL "thread")
	add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
	add_link_options(-fsanitize=thread)
endif()

# Each flag where the compiler has it.
function(handlerd_add_flag flag)
	string(MAKE_C_IDENTIFIER "HAS${flag}" has)
	check_c_compiler_flag("-Werror ${flag}" ${has})
	if(${has})
		add_compile_options(${flag})
	endif()
endfunction()

handlerd_add_flag(-fstack-protector-strong)
handlerd_add_flag(-fstack-clash-protection)
# All symbols are bound at the start (-z now): a call through the table of addresses is one jump less.
handlerd_add_flag(-fno-plt)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
	handlerd_add_flag(-fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
	handlerd_add_flag(-mbranch-protection=standard)
endif()

# _FORTIFY_SOURCE needs optimisation and fights with sanitizers; 3 needs gcc 12 or clang.
if(HANDLERD_SANITIZE STREQUAL "none")
	check_c_source_compiles("
		#include <features.h>
		#if !defined(__GNUC__) || (!defined(__clang__) && __GNUC__ < 12)
		#error no level 3
		#endif
		int main(void) { return 0; }" HAS_FORTIFY_3)
	if(HAS_FORTIFY_3)
		set(level 3)
	else()
		set(level 2)
	endif()
	add_compile_options(
		"$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>"
		"$<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=${level}>")
endif()

add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--build-id)

option(HANDLERD_COVERAGE "Measure coverage" OFF)
if(HANDLERD_COVERAGE)
	add_compile_options(--coverage)
	add_link_options(--coverage)
endif()
